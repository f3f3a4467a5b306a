"""The printed forms of a report: Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inpaintlab.tables.above import NONE_BELOW
from inpaintlab.tables.bootstrap import Difference
from inpaintlab.tables.cells import NOT_COMPARABLE, Cell
from inpaintlab.tables.claims import Answer
from inpaintlab.tables.results import NO_TRAINING
from inpaintlab.tables.spec import Metric, Row, Table

if TYPE_CHECKING:
    from inpaintlab.tables.report import Report

from inpaintlab.utils.printable import latex as as_latex
from inpaintlab.utils.printable import markdown as safe
from inpaintlab.utils.printable import printable

NONE = "\u2013"
NOT_AVAILABLE = "not available"
CLAIM_HEADINGS = ["claim", "metric", "gain in print", "gain measured [95 %]", "answer"]


# ---------------------------------------------------------------------- texts
def headings(report: Report) -> list[str]:
    """Return the column headings."""
    table = report.table
    columns = ["", "parameters"] if _has_parameters(table) else [""]
    for metric in table.metrics:
        unit = f" [{metric.unit}]" if metric.unit else ""
        if len(table.bins) > 1:
            columns += [f"{metric.label} {bin}" for bin in table.bins]
            if compared(table, metric):
                columns.append(f"{metric.label} against {table.reference}, all bins [95 %]")
        else:
            columns += [f"{metric.label}{unit} published", "measured"]
            if has_differences(report):
                columns.append("difference")
            if _has_intervals(report) and compared(table, metric):
                columns.append(f"{metric.label} against {table.reference} [95 %]")
        if has_marks(report, metric):
            columns.append(f"{metric.label} above")
    return columns


def lines(report: Report) -> list[list[str]]:
    """Return the cells of the table's rows as text, a list per row."""
    return [_line(report, row) for row in report.table.rows]


def fill_lines(report: Report) -> list[list[str]]:
    """Return the cells of the fills without training as text, a list per fill."""
    return [_line(report, row) for row in report.fill_rows]


def _line(report: Report, row: Row) -> list[str]:
    remark = report.same_training(row)
    label = f"{row.label} ({remark})" if remark else row.label
    return [label, *_parameters(report, row), *_numbers(report, row)]


def _parameters(report: Report, row: Row) -> list[str]:
    if not _has_parameters(report.table):
        return []
    parameters = report.result(row).parameters
    return [f"{parameters / 1e6:.3f} M" if parameters else NONE]


def _numbers(report: Report, row: Row) -> list[str]:
    """The columns of all metrics."""
    table, text = report.table, []
    several = len(table.bins) > 1
    for cell in report.of_row(row):
        digits = cell.metric.decimals
        published, measured, distance = _texts(report, cell)
        if table.kind == "parameters":  # published in thousands, so that no difference can be stated
            text.append(f"{measured} ({published}K)")
        elif several:
            text.append(_several(cell, measured, published, distance))
        else:
            text += [published, measured, *([distance] if has_differences(report) else [])]
            if _has_intervals(report) and compared(table, cell.metric):
                text.append(interval(row, digits, cell.against, table.reference))
        if several and cell.bin == table.bins[-1] and compared(table, cell.metric):
            text.append(interval(row, digits, report.overall(row, cell.metric), table.reference))
        if cell.bin == table.bins[-1] and has_marks(report, cell.metric):
            text.append(mark(report, row, cell.metric))
    return text


def mark(report: Report, row: Row, metric: Metric, bin: str = "all") -> str:
    """Return the best fill without training that a row is above, "none" if it is above none of them.

    The text is empty for the fills themselves, and a dash for a row that was not measured.
    """
    if row.label in report.fills:
        return ""
    found = report.below(row, metric, bin)
    if found is None:
        return NONE
    known = [measured for measured in report.fills.values() if measured.mean(metric.key, bin) is not None]
    if not found:
        return NONE_BELOW
    return f"{found[0]} (all)" if len(found) == len(known) else found[0]


def has_marks(report: Report, metric: Metric) -> bool:
    """Return whether the metric has a column that says which fills without training a row is above."""
    return any(report.below(row, metric) is not None for row in report.table.rows)


def has_differences(report: Report) -> bool:
    """Return whether measured numbers are held against published ones."""
    return report.comparable or report.table.kind != "comparison"


def _texts(report: Report, cell: Cell) -> tuple[str, str, str]:
    """The published number, the measured one, and their difference with its verdict."""
    digits = cell.metric.decimals
    measured = number(cell.measured, digits)
    if cell.measured is None and cell.metric.key in report.result(cell.row).absent:
        measured = NOT_AVAILABLE
    distance = number(cell.difference, digits, sign=True)
    if cell.verdict not in ("", NOT_COMPARABLE):
        distance += f", {cell.verdict}"
    return number(cell.published, digits), measured, distance


