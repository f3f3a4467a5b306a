"""Where holes come from: drawn strokes and blobs, boxes, or a folder of mask files.

A source knows the bins it can hit and draws a hole for one of them: `source.draw(rng, bin, height, width)` gives
a uint8 array (H, W), 1 = missing. The same generator state gives the same hole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaintlab.data.holes import bins as hole_bins
from inpaintlab.data.holes.source import Hole, HoleSource

GROWTH = 2.0  # a shape of a hole of share s is 1 + 2 s times as large


class FreeForm(HoleSource):
    """Strokes and blobs, added until the share of missing pixels lies in the bin.

    Each hole aims at a share drawn evenly from its bin; the larger that is the larger are its shapes, so that a few
    suffice. The shape that overshoots the bin's upper limit is taken back and replaced by smaller ones, down to single
    pixels, so the measured share is always inside (low, high].

    Args:
        bins: such as "0.1-0.2".
        width: smallest and largest stroke width of the smallest holes, as a share of the shorter side.
        blobs: probability that a shape is an ellipse instead of a stroke.
    """

    def __init__(
        self,
        bins: Sequence[str] = hole_bins.IRREGULAR,
        width: tuple[float, float] = (0.03, 0.12),
        blobs: float = 0.25,
    ) -> None:
        self.bins = tuple(bins)
        self._limits = {name: hole_bins.limits(name) for name in self.bins}
        self.width: tuple[float, float] = (width[0], width[1])
        self.blobs = blobs

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        low, high = self._limits[bin]
        total = height * width
        least, most = math.floor(low * total) + 1, math.floor(high * total)
        if most < least:
            raise ValueError(f"no hole of a {height}x{width} picture falls into the bin {bin}")
        target = int(rng.integers(least, most + 1))
        hole: Hole = np.zeros((height, width), np.uint8)
        share, scale = 0.0, 1.0  # share is exact or, between two looks, more than the truth
        for shape in self._shapes(rng, height, width, 1 + GROWTH * target / total):
            larger = share + shape.area
            if larger < target and scale == 1:
                shape.paint(hole)  # cannot reach the target: nothing to look at
                share = larger
                continue
            previous = hole.copy() if larger > most else hole
            shape.paint(hole, scale)
            share = cv2.countNonZero(hole)
            if share > most:
                hole, share, scale = previous, cv2.countNonZero(previous), scale / 2
            if share >= target:
                break
            if scale < 1 / 64:  # only single pixels still fit; there are target - share to go
                free = np.flatnonzero(hole == 0)
                hole.reshape(-1)[rng.choice(free, target - int(share), replace=False)] = 1
                break
        return hole

    def _shapes(self, rng: np.random.Generator, height: int, width: int, growth: float) -> Iterator[Shape]:
        """Endless shapes, `growth` times as large as those of the smallest holes.

        Random numbers are drawn for as many shapes at a time as a hole needs: the calls cost more than the drawing.
        """
        side, count = growth * min(height, width), 14
        low, high = (value * side for value in self.width)
        #            start x, y      two widths              kind  steps  their lengths        first direction
        least = np.array((0.0, 0.0, low, low, 0.0, 2.0, *[0.08 * side] * 6, 0.0))
        span = np.array((width, height, high - low, high - low, 1.0, 5.0, *[0.17 * side] * 6, 2 * math.pi))
        while True:
            even = rng.random((count, 13)) * span + least
            turns = (0.9 * rng.standard_normal((count, 6))).cumsum(1) + even[:, 12:]
            corners = np.empty((count, 7, 2))
            corners[:, 0] = even[:, :2]
            np.multiply(np.cos(turns), even[:, 6:12], out=corners[:, 1:, 0])
            np.multiply(np.sin(turns), even[:, 6:12], out=corners[:, 1:, 1])
            corners = corners.cumsum(1)
            pixels = np.rint(corners).astype(np.int32)
            for i, row in enumerate(even.tolist()):
                if row[4] < self.blobs:
                    centre, axes = (int(row[0]), int(row[1])), (1.5 * row[2], 1.5 * row[3])
                    yield Blob(centre, axes, math.degrees(turns[i, 0]))
                else:
                    steps = int(row[5])
                    yield Stroke(corners[i, : steps + 1], pixels[i, : steps + 1], row[2], sum(row[6 : 6 + steps]))


class Shape(Protocol):
    """Something that paints itself into a hole; `area` is more than the pixels that it can cover."""

    area: float

    def paint(self, hole: Hole, scale: float = 1.0) -> None:
        """Draw, at a scale up to 1."""
        ...


class Blob:
    """An ellipse; `angle` in degrees."""

    __slots__ = ("angle", "area", "axes", "centre")

    def __init__(self, centre: tuple[int, int], axes: tuple[float, float], angle: float) -> None:
        self.centre, self.axes, self.angle = centre, axes, angle
        self.area = math.pi * (axes[0] + 2) * (axes[1] + 2)

    def paint(self, hole: Hole, scale: float = 1.0) -> None:
        axes = round(self.axes[0] * scale), round(self.axes[1] * scale)
        cv2.ellipse(hole, self.centre, axes, self.angle, 0, 360, 1, -1)


class Stroke:
    """A broad line of that `length` along its corners (n, 2).

    Args:
        corners, pixels: exact, and rounded: rounding those of many strokes at a time costs as much as of one.
        start: what the corners shrink towards, the first one by default.
    """

    __slots__ = ("area", "corners", "pixels", "start", "thickness")

    def __init__(
        self,
        corners: NDArray[np.float64],
        pixels: NDArray[np.int32],
        thickness: float,
        length: float,
        start: NDArray[np.float64] | None = None,
    ) -> None:
        self.corners, self.pixels, self.thickness, self.start = corners, pixels, thickness, start
        self.area = (thickness + 3) * (length + thickness + 3 + 2 * len(pixels))

    def paint(self, hole: Hole, scale: float = 1.0) -> None:
        pixels = self.pixels
        if scale != 1:
            start = self.corners[0] if self.start is None else self.start
            pixels = np.rint(start + (self.corners - start) * scale).astype(np.int32)
        cv2.polylines(hole, [pixels], False, 1, max(1, round(self.thickness * scale)))
