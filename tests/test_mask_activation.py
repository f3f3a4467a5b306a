"""Attention activations and learned or partial mask updates on cases computed by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from inpaintlab.layers.mask_activation import RANGES, GaussianAttention, PowerUpdate, attention, constrain, update
from inpaintlab.layers.mask_update import LearnableMaskUpdate, PartialMaskUpdate


def test_gaussian_by_hand() -> None:
    x = torch.tensor([-10.0, 0.0, 1.0, 2.0, 3.0, 20.0])
    # mu 2, a 1.1, both gammas 1: a e^-4 at 0, a e^-1 at 1, a at mu, 1 + 0.1 e^-1 at 3; 0 and 1 far away
    expected = torch.tensor([0.0, 1.1 * math.exp(-4), 1.1 * math.exp(-1), 1.1, 1 + 0.1 * math.exp(-1), 1.0])
    torch.testing.assert_close(GaussianAttention()(x), expected)


def test_gaussian_gradients() -> None:
    module = GaussianAttention(a=2.0, mu=1.0, gamma_left=0.7, gamma_right=1.6).double()
    torch.manual_seed(0)
    x = (1.5 * torch.randn(40) + 1).double().requires_grad_()
    names = ("a", "mu", "gamma_left", "gamma_right")

    def call(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *(getattr(module, name) for name in names)))


def test_power_update_by_hand() -> None:
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 4.0], requires_grad=True)
    y = PowerUpdate()(x)
    torch.testing.assert_close(y, torch.tensor([0.0, 0.0, 0.5**0.8, 1.0, 4**0.8]))
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([0.0, 0.0, 0.8 * 0.5**-0.2, 0.8, 0.8 * 4**-0.2]))
    torch.testing.assert_close(PowerUpdate(0)(x), torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0]))


def test_constrain_clamps_after_steps_and_loading_but_never_in_a_forward_pass() -> None:
    module = GaussianAttention()
    optimizer = torch.optim.SGD(module.parameters(), lr=100.0)
    module(torch.linspace(-1, 4, 50)).sum().backward()
    optimizer.step()
    outside = {name: getattr(module, name).item() for name in RANGES}
    assert any(not low <= outside[name] <= high for name, (low, high) in RANGES.items())
    module(torch.zeros(3))
    assert {name: getattr(module, name).item() for name in RANGES} == outside
    constrain(nn.Sequential(nn.Sequential(module)))
    for name, (low, high) in RANGES.items():
        assert getattr(module, name).item() == pytest.approx(min(max(outside[name], low), high))
    parameter = module.a
    wrapped = nn.Sequential(copy.deepcopy(module))
    wrapped.load_state_dict({f"0.{name}": torch.tensor(99.0) for name in RANGES})
    assert [getattr(wrapped[0], name).item() for name in RANGES] == [high for _, high in RANGES.values()]
    assert module.a is parameter  # the value is edited, the optimiser's parameter stays


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="activation must be one of gaussian, sigmoid, leaky_relu, relu"):
        attention("tanh")
    with pytest.raises(ValueError, match="update_activation must be one of power, sigmoid"):
        update("gaussian")


def test_learnable_update_by_hand() -> None:
    layer = LearnableMaskUpdate(1, 1, GaussianAttention(), PowerUpdate())
    nn.init.constant_(layer.conv.weight, 1 / 16)
    valid = torch.zeros(1, 1, 4, 4)
    valid[..., 0, 0] = 1
    gate, updated = layer(valid)
    share = torch.zeros(1, 1, 2, 2)
    share[..., 0, 0] = 1 / 16  # windows are rows and columns -1..2 and 1..4
    torch.testing.assert_close(updated, share**0.8)
    torch.testing.assert_close(gate, 1.1 * torch.exp(-((share - 2) ** 2)))


def test_one_plane_stands_for_equal_channels() -> None:
    torch.manual_seed(0)
    layer = LearnableMaskUpdate(3, 5, GaussianAttention(), PowerUpdate())
    valid = (torch.rand(2, 1, 8, 8) > 0.5).float()
    results = []
    for mask in (valid, valid.repeat(1, 3, 1, 1)):
        layer.zero_grad()
        gate, updated = layer(mask)
        (gate.sum() + updated.square().sum()).backward()
        results.append((gate, updated, layer.conv.weight.grad.clone()))
    for one, three in zip(*results, strict=True):
        torch.testing.assert_close(one, three)


def test_learnable_update_stays_in_float32_under_autocast() -> None:
    layer = LearnableMaskUpdate(3, 4, GaussianAttention(), PowerUpdate())
    valid = torch.rand(1, 1, 8, 8)
    expected = layer(valid)
    with torch.autocast("cpu", torch.bfloat16):
        actual = layer(valid)
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_partial_update_by_hand() -> None:
    valid = torch.zeros(1, 1, 5, 5)
    valid[..., 0, 0] = valid[..., 0, 1] = 1
    ratio, updated = PartialMaskUpdate()(valid)  # 3x3, stride 1, padding 1
    expected = torch.zeros(1, 1, 5, 5)
    expected[..., :2, :2] = 9 / 2  # these windows see both pixels
    expected[..., :2, 2] = 9  # these only the second
    torch.testing.assert_close(ratio, expected)
    torch.testing.assert_close(updated, (expected > 0).float())


def test_partial_update_counts_the_channels_of_each_plane() -> None:
    left, right = torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)
    left[..., 0], right[..., 1] = 1, 1
    ratio, updated = PartialMaskUpdate((3, 1), kernel=1, padding=0)(torch.cat([left, right], 1))
    torch.testing.assert_close(ratio, torch.tensor([[[[4 / 3, 4.0]]]]))
    torch.testing.assert_close(updated, torch.ones(1, 1, 1, 2))
