"""Draw patch attention in colour: the offsets to the most attended patches, and the attention of chosen pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inpaintlab.layers.contextual import flow

Picture = NDArray[np.uint8]
Pixel = tuple[int, int]  # row, column


def flow_picture(offsets: NDArray[np.float32]) -> Picture:
    """Draw offsets (2, h, w), rows and columns, with the papers' colour wheel: (h, w, 3), white for offset 0."""
    drawn = flow.flow_picture(torch.from_numpy(offsets)[None])[0]
    return np.asarray((drawn * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def heat_picture(picture: Picture, heat: NDArray[np.float32], pixel: Pixel) -> Picture:
    """Draw the attention (h, w) of one pixel over the darkened picture (H, W, 3): none black, most yellow.

    A cross marks the pixel itself.
    """
    height, width = picture.shape[:2]
    relative = heat / np.float32(max(float(heat.max()), 1e-30))
    share = cv2.resize(relative, (width, height), interpolation=cv2.INTER_NEAREST)[..., None]
    grey = 0.4 * picture.mean(2, keepdims=True)
    colour = np.concatenate([np.full_like(share, 255), 255 * share, np.zeros_like(share)], 2)
    weight = np.sqrt(share)  # so that attention spread over many positions stays visible
    drawn = ((1 - weight) * grey + weight * colour).round().astype(np.uint8)
    arm = max(3, min(height, width) // 24)
    thick = max(1, min(height, width) // 128)
    cv2.drawMarker(drawn, (pixel[1], pixel[0]), (90, 200, 255), cv2.MARKER_CROSS, 2 * arm, thick)
    return drawn


def choose_pixels(hole: Picture, count: int = 4) -> Sequence[Pixel]:
    """Choose up to `count` pixels well inside a hole (H, W): the deepest, then each time the farthest from the rest."""
    inside = cv2.copyMakeBorder(hole, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    if not depth.any():
        return ()
    rows, columns = np.nonzero(depth >= depth.max() / 3)
    chosen = [(int(np.argmax(depth)) // hole.shape[1], int(np.argmax(depth)) % hole.shape[1])]
    while len(chosen) < min(count, len(rows)):
        far = np.min([(rows - y) ** 2 + (columns - x) ** 2 for y, x in chosen], axis=0)
        chosen.append((int(rows[far.argmax()]), int(columns[far.argmax()])))
    return tuple(chosen)
