"""Losses that compare lists of features, each (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaintlab.errors import check_choice
from inpaintlab.losses.precision import in_float32
from inpaintlab.losses.reconstruction import distance

STYLES = ("gram_l1", "literal")


def perceptual(features: Sequence[Tensor], targets: Sequence[Tensor], norm: str = "mse") -> Tensor:
    """Sum over the layers of the distance of features (MSA-Net, Eq. 12; with norm "l1" PConv and LBAM as released).

    LBAM's Eq. 15 is the mean over its layers: `perceptual(...) / len(features)`.
    """
    return torch.stack([distance(f, t, norm) for f, t in zip(features, targets, strict=True)]).sum()


@in_float32
def gram(features: Tensor) -> Tensor:
    """Gram matrices v^T v / (H W C), shape (N, C, C), v the features as (H W) x C (MSA-Net, Eqs. 13-15)."""
    n, c, h, w = features.shape
    v = features.reshape(n, c, h * w)
    return v @ v.transpose(1, 2) / (c * h * w)


def style(features: Sequence[Tensor], targets: Sequence[Tensor], variant: str = "gram_l1") -> Tensor:
    """Distance of Gram matrices.

    Args:
        variant: "gram_l1", the sum over the layers of the mean absolute difference of `gram` (MSA-Net, Eq. 15; PConv;
            LBAM as released). "literal", LBAM's Eq. 16: the mean over the layers of the 2-norm of the difference of
            unscaled Gram matrices, divided by C^2, per picture; larger by about the number of positions times C.
    """
    check_choice("style variant", variant, STYLES)
    pairs = list(zip(features, targets, strict=True))
    if variant == "gram_l1":
        return torch.stack([(gram(f) - gram(t)).abs().mean() for f, t in pairs]).sum()
    return torch.stack([_literal_style(f, t) for f, t in pairs]).mean()


@in_float32
def _literal_style(features: Tensor, target: Tensor) -> Tensor:
    _, c, h, w = features.shape
    difference = (gram(features) - gram(target)) * (c * h * w)
    # The tiny constant keeps the gradient of the root finite where the two are equal.
    return (difference.square().sum((1, 2)) + 1e-12).sqrt().mean() / c**2


@in_float32
def consistency(features: Sequence[Tensor], target: Tensor, hole: Tensor, mask_target: bool = True) -> Tensor:
    """CSA's Eq. 4: squared distances of several features from one target in the hole, added up.

    The sum over the missing positions is divided by the number of all elements, so it grows with the hole.

    Args:
        features: each (N, C, H, W).
        target: (N, C, H, W), VGG-16's of the original picture.
        hole: (N, 1, H, W) at that resolution, 1 = missing.
        mask_target: False compares the features, zero outside the hole, with the whole target, as released.

    Raises:
        ValueError: if the shapes differ.
    """
    for f in features:
        if f.shape != target.shape:
            raise ValueError(
                f"features {tuple(f.shape)} cannot be compared with a target {tuple(target.shape)}; the consistency "
                "loss needs a generator of width 1 and the VGG layer of the same size"
            )
    wanted = target * hole if mask_target else target
    return torch.stack([(f * hole - wanted).square().mean() for f in features]).sum()
