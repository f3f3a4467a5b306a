"""CSA equals the authors' released code in all recorded cases, and the paper's equations where the two differ.

Tolerances, as the largest difference divided by the largest value: 1e-5 for layers and losses (1e-4 where features are
white noise), 1e-4 for networks. In the training step, behind two Adam steps of the critics: losses 1e-4, norms of
gradients 5e-3, whole gradients 3e-2.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference.recorded import Case, case
from torch import Tensor, nn

from inpaintlab.layers.coherent import CoherentAttention, feature_hole
from inpaintlab.networks.csa import PROFILES, Generator, authors_name
from inpaintlab.networks.csa_critics import FeaturePatchDiscriminator, PatchDiscriminator
from inpaintlab.networks.vgg import Vgg16

LAYER, NOISE, NETWORK = 1e-5, 1e-4, 1e-4
LAYERS = ("c16_8_two_holes", "c24_10x14_rect", "c256_32_centre", "c32_16_centre", "c48_16_irregular_signed")


def check(c: Case, name: str, actual: Tensor, tolerance: float) -> None:
    expected = c.outputs[name].float()
    actual = actual.detach().float().reshape(expected.shape)
    error = ((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()
    assert error <= tolerance, f"{name}: {error:.2g} > {tolerance:.2g}"


def thinned(c: Case, values: Tensor) -> Tensor:
    return values[:, :: c.settings.get("channel_step", 1)][:, : c.settings.get("channels")]


@pytest.mark.parametrize("implementation", ["fast", "plain"])
@pytest.mark.parametrize("name", [*LAYERS, "c64_12_normal"])
def test_layer_as_released(name: str, implementation: str) -> None:
    c = case(f"csa/layer_{name}")
    tolerance = NOISE if name.endswith("normal") else LAYER
    x, hole = c.inputs["x"], c.inputs["feature_mask"]
    for backward, key in (("paper", "grad_x_true"), ("released", "grad_x")):
        layer = CoherentAttention(similarity="released", backward=backward, implementation=implementation)
        layer.keep_attention = True
        leaf = x.clone().requires_grad_()
        output = layer(leaf, hole)
        check(c, "output", thinned(c, output), tolerance)
        assert layer.kept is not None
        trace = layer.kept.trace
        assert torch.equal(trace.match, c.outputs["match"].long())
        check(c, "dmax", trace.dmax, tolerance)
        check(c, "dad", trace.dad, tolerance)
        if "attention" in c.outputs:
            check(c, "attention", trace.attention(), tolerance)
        if key in c.outputs:
            (output * c.inputs["w"]).sum().backward()
            assert leaf.grad is not None
            check(c, key, thinned(c, leaf.grad), tolerance)


@pytest.mark.parametrize("implementation", ["fast", "plain"])
@pytest.mark.parametrize("name", ["c24_12_signed", "c32_16_centre"])
def test_layer_as_the_equations_say(name: str, implementation: str) -> None:
    c = case(f"csa/equations_{name}")
    x = c.inputs["x"].requires_grad_()
    output = CoherentAttention(implementation=implementation)(x, c.inputs["feature_mask"])
    (output * c.inputs["w"]).sum().backward()
    assert x.grad is not None
    check(c, "output", output, LAYER)
    check(c, "grad_x", x.grad, LAYER)


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_feature_hole(steps: int) -> None:
    c = case(f"csa/feature_mask_256_{steps}")
    for name, hole in c.inputs.items():
        assert torch.equal(feature_hole(hole, steps), c.outputs[f"feature_{name}"]), name


def watch(network: nn.Module) -> dict[str, Tensor]:
    """What every convolution of a generator returns in its next pass, by the authors' name of its weight."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            seen[name] = output.detach().clone()

        return hook

    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_hook(note(authors_name(f"{name}.weight").removesuffix(".weight")))
    return seen


def thin(values: Tensor) -> Tensor:
    """Eight channels, rows and columns thinned to 16."""
    step = max(1, values.shape[-1] // 16)
    return values[:, :8, ::step, ::step]


@pytest.fixture(scope="module")
def released() -> Generator:
    """The full generator with the released options; weights are loaded per test."""
    return Generator(**PROFILES["released"])


def load(generator: Generator, part: str, weights: dict[str, Tensor]) -> nn.Module:
    network: nn.Module = getattr(generator, part)
    names = {name: authors_name(f"{part}.{name}")[2:] for name in network.state_dict()}
    assert set(names.values()) == set(weights)
    network.load_state_dict({ours: weights[theirs] for ours, theirs in names.items()})
    return network


def check_middle(c: Case, prefix: str, seen: dict[str, Tensor]) -> None:
    middle = [name for name in c.outputs if name.startswith("mid:")]
    assert len(middle) >= 16
    for name in middle:
        check(c, name, thin(seen[prefix + name.removeprefix("mid:")]), NETWORK)


def test_rough_network(released: Generator) -> None:
    c = case("csa/rough_256")
    network = load(released, "rough", c.weights)
    seen = watch(released)
    with torch.no_grad():
        check(c, "output", network(c.inputs["image"]), NETWORK)
    check_middle(c, "P.", seen)


def test_refinement_network(released: Generator) -> None:
    c = case("csa/refine_256_centre")
    network = load(released, "refinement", c.weights)
    seen = watch(released)
    layer = released.refinement.attention
    layer.keep_attention = True
    hole = released.feature_hole(c.inputs["mask"])
    assert torch.equal(hole[0, 0], c.outputs["feature_mask"])
    with torch.no_grad():
        output, _ = network(torch.cat([c.inputs["stage1"], c.inputs["image"]], 1), hole)
    check(c, "output", output, NETWORK)
    check_middle(c, "G.", seen)
    assert torch.equal(layer.kept.trace.match, c.outputs["match"].long())
    check(c, "dmax", layer.kept.trace.dmax, NETWORK)
    check(c, "dad", layer.kept.trace.dad, NETWORK)


def test_patch_discriminator() -> None:
    c = case("csa/disc_patch_128")
    network = PatchDiscriminator()
    network.load_state_dict(c.weights)
    x = c.inputs["x"].requires_grad_()
    check(c, "output", network((x + 1) / 2), NETWORK)
    # Without the conversion of ranges, whose rounding turns a LeakyReLU around and gradients by 1 % with it.
    (network.model(x) * c.inputs["w"]).sum().backward()
    assert x.grad is not None
    check(c, "grad_x", x.grad[..., ::2, ::2], NETWORK)


def test_feature_discriminator() -> None:
    c = case("csa/disc_feature_32")
    network = FeaturePatchDiscriminator(strides=(2, 2, 2))
    network.load_state_dict(c.weights)
    features = c.inputs["x"].requires_grad_()
    scores = network(features)
    (scores * c.inputs["w"]).sum().backward()
    assert features.grad is not None
    check(c, "output", scores, NETWORK)
    check(c, "grad_x", features.grad[:, :8], NETWORK)


def test_vgg_slices() -> None:
    """The released names relu1_2 to relu3_3 stand for what the pooling behind them returns."""
    c = case("csa/vgg_slices_64")
    vgg = Vgg16(c.weights, layers=["pool1", "pool2", "pool3", "relu4_3"], normalise=False)
    for name, features in zip(("relu1_2", "relu2_2", "relu3_3", "relu4_3"), vgg(c.inputs["image"]), strict=True):
        check(c, name, features[:, :16], NETWORK)
