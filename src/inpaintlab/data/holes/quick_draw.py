"""Holes like those of QD-IMD, the irregular masks made from Quick, Draw! drawings (Iskakov 2018).

QD-IMD draws about four strokes (normal distribution, standard deviation 2) of 5 to 15 pixels, enlarges them 1 to 1.5
times and crops the central 512 x 512 pixels. The drawings are not part of this repository: strokes are smooth random
walks of the same widths instead, and their number follows from the bin. `masks=qd_imd` reads the published archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from inpaintlab.data.holes import bins as hole_bins
from inpaintlab.data.holes.free_form import FreeForm, Shape, Stroke

NATIVE = 512  # side of the published masks, in pixels


class QuickDraw(FreeForm):
    """Thin, long strokes, added until the share of missing pixels lies in the bin; see `FreeForm`.

    Args:
        bins: hole sizes, such as "0.1-0.2".
        width: smallest and largest stroke width, in pixels of a 512 x 512 mask.
        enlarged: smallest and largest scale of a drawing.
    """

    def __init__(
        self,
        bins: Sequence[str] = hole_bins.IRREGULAR,
        width: tuple[float, float] = (5, 15),
        enlarged: tuple[float, float] = (1.0, 1.5),
    ) -> None:
        super().__init__(bins, (width[0] / NATIVE, width[1] / NATIVE))
        self.enlarged: tuple[float, float] = (enlarged[0], enlarged[1])

    def shapes(self, rng: np.random.Generator, height: int, width: int, growth: float) -> Iterator[Shape]:
        del growth  # a larger hole has more strokes of the same width
        side, count, most = min(height, width), 8, 32
        scale = rng.uniform(*self.enlarged) * side
        while True:
            even = rng.random((count, 5))
            starts = even[:, :2] * (width, height)
            thickness = ((self.width[0] + (self.width[1] - self.width[0]) * even[:, 2]) * scale).tolist()
            points = (8 + (most - 7) * even[:, 3]).astype(int).tolist()
            bends = 0.1 * rng.standard_normal((count, most)).cumsum(1).cumsum(1) + 2 * np.pi * even[:, 4:]
            steps = (0.02 + 0.04 * rng.random((count, most))) * scale
            path = (steps[..., None] * np.stack([np.cos(bends), np.sin(bends)], 2)).cumsum(1)
            path -= path.mean(1, keepdims=True)  # centre on the start, so that no border gets more strokes
            corners = starts[:, None] + path
            pixels = np.rint(corners).astype(np.int32)
            lengths = steps.sum(1).tolist()
            for i, last in enumerate(points):
                yield Stroke(corners[i, :last], pixels[i, :last], thickness[i], lengths[i], starts[i])
