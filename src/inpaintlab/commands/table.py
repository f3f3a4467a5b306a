"""`inpaintlab table`: measure a table, print it and write it in all formats; list and render all tables."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from inpaintlab.errors import UserError
from inpaintlab.tables.reproduce import output_folder, render_all, reproduce
from inpaintlab.utils.process import run_program


def parser() -> ArgumentParser:
    """Return the command line, without importing anything heavy."""
    p = ArgumentParser("inpaintlab table", description="Reproduce a table: train what is missing, evaluate, render.")
    p.add_argument("table", nargs="?", help="id of the table, as --list prints it")
    p.add_argument("overrides", nargs="*", help="config overrides for all rows; seed=0,1,2 trains each row three times")
    p.add_argument("--scale", default="demo", help="demo (minutes on a laptop) or paper (the real data and lengths)")
    p.add_argument("--jobs", type=int, help="train this many rows at once, each in its own process")
    p.add_argument("--list", action="store_true", help="list the tables: what is measured, what is missing")
    p.add_argument(
        "--render", action="store_true", help="render all tables from the existing results, without training"
    )
    p.add_argument(
        "--pictures", type=_numbers, default=[], metavar="N,N", help="numbers of the pairs on the sheet of pictures"
    )
    p.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="ROW=FILE",
        help="evaluate the checkpoint FILE for that row instead of training it",
    )
    p.add_argument("--publish", action="store_true", help="also update the committed pages that show this table")
    return p


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _given(arguments: Sequence[str]) -> dict[str, Path]:
    given = {}
    for argument in arguments:
        label, _, file = argument.rpartition("=")
        if not label or not file:
            raise UserError(f"--checkpoint expects ROW=FILE, got {argument!r}")
        given[label] = Path(file)
    return given


def _list(overrides: Sequence[str]) -> None:
    from inpaintlab.tables import spec, status

    print(status.overview([spec.read(id) for id in spec.known()], output_folder(overrides)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `inpaintlab table`."""
    # Overrides may come before, between and after the options: `make` puts them last.
    parsed = parser().parse_intermixed_args(arguments)

    def program() -> None:
        words = [word for word in (parsed.table, *parsed.overrides) if word]
        if parsed.render:
            render_all(words)
        elif parsed.list or not words:
            _list(words)
        elif reproduce(
            parsed.table,
            parsed.scale,
            parsed.overrides,
            publish=parsed.publish,
            given=_given(parsed.checkpoint),
            jobs=parsed.jobs,
            pictures=parsed.pictures,
        ):
            sys.exit(1)

    run_program(program)
