"""The training holes of DeepFill v1 and v2, after the authors' code; they scale with the picture's size."""

from __future__ import annotations

import cv2
import numpy as np

from inpaintlab.data.holes.source import Hole, HoleSource


class JitteredBox(HoleSource):
    """A rectangle centred in a square box at a random place (Yu et al., CVPR 2018).

    With the defaults at 256 pixels: a box of 128 pixels, reduced by 0 to 16 pixels on each side. Top and bottom are
    reduced by the same number, left and right by another one. As in the code, the box never touches the bottom or the
    right border.

    Args:
        box: side of the box, as a share of the picture's shorter side, in (0, 1).
        shrink: largest reduction on each side, as a share of the picture's shorter side, in [0, box / 2).
        name: name of the bin in tables.
    """

    def __init__(self, box: float = 0.5, shrink: float = 0.0625, name: str = "box") -> None:
        if not 0 < box < 1:
            raise ValueError(f"box must be in (0, 1), got {box}")
        if not 0 <= shrink < box / 2:
            raise ValueError(f"shrink must be at least 0 and less than half of box={box}, got {shrink}")
        self.box, self.shrink = box, shrink
        self.bins = (name,)

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        shorter = min(height, width)
        side, most = round(self.box * shorter), round(self.shrink * shorter)
        top, left = rng.integers((height - side, width - side))
        dy, dx = rng.integers(0, most + 1, 2)
        hole: Hole = np.zeros((height, width), np.uint8)
        hole[top + dy : top + side - dy, left + dx : left + side - dx] = 1
        return hole


class StrokesAndBox(JitteredBox):
    """The union of a jittered box and one to three zigzag strokes (Yu et al., ICCV 2019).

    A stroke has 4 to 11 segments, whose directions alternate between an angle near 2 pi / 5 and its mirror image. At
    256 pixels a stroke is 12 to 40 pixels wide. A segment that would leave the picture ends at its border.
    """

    def __init__(self, box: float = 0.5, shrink: float = 0.0625, name: str = "strokes_and_box") -> None:
        super().__init__(box, shrink, name)

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        hole = super().draw(rng, bin, height, width)
        for _ in range(rng.integers(1, 4)):
            path, thickness = _stroke(rng, height, width)
            cv2.polylines(hole, [np.array(path, np.int32)], False, (1,), thickness)  # with round joints and ends
        return hole


def _stroke(rng: np.random.Generator, height: int, width: int) -> tuple[list[tuple[int, int]], int]:
    """Return the corners (x, y) of a zigzag stroke and its thickness, in pixels."""
    segments = int(rng.integers(4, 12))
    low, high = 2 * np.pi / 5 + np.array([-1, 1]) * rng.uniform(0, 2 * np.pi / 15, 2)
    angles = rng.uniform(low, high, segments)
    angles[::2] *= -1
    mean = np.hypot(height, width) / 8
    lengths = rng.normal(mean, mean // 2, segments).clip(0, 2 * mean)
    path = [(int(rng.integers(width)), int(rng.integers(height)))]
    for x, y in np.stack([np.cos(angles), np.sin(angles)], 1) * lengths[:, None]:
        path.append((int(np.clip(path[-1][0] + x, 0, width)), int(np.clip(path[-1][1] + y, 0, height))))
    return path, max(1, int(rng.uniform(12, 40) * min(height, width) / 256))
