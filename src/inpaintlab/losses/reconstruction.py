"""Reconstruction losses on pictures (N, 3, H, W) in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.errors import check_choice
from inpaintlab.losses.precision import in_float32

NORMS = ("mse", "literal", "l1")


@in_float32
def distance(a: Tensor, b: Tensor, norm: str = "mse") -> Tensor:
    """Distance of two batches of tensors (N, C, H, W), a scalar: per sample first, then the mean over the batch.

    Args:
        norm: "mse", the mean square; or "literal", the unsquared 2-norm divided by C H W as MSA-Net's Eqs. 11 and
            12 are printed (about 1/443 of the root mean square for a 256x256 picture); or "l1", the mean absolute
            difference.
    """
    check_choice("norm", norm, NORMS)
    difference = (a - b).flatten(1)
    if norm == "l1":
        return difference.abs().mean()
    if norm == "mse":
        return difference.square().mean()
    # The tiny constant keeps the gradient of the root finite where a equals b.
    return ((difference.square().sum(1) + 1e-12).sqrt() / difference.shape[1]).mean()


@in_float32
def masked_l1(a: Tensor, b: Tensor, where: Tensor) -> Tensor:
    """Mean absolute difference where `where` (N, 1, H, W) is 1, over all elements of the pictures (N, C, H, W).

    PConv's and LBAM's hole and valid terms. The mean counts the elements outside as well, so the term shrinks with
    the hole; the two terms add up to the mean over the whole picture. `where` may also hold weights (`discount`).
    """
    return ((a - b) * where).abs().mean()


def discount(height: int, width: int, gamma: float = 0.9, device: torch.device | None = None) -> Tensor:
    """Spatially discounted weights (1, 1, height, width) of a box: gamma^min(i, height - i, j, width - j).

    DeepFill v1, section 3.2. As released: measured from the border of the box, not from the nearest known pixel,
    with gamma 0.9 (the paper says 0.99), and lopsided: the first row and column weigh 1, the last ones gamma.
    """
    rows, columns = (torch.arange(side, device=device) for side in (height, width))
    nearest = torch.minimum(torch.minimum(rows, height - rows)[:, None], torch.minimum(columns, width - columns))
    return (gamma ** nearest.double()).float()[None, None]


@in_float32
def total_variation(image: Tensor, hole: Tensor | None = None) -> Tensor:
    """Mean absolute difference of horizontal neighbours plus that of vertical ones, pictures (N, C, H, W).

    Args:
        hole: (N, 1, H, W), 1 = missing; only pairs of pixels in the hole dilated by one pixel count then (PConv, on
            the composite), still in the mean over all pairs, so that a hole everywhere changes nothing.
    """
    right, down = (image[..., :-1] - image[..., 1:]).abs(), (image[..., :-1, :] - image[..., 1:, :]).abs()
    if hole is not None:
        region = F.max_pool2d(hole, 3, stride=1, padding=1)
        right, down = right * region[..., :-1] * region[..., 1:], down * region[..., :-1, :] * region[..., 1:, :]
    return torch.stack([right.mean(), down.mean()]).sum()
