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
    """Return the distance of two batches of tensors (N, C, H, W): computed per sample, averaged over the batch.

    Args:
        norm: "mse", the mean square; "l1", the mean absolute difference; or "literal", the 2-norm divided by C H W, as
            MSA-Net's Eqs. 11 and 12 are printed (1/443 of the root mean square for a picture of 256 x 256).
    """
    check_choice("norm", norm, NORMS)
    difference = (a - b).flatten(1)
    if norm == "l1":
        return difference.abs().mean()
    if norm == "mse":
        return difference.square().mean()
    # The constant keeps the gradient of the square root finite where a equals b.
    return ((difference.square().sum(1) + 1e-12).sqrt() / difference.shape[1]).mean()


@in_float32
def masked_l1(a: Tensor, b: Tensor, where: Tensor) -> Tensor:
    """Return the mean of |a - b| * where over all elements of the pictures.

    These are the hole and valid terms of PConv and LBAM. The mean also counts elements where `where` is 0, so the two
    terms add up to the mean absolute difference of the whole pictures.

    Args:
        a, b: (N, C, H, W).
        where: (N, 1, H, W), 1 where a difference counts and 0 elsewhere, or any weights (`discount`).
    """
    return ((a - b) * where).abs().mean()


def discount(height: int, width: int, gamma: float = 0.9, device: torch.device | None = None) -> Tensor:
    """Return the spatially discounted weights (1, 1, height, width) of a box: gamma^min(i, height - i, j, width - j).

    DeepFill v1, section 3.2, as released: distances are measured from the border of the box, not from the nearest known
    pixel; gamma is 0.9, not the paper's 0.99; and the first row and column have weight 1, the last ones gamma.
    """
    rows, columns = (torch.arange(side, device=device) for side in (height, width))
    nearest = torch.minimum(torch.minimum(rows, height - rows)[:, None], torch.minimum(columns, width - columns))
    return (gamma ** nearest.double()).float()[None, None]


@in_float32
def total_variation(image: Tensor, hole: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference of horizontal neighbours plus that of vertical neighbours.

    Args:
        image: (N, C, H, W).
        hole: (N, 1, H, W), 1 = missing. If given, only pairs of pixels inside the hole dilated by one pixel count, as
            in PConv on the composite; the mean is still taken over all pairs.
    """
    right, down = (image[..., :-1] - image[..., 1:]).abs(), (image[..., :-1, :] - image[..., 1:, :]).abs()
    if hole is not None:
        region = F.max_pool2d(hole, 3, stride=1, padding=1)
        right, down = right * region[..., :-1] * region[..., 1:], down * region[..., :-1, :] * region[..., 1:, :]
    return torch.stack([right.mean(), down.mean()]).sum()
