"""The numbers of a table: published, measured, whose weights, and whether the two agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from inpaintlab.tables.bootstrap import Difference
from inpaintlab.tables.differences import Comparison, Differences
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Metric, Row, Table

NOT_COMPARABLE = "not comparable"
# Overrides that keep a run as the paper describes it: where its files are and how the machine computes.
HARMLESS = ("output", "data.root", "data.workers", "masks.root", "trainer", "logger", "weights", "evaluation.keep")


@dataclass(frozen=True)
class Cell:
    """One number of a row.

    Args:
        published, measured: None if there is no such number.
        against: the paired difference from the reference row, with its interval.
        origin: of the measured number: "trained here", "authors' weights", "no training", or "" if nothing was
            measured.
        verdict: on the difference from the published number: "as published", "better", "worse", "not comparable", or
            "" if one of the two is missing.
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
        """Measured minus published; None where the two cannot be compared."""
        if self.measured is None or self.published is None or self.verdict == NOT_COMPARABLE:
            return None
        return self.measured - self.published


def comparisons(table: Table, rows: Iterable[Row] | None = None) -> Iterator[Comparison]:
    """Yield the comparisons with the reference row: in every cell, and over all bins.

    Args:
        rows: that are compared; None takes those of the table.
    """
    for row in table.rows if rows is None else rows:
        for metric in table.metrics if table.reference else ():
            for bin in dict.fromkeys((*table.bins, "all")):
                yield Comparison(row.label, table.reference, metric.key, bin)


def cells(
    table: Table,
    results: Mapping[str, Measured],
    differences: Differences,
    comparable: bool = False,
    rows: Iterable[Row] | None = None,
) -> list[Cell]:
    """Return all cells, by row, metric and bin.

    Args:
        results: by row label.
        differences: with those of `comparisons`.
        comparable: whether measured numbers are judged against published ones; see `is_comparable`.
        rows: whose cells are wanted; None takes those of the table.
    """
    found = []
    for row in table.rows if rows is None else rows:
        result = results[row.label]
        for metric in table.metrics:
            for bin in table.bins:
                measured = result.mean(metric.key, bin)
                published = row.published.get(metric.key, {}).get(bin)
                against = differences.get(Comparison(row.label, table.reference, metric.key, bin))
                origin = result.origin if measured is not None else ""
                verdict = _verdict(metric, measured, published, comparable) if table.kind == "comparison" else ""
                found.append(Cell(row, metric, bin, published, measured, against, origin, verdict))
    return found


def is_comparable(scale: str, overrides: Sequence[str]) -> bool:
    """Return whether runs at this scale, with these overrides, are those that the paper describes."""
    keys = [override.lstrip("+~").partition("=")[0] for override in overrides]
    return scale == "paper" and all(any(f"{key}.".startswith(f"{fine}.") for fine in HARMLESS) for key in keys)


def _verdict(metric: Metric, measured: float | None, published: float | None, comparable: bool) -> str:
    if measured is None or published is None:
        return ""
    if not comparable:
        return NOT_COMPARABLE
    gain = (measured - published) * (1 if metric.higher else -1)
    # Published numbers are rounded: half a unit of their last digit is added to the tolerance.
    if abs(gain) <= metric.within + 0.5 * 10**-metric.decimals:
        return "as published"
    return "better" if gain > 0 else "worse"
