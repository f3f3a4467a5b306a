"""A table as one HTML file that needs nothing else: sortable columns, two rows side by side on a picture, errors.

`page.html` beside this file is the page; it shows the JSON that is put into it here. Pictures are embedded as PNG, so
that the browser compares the pixels that were measured.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from inpaintlab.evaluation.ranking import EXTREMES, RANKED, bin_means
from inpaintlab.evaluation.results import PictureRow, read_per_picture
from inpaintlab.tables import figures, text_formats
from inpaintlab.tables.cells import Cell
from inpaintlab.tables.report import Report
from inpaintlab.tables.results import NO_TRAINING, Measured
from inpaintlab.tables.spec import Metric, Row, Table
from inpaintlab.utils.printable import printable

TEMPLATE = Path(__file__).with_name("page.html")
CAPTIONS = {
    "holes": "PSNR against the size of the hole",
    "validation": "PSNR of the validation pictures during training",
    "loss": "Loss during training, of the first seed",
}


def page(report: Report, charts: Mapping[str, bytes]) -> str:
    """Return the text of the file.

    Args:
        charts: SVG files by name, the name being one of `CAPTIONS`.
    """
    table = report.table
    content = {
        "id": table.id,
        "title": table.title,
        "source": table.source,
        "columns": _columns(report),
        "rows": [_row(report, row) for row in [*table.rows, *report.fill_rows]],
        "conditions": list(map(printable, report.footnotes)),
        "claims": [text_formats.CLAIM_HEADINGS, *text_formats.claim_lines(report.answers)] if report.answers else [],
        "charts": [{"caption": CAPTIONS[name], "uri": _uri(image, "svg+xml")} for name, image in charts.items()],
        **_pictures(table, report.results),
    }
    # No tag may begin inside a script; JSON can write "<" as an escape.
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return TEMPLATE.read_text().replace("@TITLE@", escape(f"{table.id}: {table.title}")).replace("@CONTENT@", text)


# ---------------------------------------------------------------------- the table
def _columns(report: Report) -> list[dict[str, Any]]:
    table = report.table
    columns: list[dict[str, Any]] = []
    if table.kind == "comparison":
        columns.append({"kind": "number", "group": "", "heading": "parameters [M]"})
    for metric in table.metrics:
        group = f"{metric.label} [{metric.unit}]" if metric.unit else metric.label
        for bin in table.bins:
            heading = "mean" if bin == "all" and table.kind != "quoted" else bin
            columns.append({"kind": "cell", "group": group, "heading": heading, "higher": metric.higher})
        if text_formats.compared(table, metric):
            columns.append({"kind": "against", "group": group, "heading": f"against {table.reference} [95 %]"})
        if text_formats.has_marks(report, metric):
            columns.append({"kind": "above", "group": group, "heading": "above"})
    return columns


def _row(report: Report, row: Row) -> dict[str, Any]:
    table, result = report.table, report.result(row)
    parameters = result.parameters
    values: list[dict[str, Any]] = []
    if table.kind == "comparison":
        values.append({"value": parameters, "text": f"{parameters / 1e6:.3f}" if parameters else text_formats.NONE})
    for metric in table.metrics:
        values += [_cell(cell) for cell in report.of_row(row) if cell.metric is metric]
        if text_formats.compared(table, metric):
            values.append(_against(report, row, metric))
        if text_formats.has_marks(report, metric):
            values.append(_mark(report, row, metric))
    return {
        "label": row.label,
        "remark": report.same_training(row),
        "is_fill": row.label in report.fills,
        "values": values,
        "about": printable(_about(result)),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    digits = cell.metric.decimals
    return {
        "measured": cell.measured,
        "published": cell.published,
        "texts": {
            "measured": text_formats.number(cell.measured, digits),
            "published": text_formats.number(cell.published, digits),
            "difference": "" if cell.difference is None else text_formats.number(cell.difference, digits, sign=True),
        },
        "verdict": cell.verdict,
        "origin": cell.origin,
    }


def _against(report: Report, row: Row, metric: Metric) -> dict[str, Any]:
    overall = report.overall(row, metric)
    text = text_formats.interval(row, metric.decimals, overall, report.table.reference).strip("*")
    return {"value": overall.mean if overall else None, "text": text, "decided": bool(overall and overall.decided)}


def _mark(report: Report, row: Row, metric: Metric) -> dict[str, Any]:
    """Which fills without training a row is above; sorted by their number."""
    found = None if row.label in report.fills else report.below(row, metric)
    return {"value": None if found is None else len(found), "text": text_formats.mark(report, row, metric)}


def _about(result: Measured) -> str:
    """The conditions of a row, shown when the reader points at its name."""
    first = result.first
    if first is not None and result.origin == NO_TRAINING:
        return f"{NO_TRAINING}; protocol {first.protocol}; {first.pairs} pairs ({first.pairs_digest})"
    if first is None or result.record is None:
        return result.missing or "not measured here"
    return (
        f"{result.origin}; seeds {', '.join(map(str, result.summaries))}; {result.record.batches} batches; protocol "
        f"{first.protocol}; {first.pairs} pairs ({first.pairs_digest}); scale {first.scale}; commit "
        f"{first.conditions.commit}"
    )


# ---------------------------------------------------------------------- the pictures
def _pictures(table: Table, results: Mapping[str, Measured]) -> dict[str, Any]:
    """Every kept picture with the results of the rows that kept it, and each row's best and worst."""
    pictures: dict[str, dict[str, Any]] = {}
    ends = []
    for label, first in figures.evaluations(table, results).items():
        folder = first.folder / "pictures"
        numbers, rows = figures.kept(folder), read_per_picture(first)
        for number in numbers:
            row = rows[int(number)]
            if number not in pictures:
                pictures[number] = _picture(folder, number, row)
            pictures[number]["results"][label] = {"uri": _file(folder / f"{number}-result.png"), "values": row.values}
        ends += _ends(label, rows, numbers)
    order = sorted(pictures)
    return {
        "pictures": [pictures[number] for number in order],
        "ends": [end | {"picture": order.index(end["picture"])} for end in ends],
    }


def _picture(folder: Path, number: str, row: PictureRow) -> dict[str, Any]:
    """A kept picture without results."""
    return {
        "name": printable(row.picture),
        "bin": row.bin,
        "share": row.hole_share,
        "truth": _file(folder / f"{number}-truth.png"),
        "hole": _file(folder / f"{number}-hole.png"),
        "results": {},
    }


def _ends(label: str, rows: Sequence[PictureRow], kept: Sequence[str]) -> list[dict[str, Any]]:
    """The best and the worst of the kept pictures."""
    means = bin_means((row.bin for row in rows), (row.values[RANKED] for row in rows))

    def gain(number: str) -> float:
        row = rows[int(number)]
        return row.values[RANKED] - means[row.bin]

    def text(number: str) -> str:
        row = rows[int(number)]
        return f"{RANKED} {row.values[RANKED]:.2f}, {gain(number):+.2f} to the mean at {row.bin}"

    order = sorted(kept, key=gain, reverse=True)
    count = min(EXTREMES, len(order) // 2)
    chosen = [("best", number) for number in order[:count]]
    chosen += [("worst", number) for number in order[::-1][:count]]
    return [{"row": label, "kind": kind, "picture": number, "text": text(number)} for kind, number in chosen]


def _file(path: Path) -> str:
    return _uri(path.read_bytes(), "png")


def _uri(image: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
