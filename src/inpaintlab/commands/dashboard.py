"""`inpaintlab dashboard`: draw curves, last samples and results of runs."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.tracking.dashboard import CURVES, run
from inpaintlab.utils.process import run_program

if TYPE_CHECKING:
    pass


def parser() -> ArgumentParser:
    """The command line; built without importing anything heavy."""
    p = ArgumentParser("inpaintlab dashboard", description="Draw offline W&B runs: curves, samples, result tables.")
    p.add_argument("runs", nargs="+", type=Path, help="folders of runs, or folders that hold some")
    p.add_argument("--out", required=True, type=Path, help="the PNG file to write")
    p.add_argument("--curves", nargs="+", default=CURVES, help="names of curves; those that no run has are left out")
    return p


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab dashboard`."""
    parsed = parser().parse_args(arguments)
    run_program(lambda: run(parsed.runs, parsed.out, parsed.curves))
