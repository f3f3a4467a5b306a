"""Confidence intervals of differences between rows: a paired bootstrap over pictures and seeds.

A resample draws pictures with replacement, each with all its holes, and draws seeds with replacement if there are
several: values of one picture, or of one training, are not independent of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
WEIGHTS_IN_MEMORY = 2**21  # weights of pictures drawn at once: 16 MiB as integers, as much again as floats

Samples = NDArray[np.float64]  # (seeds, pictures)


@dataclass(frozen=True)
class Difference:
    """The mean of a difference and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    def times(self, sign: int) -> Difference:
        """Return the difference itself for a positive sign, and with its sign flipped for a negative one."""
        return self if sign > 0 else Difference(-self.mean, -self.high, -self.low)


def intervals(samples: Sequence[Samples], draws: int = DRAWS) -> list[Difference]:
    """Bootstrap the mean of each array; the arrays share their resamples, so they are drawn once.

    The random generator is fixed: an array gets the same interval whichever other arrays are computed with it.

    Args:
        samples: arrays (seeds, pictures), the mean over the holes of each picture; the shapes may differ.
        draws: number of resamples.

    Raises:
        ValueError: if an array does not have two dimensions.
    """
    found: dict[int, Difference] = {}
    groups: dict[int, list[int]] = {}
    for place, values in enumerate(samples):
        if values.ndim != 2:
            raise ValueError(f"expected arrays of shape (seeds, pictures), got {values.shape}")
        groups.setdefault(values.shape[1], []).append(place)
    for group in groups.values():
        found |= zip(group, _same_pictures([samples[place] for place in group], draws), strict=True)
    return [found[place] for place in range(len(samples))]


def paired(row: Samples, reference: Samples, draws: int = DRAWS) -> Difference:
    """Bootstrap the mean of `row - reference`.

    Args:
        row, reference: (seeds, pictures) of the same pairs and seeds.

    Raises:
        ValueError: if the shapes differ.
    """
    if row.shape != reference.shape:
        raise ValueError(f"expected two arrays (seeds, pictures) of one shape, got {row.shape} and {reference.shape}")
    return intervals([row - reference], draws)[0]


def _same_pictures(samples: Sequence[Samples], draws: int) -> list[Difference]:
    """The intervals of arrays with the same number of pictures."""
    pictures = samples[0].shape[1]
    rng = np.random.default_rng(0)
    by_seed = _resampled_means(rng, np.concatenate(samples).T, draws)
    found, first = [], 0
    for values in samples:
        seeds = len(values)
        # A copy: the draws of the seeds follow those of the pictures, however many arrays there are.
        of_seeds = deepcopy(rng).multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds  # (draws, seeds)
        means = (of_seeds * by_seed[:, first : first + seeds]).sum(1) / pictures
        low, high = np.percentile(means, [2.5, 97.5])
        found.append(Difference(float(values.mean()), float(low), float(high)))
        first += seeds
    return found


def _resampled_means(rng: np.random.Generator, columns: NDArray[np.float64], draws: int) -> NDArray[np.float64]:
    """Sums (draws, columns) of each column over the pictures of each resample.

    Args:
        columns: (pictures, columns).
    """
    pictures = len(columns)
    even = np.full(pictures, 1 / pictures)
    sums = np.empty((draws, columns.shape[1]))
    step = max(1, WEIGHTS_IN_MEMORY // pictures)
    for first in range(0, draws, step):
        counts = rng.multinomial(pictures, even, min(step, draws - first))  # drawn row by row, as all at once would be
        sums[first : first + step] = counts.astype(np.float64) @ columns
    return sums
