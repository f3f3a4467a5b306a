"""Which pictures of an evaluation are the best and the worst: those furthest above and below the mean of their bin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

RANKED = "psnr"  # the metric that ranks pictures; every protocol has it
EXTREMES = 2  # pictures shown as the best, and as many as the worst

T = TypeVar("T")


def bin_means(bins: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    """Return the mean of the values in each bin."""
    grouped: dict[str, list[float]] = {}
    for bin, value in zip(bins, values, strict=True):
        grouped.setdefault(bin, []).append(value)
    return {bin: float(np.mean(of_bin)) for bin, of_bin in grouped.items()}


def both_ends(ordered: list[T], count: int) -> list[T]:
    """Return the first and the last `count` entries of a sorted list, or the list itself if it has no more."""
    return ordered if len(ordered) <= 2 * count else ordered[:count] + ordered[-count:]
