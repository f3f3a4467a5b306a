"""The square around a hole that a local critic judges, and crops at a different place in each sample.

DeepFill v1 first draws a box and shrinks it by the same amount on opposite sides to get the hole. Box and hole share
their centre, so the box is computed from the hole and is not part of the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor


def local_box(hole: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the top rows and left columns, each (N,), of squares centred on the holes' bounding boxes.

    A square that would reach beyond the picture is moved inside. Without a hole it lies in the picture's centre. The
    computation does not synchronise with the GPU.

    Args:
        hole: (N, 1, H, W), 1 = missing.
        size: side of the squares in pixels.

    Raises:
        ValueError: if `size` is larger than the picture.
    """
    if size > min(hole.shape[-2:]):
        raise ValueError(f"the local crop must fit into the pictures of {tuple(hole.shape[-2:])} pixels, got {size}")
    top, left = (_start(hole.amax(axes), size) for axes in ((1, 3), (1, 2)))
    return top, left


def _start(missing: Tensor, size: int) -> Tensor:
    """Return the start (N,) of the windows of `size` whose centre is that of the ones in `missing` (N, L)."""
    first, after = missing.argmax(1), missing.shape[1] - missing.flip(1).argmax(1)
    return ((first + after - size) // 2).clamp(0, missing.shape[1] - size)


def crop(picture: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """Cut squares (N, C, size, size) out of pictures (N, C, H, W); sample i begins at row top[i], column left[i]."""
    n, c, _, width = picture.shape
    steps = torch.arange(size, device=picture.device)
    rows = (top[:, None] + steps).view(n, 1, size, 1).expand(n, c, size, width)
    columns = (left[:, None] + steps).view(n, 1, 1, size).expand(n, c, size, size)
    return picture.gather(2, rows).gather(3, columns)