def _several(cell: Cell, measured: str, published: str, distance: str) -> str:
    """The text of a cell in a table with several bins."""
    if cell.published is None:
        return measured
    if cell.measured is not None:
        return f"{measured} ({published}; {distance})" if cell.difference is not None else f"{measured} ({published})"
    return f"({published})" if measured == NONE else f"{measured} ({published})"


def number(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """Return a number as printed; a dash for None."""
    if value is None:
        return NONE
    return f"{value:{'+' if sign else ''},.{decimals}f}".replace(",", " ")


def interval(row: Row, decimals: int, against: Difference | None, reference: str | None) -> str:
    """Return a paired difference with its interval as text, bold if the interval excludes zero."""
    if row.label == reference:
        return "reference"
    if against is None:
        return NONE
    text = _plain_interval(decimals, against)
    return f"**{text}**" if against.decided else text


def _plain_interval(decimals: int, of: Difference) -> str:
    mean, low, high = (number(value, decimals, sign=True) for value in (of.mean, of.low, of.high))
    return f"{mean} [{low}, {high}]"


def claim_lines(answers: Sequence[Answer]) -> list[list[str]]:
    """Return the checked claims as text, a list per claim and metric."""
    return [[one.claim.says, one.metric.label, _gain_in_print(one), _gain_measured(one), one.answer] for one in answers]


def _gain_in_print(one: Answer) -> str:
    if len(one.in_print) == 1:
        return number(one.in_print[0], one.metric.decimals, sign=True)
    held = sum(gain > 0 for gain in one.in_print)
    return f"{held} of {len(one.in_print)}" if one.in_print else NONE


def _gain_measured(one: Answer) -> str:
    if one.least is None:
        return NONE
    text = ("least " if one.expected > 1 else "") + _plain_interval(one.metric.decimals, one.least)
    known = len(one.gains)
    return text if known == one.expected else f"{text} ({known} of {one.expected} measured)"


# ---------------------------------------------------------------------- forms
def markdown(report: Report) -> str:
    """Return the table as Markdown, readable on a terminal too, with its footnotes and the checked claims below."""
    table = report.table
    text = [f"**{safe(table.id)}: {safe(table.title)}** ({safe(table.source)})", ""]
    head, body = headings(report), lines(report)
    if report.fills:
        body += [[f"**{NO_TRAINING}**", *[""] * (len(head) - 1)], *fill_lines(report)]
    text += [*grid(head, body), ""]
    if table.kind == "parameters":
        text += ["Cells: counted (printed).", ""]
    elif len(table.bins) > 1:
        held = "published; difference" if has_differences(report) else "published"
        text += [f"Cells: measured ({held}); in brackets alone: published, not measured here.", ""]
    text += [f"- {safe(line)}" for line in report.footnotes]
    if report.answers:
        text += ["", *grid(CLAIM_HEADINGS, claim_lines(report.answers))]
    return "\n".join(text) + "\n"


def grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, padded; all columns but the first are aligned to the right."""
    head, body = list(map(safe, head)), [list(map(safe, line)) for line in body]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

    def join(line: Sequence[str]) -> str:
        sized = enumerate(zip(line, widths, strict=True))
        return f"| {' | '.join(text.rjust(width) if place else text.ljust(width) for place, (text, width) in sized)} |"

    rules = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    return [join(head), f"|{'|'.join(rules)}|", *map(join, body)]


def latex(report: Report) -> str:
    """Return the table for a paper (package booktabs), with its footnotes as comments."""
    table, head = report.table, headings(report)
    first, *rows = [_latex_line(line) for line in (head, *lines(report))]
    if report.fills:
        rows += [r"\midrule", rf"\multicolumn{{{len(head)}}}{{l}}{{\emph{{{NO_TRAINING}}}}} \\"]
        rows += [_latex_line(line) for line in fill_lines(report)]
    comments = [f"{table.id}: {table.title} ({table.source})", *report.footnotes]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}"
    text = [*(f"% {printable(line)}" for line in comments), begin]
    text += [r"\toprule", first, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(text) + "\n"


def _latex_line(line: Sequence[str]) -> str:
    return " & ".join(map(_escape, line)) + r" \\"


def _escape(text: str) -> str:
    """Text for LaTeX; bold if it is bold in Markdown."""
    bold = text.startswith("**")
    text = as_latex(text.strip("*"))
    return rf"\textbf{{{text}}}" if bold else text


def compared(table: Table, metric: Metric) -> bool:
    """Return whether the metric has a column of differences from the reference."""
    return table.reference is not None and metric.is_paired


def _has_intervals(report: Report) -> bool:
    return any(cell.against for cell in report.cells)


def _has_parameters(table: Table) -> bool:
    return table.kind == "comparison"
