"""Free-form holes: random strokes and ellipses whose share of the picture lies in a given bin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaintlab.data.holes import bins as hole_bins
from inpaintlab.data.holes.source import Hole, HoleSource

GROWTH = 2.0  # a hole of share s has shapes 1 + 2 s times as large as the smallest holes


class FreeForm(HoleSource):
    """Strokes and ellipses, added until the share of missing pixels lies in the bin.

    Each hole aims at a share drawn uniformly from its bin. Shapes grow with this share, so that a few suffice. A shape
    that exceeds the bin's upper limit is removed and replaced by smaller ones, down to single pixels, so the measured
    share always lies in (low, high].

    Args:
        bins: hole sizes, such as "0.1-0.2".
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
        self.limits = {name: hole_bins.limits(name) for name in self.bins}
        self.width: tuple[float, float] = (width[0], width[1])
        self.blobs = blobs

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        low, high = self.limits[bin]
        total = height * width
        least, most = math.floor(low * total) + 1, math.floor(high * total)
        if most < least:
            raise ValueError(f"the bin {bin} contains no hole of a {height}x{width} picture; leave it out")
        target = int(rng.integers(least, most + 1))
        hole: Hole = np.zeros((height, width), np.uint8)
        share, scale = 0.0, 1.0  # share: missing pixels; an upper bound until they are counted
        for shape in self.shapes(rng, height, width, 1 + GROWTH * target / total):
            larger = share + shape.area
            if larger < target and scale == 1:
                shape.paint(hole)  # cannot reach the target, so counting can wait
                share = larger
                continue
            previous = hole.copy() if larger > most else hole
            shape.paint(hole, scale)
            share = cv2.countNonZero(hole)
            if share > most:
                hole, share, scale = previous, cv2.countNonZero(previous), scale / 2
            if share >= target:
                break
            if scale < 1 / 64:  # only single pixels still fit: add the missing ones
                free = np.flatnonzero(hole == 0)
                hole.reshape(-1)[rng.choice(free, target - int(share), replace=False)] = 1
                break
        return hole

    def shapes(self, rng: np.random.Generator, height: int, width: int, growth: float) -> Iterator[Shape]:
        """Yield shapes without end, `growth` times as large as those of the smallest holes.

        Random numbers are drawn for as many shapes at once as a hole needs, because each call costs more than the
        numbers themselves.
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
    """A part of a hole; `area` is an upper bound of the pixels that it covers."""

    area: float

    def paint(self, hole: Hole, scale: float = 1.0) -> None:
        """Draw the shape into `hole`, in place, at a scale in (0, 1]."""
        ...


class Blob:
    """An ellipse.

    Args:
        centre: (x, y) in pixels.
        axes: half of the two diameters, in pixels.
        angle: in degrees.
    """

    __slots__ = ("angle", "area", "axes", "centre")

    def __init__(self, centre: tuple[int, int], axes: tuple[float, float], angle: float) -> None:
        self.centre, self.axes, self.angle = centre, axes, angle
        self.area = math.pi * (axes[0] + 2) * (axes[1] + 2)

    def paint(self, hole: Hole, scale: float = 1.0) -> None:
        axes = round(self.axes[0] * scale), round(self.axes[1] * scale)
        cv2.ellipse(hole, self.centre, axes, self.angle, 0, 360, 1, -1)


class Stroke:
    """A broad line through its corners.

    Args:
        corners: exact (n, 2), x and y in pixels.
        pixels: the same, rounded; rounding the corners of many strokes at once is as fast as of one.
        thickness: of the line, in pixels.
        length: of the line, in pixels.
        start: the point that the corners shrink towards when the stroke is scaled; None for the first corner.
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
