"""Everything that the printed forms of a table show, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inpaintlab.tables import cells, claims, figures, footnotes
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
    """

    table: Table
    results: dict[str, Measured]
    scale: str
    differences: Differences
    cells: Sequence[Cell]
    answers: Sequence[Answer]
    footnotes: Sequence[str]

    def overall(self, row: Row, metric: Metric) -> Difference | None:
        """Return the difference of a row from the reference over all bins, None if it was not measured."""
        return self.differences.get(Comparison(row.label, self.table.reference, metric.key, "all"))

    def of_row(self, row: Row) -> list[Cell]:
        """Return the cells of a row, by metric and bin."""
        return [cell for cell in self.cells if cell.row is row]


def make_report(table: Table, results: dict[str, Measured], scale: str, overrides: Sequence[str] = ()) -> Report:
    """Compute the report of a table.

    Args:
        results: by row label.
        overrides: what was changed from the configs.
    """
    comparable = cells.is_comparable(scale, overrides)
    wanted = [*cells.comparisons(table), *claims.comparisons(table), *figures.comparisons(results)]
    differences = compute(results, wanted)
    return Report(
        table,
        results,
        scale,
        differences,
        cells.cells(table, results, differences, comparable),
        claims.check(table, differences),
        footnotes.footnotes(table, results, scale, overrides, comparable=comparable),
    )
