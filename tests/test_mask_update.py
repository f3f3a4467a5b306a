"""Mask updates on cases computed by hand."""

from __future__ import annotations

import torch

from inpaintlab.layers.mask_update import MaxPoolMaskUpdate, ResizedMask


def test_max_pool_makes_a_position_valid_with_one_valid_pixel_in_its_window() -> None:
    valid = torch.zeros(1, 1, 8, 8)
    valid[..., 0, 0] = 1
    gate, updated = MaxPoolMaskUpdate()(valid)
    expected = torch.zeros(1, 1, 4, 4)
    expected[..., 0, 0] = 1  # window of output (0, 0): rows and columns -1..1; of (0, 1): columns 1..3
    torch.testing.assert_close(updated, expected)
    torch.testing.assert_close(gate, expected)
    valid[..., 3, 5] = 1  # lies in the windows of rows 1 and 2, columns 2 and 3
    _, updated = MaxPoolMaskUpdate()(valid)
    expected[..., 1:3, 2:4] = 1
    torch.testing.assert_close(updated, expected)


def test_holes_shrink_but_only_under_max_pooling() -> None:
    valid = torch.ones(2, 1, 32, 32)
    valid[..., 8:24, 8:24] = 0
    shares = []
    for update in (MaxPoolMaskUpdate(), ResizedMask()):
        mask = valid
        for _ in range(2):
            _, mask = update(mask)
        assert mask.shape == (2, 1, 8, 8)
        shares.append(1 - mask.mean().item())
    assert shares[0] < shares[1] == 0.25


def test_all_hole_and_no_hole_stay_so() -> None:
    for value in (0.0, 1.0):
        _, updated = MaxPoolMaskUpdate()(torch.full((1, 1, 8, 8), value))
        assert (updated == value).all()
