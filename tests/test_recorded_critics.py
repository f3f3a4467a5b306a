"""DeepFill's critics equal the authors' TensorFlow code, the PyTorch port and mmagic in all recorded cases.

Tolerances relative to the largest recorded value: 1e-4 for critics, 1e-5 for losses, 2e-4 for gradient norms, 1e-7 for
discount weights, 1e-5 for SN-PatchGAN. The mmagic case of SN-PatchGAN is compared by the relative 2-norm.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from reference.recorded import LAYER, NETWORK, Case, case, rounded
from torch import Tensor

from inpaintlab.checkpoints.checkpoint import load_exactly
from inpaintlab.losses.adversarial import Hinge, gradient_penalty
from inpaintlab.losses.reconstruction import discount
from inpaintlab.networks import deepfill_v1_critics, sn_patch_gan
from inpaintlab.networks.deepfill_v1_critics import Critics

CRITIC, LOSS, NORMS, WEIGHTS = 1e-4, 1e-5, 2e-4, 1e-7


# ---------------------------------------------------------------------- DeepFill v1
def seen_by(critic: torch.nn.Module) -> list[Tensor]:
    """Return a list that the next call of the critic fills with the activations of its convolutions."""
    seen: list[Tensor] = []
    for conv in critic.convs:
        conv.register_forward_hook(lambda _m, _i, y: seen.append(torch.nn.functional.leaky_relu(y.detach(), 0.2)))
    return seen


@pytest.mark.parametrize("name", ["critics_tf_w8", "critics_tf_w64", "critics_port_w8", "critics_port_w64"])
def test_critics(name: str) -> None:
    c = case(f"deepfillv1/{name}")
    size, local_size = c.inputs["global"].shape[-1], c.inputs["local"].shape[-1]
    critics = Critics(follows=c.follows, size=size, local_size=local_size, width=c.settings["width"] / 64).to(c.dtype)
    load_exactly(critics, c.weights, name, deepfill_v1_critics.port_name)
    if name == "critics_port_w64":  # 8.7e-8 in float64, negative in the port's float32: `grad_global` differs by 2e-4
        critics.whole.convs[1].register_forward_hook(lambda _m, _x, y: rounded(y, (0, 15, 60, 21), -1e-7))
    for part, critic in {"local": critics.local, "global": critics.whole}.items():
        seen = seen_by(critic)
        picture = c.inputs[part].requires_grad_()
        score = critic(picture)
        score.sum().backward()
        c.check_peak(f"score_{part}", score, CRITIC)
        c.check_peak(f"grad_{part}", picture.grad[..., ::4, ::4], CRITIC)
        for layer, activation in enumerate(seen, 1):
            every = activation.shape[-1] // c.outputs[f"act{layer}_{part}"].shape[-1]
            c.check_peak(f"act{layer}_{part}", activation[..., ::every, ::every], CRITIC)


@pytest.mark.parametrize("name", ["gp_tf_masked", "gp_port"])
def test_gradient_penalty(name: str) -> None:
    c = case(f"deepfillv1/{name}")
    tf, size = c.follows == "authors", c.inputs["real"].shape[-1]
    critic = Critics(follows=c.follows, size=size, local_size=size, width=c.settings["width"] / 64)
    critic = (critic.whole if tf else critic.local).to(c.dtype)
    load_exactly(
        critic, c.weights, name, lambda n: deepfill_v1_critics.port_name(f"whole.{n}").removeprefix("globalD.")
    )
    # In TensorFlow alpha is the share of the fake picture, here it is that of the real one.
    alpha = torch.tensor(c.settings["alpha"], dtype=c.dtype)
    mask = c.inputs["mask"] if tf else None
    penalty = gradient_penalty(
        lambda x: [critic(x)], c.inputs["real"], c.inputs["fake"], 1 - alpha if tf else alpha, mask
    )
    # The last bias does not reach the gradient with respect to the picture.
    grads = torch.autograd.grad(penalty, list(critic.parameters()), allow_unused=True)
    c.check_peak("value", penalty, LOSS)
    c.check_peak("grad_norms", torch.stack([torch.zeros(()) if g is None else g.norm() for g in grads]), NORMS)


def test_discount() -> None:
    c = case("deepfillv1/discount_port")
    for i, (height, width, gamma) in enumerate(c.settings["items"]):
        c.check_peak(f"mask{i}", discount(height, width, gamma), WEIGHTS)


# ---------------------------------------------------------------------- SN-PatchGAN
def discriminator(follows: str, names: Mapping[str, str], c: Case) -> sn_patch_gan.Discriminator:
    """Return the discriminator with the weights of a case.

    Args:
        names: our name of an entry of a layer, and its name in the case. Vectors that are not named stay random.
    """
    network = sn_patch_gan.Discriminator(follows=follows).to(c.dtype)
    state = network.state_dict()
    for layer in range(6):
        for ours, theirs in names.items():
            entry = state[f"convs.{layer}.{ours}"]
            entry.copy_(c.weights[theirs.format(layer + 1)].reshape(entry.shape))
    return network


def test_discriminator_of_the_authors() -> None:
    c = case("gconv/tf_discriminator")
    layer = "discriminator/sn_patch_gan/conv{}/"
    names = {"weight": layer + "kernel", "bias": layer + "bias", "u": layer + "kernel_sn/u"}
    network = discriminator("authors", names, c)
    real, fake, mask = ((c.inputs[k] + 1) / 2 if k != "mask" else c.inputs[k] for k in ("real", "fake", "mask"))

    def run() -> tuple[Tensor, Tensor]:
        scores = network(torch.cat([real, fake]), mask.expand(4, -1, -1, -1))
        real_scores, fake_scores = ([part] for part in scores.chunk(2))
        hinge = Hinge(half=True)
        losses = torch.stack([hinge.generator(fake_scores), hinge.discriminator(fake_scores, real_scores)])
        return scores.view(4, 256, 2, 1).permute(0, 2, 3, 1).flatten(1), losses  # TensorFlow's order

    scores, losses = run()
    c.check_peak("logits_1", scores, LAYER)
    c.check_peak("losses_1", losses, LOSS)
    for i, conv in enumerate(network.convs, 1):
        c.check_peak(f"after.{names['u'].format(i)}", conv.u, LAYER)
    scores, losses = run()
    c.check_peak("logits_2_sample", scores[:, ::7], LAYER)
    c.check_peak("losses_2", losses, LOSS)


def test_discriminator_of_mmagic() -> None:
    c = case("gconv/mmagic_discriminator")
    layer = "conv{}.conv."
    names = {
        "weight": layer + "weight_orig", "bias": layer + "bias", "u": layer + "weight_u", "v": layer + "weight_v",
    }  # fmt: skip
    network = discriminator("mmagic", names, c)
    image, hole = c.inputs["images"].requires_grad_(), c.inputs["masks"].requires_grad_()
    scores = network((image + 1) / 2, hole)
    (scores * c.inputs["w"].flatten(1)).sum().backward()
    c.check("output", scores.view(c.outputs["output"].shape), LAYER)
    c.check("grad_x", torch.cat([image.grad, hole.grad], 1), NETWORK)
    with torch.no_grad():
        c.check("eval_after1", network.eval()((image + 1) / 2, hole).view(c.outputs["output"].shape), LAYER)
