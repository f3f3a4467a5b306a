"""Figures of a table: results against the size of the hole, training curves, and sheets of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from inpaintlab.errors import UserError
from inpaintlab.evaluation.results import EvaluationResults, read_per_picture
from inpaintlab.tables.differences import Comparison, Differences
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Table
from inpaintlab.tracking.csv_log import read_curves
from inpaintlab.visualization import line_chart, picture_grid

SHOWN = 5  # pictures on a sheet, if none are chosen
AGAINST_HOLE = "psnr"


# ---------------------------------------------------------------------- charts
def comparisons(results: Mapping[str, Measured]) -> Iterator[Comparison]:
    """Yield what the chart against the size of the hole needs: the mean of each row in each bin."""
    for label, result in results.items():
        if not result.same_as and AGAINST_HOLE in result.values and len(result.bins) > 1:
            for bin in result.bins:
                yield Comparison(label, None, AGAINST_HOLE, bin)


def charts(table: Table, results: Mapping[str, Measured], differences: Differences) -> dict[str, Figure]:
    """Return charts by name: those that the measured rows have data for.

    Args:
        differences: with those of `comparisons`.
    """
    found = {"holes": _against_hole(results, differences)}
    if table.kind != "protocols":  # whose rows are one training
        curves = _training_curves(results)
        found["validation"] = _over_batches(curves, "val/psnr/all", "PSNR [dB]")
        found["loss"] = _over_batches(curves, "train/total", "loss, each system's own", logarithmic=True)
    return {name: figure for name, figure in found.items() if figure is not None}


def _against_hole(results: Mapping[str, Measured], differences: Differences) -> Figure | None:
    """PSNR with a 95 % interval over pictures and seeds, at the mean share of each bin."""
    lines = []
    for label in dict.fromkeys(comparison.row for comparison in comparisons(results)):
        result = results[label]
        if result.first is None:
            continue
        shares = _shares(result.first)
        order = sorted(result.bins, key=lambda bin: shares[bin])
        means = [differences[Comparison(label, None, AGAINST_HOLE, bin)] for bin in order]
        lines.append(
            line_chart.Line(
                label,
                [100 * shares[bin] for bin in order],
                [mean.mean for mean in means],
                [mean.low for mean in means],
                [mean.high for mean in means],
            )
        )
    return line_chart.chart(lines, "hole, % of the picture", "PSNR [dB], 95 % interval") if lines else None


def _shares(results: EvaluationResults) -> dict[str, float]:
    """The mean share of the hole in each bin of an evaluation."""
    by_bin: dict[str, list[float]] = {}
    for row in read_per_picture(results):
        by_bin.setdefault(row.bin, []).append(row.hole_share)
    return {bin: float(np.mean(values)) for bin, values in by_bin.items()}


def _training_curves(results: Mapping[str, Measured]) -> dict[str, dict[str, dict[int, float]]]:
    """What the training of each measured row's first seed logged: row -> metric -> {batches: value}."""
    firsts = {label: result.first for label, result in results.items() if not result.same_as}
    return {label: read_curves(first.folder.parent) for label, first in firsts.items() if first is not None}


def _over_batches(
    curves: Mapping[str, dict[str, dict[int, float]]], metric: str, y_label: str, *, logarithmic: bool = False
) -> Figure | None:
    found = {label: of_row.get(metric, {}) for label, of_row in curves.items()}
    lines = [
        line_chart.Line(label, list(curve), list(curve.values())) for label, curve in found.items() if len(curve) > 1
    ]
    return line_chart.chart(lines, "batches", y_label, logarithmic=logarithmic) if lines else None


# ---------------------------------------------------------------------- sheets
def evaluations(table: Table, results: Mapping[str, Measured]) -> dict[str, EvaluationResults]:
    """Return the first evaluation of each measured row with its own training; {} if all rows are one evaluation.

    Their pictures are shown.
    """
    if table.kind == "protocols":
        return {}
    firsts = {row.label: results[row.label].first for row in table.rows if not results[row.label].same_as}
    return {label: first for label, first in firsts.items() if first is not None}


def kept(folder: Path) -> list[str]:
    """Return the numbers of the pairs whose pictures an evaluation kept."""
    return sorted(file.name.partition("-")[0] for file in folder.glob("*-truth.png"))


def sheet(table: Table, results: Mapping[str, Measured], chosen: Sequence[int] = ()) -> Image.Image | None:
    """Return a sheet with the input, the result of each measured row and the truth; None if nothing was measured.

    Args:
        chosen: numbers of pairs; by default `SHOWN` of those that all rows kept, spread evenly.

    Raises:
        UserError: if some row did not keep a chosen pair.
    """
    places = {label: first.folder / "pictures" for label, first in evaluations(table, results).items()}
    if not places:
        return None
    common = sorted(set.intersection(*(set(kept(folder)) for folder in places.values())))
    numbers = [f"{number:06d}" for number in chosen]
    for number in numbers:
        if number not in common:
            raise UserError(f"the pictures of pair {int(number)} were not kept; choose from {_listed(common)}")
    spread = np.linspace(0, len(common) - 1, min(SHOWN, len(common))).round().astype(int)
    first = next(iter(places.values()))

    def read(folder: Path, number: str, kind: str) -> picture_grid.Picture:
        return np.asarray(Image.open(folder / f"{number}-{kind}.png"))

    rows = [
        [
            picture_grid.with_hole(read(first, number, "truth"), read(first, number, "hole")),
            *(read(folder, number, "result") for folder in places.values()),
            read(first, number, "truth"),
        ]
        for number in numbers or [common[place] for place in spread]
    ]
    return picture_grid.grid(rows, ["input", *places, "truth"]) if rows else None


def _listed(numbers: Sequence[str]) -> str:
    return ", ".join(str(int(number)) for number in numbers)
