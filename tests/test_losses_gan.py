"""Losses of LBAM and PConv by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inpaintlab.losses.adversarial import Hinge, Wasserstein, gradient_penalty
from inpaintlab.losses.feature import style
from inpaintlab.losses.reconstruction import discount, distance, masked_l1, total_variation


def test_masked_l1_by_hand() -> None:
    a, b, hole = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.zeros(1, 1, 2, 2)
    hole[..., 0, :] = 1
    torch.testing.assert_close(masked_l1(a, b, hole), torch.tensor((1 + 2) / 4))
    torch.testing.assert_close(masked_l1(a, b, 1 - hole), torch.tensor((3 + 4) / 4))
    torch.testing.assert_close(distance(a, b, "l1"), torch.tensor(10 / 4))


def test_total_variation_by_hand() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2, 2] = 1  # four pairs differ, two in each direction, of 20 each
    torch.testing.assert_close(total_variation(image), torch.tensor(2 / 20 + 2 / 20))
    assert total_variation(torch.full((1, 3, 4, 6), 0.7)) == 0
    torch.testing.assert_close(total_variation(image, torch.ones(1, 1, 5, 5)), total_variation(image))
    corner = torch.zeros(1, 1, 5, 5)
    corner[..., 0, 0] = 1  # dilated: rows and columns 0 and 1, where nothing differs
    assert total_variation(image, corner) == 0
    corner[..., 1, 1] = 1  # dilated: rows and columns 0 to 2, with the pair above and the pair left of the dot
    torch.testing.assert_close(total_variation(image, corner), torch.tensor(1 / 20 + 1 / 20))


def test_literal_style_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # Gram matrix 5, 11, 11, 25
    expected = torch.tensor((25 + 121 + 121 + 625) ** 0.5 / 4)
    torch.testing.assert_close(style([features], [torch.zeros_like(features)], "literal"), expected)
    equal = features.clone().requires_grad_()
    style([equal], [features], "literal").backward()
    assert torch.isfinite(equal.grad).all()
    with pytest.raises(ValueError, match="must be one of gram_l1, literal"):
        style([features], [features], "mse")


def test_wasserstein_by_hand() -> None:
    fake, real = [torch.tensor([1.0, 3.0])], [torch.tensor([5.0, 7.0])]
    paper, released = Wasserstein(), Wasserstein("authors")
    assert paper.discriminator(fake, real) == 2 - 6
    assert paper.generator(fake) == -2
    assert released.discriminator(fake, real) == 2 + 6
    assert released.generator(fake) == 2
    with pytest.raises(ValueError, match="follows must be one of paper, authors"):
        Wasserstein("gan")


def test_gradient_penalty_by_hand() -> None:
    weight = torch.tensor([3.0, 4.0], requires_grad=True)

    def judge(image: Tensor) -> list[Tensor]:  # slope 5 everywhere, whatever the interpolate
        return [(image.flatten(1) * weight).sum(1, keepdim=True)]

    real, fake = torch.rand(2, 1, 1, 2), torch.rand(2, 1, 1, 2, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        penalty = gradient_penalty(judge, real, fake)
    penalty.backward()
    torch.testing.assert_close(penalty, torch.tensor(16.0))
    torch.testing.assert_close(weight.grad, 2 * 4 * torch.tensor([0.6, 0.8]))
    assert fake.grad is None


def test_gradient_penalty_uses_one_share_per_picture() -> None:
    seen: list[Tensor] = []

    def judge(image: Tensor) -> list[Tensor]:
        seen.append(image.detach())
        return [image.square().flatten(1).sum(1)]

    real, fake = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    penalty = gradient_penalty(judge, real, fake, torch.tensor([0.25, 1.0]))
    assert [picture.unique().tolist() for picture in seen[0]] == [[0.25], [1.0]]
    lengths = 2 * torch.tensor([0.25, 1.0]) * 48**0.5
    torch.testing.assert_close(penalty, (lengths - 1).square().mean())


def test_gradient_penalty_counts_the_masked_part_only() -> None:
    weight = torch.tensor([3.0, 4.0, 12.0], requires_grad=True)

    def judge(image: Tensor) -> list[Tensor]:
        return [(image.flatten(1) * weight).sum(1)]

    real, fake = torch.rand(2, 1, 1, 3), torch.rand(2, 1, 1, 3)
    mask = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]).view(2, 1, 1, 3)
    penalty = gradient_penalty(judge, real, fake, mask=mask)
    penalty.backward()
    torch.testing.assert_close(penalty, torch.tensor((16.0 + 1.0) / 2))  # lengths 5 and, without a hole, 0
    torch.testing.assert_close(weight.grad, 4 * torch.tensor([0.6, 0.8, 0.0]))


def test_half_hinge_is_half_on_the_side_of_the_discriminator_only() -> None:
    fake, real = [torch.tensor([-2.0, 0.5]), torch.tensor([0.0])], [torch.tensor([0.0, 3.0]), torch.tensor([0.5])]
    assert Hinge(half=True).discriminator(fake, real) == 0.5 * Hinge().discriminator(fake, real) == 1.375
    assert Hinge(half=True).generator(fake) == Hinge().generator(fake) == 0.75


def test_discount_by_hand() -> None:
    one, g, g2 = 1.0, 0.5, 0.25  # the first row and column weigh 1, the last ones gamma
    expected = [
        [one, one, one, one, one], [one, g, g, g, g], [one, g, g2, g2, g], [one, g, g, g, g],
    ]  # fmt: skip
    torch.testing.assert_close(discount(4, 5, 0.5), torch.tensor([[expected]]))
