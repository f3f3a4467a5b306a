"""How sure a difference between two rows is: paired bootstrap over pictures and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000


@dataclass(frozen=True)
class Difference:
    """Mean difference of two rows and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def times(self, sign: int) -> Difference:
        """The same difference, or seen from the other row with -1."""
        return self if sign > 0 else Difference(-self.mean, -self.high, -self.low)


def paired(row: NDArray[np.float64], reference: NDArray[np.float64], draws: int = DRAWS) -> Difference:
    """Bootstrap of the mean of `row - reference`.

    Pictures are drawn with replacement, each with all its holes, and so are seeds if there are several: values of one
    picture, or of one training, belong together.

    Args:
        row, reference: (seeds, pictures), the mean over the holes of each picture; same pairs, same seeds.
        draws: number of resamples; the generator is fixed, so the same numbers give the same interval.
    """
    if row.shape != reference.shape or row.ndim != 2:
        raise ValueError(f"expected two arrays (seeds, pictures) of one shape, got {row.shape} and {reference.shape}")
    difference = row - reference
    seeds, pictures = difference.shape
    rng = np.random.default_rng(0)
    of_pictures = rng.multinomial(pictures, np.full(pictures, 1 / pictures), draws) / pictures  # (draws, pictures)
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds  # (draws, seeds)
    means = ((of_seeds @ difference) * of_pictures).sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Difference(float(difference.mean()), float(low), float(high))
