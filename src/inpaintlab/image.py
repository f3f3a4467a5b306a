"""Operations on pictures and holes that every system shares.

Pictures are float (N, 3, H, W) in [0, 1]; holes are float (N, 1, H, W), 1 = missing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.batch import Output
from inpaintlab.errors import UserError


class NotFinite(UserError):
    """A generator predicted NaN or infinity."""


def empty_hole(image: Tensor, hole: Tensor, value: float = 0.0) -> Tensor:
    """`image` with the hole replaced by `value`; what stood there (even NaN) has no influence."""
    return torch.where(hole > 0.5, value, image)


def composite(image: Tensor, prediction: Tensor, hole: Tensor) -> Tensor:
    """`prediction` inside the hole, `image` outside, exactly."""
    return torch.where(hole > 0.5, prediction.to(image.dtype), image)


def to_uint8(image: Tensor) -> Tensor:
    """Picture in [0, 1] to 8 bit, clamped and rounded (never truncated)."""
    return image.detach().float().clamp(0, 1).mul_(255).round_().to(torch.uint8)


def from_uint8(image: Tensor) -> Tensor:
    """8-bit picture to float32 in [0, 1]; `to_uint8` of it gives the same levels back."""
    return image.to(torch.float32, copy=True).div_(255)  # in place: fresh memory costs more than the division


@torch.no_grad()
def inpaint(generator: Callable[[Tensor, Tensor], Output], image: Tensor, hole: Tensor, multiple: int = 1) -> Tensor:
    """Fill the holes of pictures of any size: pad, run the generator, crop, composite.

    Args:
        generator: called as `generator(image, hole)`.
        image: (N, 3, H, W) in [0, 1].
        hole: (N, 1, H, W), 1 = missing.
        multiple: both sides are padded to multiples of it (by repeating the border pixels).

    Returns:
        (N, 3, H, W) in [0, 1]; pixels outside the hole are those of `image`, unchanged.

    Raises:
        NotFinite: if a pixel inside a hole is NaN or infinite, which as 8 bit would look like black or white.
    """
    height, width = image.shape[-2:]
    pad = (0, -width % multiple, 0, -height % multiple)
    if any(pad):
        padded = F.pad(image, pad, mode="replicate")
        padded_hole = F.pad(hole, pad, mode="replicate")
    else:
        padded, padded_hole = image, hole
    prediction = generator(padded, padded_hole).image[..., :height, :width]
    if not bool(empty_hole(prediction, 1 - hole).isfinite().all()):
        raise NotFinite(
            "the generator's prediction inside the hole is NaN or infinite: its weights, so the checkpoint, or the "
            "precision are at fault"
        )
    return composite(image, prediction.clamp(0, 1), hole)
