"""CSA equals the authors' released code in all recorded cases, and the paper's equations where the two differ.

Tolerances, as the largest difference divided by the largest value: 1e-5 for layers and losses (1e-4 where features are
white noise), 1e-4 for networks. In the training step, behind two Adam steps of the critics: losses 1e-4, norms of
gradients 5e-3, whole gradients 3e-2.
"""

from __future__ import annotations

import pytest
import torch
from reference.recorded import Case, case
from torch import Tensor

from inpaintlab.layers.coherent import CoherentAttention, feature_hole

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
        assert torch.equal(layer.kept.match, c.outputs["match"].long())
        check(c, "dmax", layer.kept.dmax, tolerance)
        check(c, "dad", layer.kept.dad, tolerance)
        if "attention" in c.outputs:
            check(c, "attention", layer.kept.attention(), tolerance)
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
