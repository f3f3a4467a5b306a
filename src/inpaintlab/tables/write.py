"""What is written for a table: Markdown, CSV, LaTeX, an HTML page, charts, pictures; and the index of all tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from inpaintlab.tables import cells, claims, figures, footnotes, html_page, text_formats
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Table
from inpaintlab.utils.atomic_write import replacing, write_text

REQUEST = "request.json"  # how a table was asked for, so that it can be rendered again


def write_table(
    folder: Path,
    table: Table,
    results: dict[str, Measured],
    scale: str,
    overrides: Sequence[str] = (),
    chosen: Sequence[int] = (),
) -> str:
    """Write all forms of a table into `folder`; the Markdown is returned.

    Args:
        results: by row label.
        overrides: what was changed from the configs.
        chosen: numbers of the pairs on the sheet of pictures.
    """
    comparable = cells.is_comparable(scale, overrides)
    found = cells.cells(table, results, comparable)
    below = footnotes.footnotes(table, results, scale, overrides, comparable=comparable)
    answers, charts = claims.check(table, results), figures.curves(table, results)
    text = text_formats.markdown(table, results, found, below, answers)
    write_text(folder / "table.md", text)
    write_text(folder / "table.csv", text_formats.as_csv(table, results, found, scale))
    write_text(folder / "table.tex", text_formats.latex(table, results, found, below))
    write_text(folder / "table.html", html_page.page(table, results, found, below, answers, charts))
    for name, chart in charts.items():
        write_text(folder / f"{name}.svg", chart)
    sheet = figures.sheet(table, results, chosen)
    if sheet:
        with replacing(folder / "pictures.png") as temporary:
            sheet.save(temporary, optimize=True)
    return text


def remember_request(
    folder: Path, id: str, scale: str, seeds: Sequence[int], overrides: Sequence[str], given: Mapping[str, Path]
) -> None:
    """Note how the table in `folder` is made."""
    request: dict[str, Any] = {"id": id, "scale": scale, "seeds": list(seeds), "overrides": list(overrides)}
    request["given"] = {label: str(path) for label, path in given.items()}
    write_text(folder / REQUEST, json.dumps(request, indent=1) + "\n")


def read_requests(output: Path, id: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folders below `output` in which the table was made, with what was asked for."""
    for path in sorted((output / "tables").glob(f"*/{REQUEST}")):
        request = json.loads(path.read_text())
        if request["id"] == id:
            yield path.parent, request


def write_index(entries: Sequence[tuple[Path, Table, str]], path: Path) -> None:
    """A page that links the tables.

    Args:
        entries: folder, table and state of each.
        path: of the page; the folders lie beside it.
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
