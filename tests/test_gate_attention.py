"""Gate attention layers: shapes, hand-computed weights, gradients, equality of batched and single samples."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from inpaintlab.layers import gate_attention as gates

LAYERS: list[Callable[[int], nn.Module]] = [
    gates.FusingSpatialAttention,
    gates.AugmentedChannelAttention,
    gates.CbamChannelAttention,
    gates.CbamSpatialAttention,
    gates.ScaChannelAttention,
    gates.ScaSpatialAttention,
    gates.SqueezeExcitation,
]


def randomised(layer: nn.Module) -> nn.Module:
    """Give all parameters random values, because MSA-Net's layers start as the identity."""
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


@pytest.mark.parametrize("build", LAYERS)
def test_shape_stays_and_samples_do_not_mix(build: Callable[[int], nn.Module]) -> None:
    torch.manual_seed(0)
    layer, features = randomised(build(8)), torch.randn(3, 8, 6, 10)
    together = layer(features)
    assert together.shape == features.shape
    alone = torch.cat([layer(sample[None]) for sample in features])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("build", LAYERS)
def test_gradient_agrees_with_finite_differences(build: Callable[[int], nn.Module]) -> None:
    torch.manual_seed(1)
    layer = randomised(build(4)).double()
    features = torch.randn(1, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (features,))


@pytest.mark.parametrize("build", LAYERS)
def test_weights_are_per_channel_or_per_position(build: Callable[[int], nn.Module]) -> None:
    torch.manual_seed(2)
    features = torch.rand(1, 4, 5, 5) + 0.5
    weights = randomised(build(4))(features) / features
    if "Spatial" in build.__name__:  # type: ignore[attr-defined]
        torch.testing.assert_close(weights, weights[:, :1].expand_as(weights))
    else:
        torch.testing.assert_close(weights, weights[..., :1, :1].expand_as(weights))


def test_fusing_spatial_attention_reads_deep_maximum_and_average_maps() -> None:
    layer = gates.FusingSpatialAttention(4, gate="sigmoid")
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        layer.deep[-1].bias.fill_(0.25)  # the deep map is 0.25 everywhere
        layer.fuse.weight[0, :, 1, 1] = torch.tensor([1.0, 2.0, 4.0])
    features = torch.tensor([1.0, 2.0, 3.0, 6.0]).view(1, 4, 1, 1)
    expected = torch.sigmoid(torch.tensor(1 * 0.25 + 2 * 6.0 + 4 * 3.0))  # [deep, maximum, average] of Eq. 5
    torch.testing.assert_close(layer(features), features * expected)


def test_augmented_channel_attention_adds_both_branches() -> None:
    layer = gates.AugmentedChannelAttention(4, gate="none")
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        layer.shallow.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))  # W_a
        layer.squeeze.bias.fill_(2.0)
        layer.reduce.weight.fill_(0.5)  # 4 * 2 * 0.5 = 4
        layer.expand.weight.fill_(0.25)  # W_r = 1
    features = torch.randn(1, 4, 3, 3)
    torch.testing.assert_close(layer(features), features * torch.tensor([2.0, 3.0, 4.0, 5.0]).view(1, 4, 1, 1))


@pytest.mark.parametrize("gate", ["double_sigmoid", "none"])
@pytest.mark.parametrize("build", [gates.FusingSpatialAttention, gates.AugmentedChannelAttention])
def test_gates_start_at_exactly_one_and_learn(build: Callable[..., nn.Module], gate: str) -> None:
    layer, features = build(8, gate=gate), 100 * torch.randn(2, 8, 8, 8)
    assert torch.equal(layer(features), features)
    layer(features).square().sum().backward()
    assert all(last.weight.grad.abs().sum() > 0 for last in layer.last())
    with pytest.raises(ValueError, match="gate must be one of double_sigmoid, sigmoid, none"):
        build(8, gate="tanh")


def test_softmax_attention_keeps_the_scale() -> None:
    features = torch.ones(1, 8, 4, 4)
    torch.testing.assert_close(gates.ScaChannelAttention(8)(features).mean(), torch.tensor(1.0))
    torch.testing.assert_close(gates.ScaSpatialAttention(8)(features).mean(), torch.tensor(1.0))
