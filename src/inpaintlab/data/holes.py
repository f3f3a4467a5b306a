"""Where holes come from: drawn strokes and blobs, boxes, or a folder of mask files.

A source knows the bins it can hit and draws a hole for one of them: `source.draw(rng, bin, height, width)` gives
a uint8 array (H, W), 1 = missing. The same generator state gives the same hole.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaintlab.data import bins as hole_bins
from inpaintlab.data import seeds
from inpaintlab.errors import UserError

Hole = NDArray[np.uint8]
GROWTH = 2.0  # a shape of a hole of share s is 1 + 2 s times as large


class HoleSource(ABC):
    """What the data module asks of a source of holes; `bins` names the hole sizes that it can draw."""

    bins: tuple[str, ...]

    @abstractmethod
    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        """One hole (H, W) of that size, uint8, 1 = missing."""

    def fixed(self, number: int, bin: str, height: int, width: int) -> Hole:
        """The hole of that number in a fixed list for the bin, the same whatever the picture."""
        return self.draw(seeds.generator("fixed hole", number, bin), bin, height, width)

    def named(self, stem: str) -> tuple[str, Hole]:
        """The mask file of that name, without its suffix, and its hole at its own size."""
        raise UserError(f"{type(self).__name__} has no mask files that could be called {stem!r} like the picture")

    def file_of(self, rng: np.random.Generator | None, number: int, bin: str, height: int, width: int) -> str:
        """The mask file that `draw` would take with this generator, or `fixed` without one; "" if holes are drawn."""
        return ""

    def mask_files(self) -> Iterable[Path]:
        """The files that holes come from; none if they are drawn."""
        return ()

    def prepare(self, height: int, width: int) -> None:
        """Do, before any training, whatever must be read or measured first; raises what is wrong with it."""


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


class Box(HoleSource):
    """A square hole of a fixed share of the picture, in the centre or at a random place.

    Args:
        area: share of the picture's pixels; the side is the root of it, rounded to whole pixels.
        place: "center" or "random".
        name: the bin's name in tables, "center" or "fixed25" say.
    """

    def __init__(self, area: float = 0.25, place: str = "center", name: str = "center") -> None:
        if not 0 < area < 1:
            raise ValueError(f"area={area} must lie between 0 and 1")
        if place not in ("center", "random"):
            raise ValueError(f"place={place!r} is unknown; known are center, random")
        self.area, self.place = area, place
        self.bins = (name,)

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        side = round((self.area * height * width) ** 0.5)
        if side > min(height, width):
            raise ValueError(f"a square of {self.area:.0%} of {height}x{width} is larger than the shorter side")
        top, left = (height - side) // 2, (width - side) // 2
        if self.place == "random":
            top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        hole: Hole = np.zeros((height, width), np.uint8)
        hole[top : top + side, left : left + side] = 1
        return hole


class Several(HoleSource):
    """Several sources as one; their bins must have different names.

    Args:
        sources: in the order in which tables show their bins.
    """

    def __init__(self, sources: Sequence[HoleSource]) -> None:
        self._by_bin: dict[str, HoleSource] = {}
        for source in sources:
            for name in source.bins:
                if name in self._by_bin:
                    raise ValueError(f"two hole sources call a bin {name!r}")
                self._by_bin[name] = source
        self.bins = tuple(self._by_bin)

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        return self._by_bin[bin].draw(rng, bin, height, width)

    def fixed(self, number: int, bin: str, height: int, width: int) -> Hole:
        return self._by_bin[bin].fixed(number, bin, height, width)

    def file_of(self, rng: np.random.Generator | None, number: int, bin: str, height: int, width: int) -> str:
        return self._by_bin[bin].file_of(rng, number, bin, height, width)

    def mask_files(self) -> Iterable[Path]:
        return (path for source in set(self._by_bin.values()) for path in source.mask_files())

    def prepare(self, height: int, width: int) -> None:
        for source in set(self._by_bin.values()):
            source.prepare(height, width)
