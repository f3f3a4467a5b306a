"""Read the CSV files that every training writes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

PATTERN = "csv/version_*/metrics.csv"  # below the folder of a run; a resumed run adds a version
NOT_METRICS = ("step", "epoch")


def read_curves(run: Path) -> dict[str, dict[int, float]]:
    """Return metric -> {batches: value} of a run, {} if it has logged nothing.

    A batch that was trained again after an interruption has the value of the newest file.
    """
    curves: dict[str, dict[int, float]] = {}
    for path in sorted(run.glob(PATTERN), key=_version):
        for batches, metric, value in _values(path):
            curves.setdefault(metric, {})[batches] = value
    return {metric: dict(sorted(curve.items())) for metric, curve in curves.items()}


def _version(path: Path) -> int:
    return int(path.parent.name.removeprefix("version_"))


def _values(path: Path) -> Iterator[tuple[int, str, float]]:
    """Yield the entries of a file: batches, metric and value."""
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            if not line["step"]:  # a line that was cut when its process was killed
                continue
            for metric, text in line.items():
                if text and metric not in NOT_METRICS:
                    yield int(line["step"]), metric, float(text)
