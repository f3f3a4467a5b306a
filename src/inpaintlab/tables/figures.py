"""Figures of a table: results against the size of the hole, training curves, and sheets of pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from inpaintlab.errors import UserError
from inpaintlab.evaluation.results import EvaluationResults, read_per_picture
from inpaintlab.tables.bootstrap import paired
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Table
from inpaintlab.visualization import line_chart, picture_grid

SHOWN = 5  # pictures on a sheet, if none are chosen


def curves(table: Table, results: dict[str, Measured]) -> dict[str, str]:
    """SVG charts by name; those that the measured rows have data for."""
    if table.kind == "protocols":  # one training
        return {name: text for name, text in {"holes": _against_hole(results)}.items() if text}
    found = {"holes": _against_hole(results), "validation": _logged(results, "val/psnr/all", "PSNR [dB]")}
    found["loss"] = _logged(results, "train/total", "loss, each system's own", logarithmic=True)
    return {name: text for name, text in found.items() if text}


def _against_hole(results: dict[str, Measured]) -> str:
    """PSNR with a 95 % interval over pictures and seeds, at the mean share of each bin."""
    lines = []
    for label, result in results.items():
        values = result.values.get("psnr")
        if values is None or len(result.bins) < 2:
            continue
        if result.first is None:
            continue
        shares = _shares(result.first)
        order = sorted(range(len(result.bins)), key=lambda place: shares[result.bins[place]])
        means = [paired(values[:, :, place], np.zeros_like(values[:, :, place])) for place in order]
        lines.append(
            line_chart.Line(
                label,
                [100 * shares[result.bins[place]] for place in order],
                [mean.mean for mean in means],
                [mean.low for mean in means],
                [mean.high for mean in means],
            )
        )
    return line_chart.svg(lines, "hole, % of the picture", "PSNR [dB], 95 % interval") if lines else ""


def _shares(results: EvaluationResults) -> dict[str, float]:
    """The mean share of the hole in each bin of an evaluation."""
    by_bin: dict[str, list[float]] = {}
    for row in read_per_picture(results):
        by_bin.setdefault(row.bin, []).append(row.hole_share)
    return {bin: float(np.mean(values)) for bin, values in by_bin.items()}


def _logged(results: dict[str, Measured], key: str, y_label: str, *, logarithmic: bool = False) -> str:
    """What the training of each row's first seed logged under `key`."""
    lines = []
    for label, result in results.items():
        if result.first is not None:
            points = dict(_points(result.first.folder.parent, key))
            if len(points) > 1:
                lines.append(line_chart.Line(label, sorted(points), [points[step] for step in sorted(points)]))
    return line_chart.svg(lines, "batches", y_label, logarithmic=logarithmic) if lines else ""


def _points(run: Path, key: str) -> Iterator[tuple[int, float]]:
    """Steps and values; of a resumed run the newest file has the last word."""
    for path in sorted(run.glob("csv/version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1])):
        with path.open() as file:
            for line in csv.DictReader(file):
                if line.get(key):
                    yield int(line["step"]), float(line[key])


# ---------------------------------------------------------------------- sheets
def folders(table: Table, results: dict[str, Measured]) -> dict[str, Path]:
    """Where the first evaluation of each measured network keeps its pictures, by row."""
    if table.kind == "protocols":  # one network
        return {}
    firsts = {row.label: results[row.label].first for row in table.rows}
    return {label: first.folder / "pictures" for label, first in firsts.items() if first is not None}


def kept(folder: Path) -> list[str]:
    """The numbers of the pairs whose pictures an evaluation kept."""
    return sorted(file.name.partition("-")[0] for file in folder.glob("*-truth.png"))


def sheet(table: Table, results: dict[str, Measured], chosen: Sequence[int] = ()) -> Image.Image | None:
    """Input, each measured row's result and the truth; None if nothing was measured.

    Args:
        chosen: numbers of pairs; by default some of those that all rows kept.

    Raises:
        UserError: for a pair that not all rows kept.
    """
    places = folders(table, results)
    if not places:
        return None
    common = sorted(set.intersection(*(set(kept(folder)) for folder in places.values())))
    numbers = [f"{number:06d}" for number in chosen]
    for number in numbers:
        if number not in common:
            raise UserError(f"pair {int(number)} was not kept as pictures; those of all rows are {_listed(common)}")
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
