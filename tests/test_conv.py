"""Partial convolution by hand, its one-plane shortcut, and LBAM's unlearned update as the same thing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from inpaintlab.layers.attention_map_blocks import EncoderBlock
from inpaintlab.layers.mask_update import PartialMaskUpdate
from inpaintlab.layers.partial_conv import PartialConv2d


def test_by_hand() -> None:
    layer = PartialConv2d(1, 1, 3, padding=1, bias=True)
    nn.init.ones_(layer.weight)
    nn.init.constant_(layer.bias, 0.5)
    x = torch.arange(25.0).view(1, 1, 5, 5)
    valid = torch.zeros(1, 1, 5, 5)
    valid[..., 0, 0] = valid[..., 0, 1] = 1
    y, updated = layer(x, valid)
    # sums of the valid pixels times 9 / their number, plus the bias; 0 where no valid pixel is seen
    assert y[0, 0, 0, 0].item() == pytest.approx((0 + 1) * 9 / 2 + 0.5)
    assert y[0, 0, 1, 2].item() == pytest.approx(1 * 9 + 0.5)
    assert (y[..., 3:, :] == 0).all()
    assert (updated[..., 3:, :] == 0).all()


def test_a_plane_per_source_equals_a_mask_per_channel_exactly() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 96, 16, 16)
    planes = (torch.rand(2, 2, 16, 16) > 0.7).float()
    full = planes.repeat_interleave(torch.tensor([64, 32]), 1)
    short = PartialConv2d(96, 8, 3, padding=1, bias=True, planes=(64, 32))
    long = PartialConv2d(96, 8, 3, padding=1, bias=True, planes=(1,) * 96)
    long.load_state_dict(short.state_dict())
    for a, b in zip(short(features, planes), long(features, full), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_content_of_the_hole_has_no_influence_and_the_ratio_no_gradient() -> None:
    torch.manual_seed(0)
    layer = PartialConv2d(2, 3, 3, padding=1)
    valid = (torch.rand(1, 1, 9, 9) > 0.5).float().requires_grad_()
    x = torch.randn(1, 2, 9, 9)
    y, updated = layer(x, valid)
    other, _ = layer(torch.where(valid > 0, x, 1e3), valid)
    torch.testing.assert_close(y, other, rtol=0, atol=0)
    assert not updated.requires_grad


def test_ratio_is_float32_under_autocast() -> None:
    layer = PartialConv2d(300, 2, 7, padding=3, planes=(300,))
    with torch.autocast("cpu", torch.bfloat16):
        _, updated = layer(torch.randn(1, 300, 8, 8), torch.ones(1, 1, 8, 8))
        ratio, _ = layer.update(torch.ones(1, 1, 8, 8))
    assert ratio.dtype == updated.dtype == torch.float32
    assert ratio[0, 0, 4, 4].item() == 1.0 * 49 * 300 / (7 * 7 * 300)


def test_planes_must_add_up() -> None:
    with pytest.raises(ValueError, match=r"planes must sum to the 8 channels of the features, got \(4, 5\)"):
        PartialConv2d(8, 8, 3, planes=(4, 5))


def test_unlearned_lbam_equals_partial_convolution_without_batch_norm() -> None:
    """Three layers: with features that are 0 wherever the mask is, Eqs. 1-5 are partial convolution."""
    torch.manual_seed(0)
    valid = torch.ones(2, 1, 64, 64)
    valid[0, :, 5:60, 3:50] = 0
    valid[1, :, 30:, :] = 0
    x = torch.randn(2, 4, 64, 64) * valid
    features, mask, features_p, mask_p = x, valid, x, valid
    for inputs, outputs in ((4, 8), (8, 8), (8, 8)):
        block, update = EncoderBlock(inputs, outputs, norm=False), PartialMaskUpdate((1,), 4, 2, 1)
        partial = PartialConv2d(inputs, outputs, 4, stride=2, padding=1)
        partial.load_state_dict(block.conv.state_dict())
        gate, mask = update(mask)
        features, _ = block(features, gate)
        features_p, mask_p = partial(features_p, mask_p)
        features_p = block.act(features_p)
        torch.testing.assert_close(mask, mask_p, rtol=0, atol=0)
        torch.testing.assert_close(features, features_p, rtol=0, atol=0)
