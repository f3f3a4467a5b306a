"""What is known about a row of a table, read from what its evaluations and trainings wrote."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaintlab.errors import UserError
from inpaintlab.metrics import protocols
from inpaintlab.tables.spec import LPIPS, TRAINING_SECONDS, Table

AUTHORS = "authors' weights"


@dataclass
class Measured:
    """What is known about one row.

    Args:
        summaries: per seed, the content of `metrics.json`.
        values: metric -> (seeds, pictures, bins), in the order of the pairs; of metrics that are means over pictures.
        bins: the third axis of `values`.
        record: `run.json` of the first seed.
        counts: for tables of parameters, the counted numbers by column.
        missing: why there is no number, if there is none.
        absent: metric -> why that one is missing.
    """

    summaries: dict[int, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    bins: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    missing: str = ""
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Whose weights the numbers are from; authors' weights come without a training."""
        if not self.summaries:
            return ""
        return "trained here" if self.record["batches"] else AUTHORS

    def mean(self, metric: str, bin: str) -> float | None:
        """The number of a cell: the mean over the seeds of what the evaluations say, or None if it was not measured."""
        if self.counts:
            return self.counts[bin]
        numbers = [summary["means"].get(bin, {}).get(metric) for summary in self.summaries.values()]
        return None if not numbers or None in numbers else float(np.mean(numbers))

    def per_picture(self, metric: str, bin: str) -> NDArray[np.float64] | None:
        """(seeds, pictures), or None if it was not measured or is not a mean over pictures."""
        values = self.values.get(metric)
        if values is None or (bin != "all" and bin not in self.bins):
            return None
        return values.mean(2) if bin == "all" else values[:, :, self.bins.index(bin)]


def fill(result: Measured, label: str) -> None:
    """Read the per-picture values into arrays (seeds, pictures, bins)."""
    tables = []
    for summary in result.summaries.values():
        with (Path(summary["folder"]) / "per_picture.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    result.bins = tuple(dict.fromkeys(line["bin"] for line in tables[0]))
    protocol = protocols.find(next(iter(result.summaries.values()))["protocol"])
    means = [name for name, column in protocol.columns.items() if column.is_mean]
    for metric in means + [LPIPS] * (LPIPS in tables[0][0]):
        flat = np.array([[float(line[metric]) for line in lines] for lines in tables])
        if flat.shape[1] % len(result.bins):
            raise UserError(f"{label}: the pictures of {tables[0][0]['picture']} ... have unequal numbers of holes")
        result.values[metric] = flat.reshape(len(tables), -1, len(result.bins))


def by_protocol(table: Table, whole: Measured) -> dict[str, Measured]:
    """One evaluation by all protocols, taken apart into the rows; see `protocols.find` for the names of its columns."""
    results = {}
    for row in table.rows:
        prefix = "" if row is table.rows[0] else f"{row.protocol}/"

        def own(values: Mapping[str, Any], prefix: str = prefix) -> dict[str, Any]:
            kept = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
            return {key: value for key, value in kept.items() if "/" not in key}

        summaries = {
            seed: summary | {"means": {bin: own(m) for bin, m in summary["means"].items()}, "protocol": row.protocol}
            for seed, summary in whole.summaries.items()
        }
        results[row.label] = replace(whole, summaries=summaries, values=own(whole.values))
    return results


def add_training_time(summary: dict[str, Any], folder: Path) -> None:
    """The median over the logged batches, waiting for data included; nothing if too few were logged."""
    rates = []
    for path in folder.glob("csv/*/metrics.csv"):
        with path.open() as file:
            rates += [float(line.get("speed/pictures_per_second") or "nan") for line in csv.DictReader(file)]
    known = [rate for rate in rates if rate > 0]
    for values in summary["means"].values() if known else ():
        values[TRAINING_SECONDS] = 1 / float(np.median(known))
