"""From measured rows to Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from inpaintlab.tables.bootstrap import Difference
from inpaintlab.tables.cells import Cell, difference
from inpaintlab.tables.claims import Answer
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Metric, Row, Table

NONE = "\u2013"
NOT_AVAILABLE = "not available"


# ---------------------------------------------------------------------- texts
def headings(table: Table, found: Sequence[Cell]) -> list[str]:
    """Column headings of the printed forms."""
    columns = ["", "parameters"] if _has_parameters(table) else [""]
    for metric in table.metrics:
        unit = f" [{metric.unit}]" if metric.unit else ""
        if len(table.bins) > 1:
            columns += [f"{metric.label} {bin}" for bin in table.bins]
            if compared(table, metric):
                columns.append(f"{metric.label} against {table.reference}, all bins [95 %]")
        else:
            columns += [f"{metric.label}{unit} published", "measured", "difference"]
            if any(cell.against for cell in found) and compared(table, metric):
                columns.append(f"{metric.label} against {table.reference} [95 %]")
    return columns


def lines(table: Table, results: dict[str, Measured], found: Sequence[Cell]) -> list[list[str]]:
    """The cells as text, a list per row."""
    several, paired_columns = len(table.bins) > 1, any(cell.against for cell in found)
    text = []
    for row in table.rows:
        line = [row.label]
        if _has_parameters(table):
            parameters = results[row.label].parameters
            line.append(f"{parameters / 1e6:.3f} M" if parameters else NONE)
        for cell in (cell for cell in found if cell.row is row):
            digits = cell.metric.decimals
            published, measured = number(cell.published, digits), number(cell.measured, digits)
            if cell.measured is None and cell.metric.key in results[row.label].absent:
                measured = NOT_AVAILABLE
            distance = number(cell.difference, digits, sign=True)
            if cell.verdict not in ("", "not comparable"):
                distance += f", {cell.verdict}"
            if table.kind == "parameters":  # printed in thousands: nothing to subtract
                line.append(f"{measured} ({published}K)")
            elif several:
                line.append(_several(cell, measured, published, distance))
            else:
                line += [published, measured, distance]
                if paired_columns and compared(table, cell.metric):
                    line.append(interval(cell.row, digits, cell.against, table.reference))
            if several and cell.bin == table.bins[-1] and compared(table, cell.metric):
                overall = difference(results, row.label, table.reference, cell.metric.key, "all")
                line.append(interval(row, digits, overall, table.reference))
        text.append(line)
    return text


def _several(cell: Cell, measured: str, published: str, distance: str) -> str:
    """What stands in one cell of a table with several bins."""
    if cell.published is None:
        return measured
    if cell.measured is not None:
        return f"{measured} ({published}; {distance})"
    return f"({published})" if measured == NONE else f"{measured} ({published})"


def number(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """A number as printed; a dash where there is none."""
    if value is None:
        return NONE
    return f"{value:{'+' if sign else ''},.{decimals}f}".replace(",", " ")


def interval(row: Row, decimals: int, against: Difference | None, reference: str | None) -> str:
    """A paired difference with its interval; bold where the interval leaves out zero."""
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
    """The checked claims as text, a list per claim and metric."""
    text = []
    for one in answers:
        digits, least = one.metric.decimals, one.least
        held = sum(gain > 0 for gain in one.in_print)
        if len(one.in_print) == 1:
            printed = number(one.in_print[0], digits, sign=True)
        else:
            printed = f"{held} of {len(one.in_print)}" if one.in_print else NONE
        text.append(
            [
                one.claim.says,
                one.metric.label,
                printed,
                _least(one, digits, least) if least else NONE,
                one.answer,
            ]
        )
    return text


def _least(one: Answer, decimals: int, least: Difference) -> str:
    text = ("least " if one.expected > 1 else "") + _plain_interval(decimals, least)
    known = len(one.gains)
    return text if known == one.expected else f"{text} ({known} of {one.expected} measured)"


CLAIM_HEADINGS = ["claim", "metric", "gain in print", "gain measured [95 %]", "answer"]


def markdown(
    table: Table,
    results: dict[str, Measured],
    found: Sequence[Cell],
    conditions: Sequence[str],
    answers: Sequence[Answer] = (),
) -> str:
    """The table as Markdown, readable in a terminal too, with its conditions and the checked claims below."""
    text = [f"**{table.id}: {table.title}** ({table.source})", ""]
    text += [*grid(headings(table, found), lines(table, results, found)), ""]
    if table.kind == "parameters":
        text += ["Cells: counted (printed).", ""]
    elif len(table.bins) > 1:
        text += ["Cells: measured (published; difference); in brackets alone: published, not measured here.", ""]
    text += [f"- {line}" for line in conditions]
    if answers:
        text += ["", *grid(CLAIM_HEADINGS, claim_lines(answers))]
    return "\n".join(text) + "\n"


def grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, padded; all columns but the first are set to the right."""
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

    def join(line: Sequence[str]) -> str:
        return (
            "| "
            + " | ".join(
                text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
            )
            + " |"
        )

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return [join(head), rule, *map(join, body)]


def latex(table: Table, results: dict[str, Measured], found: Sequence[Cell], conditions: Sequence[str]) -> str:
    """The table for a paper (package booktabs), with its conditions as comments."""
    head = headings(table, found)

    def escape(text: str) -> str:
        bold = text.startswith("**")
        text = text.strip("*")
        for plain, tex in (
            ("\\", r"\textbackslash{}"),
            ("&", r"\&"),
            ("%", r"\%"),
            ("_", r"\_"),
            ("#", r"\#"),
            (NONE, "--"),
        ):
            text = text.replace(plain, tex)
        return rf"\textbf{{{text}}}" if bold else text

    rows = [" & ".join(map(escape, line)) + r" \\" for line in (head, *lines(table, results, found))]
    comments = [f"% {table.id}: {table.title} ({table.source})", *(f"% {line}" for line in conditions)]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}"
    return (
        "\n".join([*comments, begin, r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}"])
        + "\n"
    )


def as_csv(table: Table, results: dict[str, Measured], found: Sequence[Cell], scale: str) -> str:
    """One line per cell, with what a reader needs to trust it."""
    records: list[dict[str, Any]] = []
    for cell in found:
        result = results[cell.row.label]
        first = result.first
        against = cell.against
        records.append(
            {
                "table": table.id,
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
                "reference": table.reference if against else "",
                "against_reference": _text(against.mean if against else None),
                "low": _text(against.low if against else None),
                "high": _text(against.high if against else None),
                "scale": scale if cell.measured is not None else "",
                "protocol": first.protocol if first else "",
                "data": f"{first.pictures} {first.split} {first.size} px" if first else "",
                "seeds": " ".join(map(str, result.summaries)),
                "pairs": first.pairs if first else "",
                "pairs_digest": first.pairs_digest if first else "",
                "parameters": result.parameters or "",
                "commit": first.conditions.commit if first else "",
                "missing": result.missing or result.absent.get(cell.metric.key, ""),
            }
        )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def compared(table: Table, metric: Metric) -> bool:
    """Whether there is a column of differences to the reference."""
    return table.reference is not None and metric.is_paired


def _has_parameters(table: Table) -> bool:
    return table.kind == "comparison"
