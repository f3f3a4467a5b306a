"""All paired differences that a table shows, computed in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from inpaintlab.tables.bootstrap import Difference, Samples, intervals
from inpaintlab.tables.results import Measured


class Comparison(NamedTuple):
    """What is compared: a row with another row, in one metric and bin; with zero if `other` is None."""

    row: str
    other: str | None
    metric: str
    bin: str


Differences = Mapping[Comparison, Difference]


def compute(results: Mapping[str, Measured], wanted: Iterable[Comparison]) -> Differences:
    """Return the differences that can be computed: both rows measured picture by picture, with a common
    seed. Rows that share one training have no difference.
    """
    samples = {}
    for comparison in dict.fromkeys(wanted):
        values = _samples(results, comparison)
        if values is not None:
            samples[comparison] = values
    return dict(zip(samples, intervals(list(samples.values())), strict=True))


def _samples(results: Mapping[str, Measured], comparison: Comparison) -> Samples | None:
    """The differences (seeds, pictures), over the seeds that both rows have."""
    row, other, metric, bin = comparison
    mine = results[row]
    values = mine.per_picture(metric, bin)
    if other is None or values is None:
        return values
    base = results[other]
    reference = base.per_picture(metric, bin)
    common = [seed for seed in mine.summaries if seed in base.summaries]
    shared = (mine.same_as or row) == (base.same_as or other)
    if shared or reference is None or not common:
        return None
    places, places_of_base = ([list(of.summaries).index(seed) for seed in common] for of in (mine, base))
    return values[places] - reference[places_of_base]
