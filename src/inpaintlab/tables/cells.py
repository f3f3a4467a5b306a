"""The numbers of a table: what was published, what was measured, from whose weights, and whether the two agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inpaintlab.tables.bootstrap import Difference, paired
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Metric, Row, Table

# Overrides that leave a run what the paper states: where its files are and how the machine computes.
HARMLESS = ("output", "data.root", "data.workers", "masks.root", "trainer", "logger", "weights", "evaluation.keep")


@dataclass(frozen=True)
class Cell:
    """One number of a row.

    Args:
        published, measured: either may be missing.
        against: the paired difference to the reference row, with its interval.
        origin: of the measured number: "trained here", "authors' weights", or nothing.
        verdict: on the difference: "as published", "better", "worse", "not comparable", or nothing.
    """

    row: Row
    metric: Metric
    bin: str
    published: float | None
    measured: float | None
    against: Difference | None
    origin: str = ""
    verdict: str = ""

    @property
    def difference(self) -> float | None:
        """Measured minus published."""
        if self.measured is None or self.published is None:
            return None
        return self.measured - self.published


def cells(table: Table, results: dict[str, Measured], comparable: bool = False) -> list[Cell]:
    """All cells, by row, metric and bin.

    Args:
        comparable: whether the measured numbers may be held against the published ones; see `is_comparable`.
    """
    found = []
    for row in table.rows:
        result = results[row.label]
        for metric in table.metrics:
            for bin in table.bins:
                measured = result.mean(metric.key, bin)
                published = row.published.get(metric.key, {}).get(bin)
                against = difference(results, row.label, table.reference, metric.key, bin)
                origin = result.origin if measured is not None else ""
                verdict = _verdict(metric, measured, published, comparable) if table.kind == "comparison" else ""
                found.append(Cell(row, metric, bin, published, measured, against, origin, verdict))
    return found


def is_comparable(scale: str, overrides: Sequence[str]) -> bool:
    """Whether runs at this scale, with these overrides, are what the paper describes."""
    keys = [override.lstrip("+~").partition("=")[0] for override in overrides]
    return scale == "paper" and all(any(f"{key}.".startswith(f"{fine}.") for fine in HARMLESS) for key in keys)


def _verdict(metric: Metric, measured: float | None, published: float | None, comparable: bool) -> str:
    if measured is None or published is None:
        return ""
    if not comparable:
        return "not comparable"
    gain = (measured - published) * (1 if metric.higher else -1)
    # Printed numbers are rounded; a difference of exactly the tolerance is within it.
    if abs(gain) <= metric.within + 0.5 * 10**-metric.decimals:
        return "as published"
    return "better" if gain > 0 else "worse"


def difference(results: dict[str, Measured], label: str, other: str | None, metric: str, bin: str) -> Difference | None:
    """The paired difference of a row to another, over the seeds that both have; None if it was not measured."""
    if other is None or label == other:
        return None
    mine, base = results[label], results[other]
    common = [seed for seed in mine.summaries if seed in base.summaries]
    values, reference = mine.per_picture(metric, bin), base.per_picture(metric, bin)
    if not common or values is None or reference is None:
        return None
    rows = [list(result.summaries).index(seed) for result in (mine, base) for seed in common]
    return paired(values[rows[: len(common)]], reference[rows[len(common) :]])
