"""Write a table: Markdown, CSV, LaTeX, an HTML page, charts, pictures; and the index of all tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from inpaintlab.tables import csv_format, figures, html_page, text_formats
from inpaintlab.tables.report import Report
from inpaintlab.tables.spec import Table
from inpaintlab.utils.atomic_write import replacing, write_text
from inpaintlab.visualization import line_chart

REQUEST = "request.json"  # how a table was asked for, so that it can be rendered again


def write_table(folder: Path, report: Report, chosen: Sequence[int] = ()) -> str:
    """Write all forms of a table into `folder`; return the Markdown.

    Args:
        chosen: numbers of the pairs on the sheet of pictures; see `figures.sheet`.
    """
    charts = figures.charts(report.table, report.results, report.differences)
    text = text_formats.markdown(report)
    write_text(folder / "table.md", text)
    write_text(folder / "table.csv", csv_format.as_csv(report))
    write_text(folder / "table.tex", text_formats.latex(report))
    embedded = {name: line_chart.encode(figure, "svg") for name, figure in charts.items()}
    write_text(folder / "table.html", html_page.page(report, embedded))
    for name, figure in charts.items():
        for format in ("png", "pdf"):
            with replacing(folder / f"{name}.{format}") as temporary:
                temporary.write_bytes(line_chart.encode(figure, format))
    sheet = figures.sheet(report.table, report.results, chosen)
    if sheet:
        with replacing(folder / "pictures.png") as temporary:
            sheet.save(temporary, optimize=True)
    return text


def remember_request(
    folder: Path, id: str, scale: str, seeds: Sequence[int], overrides: Sequence[str], given: Mapping[str, Path]
) -> None:
    """Write down how the table in `folder` was asked for."""
    request: dict[str, Any] = {"id": id, "scale": scale, "seeds": list(seeds), "overrides": list(overrides)}
    request["given"] = {label: str(path) for label, path in given.items()}
    write_text(folder / REQUEST, json.dumps(request, indent=1) + "\n")


def read_requests(output: Path, id: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the folders below `output` that hold the table, each with what was asked for."""
    for path in sorted((output / "tables").glob(f"*/{REQUEST}")):
        request = json.loads(path.read_text())
        if request["id"] == id:
            yield path.parent, request


def write_index(entries: Sequence[tuple[Path, Table, str]], path: Path) -> None:
    """Write a page with links to the tables.

    Args:
        entries: folder, table and state of each.
        path: of the page, in the same folder as the folders of the tables.
    """
    rows = "\n".join(
        f'<tr><td><a href="{escape(folder.name)}/table.html">{escape(folder.name)}</a></td>'
        f"<td>{escape(table.title)}</td><td>{escape(table.source)}</td><td>{escape(state)}</td></tr>"
        for folder, table, state in entries
    )
    write_text(
        path,
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<link rel="icon" href="data:,">\n'
        "<title>Tables</title>\n<style>body { font: 15px/1.6 system-ui, sans-serif; margin: 24px }\n"
        "td { padding: 4px 16px 4px 0; vertical-align: top }</style>\n"
        f"<h1>Tables</h1>\n<table>\n{rows}\n</table>\n</html>\n",
    )
