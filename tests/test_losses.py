"""Losses on cases computed by hand, and in float32 under mixed precision."""

from __future__ import annotations

import pytest
import torch

from inpaintlab.losses.adversarial import Hinge
from inpaintlab.losses.feature import gram, perceptual, style
from inpaintlab.losses.reconstruction import distance


def test_distance_by_hand() -> None:
    a, b = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    a[0, 0, 0, 0], a[1] = 2.0, 1.0
    torch.testing.assert_close(distance(a, b), torch.tensor(1.0))  # (4 / 4 + 4 / 4) / 2
    torch.testing.assert_close(distance(a, b, "literal"), torch.tensor((2 / 4 + 2 / 4) / 2))
    with pytest.raises(ValueError, match="must be one of mse, literal"):
        distance(a, b, "l2")


def test_literal_distance_of_equal_pictures_has_a_finite_gradient() -> None:
    a = torch.rand(1, 3, 4, 4, requires_grad=True)
    distance(a, a.detach(), "literal").backward()
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_gram_and_style_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # (1, 2, 1, 2)
    expected = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4  # H W C = 4
    torch.testing.assert_close(gram(features), expected)
    zeros = torch.zeros_like(features)
    torch.testing.assert_close(style([features], [zeros]), torch.tensor((5 + 11 + 11 + 25) / 4 / 4))
    torch.testing.assert_close(style([features, features], [zeros, features]), style([features], [zeros]))


def test_perceptual_sums_over_layers() -> None:
    one, two = torch.ones(1, 2, 2, 2), torch.full((1, 4, 1, 1), 2.0)
    torch.testing.assert_close(perceptual([one, two], [one * 0, two * 0]), torch.tensor(5.0))
    with pytest.raises(ValueError, match="zip"):
        perceptual([one, two], [one])


def test_losses_stay_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    a, b = torch.rand(1, 16, 32, 32), torch.rand(1, 16, 32, 32)
    exact = style([a.double()], [b.double()])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = style([a], [b])
        low = a.bfloat16().requires_grad_()
        style([low], [b]).backward()
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double(), exact, rtol=1e-4, atol=0)
    assert low.grad is not None
    assert low.grad.dtype == torch.bfloat16


def test_hinge_by_hand() -> None:
    fake, real = [torch.tensor([-2.0, 0.5])], [torch.tensor([0.0, 3.0])]
    torch.testing.assert_close(Hinge().generator(fake), torch.tensor(0.75))
    torch.testing.assert_close(Hinge().discriminator(fake, real), torch.tensor((0 + 1.5) / 2 + (1 + 0) / 2))
