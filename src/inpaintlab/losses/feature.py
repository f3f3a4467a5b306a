"""Losses that compare lists of features, each (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaintlab.losses.precision import in_float32
from inpaintlab.losses.reconstruction import distance


def perceptual(features: Sequence[Tensor], targets: Sequence[Tensor], norm: str = "mse") -> Tensor:
    """Sum over the layers of the distance of features (MSA-Net, Eq. 12)."""
    return torch.stack([distance(f, t, norm) for f, t in zip(features, targets, strict=True)]).sum()


@in_float32
def gram(features: Tensor) -> Tensor:
    """Gram matrices v^T v / (H W C), shape (N, C, C), v the features as (H W) x C (MSA-Net, Eqs. 13-15)."""
    n, c, h, w = features.shape
    v = features.reshape(n, c, h * w)
    return v @ v.transpose(1, 2) / (c * h * w)


def style(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Sum over the layers of the mean absolute difference of Gram matrices (MSA-Net, Eq. 15)."""
    return torch.stack([(gram(f) - gram(t)).abs().mean() for f, t in zip(features, targets, strict=True)]).sum()
