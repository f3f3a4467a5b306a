"""The square around a hole that a local critic judges, and crops at places that differ within a batch.

DeepFill v1 draws a box first and shrinks it by the same amount on opposite sides to get the hole. Box and hole
therefore share their centre, and the box need not travel with the batch: it is found again from the hole.
"""

from __future__ import annotations

import torch
from torch import Tensor


def local_box(hole: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Top rows and left columns (N,) of the squares of `size` pixels centred on the holes' bounding boxes.

    Squares that would stick out are moved into the picture. Without a hole the square is the picture's centre. The
    device is never waited for.

    Args:
        hole: (N, 1, H, W), 1 = missing.

    Raises:
        ValueError: if a square of that size does not fit into the picture.
    """
    if size > min(hole.shape[-2:]):
        raise ValueError(f"a local crop of {size} pixels does not fit into pictures of {tuple(hole.shape[-2:])}")
    top, left = (_start(hole.amax(axes), size) for axes in ((1, 3), (1, 2)))
    return top, left


def _start(missing: Tensor, size: int) -> Tensor:
    """Where a window of `size` begins whose centre is that of the ones in `missing` (N, L)."""
    first, after = missing.argmax(1), missing.shape[1] - missing.flip(1).argmax(1)
    return ((first + after - size) // 2).clamp(0, missing.shape[1] - size)


def crop(picture: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """The squares (N, C, size, size) of pictures (N, C, H, W) that begin at `top`, `left` (N,)."""
    n, c, _, width = picture.shape
    steps = torch.arange(size, device=picture.device)
    rows = (top[:, None] + steps).view(n, 1, size, 1).expand(n, c, size, width)
    columns = (left[:, None] + steps).view(n, 1, 1, size).expand(n, c, size, size)
    return picture.gather(2, rows).gather(3, columns)
