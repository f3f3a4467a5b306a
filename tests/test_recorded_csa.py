"""CSA equals the authors' released code in all recorded cases, and the paper's equations where the two differ.

Tolerances, as the largest difference divided by the largest value: 1e-5 for layers and losses (1e-4 for white noise),
1e-4 for networks. In the training step, after a step of Adam by both critics: gradient norms 1e-3, gradients 1e-2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from reference.recorded import Case, case
from torch import Tensor, nn

from inpaintlab.batch import Batch
from inpaintlab.layers.coherent import CoherentAttention, feature_hole
from inpaintlab.losses.adversarial import RelativisticLeastSquares
from inpaintlab.losses.feature import consistency
from inpaintlab.networks.csa import Generator, authors_name
from inpaintlab.networks.csa_critics import Discriminator, FeaturePatchDiscriminator, PatchDiscriminator
from inpaintlab.networks.csa_stages import Refinement, Rough
from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.papers.csa import CSA

LAYER, NOISE, NETWORK = 1e-5, 1e-4, 1e-4
LAYERS = ("c16_8_two_holes", "c24_10x14_rect", "c256_32_centre", "c32_16_centre", "c48_16_irregular_signed")


def thinned(c: Case, values: Tensor) -> Tensor:
    return values[:, :: c.settings.get("channel_step", 1)][:, : c.settings.get("channels")]


@pytest.mark.parametrize("implementation", ["fast", "plain"])
@pytest.mark.parametrize("name", [*LAYERS, "c64_12_normal"])
def test_layer_as_released(name: str, implementation: str) -> None:
    c = case(f"csa/layer_{name}")
    tolerance = NOISE if name.endswith("normal") else LAYER
    x, hole = c.inputs["x"], c.inputs["feature_mask"]
    for gradient, key in (("exact", "grad_x_true"), ("truncated", "grad_x")):
        layer = CoherentAttention(follows="authors", gradient=gradient, implementation=implementation)
        layer.keep_attention = True
        leaf = x.clone().requires_grad_()
        output = layer(leaf, hole)
        c.check_peak("output", thinned(c, output), tolerance)
        assert layer.kept is not None
        trace = layer.kept.trace
        assert torch.equal(trace.match, c.outputs["match"].long())
        c.check_peak("dmax", trace.dmax, tolerance)
        c.check_peak("dad", trace.dad, tolerance)
        if "attention" in c.outputs:
            c.check_peak("attention", trace.attention(), tolerance)
        if key in c.outputs:
            (output * c.inputs["w"]).sum().backward()
            assert leaf.grad is not None
            c.check_peak(key, thinned(c, leaf.grad), tolerance)


@pytest.mark.parametrize("implementation", ["fast", "plain"])
@pytest.mark.parametrize("name", ["c24_12_signed", "c32_16_centre"])
def test_layer_as_the_equations_say(name: str, implementation: str) -> None:
    c = case(f"csa/equations_{name}")
    x = c.inputs["x"].requires_grad_()
    output = CoherentAttention(implementation=implementation)(x, c.inputs["feature_mask"])
    (output * c.inputs["w"]).sum().backward()
    assert x.grad is not None
    c.check_peak("output", output, LAYER)
    c.check_peak("grad_x", x.grad, LAYER)


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_feature_hole(steps: int) -> None:
    c = case(f"csa/feature_mask_256_{steps}")
    for name, hole in c.inputs.items():
        assert torch.equal(feature_hole(hole, steps), c.outputs[f"feature_{name}"]), name


def watch(network: nn.Module, part: str) -> dict[str, Tensor]:
    """Return a dictionary that the next pass fills with the output of every convolution, by the authors' name."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            seen[name] = output.detach().clone()

        return hook

    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_hook(note(authors_name(f"{part}.{name}.weight").removesuffix(".weight")))
    return seen


