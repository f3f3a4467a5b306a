"""All losses and gradient norms of a training step of DeepFill v1 equal the authors' code and the port's.

Tolerances, relative to the largest recorded value: 1e-5 for losses, 2e-4 for gradient norms, 3e-4 for pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference.recorded import Case, case
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.checkpoints.checkpoint import load_exactly
from inpaintlab.losses.adversarial import Wasserstein
from inpaintlab.networks import deepfill_v1, deepfill_v1_critics
from inpaintlab.papers.deepfill_v1 import DeepFillV1
from inpaintlab.training.module import InpaintingModule

LOSS, NORMS, PICTURES = 1e-5, 2e-4, 3e-4


def system(c: Case) -> DeepFillV1:
    """Return the system of a case with its weights and loss weights."""
    s = c.settings
    local_size = s["bbox"][2]
    module = DeepFillV1(
        generator=deepfill_v1.Generator(follows=c.follows, width=s["width"] / 32),
        discriminator=deepfill_v1_critics.Critics(
            follows=c.follows, size=c.inputs["image"].shape[-1], local_size=local_size, width=s["critic_width"] / 64
        ),
        adversarial=Wasserstein(),
        loss_weights={"l1": s["l1_loss_alpha"], "ae": s["ae_loss_alpha"], "adversarial": s["gan_loss_alpha"]},
        optimizer_g=torch.optim.Adam,
        optimizer_d=torch.optim.Adam,
        follows=c.follows,
        gamma=s["gamma"],
        coarse_weight=s["coarse_l1_alpha"],
        local_size=local_size,
        gp_weight=s["wgan_gp_lambda"],
    )
    for network, begins, called in (
        (module.generator, "netG.", deepfill_v1.port_name),
        (module.discriminator, ("localD.", "globalD."), deepfill_v1_critics.port_name),
    ):
        weights = {k.removeprefix("netG."): v for k, v in c.weights.items() if k.startswith(begins)}
        load_exactly(network, weights, "the case", called)
    return module.to(c.dtype)


def gradient_norms(
    loss: Tensor, network: torch.nn.Module, c: Case, prefix: str, called: Callable[[str], str]
) -> Tensor:
    """Return one gradient norm per weight of the network, in the order of the case."""
    parameters = {prefix + called(name): p for name, p in network.named_parameters()}
    grads = torch.autograd.grad(loss, list(parameters.values()))
    norms = {name: grad.norm() for name, grad in zip(parameters, grads, strict=True)}
    return torch.stack([norms[name] for name in c.weights if name in norms])


def objectives(module: DeepFillV1, c: Case) -> tuple[Output, dict[str, Tensor]]:
    """Return the output and all losses, named as in the port's case."""
    image, mask = c.inputs["image"], c.inputs["mask"]
    batch = Batch((image + 1) / 2, mask.expand(len(image), -1, -1, -1))
    output = module(batch.image, batch.hole)
    terms = module.generator_terms(batch, output)
    fake = module.judge(module.fake(batch, output), batch)
    terms["adversarial"] = module.adversarial.generator(fake, None)
    alphas = [torch.tensor(c.settings[f"alpha_{critic}"], dtype=c.dtype) for critic in ("local", "global")]
    if module.follows == "authors":  # the share of the fake
        alphas = [1 - alpha for alpha in alphas]
    penalty = module.penalty(batch, output, alphas)
    critics = InpaintingModule.discriminator_loss(module, batch, output)
    return output, {
        "l1": terms["l1"], "ae": terms["ae"], "wgan_g": terms["adversarial"], "wgan_d": critics, "wgan_gp": penalty,
        "g": torch.stack([module.loss_weights[name] * term for name, term in terms.items()]).sum(),
        "d": critics + module.gp_weight * penalty,
    }  # fmt: skip


def check_gradients(module: DeepFillV1, c: Case, losses: dict[str, Tensor]) -> None:
    norms = gradient_norms(losses["g"], module.generator, c, "netG.", deepfill_v1.port_name)
    c.check_peak("g_grad_norms", norms, NORMS)
    norms = gradient_norms(losses["d"], module.discriminator, c, "", deepfill_v1_critics.port_name)
    c.check_peak("d_grad_norms", norms, NORMS)


@pytest.mark.parametrize("name", ["losses_tf", "losses_tf_128"])
def test_step_of_the_authors(name: str) -> None:
    c = case(f"deepfillv1/{name}")
    module = system(c)
    output, losses = objectives(module, c)
    for stage, picture in (("x_stage1", output.coarse), ("x_stage2", output.image)):
        every = picture.shape[-1] // c.outputs[stage].shape[-1]
        c.check_peak(stage, (2 * picture - 1)[..., ::every, ::every], PICTURES)
    c.check_peak("gp_loss", module.gp_weight * losses["wgan_gp"], LOSS)
    for theirs, ours in {"l1_loss": "l1", "ae_loss": "ae", "g_loss": "g", "d_loss": "d"}.items():
        c.check_peak(theirs, losses[ours], LOSS)
    check_gradients(module, c, losses)


def test_step_of_the_port() -> None:
    c = case("deepfillv1/losses_port")
    module = system(c)
    _, losses = objectives(module, c)
    for name, loss in losses.items():
        c.check_peak(name, loss, LOSS)
    check_gradients(module, c, losses)
