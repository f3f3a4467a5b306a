"""Check the claims of a paper about its rows, on its own printed numbers and on the measured ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from inpaintlab.tables.bootstrap import Difference
from inpaintlab.tables.differences import Comparison, Differences
from inpaintlab.tables.spec import Claim, Metric, Row, Table

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Answer:
    """A claim in one metric. A gain is a difference with the sign that makes positive better.

    Args:
        claim, metric: the statement.
        in_print: the gains between the paper's own printed numbers, where both are printed.
        gains: the measured gains with their intervals, for the rows and bins that were measured.
        expected: number of comparisons that the claim makes.
    """

    claim: Claim
    metric: Metric
    in_print: tuple[float, ...]
    gains: tuple[Difference, ...]
    expected: int

    @property
    def answer(self) -> str:
        """Confirmed if every interval lies above zero, not confirmed if one lies below, otherwise undecided."""
        if any(gain.high < 0 for gain in self.gains):
            return "not confirmed"
        if len(self.gains) < self.expected:
            return NOT_MEASURED if not self.gains else "undecided"
        return "confirmed" if all(gain.low > 0 for gain in self.gains) else "undecided"

    @property
    def least(self) -> Difference | None:
        """The measured gain with the smallest lower end, which decides the answer."""
        return min(self.gains, key=lambda gain: gain.low, default=None)


def comparisons(table: Table) -> Iterator[Comparison]:
    """Yield the comparisons that the claims make."""
    for claim in table.claims:
        for metric, (other, bin) in product(claim.metrics, _asked(claim)):
            yield Comparison(claim.better, other, metric, bin)


def check(table: Table, differences: Differences) -> list[Answer]:
    """Check every claim of the spec, in each of its metrics.

    Args:
        differences: with those of `comparisons`.
    """
    metrics = {metric.key: metric for metric in table.metrics}
    return [_answer(table, differences, claim, metrics[key]) for claim in table.claims for key in claim.metrics]


def _asked(claim: Claim) -> list[tuple[str, str]]:
    """The other row and the bin of each comparison."""
    return list(product(claim.than, claim.bins))


def _answer(table: Table, differences: Differences, claim: Claim, metric: Metric) -> Answer:
    rows = {row.label: row for row in table.rows}
    sign = 1 if metric.higher else -1
    asked = _asked(claim)
    printed = (_printed_gain(rows[claim.better], rows[other], metric.key, bin, table.bins) for other, bin in asked)
    measured = (differences.get(Comparison(claim.better, other, metric.key, bin)) for other, bin in asked)
    return Answer(
        claim,
        metric,
        tuple(sign * gain for gain in printed if gain is not None),
        tuple(gain.times(sign) for gain in measured if gain is not None),
        len(asked),
    )


def _printed_gain(better: Row, other: Row, metric: str, bin: str, bins: Sequence[str]) -> float | None:
    found = [_printed(row, metric, bin, bins) for row in (better, other)]
    return None if found[0] is None or found[1] is None else found[0] - found[1]


def _printed(row: Row, metric: str, bin: str, bins: Sequence[str]) -> float | None:
    """Return a printed number; if none is printed under "all", the mean over the bins."""
    values = row.published.get(metric, {})
    if bin in values:
        return values[bin]
    numbers = [values.get(bin) for bin in bins] if bin == "all" else [None]
    return None if None in numbers else sum(filter(None, numbers)) / len(numbers)
