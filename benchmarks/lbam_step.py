"""LBAM: a forward pass and a whole training step, generator and critic, at 256 pixels beside a plain build as released.

Both run in this process, on one thread, in turns, round by round, with the same weights and inputs; before anything is
timed, the outputs and the first step's gradients must agree. The plain build is that of `lbam_plain.py` with the
released order of a step, where the critic's gradients run on through the generator to be thrown away, and torch's
plain Adam. `--publish` puts the table into the pages.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from lbam_plain import Plain, PlainCritic
from torch import Tensor, nn

from inpaintlab.batch import Batch
from inpaintlab.losses.adversarial import Wasserstein, gradient_penalty
from inpaintlab.losses.reconstruction import masked_l1
from inpaintlab.networks import lbam
from inpaintlab.tables.publish import report
from inpaintlab.utils import provenance

NAMES = ("plain", "ours", "mixed")
SIDE, TOLERANCE = 256, 1e-5
GP, ADVERSARIAL = 10.0, 0.1  # weights of the penalty and of the adversarial term (section 3.4)
ADAM_G, ADAM_D = {"lr": 1e-4, "betas": (0.5, 0.9)}, {"lr": 1e-5, "betas": (0.0, 0.9)}


# ---------------------------------------------------------------------- the steps
@dataclass
class Side:
    """One contender: networks, their optimisers, and the context of its forward passes."""

    generator: nn.Module
    critic: nn.Module
    fused: bool
    context: Callable[[], AbstractContextManager[Any]] = nullcontext

    def __post_init__(self) -> None:
        self.adam_g = torch.optim.Adam(self.generator.parameters(), fused=self.fused, **ADAM_G)  # type: ignore[arg-type]
        self.adam_d = torch.optim.Adam(self.critic.parameters(), fused=self.fused, **ADAM_D)  # type: ignore[arg-type]


def pixel_loss(output: Tensor, batch: Batch) -> Tensor:
    """The released pixel terms: six times the hole's mean absolute difference plus the known pixels'."""
    hole, image = batch.hole, batch.image
    return 6 * masked_l1(output, image, hole) + masked_l1(output, image, 1 - hole)


def plain_step(side: Side, batch: Batch, alpha: Tensor) -> None:
    """As released, with the one change that makes it run on current torch: the critic's step comes last.

    The critic's backward also fills the generator's gradients, and the generator's the critic's; both are discarded,
    as there. Nothing else is needed for the gradients of both to be right.
    """
    image, hole, critic = batch.image, batch.hole, side.critic
    output = side.generator(image, hole)
    real, fake = critic(image, hole), critic(output, hole)
    mixed = (alpha * image + (1 - alpha) * output.detach()).float().requires_grad_()
    (slope,) = torch.autograd.grad(
        critic(mixed.to(image.dtype), hole).sum(), mixed, create_graph=True, retain_graph=True
    )
    penalty = ((slope.reshape(len(slope), -1).norm(2, dim=1) - 1) ** 2).mean()
    side.adam_d.zero_grad()
    (fake.mean() - real.mean() + GP * penalty).backward(retain_graph=True)
    kept = [weight.grad for weight in critic.parameters()]
    side.adam_d.zero_grad()
    side.adam_g.zero_grad()
    (pixel_loss(output, batch) - ADVERSARIAL * fake.mean()).backward()
    side.adam_g.step()
    for weight, grad in zip(critic.parameters(), kept, strict=True):
        weight.grad = grad
    side.adam_d.step()


def our_step(side: Side, batch: Batch, alpha: Tensor) -> None:
    """The order of our training loop: the critic on a detached output, then the generator under its new weights."""
    image, hole, adversarial = batch.image, batch.hole, Wasserstein()

    def judge(picture: Tensor) -> list[Tensor]:
        return [side.critic(picture.to(image.dtype), hole)]  # the penalty is of float32 pictures

    with side.context():
        output = side.generator(image, hole).image
        penalty = gradient_penalty(judge, image, output, alpha)
        critic = adversarial.discriminator(judge(output.detach()), judge(image)) + GP * penalty
    side.adam_d.zero_grad()
    critic.backward()  # type: ignore[no-untyped-call]
    side.adam_d.step()
    side.critic.requires_grad_(False)
    with side.context():
        total = pixel_loss(output, batch) + ADVERSARIAL * adversarial.generator(judge(output))
    side.critic.requires_grad_(True)
    side.adam_g.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    side.adam_g.step()
    side.generator.constrain()  # type: ignore[operator]


# ---------------------------------------------------------------------- the comparison
def enliven(generator: nn.Module) -> None:
    """Weights under which all layers matter; as initialised, the network without batch norm is nearly constant."""
    for name, weight in generator.named_parameters():
        if weight.dim() == 4 and "masks" in name:  # positive filters of sum 1.5: gates between 0.1 and 1.1
            weight.data = torch.rand_like(weight) * (3 / weight[0].numel())
        elif weight.dim() == 4:
            inputs = weight.shape[1] * 16 if "encoder" in name else weight.shape[0] * 4
            nn.init.normal_(weight, std=(2 / inputs) ** 0.5)


def build(name: str) -> Side:
    """One contender by name, with the same seed and therefore the same weights as the others."""
    torch.manual_seed(0)
    generator, critic = lbam.Generator(**lbam.FOLLOWS["authors"]), lbam.Discriminator()
    enliven(generator)
    if name == "plain":
        plain, plain_critic = Plain(), PlainCritic()
        plain.load_state_dict(generator.state_dict())
        plain_critic.load_state_dict(critic.state_dict())
        return Side(plain, plain_critic, fused=False)
    if name == "mixed":
        layout = torch.channels_last
        generator, critic = generator.to(memory_format=layout), critic.to(memory_format=layout)
        return Side(generator, critic, True, lambda: torch.autocast("cpu", torch.bfloat16))
    return Side(generator, critic, fused=True)


def gap(a: Tensor, b: Tensor) -> float:
    """Relative 2-norm of the difference."""
    return ((a - b).norm() / b.norm()).item()


def first_gradients(name: str, batch: Batch, alpha: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """All gradients of a first step, of the generator and of the critic, each in one vector.

    The critic stands still meanwhile, so both generators are judged by the same one; then the two orders of steps mean
    the same. In float32 rounding turns some activations near 0 around, and their gradients with them, so the equality
    of the two builds is asserted in float64.
    """
    side = build(name)
    side.generator.to(kind)
    side.critic.to(kind)
    side.adam_d.param_groups[0]["lr"] = 0.0
    step(name, side, Batch(batch.image.to(kind), batch.hole.to(kind)), alpha.to(kind))
    networks = (side.generator, side.critic)
    generator, critic = (
        torch.cat([w.grad.flatten() for _, w in sorted(n.named_parameters()) if w.grad is not None]) for n in networks
    )
    return generator, critic


def step(name: str, side: Side, batch: Batch, alpha: Tensor) -> None:
    """One training step of a contender."""
    (plain_step if name == "plain" else our_step)(side, batch, alpha)


def forward(name: str, side: Side, batch: Batch) -> Tensor:
    """The first picture filled, without gradients."""
    with torch.no_grad(), side.context():
        output = side.generator(batch.image[:1], batch.hole[:1])
    return output if name == "plain" else output.image


def repaint(name: str, side: Side, batch: Batch) -> Callable[[], object]:
    """The first picture filled when its hole has been seen before; the plain build has no such way."""
    if name == "plain":
        return partial(forward, name, side, batch)
    image, hole = batch.image[:1], batch.hole[:1]
    with torch.no_grad(), side.context():
        maps = side.generator.attend(hole)  # type: ignore[operator]

    def work() -> None:
        with torch.no_grad(), side.context():
            side.generator.paint(image, hole, maps)  # type: ignore[operator]

    return work


def agree(batch: Batch, alpha: Tensor) -> dict[str, float]:
    """Relative 2-norms between ours and the plain build; ends the program where they should agree and do not."""
    outputs = {name: forward(name, build(name), batch) for name in NAMES}
    gaps = {"forward": gap(outputs["ours"], outputs["plain"]), "bf16": gap(outputs["mixed"], outputs["plain"])}
    for kind in (torch.float64, torch.float32):
        pairs = zip(*(first_gradients(name, batch, alpha, kind) for name in ("ours", "plain")), strict=True)
        for part, pair in zip(("generator", "critic"), pairs, strict=True):
            gaps[f"{part}, {str(kind).removeprefix('torch.')}"] = gap(*pair)
    for name in ("forward", "generator, float64", "critic, float64"):
        if not gaps[name] <= TOLERANCE:
            raise SystemExit(f"ours and the plain build differ by more than {TOLERANCE} ({name}): {gaps}")
    return gaps


def alternate(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of process CPU time over rounds in which the works take turns, after one round unmeasured."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if i:
                seconds[name].append(time.process_time() - start)
    return {name: median(values) for name, values in seconds.items()}


def main() -> None:
    """Check, measure, print; put the table into the pages if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--rounds", type=int, default=5, help="of training steps; forward passes get three times as many"
    )
    parser.add_argument("--publish", action="store_true", help="put the table into the pages")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    image, hole, alpha = torch.rand(2, 3, SIDE, SIDE), torch.zeros(2, 1, SIDE, SIDE), torch.rand(2, 1, 1, 1)
    hole[0, :, 60:190, 70:200], hole[1, :, 20:120, 100:240] = 1, 1
    batch = Batch(image, hole)
    gaps = agree(batch, alpha)

    sides = {name: build(name) for name in NAMES}
    steps = {name: partial(step, name, side, batch, alpha) for name, side in sides.items()}
    seen = {name: repaint(name, side, batch) for name, side in sides.items()}
    forwards = {name: partial(forward, name, side, batch) for name, side in sides.items()}
    measured = {
        "forward, batch 1": alternate(forwards, 4 * options.rounds),
        "forward, maps kept from an earlier picture with this hole": alternate(seen, 4 * options.rounds),
        "generator + critic step, batch 2": alternate(steps, options.rounds),
    }
    lines = ["| | plain build | ours | ratio | ours, bf16 | ratio |", "|---|---:|---:|---:|---:|---:|"]
    for label, seconds in measured.items():
        plain, ours, mixed = (seconds[name] for name in NAMES)
        lines.append(
            f"| {label} | {plain:.3f} s | {ours:.3f} s | {ours / plain:.2f} | {mixed:.3f} s | {mixed / plain:.2f} |"
        )
    notes = (
        f"Process CPU time, medians of {4 * options.rounds} and {options.rounds} alternating rounds, "
        f"{options.threads} thread{'s' * (options.threads > 1)} of {provenance.processor()}, "
        f"torch {torch.__version__}, "
        f"{SIDE} x {SIDE} pixels, float32; bf16 is autocast with channels_last. Released network (no batch norm); VGG "
        "terms left out on both sides. Relative differences from the plain build: output "
        f"{gaps['forward']:.0e} (bf16 {gaps['bf16']:.0e}); gradients of the first step, generator and critic, "
        f"{gaps['generator, float64']:.0e} and {gaps['critic, float64']:.0e} in float64, "
        f"{gaps['generator, float32']:.0e} and {gaps['critic, float32']:.0e} in float32, where activations next to 0 "
        "change sides by rounding."
    )
    text = "\n".join([*lines, "", notes])
    report("bench lbam", text, publish=options.publish)


if __name__ == "__main__":
    main()
