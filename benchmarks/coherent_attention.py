"""The CSA layer beside a plain one that works position by position as the released code does (`coherent_plain.py`).

Both run in this process, on one thread, in turns, round by round, on the same features and holes, with the released
similarities. Before anything is timed the outputs must agree, and our gradients with those that autograd finds through
the definition. The plain layer's backward pass is the released one, which is not the derivative; ours is exact.
`--publish` puts the table into the pages.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from coherent_plain import Plain
from torch import Tensor, nn

from inpaintlab.data.holes.free_form import FreeForm
from inpaintlab.layers.coherent import CoherentAttention
from inpaintlab.networks.csa_stages import Refinement
from inpaintlab.tables.publish import report
from inpaintlab.utils import provenance

SIDE, TOLERANCE = 32, 1e-5
Works = Mapping[str, Callable[[], object]]


def holes() -> dict[str, Tensor]:
    """A centre hole of a quarter of the map, and an irregular one of 40 %."""
    centre = torch.zeros(1, 1, SIDE, SIDE)
    centre[..., 8:24, 8:24] = 1
    drawn = FreeForm(bins=["0.4-0.41"]).draw(np.random.default_rng(0), "0.4-0.41", SIDE, SIDE)
    return {"centre": centre, "irregular": torch.from_numpy(drawn).float()[None, None]}


def features(batch: int, channels: int) -> Tensor:
    """Smooth maps with noise; like a network's, of both signs."""
    smooth = F.interpolate(torch.randn(batch, channels, 8, 8), (SIDE, SIDE), mode="bilinear")
    return smooth + 0.3 * torch.randn(batch, channels, SIDE, SIDE)


def forward(layer: nn.Module, x: Tensor, hole: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = layer(x, hole)
    return result


def gradient(layer: nn.Module, x: Tensor, hole: Tensor, weight: Tensor) -> Tensor:
    """Of a weighted sum of the output."""
    leaf = x.detach().requires_grad_()
    layer(leaf, hole).backward(weight)
    assert leaf.grad is not None
    return leaf.grad


def gap(a: Tensor, b: Tensor) -> float:
    """Relative 2-norm of the difference."""
    return ((a - b).norm() / b.norm()).item()


def agree(x: Tensor, hole: Tensor, weight: Tensor) -> dict[str, float]:
    """Relative differences; ends the program where they are too large."""
    fast, defined = (CoherentAttention(similarity="inner_product", implementation=name) for name in ("fast", "plain"))
    gaps = {
        "output": gap(forward(fast, x, hole), forward(Plain(hole), x, hole)),
        "exact gradient": gap(gradient(fast, x, hole, weight), gradient(defined, x, hole, weight)),
    }
    if not max(gaps.values()) <= TOLERANCE:
        raise SystemExit(f"ours and the plain layer differ by more than {TOLERANCE}: {gaps}")
    return gaps


def alternate(works: Works, rounds: int) -> dict[str, float]:
    """Median milliseconds of process CPU time over rounds in which the works take turns, after one unmeasured.

    A short work is repeated within its turn until it has taken a twentieth of a second.
    """
    found: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds + 1):
        for name, work in works.items():
            count, start = 0, time.process_time()
            while count == 0 or time.process_time() - start < 0.05:
                work()
                count += 1
            if i:
                found[name].append((time.process_time() - start) / count * 1e3)
    return {name: median(values) for name, values in found.items()}


def layers(rounds: int) -> tuple[list[str], dict[str, float]]:
    """The rows of the table, and the largest relative differences met."""
    lines, worst = [], dict[str, float]()
    for channels in (256, 512):
        for name, hole in holes().items():
            for batch in (1, 8):
                x = features(batch, channels)
                weight = torch.randn_like(x)
                for what, value in agree(x, hole, weight).items():
                    worst[what] = max(worst.get(what, 0.0), value)
                ours, plain = CoherentAttention(similarity="inner_product"), Plain(hole)
                ms = alternate(
                    {
                        "plain": lambda p=plain, x=x, h=hole: forward(p, x, h),  # type: ignore[misc]
                        "ours": lambda o=ours, x=x, h=hole: forward(o, x, h),  # type: ignore[misc]
                        "plain+": lambda p=plain, x=x, h=hole, w=weight: gradient(p, x, h, w),  # type: ignore[misc]
                        "ours+": lambda o=ours, x=x, h=hole, w=weight: gradient(o, x, h, w),  # type: ignore[misc]
                    },
                    rounds,
                )
                cells = [
                    f"{ms['plain' + of]:.0f} | {ms['ours' + of]:.1f} | **{ms['plain' + of] / ms['ours' + of]:.0f}x**"
                    for of in ("", "+")
                ]
                lines.append(
                    f"| {SIDE} x {SIDE} x {channels}, {name} | {int(hole.sum())} | {batch} | {' | '.join(cells)} |"
                )
                print(lines[-1], flush=True)
    return lines, worst


def share(rounds: int) -> dict[str, float]:
    """The layer's part of the refinement network's forward pass, one picture of 256 pixels, as a share of 1."""
    hole, inputs = holes()["centre"], torch.randn(1, 6, 256, 256)
    shares = {}
    for name, layer in (("plain", Plain(hole)), ("ours", CoherentAttention())):
        torch.manual_seed(0)
        network = Refinement(lambda maps, layer=layer: layer)  # type: ignore[misc]
        seen: list[Tensor] = []
        hook = layer.register_forward_hook(lambda m, given, out, seen=seen: seen.append(given[0]))
        forward(network, inputs, hole)
        hook.remove()
        ms = alternate(
            {
                "network": lambda n=network: forward(n, inputs, hole),  # type: ignore[misc]
                "layer": lambda a=layer, x=seen[0]: forward(a, x, hole),  # type: ignore[misc]
            },
            rounds,
        )
        shares[name] = ms["layer"] / ms["network"]
    return shares


def main() -> None:
    """Check, measure, print; put the table into the pages if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--publish", action="store_true", help="put the table into the pages")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    head = [
        "| map, hole | positions | batch | forward, plain | ours | | with backward, plain | ours, exact | |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    parts = share(options.rounds)
    lines, worst = layers(options.rounds)
    notes = (
        f"Milliseconds of process CPU time, medians of {options.rounds} alternating rounds, {options.threads} thread"
        f"{'s' * (options.threads > 1)} of {provenance.processor()}, torch {torch.__version__}, float32, released "
        "similarities. The plain layer works through the positions as the released code does and has its backward "
        "pass, which is not the derivative. Largest relative differences: "
        + ", ".join(f"{what} {value:.0e}" for what, value in worst.items())
        + f". Share of the refinement network's forward pass, 256 pixels, batch 1, centre hole: {parts['ours']:.1%} "
        f"(default similarities; the plain layer {parts['plain']:.0%})."
    )
    text = "\n".join([*head, *lines, "", notes])
    report("bench coherent", text, publish=options.publish)


if __name__ == "__main__":
    main()
