"""`inpaintlab table`: measure a table, print it, and write it with a sheet of pictures."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.errors import UserError
from inpaintlab.programs import run_program

if TYPE_CHECKING:
    from inpaintlab.tables.measure import Measured
    from inpaintlab.tables.spec import Table

SHOWN = 5  # pictures on the sheet


def parser() -> ArgumentParser:
    """The command line; built without importing anything heavy."""
    p = ArgumentParser("inpaintlab table", description="Reproduce a table: train what is missing, evaluate, render.")
    p.add_argument("table", nargs="?", help="msanet.table3, say")
    p.add_argument("overrides", nargs="*", help="config overrides for all rows; seed=0,1,2 trains each row three times")
    p.add_argument("--scale", default="demo", help="demo (minutes on a laptop) or paper (the real data and lengths)")
    p.add_argument("--list", action="store_true", help="list the tables")
    p.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="ROW=FILE",
        help="evaluate FILE in that row, do not train it",
    )
    p.add_argument("--publish", action="store_true", help="also update the committed pages that show this table")
    return p


def reproduce(
    id: str,
    scale: str = "demo",
    overrides: Sequence[str] = (),
    *,
    publish: bool = False,
    given: Mapping[str, Path] | None = None,
) -> int:
    """Measure and render a table into `<output>/tables/<id>-<scale>/`.

    Args:
        publish: update the committed pages too.
        given: see `measure.measure`.

    Returns:
        The number of rows that could not be measured.
    """
    from inpaintlab.atomic import require_writable, write_text
    from inpaintlab.tables import cells, claims, conditions, render, spec
    from inpaintlab.tables.measure import measure, with_given
    from inpaintlab.tables.publish import update_pages

    table, given = with_given(spec.load(id), given or {})
    seeds, rest = _split_seeds(overrides)
    output = next((o.partition("=")[2] for o in reversed(rest) if o.startswith("output=")), "runs")
    folder = require_writable(Path(output) / "tables" / _folder_name(id, scale, rest))
    results = measure(table, scale, seeds, rest, given)
    comparable = cells.is_comparable(scale, rest)
    found = cells.cells(table, results, comparable)
    below = conditions.conditions(table, results, scale, rest, comparable=comparable)
    text = render.markdown(table, results, found, below, claims.check(table, results))
    write_text(folder / "table.md", text)
    write_text(folder / "table.csv", render.as_csv(table, results, found, scale))
    write_text(folder / "table.tex", render.latex(table, results, found, below))
    _sheet(table, results, folder / "pictures.png")
    print(
        f"\n{text}\nwritten to {folder}/table.md, .csv, .tex"
        + (" and pictures.png" if (folder / "pictures.png").exists() else "")
    )
    if publish:
        for page in update_pages(id, scale, folder):
            print(f"updated {page}")
    return sum(bool(result.missing) for result in results.values())


def _sheet(table: Table, results: dict[str, Measured], path: Path) -> None:
    """Input, each measured row's result and the truth, for the pictures that the evaluations kept."""
    rows = [row for row in table.rows if results[row.label].summaries]
    if not rows:
        return
    import numpy as np
    from PIL import Image

    from inpaintlab import grids
    from inpaintlab.atomic import replacing

    folders = [Path(next(iter(results[row.label].summaries.values()))["folder"]) / "pictures" for row in rows]
    kept = sorted(file.name.partition("-")[0] for file in folders[0].glob("*-truth.png"))
    chosen = [kept[i] for i in np.linspace(0, len(kept) - 1, min(SHOWN, len(kept))).round().astype(int)]

    def read(folder: Path, number: str, kind: str) -> grids.Picture:
        return np.asarray(Image.open(folder / f"{number}-{kind}.png"))

    sheet = grids.grid(
        [
            [
                grids.with_hole(read(folders[0], number, "truth"), read(folders[0], number, "hole")),
                *(read(folder, number, "result") for folder in folders),
                read(folders[0], number, "truth"),
            ]
            for number in chosen
        ],
        ["input", *(row.label for row in rows), "truth"],
    )
    with replacing(path) as temporary:
        sheet.save(temporary, optimize=True)


def _split_seeds(overrides: Sequence[str]) -> tuple[list[int], list[str]]:
    seeds, rest = [0], []
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "seed":
            rest.append(override)
            continue
        if not re.fullmatch(r"\d+(,\d+)*", value):
            raise UserError(f"seed={value} must be whole numbers separated by commas, seed=0,1,2 say")
        seeds = list(dict.fromkeys(int(part) for part in value.split(",")))
    return seeds, rest


def _given(arguments: Sequence[str]) -> dict[str, Path]:
    given = {}
    for argument in arguments:
        label, _, file = argument.rpartition("=")
        if not label or not file:
            raise UserError(f"--checkpoint {argument} must be ROW=FILE")
        given[label] = Path(file)
    return given


def _folder_name(id: str, scale: str, overrides: Sequence[str]) -> str:
    extra = [o for o in overrides if not o.startswith("output=")]
    return "-".join([id, scale, *(re.sub(r"[^\w.=]+", "_", o) for o in extra)])[:120]


def _list() -> None:
    from inpaintlab.tables import spec

    for id in spec.known():
        table = spec.read(id)
        runs = f"{len(table.experiments)} of {len(table.rows)} rows can be measured" if table.experiments else "counted"
        print(f"{id:16} {table.title} ({runs})")


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab table`."""
    # Intermixed: overrides may stand before, between and behind the options, as `make` puts them.
    parsed = parser().parse_intermixed_args(arguments)

    def program() -> None:
        if parsed.list or not parsed.table:
            _list()
        elif reproduce(
            parsed.table, parsed.scale, parsed.overrides, publish=parsed.publish, given=_given(parsed.checkpoint)
        ):
            sys.exit(1)

    run_program(program)


if __name__ == "__main__":
    main()
