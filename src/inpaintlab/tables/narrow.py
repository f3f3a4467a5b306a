"""A table in five columns, for pages that are not as wide as the full form."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from inpaintlab.tables.above import TRIVIAL
from inpaintlab.tables.bootstrap import Difference
from inpaintlab.tables.results import NO_TRAINING
from inpaintlab.tables.spec import Metric, Row, Table
from inpaintlab.tables.text_formats import compared, grid, interval, number

HEADINGS = ["metric", "", "published", "measured"]


def narrow(table: Table, file: Path) -> str:
    """The table as Markdown with one line per metric, bin and row, and at most two lines below it.

    Args:
        file: the CSV file of the table, as `csv_format.as_csv` writes it.
    """
    with file.open(newline="") as stream:
        records = {(r["metric"], r["bin"], r["row"]): r for r in csv.DictReader(stream)}
    labels = _labels(table, list(records.values()))
    head = [*HEADINGS, f"against {table.reference} [95 %]"] if table.reference else HEADINGS
    body = [
        _line(table, metric, bin, shown, records[metric.key, bin, label])
        for metric in table.metrics
        for bin in table.bins
        for label, shown in labels.items()
    ]
    title = f"**{table.id}: {table.title}** ({table.source})"
    return "\n".join([title, "", *grid(head, body), "", *_notes(table, list(records.values()))]) + "\n"


def _labels(table: Table, records: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The rows that are shown, with their text: those of the table, the trivial fills, and the best fill in PSNR."""
    labels = {}
    for row in table.rows:
        other = next((record.get("same_training_as") for record in records if record["row"] == row.label), "")
        labels[row.label] = f"{row.label} (same training as {other})" if other else row.label
    fills = [record for record in records if record["origin"] == NO_TRAINING]
    psnr = {r["row"]: float(r["measured"]) for r in fills if r["metric"] == "psnr" and r["bin"] == table.bins[-1]}
    chosen = {*TRIVIAL, max(psnr, key=lambda label: psnr[label], default="")}
    return labels | {record["row"]: f"*{record['row']}*" for record in fills if record["row"] in chosen}


def _line(table: Table, metric: Metric, bin: str, label: str, record: Mapping[str, str]) -> list[str]:
    name = metric.label + (f" [{metric.unit}]" if metric.unit else "") + ("" if bin == "all" else f" {bin}")
    published, measured, mean, low, high = (
        float(record[key]) if record[key] else None
        for key in ("published", "measured", "against_reference", "low", "high")
    )
    line = [name, label, number(published, metric.decimals), number(measured, metric.decimals)]
    if table.reference is None:
        return line
    against = None if mean is None or low is None or high is None else Difference(mean, low, high)
    row = Row(record["row"])
    return [*line, interval(row, metric.decimals, against, table.reference) if compared(table, metric) else ""]


def _notes(table: Table, records: Sequence[Mapping[str, str]]) -> list[str]:
    """The conditions without which the numbers must not be read."""
    measured = [record for record in records if record["pairs"] and record["origin"] != NO_TRAINING]
    if not measured:
        return []
    scale, seeds, pairs, commit = (
        " / ".join(dict.fromkeys(record[key] for record in measured)) for key in ("scale", "seeds", "pairs", "commit")
    )
    conditions = (
        f"- Scale `{scale}`, seed {', '.join(seeds.split())}, {pairs} pairs of picture and hole, commit {commit}."
    )
    if scale == "demo":
        conditions += " Compare rows with each other, not with the published numbers."
    if any(record["origin"] == NO_TRAINING for record in records):
        conditions += " Rows in italics need no training."
    if table.reference is None:
        return [conditions]
    return [
        conditions,
        f"- Against {table.reference}: mean paired difference with its 95 % bootstrap interval, in bold if it excludes "
        "zero.",
    ]
