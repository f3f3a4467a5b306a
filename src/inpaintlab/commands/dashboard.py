"""`inpaintlab dashboard`: draw the curves, the last samples and the results of runs."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from inpaintlab.tracking.dashboard import CURVES, find_runs, read_run, write_dashboard
from inpaintlab.utils.process import run_program


def parser() -> ArgumentParser:
    """Return the command line, without importing anything heavy."""
    p = ArgumentParser("inpaintlab dashboard", description="Draw the curves, the last samples and the results of runs.")
    p.add_argument("runs", nargs="+", type=Path, help="folders of runs, or folders that contain some")
    p.add_argument("--out", required=True, type=Path, help="the PNG or PDF file to write")
    p.add_argument("--curves", nargs="+", default=CURVES, help="metrics to draw; those that no run has are left out")
    return p


def _results(run: Path) -> dict[str, dict[str, float]]:
    """The means over all pairs of each evaluation of a run, by its protocols and the digest of its pairs."""
    from inpaintlab.evaluation.results import read_results

    evaluations = [read_results(folder) for folder in sorted(run.glob("evaluation-*"))]
    return {
        f"{' '.join(found.protocols)}, {found.pairs} pairs {found.pairs_digest}": found.means["all"]
        for found in evaluations
        if found
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `inpaintlab dashboard`."""
    parsed = parser().parse_args(arguments)

    def program() -> None:
        folders = find_runs(parsed.runs)
        write_dashboard([read_run(folder, _results(folder)) for folder in folders], parsed.out, parsed.curves)
        print(f"{len(folders)} runs drawn to {parsed.out}")

    run_program(program)
