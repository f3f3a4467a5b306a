"""The printed forms of a report: Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inpaintlab.tables.bootstrap import Difference
from inpaintlab.tables.cells import Cell
from inpaintlab.tables.claims import Answer
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
            columns += [f"{metric.label}{unit} published", "measured", "difference"]
            if _has_intervals(report) and compared(table, metric):
                columns.append(f"{metric.label} against {table.reference} [95 %]")
    return columns


def lines(report: Report) -> list[list[str]]:
    """Return the cells as text, a list per row."""
    return [[row.label, *_parameters(report, row), *_numbers(report, row)] for row in report.table.rows]


def _parameters(report: Report, row: Row) -> list[str]:
    if not _has_parameters(report.table):
        return []
    parameters = report.results[row.label].parameters
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
            text += [published, measured, distance]
            if _has_intervals(report) and compared(table, cell.metric):
                text.append(interval(row, digits, cell.against, table.reference))
        if several and cell.bin == table.bins[-1] and compared(table, cell.metric):
            text.append(interval(row, digits, report.overall(row, cell.metric), table.reference))
    return text


def _texts(report: Report, cell: Cell) -> tuple[str, str, str]:
    """The published number, the measured one, and their difference with its verdict."""
    digits = cell.metric.decimals
    measured = number(cell.measured, digits)
    if cell.measured is None and cell.metric.key in report.results[cell.row.label].absent:
        measured = NOT_AVAILABLE
    distance = number(cell.difference, digits, sign=True)
    if cell.verdict not in ("", "not comparable"):
        distance += f", {cell.verdict}"
    return number(cell.published, digits), measured, distance


def _several(cell: Cell, measured: str, published: str, distance: str) -> str:
    """The text of a cell in a table with several bins."""
    if cell.published is None:
        return measured
    if cell.measured is not None:
        return f"{measured} ({published}; {distance})"
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
    text += [*grid(headings(report), lines(report)), ""]
    if table.kind == "parameters":
        text += ["Cells: counted (printed).", ""]
    elif len(table.bins) > 1:
        text += ["Cells: measured (published; difference); in brackets alone: published, not measured here.", ""]
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
    rows = [" & ".join(map(_escape, line)) + r" \\" for line in (head, *lines(report))]
    comments = [f"{table.id}: {table.title} ({table.source})", *report.footnotes]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}"
    text = [
        *(f"% {printable(line)}" for line in comments),
        begin,
        r"\toprule",
        rows[0],
        r"\midrule",
        *rows[1:],
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(text) + "\n"


def _escape(text: str) -> str:
    """Text for LaTeX; bold if it is bold in Markdown."""
    bold = text.startswith("**")
    text = as_latex(text.strip("*"))
    return rf"\textbf{{{text}}}" if bold else text


def as_csv(report: Report) -> str:
    """Return one line per cell, with the conditions of its measurement."""
    records = [_record(report, cell) for cell in report.cells]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _record(report: Report, cell: Cell) -> dict[str, Any]:
    result, against = report.results[cell.row.label], cell.against
    first = result.first
    return {
        "table": report.table.id,
        "row": cell.row.label,
        "experiment": cell.row.experiment or "",
        "metric": cell.metric.key,
        "bin": cell.bin,
        "published": _text(cell.published),
        "measured": _text(cell.measured),
        "difference": _text(cell.difference),
        "origin": cell.origin,
        "verdict": cell.verdict,
        "tolerance": _text(cell.metric.within) if cell.verdict else "",
        "reference": report.table.reference if against else "",
        "against_reference": _text(against.mean if against else None),
        "low": _text(against.low if against else None),
        "high": _text(against.high if against else None),
        "scale": report.scale if cell.measured is not None else "",
        "protocol": first.protocol if first else "",
        "data": f"{first.pictures} {first.split} {first.size} px" if first else "",
        "seeds": " ".join(map(str, result.summaries)),
        "pairs": first.pairs if first else "",
        "pairs_digest": first.pairs_digest if first else "",
        "parameters": result.parameters or "",
        "commit": first.conditions.commit if first else "",
        "missing": result.missing or result.absent.get(cell.metric.key, ""),
    }


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def compared(table: Table, metric: Metric) -> bool:
    """Return whether the metric has a column of differences from the reference."""
    return table.reference is not None and metric.is_paired


def _has_intervals(report: Report) -> bool:
    return any(cell.against for cell in report.cells)


def _has_parameters(table: Table) -> bool:
    return table.kind == "comparison"
