"""Losses on lists of features, each a tensor (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaintlab.errors import check_choice
from inpaintlab.losses.precision import in_float32
from inpaintlab.losses.reconstruction import distance

STYLES = ("gram_l1", "literal")


def perceptual(features: Sequence[Tensor], targets: Sequence[Tensor], norm: str = "mse") -> Tensor:
    """Return the distance of features, summed over the layers.

    It is Eq. 12 of MSA-Net and, with norm "l1", the term of PConv and of LBAM's released code. LBAM's Eq. 15 is the
    mean over the layers: `perceptual(...) / len(features)`.

    Args:
        features, targets: one tensor (N, C, H, W) per layer.
        norm: see `reconstruction.distance`.
    """
    return torch.stack([distance(f, t, norm) for f, t in zip(features, targets, strict=True)]).sum()


@in_float32
def gram(features: Tensor) -> Tensor:
    """Return Gram matrices v^T v / (H W C), (N, C, C), where v is the features as (H W) x C (MSA-Net, Eqs. 13-15)."""
    n, c, h, w = features.shape
    v = features.reshape(n, c, h * w)
    return v @ v.transpose(1, 2) / (c * h * w)


def style(features: Sequence[Tensor], targets: Sequence[Tensor], variant: str = "gram_l1") -> Tensor:
    """Return the distance of Gram matrices.

    Args:
        features, targets: one tensor (N, C, H, W) per layer.
        variant: "gram_l1", the sum over the layers of the mean absolute difference of `gram` (MSA-Net, Eq. 15; PConv;
            LBAM's released code). "literal", LBAM's Eq. 16: per picture the 2-norm of the difference of unscaled Gram
            matrices, divided by C^2, averaged over the layers; larger by a factor of about H W C.
    """
    check_choice("variant", variant, STYLES)
    pairs = list(zip(features, targets, strict=True))
    if variant == "gram_l1":
        return torch.stack([(gram(f) - gram(t)).abs().mean() for f, t in pairs]).sum()
    return torch.stack([_literal_style(f, t) for f, t in pairs]).mean()


@in_float32
def _literal_style(features: Tensor, target: Tensor) -> Tensor:
    _, c, h, w = features.shape
    difference = (gram(features) - gram(target)) * (c * h * w)
    # The constant keeps the gradient of the square root finite where the two are equal.
    return (difference.square().sum((1, 2)) + 1e-12).sqrt().mean() / c**2


@in_float32
def consistency(features: Sequence[Tensor], target: Tensor, hole: Tensor, mask_target: bool = True) -> Tensor:
    """Return CSA's Eq. 4: the squared distances of several features from one target in the hole, summed.

    The sum over the missing positions is divided by the number of all elements, so the loss grows with the hole.

    Args:
        features: tensors (N, C, H, W).
        target: (N, C, H, W), VGG-16's features of the original picture.
        hole: (N, 1, H, W) at the same resolution, 1 = missing.
        mask_target: set the target outside the hole to 0, as the features; False leaves it, as in the released code.

    Raises:
        ValueError: if the shapes of features and target differ.
    """
    for f in features:
        if f.shape != target.shape:
            raise ValueError(
                f"features {tuple(f.shape)} and target {tuple(target.shape)} must have the same shape; the consistency "
                "loss needs a generator of width 1 and a layer of VGG-16 with features of that size"
            )
    wanted = target * hole if mask_target else target
    return torch.stack([(f * hole - wanted).square().mean() for f in features]).sum()
