"""Table specs: `experiments/<system>/table<k>.yaml`, one file per table of a paper.

The numbers that the paper prints stand a second time beside them, in `published.yaml`, which only the tests read.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.errors import UserError, check_choice, did_you_mean
from inpaintlab.utils import paths

PUBLISHED = "published.yaml"  # the printed numbers beside the specs, no spec itself
# The metrics that need a network (`pretrained_files.NETWORKS`): FID compares sets of pictures, LPIPS single pictures.
OF_SETS, LPIPS = ("fid", "fid_torchvision"), "lpips"
# Seconds per picture: of an evaluation, one picture at a time, and of the training, in batches.
TIMES = SECONDS, TRAINING_SECONDS = ("seconds", "training_seconds")
# A measured number counts "as published" within this distance, in the metric's unit. Two trainings, or two samples of a
# few hundred test pictures, differ by about as much.
TOLERANCES = {
    "psnr": 0.3,
    "ssim": 0.01,
    "l1_pct": 0.2,
    "l2_pct": 0.1,
    "tv_pct": 1.0,
    "fid": 1.0,
    "fid_torchvision": 1.0,
}
Values = dict[str, dict[str, float]]  # metric -> bin (or column) -> value


@dataclass(frozen=True)
class Metric:
    """A column group.

    Args:
        key: a metric of the protocol, or one of `pretrained_files.NETWORKS` or `TIMES`.
        label, decimals, unit: as printed.
        higher: whether larger values are better.
        tolerance: largest difference from a published number that counts "as published"; None uses `TOLERANCES`.
    """

    key: str
    label: str
    decimals: int
    unit: str = ""
    higher: bool = True
    tolerance: float | None = None

    @property
    def is_paired(self) -> bool:
        """Whether rows are compared picture by picture: not in FID, which compares sets, nor in times."""
        return self.key not in (*OF_SETS, *TIMES)

    @property
    def within(self) -> float:
        """The tolerance in use; 0 if none is stated."""
        return TOLERANCES.get(self.key, 0.0) if self.tolerance is None else self.tolerance


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        label: as printed.
        experiment: the run that measures it; None for a row that is only quoted.
        published: the printed numbers.
        method: the row's name in `PUBLISHED`, which tests compare with `published`.
        block: the structure that `count` is called with, in tables of kind "parameters".
        protocol: of the row, in tables of kind "protocols".
        note: shown below the table.
    """

    label: str
    experiment: str | None = None
    published: Values = field(default_factory=dict)
    method: str = ""
    block: str | None = None
    protocol: str = ""
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper about its rows: `better` is better than each row of `than`.

    Args:
        says: the statement, a sentence without its full stop.
        better: label of a row.
        than: labels of other rows; in the file, "others" means all other rows.
        metrics: keys of metrics; in the file, all metrics of the table by default.
        bins: hole sizes, "all" meaning the mean over them.
    """

    says: str
    better: str
    than: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    bins: tuple[str, ...] = ("all",)


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        id: `<system>.<name of the file>`.
        title, source: what the table shows, and where it is printed.
        rows, metrics, bins: its rows and columns; the bin "all" is the mean over the bins of the masks.
        kind: "comparison" (measured on pictures), "parameters" (counted), "quoted" (not measured here) or "protocols"
            (one experiment, measured by the protocol of each row).
        masks: config of the test holes.
        protocol: of the metrics.
        count: for parameter counts, the import path of the function that returns those of a `block`, by bin.
        reference: label of the row that the others are compared with picture by picture; None for no comparison.
        notes: shown below the table.
        claims: of the paper, checked on the printed and the measured numbers.
    """

    id: str
    title: str
    source: str
    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    bins: tuple[str, ...] = ("all",)
    kind: str = "comparison"
    masks: str = "irregular"
    protocol: str = "standard"
    count: str = ""
    reference: str | None = None
    notes: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()

    @property
    def protocols(self) -> str | list[str]:
        """The protocol, or the list of protocols, of the evaluation."""
        return [row.protocol for row in self.rows] if self.kind == "protocols" else self.protocol

    @property
    def networks(self) -> dict[str, str]:
        """Metric -> name of its network in `pretrained_files.FILES`, for the metrics that need a pretrained one."""
        return {
            metric.key: pretrained_files.NETWORKS[metric.key]
            for metric in self.metrics
            if metric.key in pretrained_files.NETWORKS
        }

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments of the rows."""
        return tuple(row.experiment for row in self.rows if row.experiment)


def known() -> dict[str, Path]:
    """Return table id -> file of all specs."""
    files = sorted(paths.experiments().glob("*/*.yaml"))
    return {f"{path.parent.name}.{path.stem}": path for path in files if path.name != PUBLISHED}


def load(id: str) -> Table:
    """Read a table and check its metrics.

    Raises:
        UserError: for an unknown table, and for a spec with a wrong key, a missing value or an unknown metric.
    """
    table = read(id)
    check_metrics(table, str(known()[id]))
    return table


def read(id: str) -> Table:
    """Read a table without checking its metrics, whose modules take seconds to import."""
    tables = known()
    if id not in tables:
        raise UserError(f"unknown table {id!r}{did_you_mean(id, tables)} Tables: {', '.join(tables)}")
    return parse(yaml.safe_load(tables[id].read_text()), str(tables[id]))


def parse(content: dict[str, Any], where: str) -> Table:
    """Make a table from the content of its YAML file.

    Args:
        where: the file, for error messages.
    """
    metrics = tuple(
        _make(Metric, {"key": key, **(options or {})}, where) for key, options in content.get("metrics", {}).items()
    )
    rows = tuple(_make(Row, row, where) for row in content.get("rows", []))
    table = _make(Table, _tuples(content) | {"metrics": metrics, "rows": rows, "claims": ()}, where)
    if not rows or not metrics:
        raise UserError(f"{where}: a table needs rows and metrics")
    if (table.kind == "parameters") != bool(table.count):
        raise UserError(
            f"{where}: a table of kind 'parameters', and no other, must give `count`, the import path of a function"
        )
    labels = [row.label for row in rows]
    if table.reference is not None and table.reference not in labels:
        raise UserError(f"{where}: reference {table.reference!r} is not a row; rows are {', '.join(labels)}")
    for row in rows:
        for key, values in row.published.items():
            if key not in {m.key for m in metrics} or set(values) != set(table.bins):
                raise UserError(f"{where}: row {row.label!r} must give {key} for the bins {', '.join(table.bins)}")
    return replace(table, claims=tuple(_claim(table, _tuples(claim), where) for claim in content.get("claims", [])))


def _claim(table: Table, content: dict[str, Any], where: str) -> Claim:
    labels = tuple(row.label for row in table.rows)
    if content.get("than") == "others":
        content["than"] = tuple(label for label in labels if label != content.get("better"))
    elif isinstance(content.get("than"), str):
        content["than"] = (content["than"],)
    keys = tuple(metric.key for metric in table.metrics)
    claim: Claim = _make(Claim, {"metrics": keys, **content}, where)
    for kind, names, known in (
        ("row", (claim.better, *claim.than), labels),
        ("metric", claim.metrics, keys),
        ("bin", claim.bins, (*table.bins, "all")),
    ):
        for name in names:
            check_choice(f"{where}: claim {claim.says!r}: the {kind}", name, dict.fromkeys(known))
    return claim


def _tuples(content: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def check_metrics(table: Table, where: str) -> None:
    """Check that the protocol exists and has the metrics of the table.

    Args:
        where: the file, for error messages.

    Raises:
        UserError: naming what is unknown.
    """
    from inpaintlab.metrics import protocols

    try:
        if table.kind == "protocols":
            protocols.find(table.protocols)
        if table.kind != "comparison":
            return
        named = (*protocols.find(table.protocol).columns, *pretrained_files.NETWORKS, *TIMES)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    for metric in table.metrics:
        if metric.key not in named:
            raise UserError(
                f"{where}: protocol {table.protocol!r} has no metric {metric.key!r}; it has {', '.join(named)}"
            )


def _make(kind: Any, content: dict[str, Any], where: str) -> Any:
    names = [f.name for f in fields(kind)]
    for key in content:
        if key not in names:
            nearest = difflib.get_close_matches(key, names, 1)
            raise UserError(f"{where}: unknown key {key!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else ""))
    try:
        return kind(**content)
    except TypeError as error:
        raise UserError(f"{where}: {error}") from None
