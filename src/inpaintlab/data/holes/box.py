"""Square holes of a fixed size."""

from __future__ import annotations

import numpy as np

from inpaintlab.data.holes.source import Hole, HoleSource
from inpaintlab.errors import check_choice


class Box(HoleSource):
    """A square hole of a fixed share of the picture, in the centre or at a random place.

    Args:
        area: share of the picture's pixels, in (0, 1); the side of the square is rounded to whole pixels.
        place: "center" or "random".
        name: name of the bin in tables, such as "center" or "fixed25".

    Raises:
        UserError: if `place` is unknown.
        ValueError: if `area` is not in (0, 1); when drawing, if the square is larger than the picture's shorter side.
    """

    def __init__(self, area: float = 0.25, place: str = "center", name: str = "center") -> None:
        if not 0 < area < 1:
            raise ValueError(f"area must be in (0, 1), got {area}")
        check_choice("place", place, ("center", "random"))
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
