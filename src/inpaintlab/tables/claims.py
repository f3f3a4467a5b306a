"""Check the claims of a paper about its rows, on its own printed numbers and on the measured ones.

A claim is judged only with `SEEDS` seeds or more and if all its rows are better than the trivial fills, in the claim's
metric and at its hole sizes: how two failed trainings differ says nothing about what the paper claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from inpaintlab.tables.above import TRIVIAL, below
from inpaintlab.tables.bootstrap import Difference
from inpaintlab.tables.differences import Comparison, Differences
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Claim, Metric, Row, Table

NOT_MEASURED = "not measured"
SEEDS = 3  # fewer do not show how much training varies


@dataclass(frozen=True)
class Answer:
    """A claim in one metric. A gain is a difference with the sign that makes positive better.

    Args:
        claim, metric: the statement.
        in_print: the gains between the paper's own printed numbers, where both are printed.
        gains: the measured gains with their intervals, for the rows and bins that were measured.
        expected: number of comparisons that the claim makes.
        not_judged: why the measured numbers cannot answer it; "" if they can, or if there are none.
    """

    claim: Claim
    metric: Metric
    in_print: tuple[float, ...]
    gains: tuple[Difference, ...]
    expected: int
    not_judged: str = ""

    @property
    def answer(self) -> str:
        """Confirmed if every interval lies above zero, not confirmed if one lies below, otherwise undecided.

        A claim that cannot be judged, or whose rows are not measured, says so.
        """
        if self.not_judged:
            return self.not_judged
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


def check(
    table: Table,
    results: Mapping[str, Measured],
    differences: Differences,
    fills: Mapping[str, Measured],
    comparable: bool = False,
) -> list[Answer]:
    """Check every claim of the spec, in each of its metrics.

    Args:
        results: by row label.
        differences: with those of `comparisons`.
        fills: by label; see `fill_rows.measure_fills`.
        comparable: see `cells.is_comparable`.
    """
    metrics = {metric.key: metric for metric in table.metrics}
    answers = []
    for claim in table.claims:
        for metric in (metrics[key] for key in claim.metrics):
            obstacles = _obstacles(claim, metric, results, fills)
            words = "not judged" if comparable else "not judged at this scale"
            not_judged = f"{words}: {'; '.join(obstacles)}" if obstacles else ""
            answers.append(_answer(table, differences, claim, metric, not_judged))
    return answers


def _obstacles(
    claim: Claim, metric: Metric, results: Mapping[str, Measured], fills: Mapping[str, Measured]
) -> list[str]:
    """Why the measured numbers cannot answer a claim; [] if they can, or if the claim's rows are not measured."""
    others = [label for label in claim.than if results[label].summaries]
    better = results[claim.better]
    if not metric.is_paired or not better.summaries or not others:
        return []
    found = []
    shared = [label for label in others if (results[label].same_as or label) == (better.same_as or claim.better)]
    if shared:
        found.append(f"{claim.better} and {', '.join(shared)} share one training")
    seeds = min(len(better.summaries.keys() & results[label].summaries.keys()) for label in others)
    if seeds < SEEDS:
        found.append(f"{seeds} seed{'s' * (seeds != 1)}, and at least {SEEDS} are needed")
    if not set(TRIVIAL) <= {label for label, fill in fills.items() if fill.summaries}:
        return [*found, f"{' and '.join(TRIVIAL)} are not measured"]
    for label in (claim.better, *others):
        beaten = [below(results[label].mean(metric.key, bin), metric, bin, fills) or [] for bin in claim.bins]
        missed = [fill for fill in TRIVIAL if not all(fill in of_bin for of_bin in beaten)]
        if missed:
            found.append(f"{label} is not above {' and '.join(missed)}")
    return found


def _asked(claim: Claim) -> list[tuple[str, str]]:
    """The other row and the bin of each comparison."""
    return list(product(claim.than, claim.bins))


def _answer(table: Table, differences: Differences, claim: Claim, metric: Metric, not_judged: str) -> Answer:
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
        not_judged,
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
