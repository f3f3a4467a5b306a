"""Everything that the printed forms of a table show, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inpaintlab.tables import cells, claims, figures, footnotes
from inpaintlab.tables.above import below
from inpaintlab.tables.bootstrap import Difference
from inpaintlab.tables.cells import Cell
from inpaintlab.tables.claims import Answer
from inpaintlab.tables.differences import Comparison, Differences, compute
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Metric, Row, Table


@dataclass(frozen=True)
class Report:
    """A table with its numbers.

    Args:
        table: what is shown.
        results: by row label.
        scale: of the runs.
        differences: between rows, and the mean PSNR at each hole size, all with intervals.
        cells: by row, metric and bin.
        answers: to the claims of the paper.
        footnotes: the conditions under which the numbers were measured, one sentence each.
        fills: the fills without training by label, in the order of their rows below those of the table.
        comparable: whether measured numbers may be held against published ones; see `cells.is_comparable`.
    """

    table: Table
    results: Mapping[str, Measured]
    scale: str
    differences: Differences
    cells: Sequence[Cell]
    answers: Sequence[Answer]
    footnotes: Sequence[str]
    fills: Mapping[str, Measured] = field(default_factory=dict)
    comparable: bool = False

    @property
    def fill_rows(self) -> list[Row]:
        """The rows of the fills; `cells` holds their cells behind those of the table's rows."""
        return _rows(self.fills)

    def result(self, row: Row) -> Measured:
        """Return what is known about a row of the table or of a fill."""
        return self.fills[row.label] if row.label in self.fills else self.results[row.label]

    def same_training(self, row: Row) -> str:
        """Return the remark that a row shares the training of another one, "" if it has its own."""
        other = self.result(row).same_as
        return f"same training as {other} at this scale" if other else ""

    def below(self, row: Row, metric: Metric, bin: str = "all") -> list[str] | None:
        """Return the labels of the fills that a row is better than, the best first; None if nothing is compared."""
        if not self.fills:
            return None
        return below(self.result(row).mean(metric.key, bin), metric, bin, self.fills)

    def overall(self, row: Row, metric: Metric) -> Difference | None:
        """Return the difference of a row from the reference over all bins, None if it was not measured."""
        return self.differences.get(Comparison(row.label, self.table.reference, metric.key, "all"))

    def of_row(self, row: Row) -> list[Cell]:
        """Return the cells of a row, by metric and bin."""
        return [cell for cell in self.cells if cell.row.label == row.label]


def make_report(
    table: Table,
    results: dict[str, Measured],
    scale: str,
    overrides: Sequence[str] = (),
    fills: Mapping[str, Measured] | None = None,
) -> Report:
    """Compute the report of a table.

    Args:
        results: by row label.
        overrides: what was changed from the configs.
        fills: by label; see `fill_rows.measure_fills`.
    """
    fills = fills or {}
    comparable = cells.is_comparable(scale, overrides)
    rows = [*table.rows, *_rows(fills)]
    everything = {**results, **fills}
    wanted = [*cells.comparisons(table, rows), *claims.comparisons(table), *figures.comparisons(results)]
    differences = compute(everything, wanted)
    return Report(
        table,
        results,
        scale,
        differences,
        cells.cells(table, everything, differences, comparable, rows),
        claims.check(table, results, differences, fills, comparable),
        footnotes.footnotes(table, results, scale, overrides, comparable=comparable, fills=fills),
        fills,
        comparable,
    )


def _rows(fills: Mapping[str, Measured]) -> list[Row]:
    return [Row(label) for label in fills]