def thin(values: Tensor) -> Tensor:
    """Return what the cases record of a layer: eight channels, on a grid of 16 x 16."""
    step = max(1, values.shape[-1] // 16)
    return values[:, :8, ::step, ::step]


def load(network: nn.Module, part: str, weights: dict[str, Tensor]) -> None:
    """Load all weights of a case into a network on the meta device; the names must match one to one."""
    names = {name: authors_name(f"{part}.{name}")[2:] for name in network.state_dict()}
    assert set(names.values()) == set(weights)
    network.load_state_dict({ours: weights[theirs] for ours, theirs in names.items()}, assign=True)


def check_middle(c: Case, prefix: str, seen: dict[str, Tensor]) -> None:
    middle = [name for name in c.outputs if name.startswith("mid:")]
    assert len(middle) >= 16
    for name in middle:
        c.check_peak(name, thin(seen[prefix + name.removeprefix("mid:")]), NETWORK)


def test_rough_network() -> None:
    c = case("csa/rough_256")
    with torch.device("meta"):
        network = Rough()
    load(network, "rough", c.weights)
    seen = watch(network, "rough")
    with torch.no_grad():
        c.check_peak("output", network(c.inputs["image"]), NETWORK)
    check_middle(c, "P.", seen)


def test_rough_network_in_float32() -> None:
    c = case("csa/rough_256", torch.float32)
    with torch.device("meta"):
        network = Rough()
    load(network, "rough", c.weights)
    with torch.no_grad():
        c.check_peak("output", network(c.inputs["image"]), NETWORK)


def test_refinement_network() -> None:
    c = case("csa/refine_256_centre")
    layer = CoherentAttention(similarity="inner_product")
    layer.keep_attention = True
    with torch.device("meta"):
        network = Refinement(lambda maps: layer)
    load(network, "refinement", c.weights)
    seen = watch(network, "refinement")
    hole = feature_hole(c.inputs["mask"])
    assert torch.equal(hole[0, 0], c.outputs["feature_mask"])
    with torch.no_grad():
        output, _ = network(torch.cat([c.inputs["stage1"], c.inputs["image"]], 1), hole)
    c.check_peak("output", output, NETWORK)
    check_middle(c, "G.", seen)
    assert layer.kept is not None
    assert torch.equal(layer.kept.trace.match, c.outputs["match"].long())
    c.check_peak("dmax", layer.kept.trace.dmax, NETWORK)
    c.check_peak("dad", layer.kept.trace.dad, NETWORK)


def test_patch_discriminator() -> None:
    c = case("csa/disc_patch_128")
    network = PatchDiscriminator().to(c.dtype)
    network.load_state_dict(c.weights)
    x = c.inputs["x"].requires_grad_()
    c.check_peak("output", network((x + 1) / 2), NETWORK)
    # The authors' critic takes pictures in [-1, 1]. In float64 too, converting from [0, 1] and back would round.
    (network.model(x) * c.inputs["w"]).sum().backward()
    assert x.grad is not None
    c.check_peak("grad_x", x.grad[..., ::2, ::2], NETWORK)


def test_feature_discriminator() -> None:
    c = case("csa/disc_feature_32")
    network = FeaturePatchDiscriminator(strides=(2, 2, 2)).to(c.dtype)
    network.load_state_dict(c.weights)
    features = c.inputs["x"].requires_grad_()
    scores = network(features)
    (scores * c.inputs["w"]).sum().backward()
    assert features.grad is not None
    c.check_peak("output", scores, NETWORK)
    c.check_peak("grad_x", features.grad[:, :8], NETWORK)


def test_vgg_slices() -> None:
    """In the released code, relu1_2 to relu3_3 name the output of the pooling that follows."""
    c = case("csa/vgg_slices_64")
    vgg = Vgg16(c.weights, layers=["pool1", "pool2", "pool3", "relu4_3"], normalise=False).to(c.dtype)
    for name, features in zip(("relu1_2", "relu2_2", "relu3_3", "relu4_3"), vgg(c.inputs["image"]), strict=True):
        c.check_peak(name, features[:, :16], NETWORK)


@pytest.mark.parametrize("name", ["patch", "feature"])
def test_adversarial_loss(name: str) -> None:
    c = case(f"csa/gan_loss_{name}")
    for side in ("discriminator", "generator"):
        fake, real = (c.inputs[f"logits_{kind}"].clone().requires_grad_() for kind in ("fake", "real"))
        loss = getattr(RelativisticLeastSquares(), side)([fake], [real])
        loss.backward()
        c.check_peak(f"{side}_loss", loss, LAYER)
        c.check_peak(f"{side}_grad_logits_fake", fake.grad, LAYER)
        c.check_peak(f"{side}_grad_logits_real", real.grad, LAYER)


def test_consistency_loss_as_released() -> None:
    """The released code compares the first 512 channels of a concatenation, the decoder's half."""
    c = case("csa/consistency_64")
    hole = feature_hole(c.inputs["mask"])
    assert torch.equal(hole[0, 0], c.outputs["feature_mask"])
    for name in ("csa", "decoder"):
        features = c.inputs[f"{name}_feature"].requires_grad_()
        loss = consistency([features[:, :512]], c.inputs["target"], hole, mask_target=False)
        loss.backward()
        c.check_peak(f"{name}_loss", loss, LAYER)
        c.check_peak(f"grad_{name}_feature", features.grad, LAYER)


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


@pytest.mark.slow
def test_training_step() -> None:
    """One released step: the critics are updated, then the generator's gradients are taken under their new weights."""
    c = case("csa/train_step_irregular")
    parts: dict[str, dict[str, Tensor]] = {}
    for name, weight in c.weights.items():
        parts.setdefault(name[0], {})[name[2:]] = weight
    generator, critics = Generator(follows="authors").to(c.dtype), Discriminator(strides=(2, 2, 2)).to(c.dtype)
    load(generator.rough, "rough", parts["P"])
    load(generator.refinement, "refinement", parts["G"])
    critics.patch.load_state_dict(parts["D"])
    assert critics.feature is not None
    critics.feature.load_state_dict(parts["F"])
    module = CSA(
        generator=generator, discriminator=critics, adversarial=RelativisticLeastSquares(), follows="authors",
        vgg=Vgg16(parts["V"], layers=["pool3", "relu4_3"], normalise=False), optimizer_g=adam, optimizer_d=adam,
        loss_weights={"l1": 100.0, "consistency": 1.0, "adversarial": 0.2},
    ).to(c.dtype)  # fmt: skip
    batch = Batch((c.inputs["image"] + 1) / 2, c.inputs["mask"])
    assert isinstance(generator.refinement.attention, CoherentAttention)
    generator.keep_attention = True
    seen: dict[str, Tensor] = {}
    generator.rough.encoder[0][0].register_forward_hook(lambda m, i, out: seen.update(first=out, input=i[0]))
    generator.refinement.first.register_forward_hook(lambda m, i, out: seen.update(refine_input=i[0]))

    output = module(batch.image, batch.hole)
    seen["first"].retain_grad()
    losses = [module.discriminator_loss(batch, output)]
    fake, real = module.judge(output.image.detach(), batch), module.judge(batch.image, batch)
    losses += [RelativisticLeastSquares().discriminator([f], [r]) for f, r in zip(fake, real, strict=True)]
    for name, loss in zip(("loss_D", "loss_D_patch", "loss_D_feature"), losses, strict=True):
        c.check_peak(name, loss, LAYER)
    losses[0].backward()
    for name, network in (("D", critics.patch), ("F", critics.feature)):
        c.check_peak(f"gradnorm_{name}", torch.stack([w.grad.norm() for w in network.parameters()]), 1e-3)
    adam(critics.parameters()).step()

    critics.requires_grad_(False)
    terms = module.generator_terms(batch, output)
    target, hole = module.features(batch.image, batch)[1], generator.feature_hole(batch.hole)
    for name, features in zip(("csa", "decoder"), output.features, strict=True):
        c.check_peak(f"consistency_{name}", consistency([features], target, hole, mask_target=False), LAYER)
    fake, real = module.judge(output.image, batch), module.judge(batch.image, batch)
    gan = RelativisticLeastSquares().generator(fake, real)
    total = 100 * terms["l1"] + terms["consistency"] + 0.2 * gan
    for name, loss in (("loss_G_gan", gan), ("loss_G_l1", 100 * terms["l1"]), ("loss_G", total)):
        c.check_peak(name, loss, LAYER)
    assert not terms["consistency"].requires_grad
    total.backward()

    # The released code overwrites the input of the first stage before it takes this gradient; ours is the true one.
    first = generator.rough.encoder[0][0].weight
    zeroed = torch.where(batch.hole > 0, 0.0, seen["input"])
    grad_first = torch.nn.grad.conv2d_weight(zeroed, first.shape, seen["first"].grad, stride=2, padding=1)
    assert 0.01 < ((first.grad - grad_first).norm() / first.grad.norm()).item() < 0.2
    c.check_peak("grad_P_first", grad_first, 1e-2)
    c.check_peak("grad_G_first", generator.refinement.first.weight.grad, 1e-2)
    first.grad = grad_first
    for part, prefix in (("rough", "P"), ("refinement", "G")):
        norms = {
            authors_name(f"{part}.{name}")[2:]: weight.grad.norm()
            for name, weight in getattr(generator, part).named_parameters()
        }
        c.check_peak(f"gradnorm_{prefix}", torch.stack([norms[name] for name in parts[prefix]]), 1e-3)

    c.check_peak("rough", (2 * output.coarse - 1)[..., ::4, ::4], NETWORK)
    c.check_peak("refined", (2 * output.image - 1)[..., ::4, ::4], NETWORK)
    c.check_peak("refine_input", seen["refine_input"][..., ::4, ::4], NETWORK)
    c.check_peak("input_A", seen["refine_input"][:, 3:, ::4, ::4], NETWORK)
    assert generator.refinement.attention.kept is not None
    assert torch.equal(generator.refinement.attention.kept.trace.match, c.outputs["match"].long())
    assert torch.equal(hole[0, 0], c.outputs["feature_mask"])
