"""Reconstruction losses on pictures (N, 3, H, W) in [0, 1]."""

from __future__ import annotations

from torch import Tensor

from inpaintlab.losses.precision import in_float32

NORMS = ("mse", "literal")


@in_float32
def distance(a: Tensor, b: Tensor, norm: str = "mse") -> Tensor:
    """Distance of two batches of tensors (N, C, H, W), a scalar: per sample first, then the mean over the batch.

    Args:
        norm: "mse", the mean square; or "literal", the unsquared 2-norm divided by C H W as MSA-Net's Eqs. 11 and
            12 are printed (about 1/443 of the root mean square for a 256x256 picture).
    """
    difference = (a - b).flatten(1)
    if norm == "mse":
        return difference.square().mean()
    if norm == "literal":
        # The tiny constant keeps the gradient of the root finite where a equals b.
        return ((difference.square().sum(1) + 1e-12).sqrt() / difference.shape[1]).mean()
    raise ValueError(f"norm={norm!r} is unknown; known are {', '.join(NORMS)}")
