"""A table as one HTML file that needs nothing else: sortable columns, any two rows side by side on a picture, errors.

`page.html` beside this file is the page; it shows the JSON that is put into it here. Pictures stand in it as PNG, so
what the browser compares is exactly what was measured.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inpaintlab.evaluation.results import PictureRow, read_per_picture
from inpaintlab.tables import figures, text_formats
from inpaintlab.tables.cells import Cell, difference
from inpaintlab.tables.claims import Answer
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Table

TEMPLATE = Path(__file__).with_name("page.html")
ENDS = 2  # best and as many worst pictures of a row
CAPTIONS = {
    "holes": "PSNR against the size of the hole",
    "validation": "PSNR of the validation pictures during training",
    "loss": "Loss during training, of the first seed",
}


def page(
    table: Table,
    results: dict[str, Measured],
    found: Sequence[Cell],
    conditions: Sequence[str],
    answers: Sequence[Answer],
    charts: Mapping[str, str],
) -> str:
    """The text of the file.

    Args:
        found, conditions, answers: as in `render.markdown`.
        charts: SVG by name, as `figures.curves` gives them.
    """
    content = {
        "id": table.id,
        "title": table.title,
        "source": table.source,
        "columns": _columns(table),
        "rows": [_row(table, results, found, row.label) for row in table.rows],
        "conditions": list(conditions),
        "claims": [text_formats.CLAIM_HEADINGS, *text_formats.claim_lines(answers)] if answers else [],
        "charts": [{"caption": CAPTIONS[name], "svg": text} for name, text in charts.items()],
        **_pictures(table, results),
    }
    # In a script no tag may begin; "<" is one of JSON's own escapes.
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return TEMPLATE.read_text().replace("@TITLE@", f"{table.id}: {table.title}").replace("@CONTENT@", text)


# ---------------------------------------------------------------------- the table
def _columns(table: Table) -> list[dict[str, Any]]:
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
    return columns


def _row(table: Table, results: dict[str, Measured], found: Sequence[Cell], label: str) -> dict[str, Any]:
    result = results[label]
    parameters = result.parameters
    values: list[dict[str, Any]] = []
    if table.kind == "comparison":
        values.append({"value": parameters, "text": f"{parameters / 1e6:.3f}" if parameters else text_formats.NONE})
    for metric in table.metrics:
        digits = metric.decimals
        for cell in (cell for cell in found if cell.row.label == label and cell.metric is metric):
            values.append(
                {
                    "measured": cell.measured,
                    "published": cell.published,
                    "texts": {
                        "measured": text_formats.number(cell.measured, digits),
                        "published": text_formats.number(cell.published, digits),
                        "difference": text_formats.number(cell.difference, digits, sign=True),
                    },
                    "verdict": cell.verdict,
                    "origin": cell.origin,
                }
            )
        if text_formats.compared(table, metric):
            overall = difference(results, label, table.reference, metric.key, "all")
            row = next(row for row in table.rows if row.label == label)
            text = text_formats.interval(row, digits, overall, table.reference).strip("*")
            decided = bool(overall and overall.decided)
            values.append({"value": overall.mean if overall else None, "text": text, "decided": decided})
    return {"label": label, "values": values, "about": _about(result)}


def _about(result: Measured) -> str:
    """What stands behind a row, for the reader who asks."""
    first = result.first
    if first is None or result.record is None:
        return result.missing or "not measured here"
    return (
        f"{result.origin}; seeds {', '.join(map(str, result.summaries))}; {result.record.batches} batches; protocol "
        f"{first.protocol}; {first.pairs} pairs ({first.pairs_digest}); scale {first.scale}; commit "
        f"{first.conditions.commit}"
    )


# ---------------------------------------------------------------------- the pictures
def _pictures(table: Table, results: dict[str, Measured]) -> dict[str, Any]:
    """Every kept picture with the results of the rows that kept it, and each row's best and worst."""
    places = figures.folders(table, results)
    numbers = {label: figures.kept(folder) for label, folder in places.items()}
    pictures: dict[str, dict[str, Any]] = {}
    ends = []
    for label, folder in places.items():
        first = results[label].first
        assert first is not None  # or it would have no folder
        rows = read_per_picture(first)
        for number in numbers[label]:
            row = rows[int(number)]
            picture = pictures.setdefault(
                number,
                {
                    "name": row.picture,
                    "bin": row.bin,
                    "share": row.hole_share,
                    "truth": _uri(folder / f"{number}-truth.png"),
                    "hole": _uri(folder / f"{number}-hole.png"),
                    "results": {},
                },
            )
            picture["results"][label] = {"uri": _uri(folder / f"{number}-result.png"), "values": row.values}
        ends += _ends(label, rows, numbers[label], "psnr" if "psnr" in rows[0].values else next(iter(rows[0].values)))
    order = sorted(pictures)
    return {
        "pictures": [pictures[number] for number in order],
        "ends": [end | {"picture": order.index(end["picture"])} for end in ends],
    }


def _ends(label: str, rows: Sequence[PictureRow], kept: Sequence[str], key: str) -> list[dict[str, Any]]:
    """The kept pictures that lie furthest above and below the mean of their bin."""
    by_bin: dict[str, list[float]] = {}
    for row in rows:
        by_bin.setdefault(row.bin, []).append(row.values[key])
    means = {bin: float(np.mean(values)) for bin, values in by_bin.items()}

    def gain(number: str) -> float:
        row = rows[int(number)]
        return row.values[key] - means[row.bin]

    order = sorted(kept, key=gain, reverse=True)
    count = min(ENDS, len(order) // 2)
    chosen = [("best", number) for number in order[:count]] + [("worst", number) for number in order[-count:][::-1]]
    return [
        {
            "row": label,
            "kind": kind,
            "picture": number,
            "text": f"{key} {rows[int(number)].values[key]:.2f}, {gain(number):+.2f} to the mean at "
            f"{rows[int(number)].bin}",
        }
        for kind, number in (chosen if count else [])
    ]


def _uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
