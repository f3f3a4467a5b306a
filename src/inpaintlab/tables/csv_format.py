"""A report as CSV, which keeps every number and the conditions of its measurement."""

from __future__ import annotations

import csv
import io
from typing import Any

from inpaintlab.tables.cells import Cell
from inpaintlab.tables.report import Report
from inpaintlab.tables.text_formats import NONE, mark


def as_csv(report: Report) -> str:
    """Return one line per cell, with the conditions of its measurement."""
    records = [_record(report, cell) for cell in report.cells]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _record(report: Report, cell: Cell) -> dict[str, Any]:
    result, against = report.result(cell.row), cell.against
    trained = cell.row.label not in report.fills
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
        "above": mark(report, cell.row, cell.metric, cell.bin).replace(NONE, ""),
        "same_training_as": result.same_as,
        "scale": report.scale if cell.measured is not None else "",
        "protocol": first.protocol if first else "",
        "data": f"{first.pictures} {first.split} {first.size} px" if first else "",
        "seeds": " ".join(map(str, result.summaries)) if trained else "",
        "pairs": first.pairs if first else "",
        "pairs_digest": first.pairs_digest if first else "",
        "parameters": result.parameters or "",
        "commit": first.conditions.commit if first else "",
        "missing": result.missing or result.absent.get(cell.metric.key, ""),
    }


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
