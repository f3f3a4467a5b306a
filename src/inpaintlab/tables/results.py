"""The measured numbers of a row, read from the files of its evaluations and trainings."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inpaintlab.errors import UserError
from inpaintlab.evaluation.results import EvaluationResults, read_per_picture
from inpaintlab.metrics import protocols
from inpaintlab.tables.spec import LPIPS, TRAINING_SECONDS, Table
from inpaintlab.training.record import RunRecord

AUTHORS = "authors' weights"
NO_TRAINING = "no training"

Value = TypeVar("Value")


@dataclass
class Measured:
    """What is known about one row.

    Args:
        summaries: seed -> the results of its evaluation.
        values: metric -> (seeds, pictures, bins), in the order of the pairs; for metrics that are means over pictures.
        bins: the third axis of `values`.
        record: of the training of the last seed that was read; None if nothing was measured.
        counts: column -> number of parameters, for tables that count them.
        missing: why there is no number; "" if there is one or none is expected.
        absent: metric -> why this metric is missing.
        same_as: label of the earlier row whose training this row shares, since their configs are equal but for their
            names; "" if it has its own.
    """

    summaries: dict[int, EvaluationResults] = field(default_factory=dict)
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    bins: tuple[str, ...] = ()
    record: RunRecord | None = None
    counts: dict[str, float] = field(default_factory=dict)
    missing: str = ""
    absent: dict[str, str] = field(default_factory=dict)
    same_as: str = ""

    @property
    def first(self) -> EvaluationResults | None:
        """The results of the first seed, or None if nothing was measured."""
        return next(iter(self.summaries.values()), None)

    @property
    def origin(self) -> str:
        """Where the weights come from: "trained here", "authors' weights", "no training", or "" if not measured."""
        if self.first is None:
            return ""
        if not self.first.checkpoint:
            return NO_TRAINING
        return "trained here" if self.record is not None and self.record.batches else AUTHORS

    @property
    def parameters(self) -> int | None:
        """Number of the generator's parameters, or None if nothing was measured."""
        return self.record.parameters if self.record is not None else None

    @property
    def remarks(self) -> list[str]:
        """What a reader must know about the training; see `InpaintingModule.remarks`."""
        return self.record.remarks if self.record is not None else []

    def mean(self, metric: str, bin: str) -> float | None:
        """The number of a cell: the mean over the seeds of their evaluations' numbers, or None if not measured."""
        if self.counts:
            return self.counts[bin]
        numbers = [results.means.get(bin, {}).get(metric) for results in self.summaries.values()]
        return None if not numbers or None in numbers else float(np.mean([n for n in numbers if n is not None]))

    def per_picture(self, metric: str, bin: str) -> NDArray[np.float64] | None:
        """(seeds, pictures), or None if the metric was not measured or is not a mean over pictures."""
        values = self.values.get(metric)
        if values is None or (bin != "all" and bin not in self.bins):
            return None
        return values.mean(2) if bin == "all" else values[:, :, self.bins.index(bin)]


def fill(result: Measured, label: str) -> None:
    """Read the values of single pictures into `result.values`.

    Args:
        label: of the row, for the message.

    Raises:
        UserError: if the pictures have unequal numbers of holes.
    """
    first = result.first
    assert first is not None
    tables = [read_per_picture(results) for results in result.summaries.values()]
    result.bins = tuple(dict.fromkeys(row.bin for row in tables[0]))
    columns = protocols.find(first.protocol).columns
    means = [name for name, column in columns.items() if column.is_mean]
    for metric in means + [LPIPS] * (LPIPS in tables[0][0].values):
        flat = np.array([[row.values[metric] for row in rows] for rows in tables])
        if flat.shape[1] % len(result.bins):
            raise UserError(f"{label}: the pictures of {tables[0][0].picture} ... have unequal numbers of holes")
        result.values[metric] = flat.reshape(len(tables), -1, len(result.bins))


def by_protocol(table: Table, whole: Measured) -> dict[str, Measured]:
    """Split one evaluation by all protocols into the rows; `protocols.find` defines the names of its columns."""
    found = {}
    for row in table.rows:
        prefix = "" if row is table.rows[0] else f"{row.protocol}/"
        summaries = {
            seed: replace(
                results,
                means={bin: _of_protocol(prefix, means) for bin, means in results.means.items()},
                protocol=row.protocol,
            )
            for seed, results in whole.summaries.items()
        }
        found[row.label] = replace(whole, summaries=summaries, values=_of_protocol(prefix, whole.values))
    return found


def _of_protocol(prefix: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """The metrics whose names begin with `prefix`, without it."""
    kept = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    return {key: value for key, value in kept.items() if "/" not in key}


def with_training_time(results: EvaluationResults, run: Path) -> EvaluationResults:
    """Add the seconds per training picture to all bins: the median over the logged batches, waiting for data included.

    The results stay as they are if no logged batch has a speed.

    Args:
        run: the folder of the training.
    """
    rates = []
    for path in run.glob("csv/*/metrics.csv"):
        with path.open() as file:
            rates += [float(line.get("speed/pictures_per_second") or "nan") for line in csv.DictReader(file)]
    known = [rate for rate in rates if rate > 0]
    if not known:
        return results
    seconds = {TRAINING_SECONDS: 1 / float(np.median(known))}
    return replace(results, means={bin: values | seconds for bin, values in results.means.items()})
