"""Rows of a table whose checkpoint is given: evaluated, not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.checkpoints import checkpoint
from inpaintlab.config.compose import compose_config
from inpaintlab.config.plain import to_plain
from inpaintlab.errors import UserError
from inpaintlab.tables.results import AUTHORS, Measured
from inpaintlab.tables.spec import Table
from inpaintlab.training import record
from inpaintlab.utils.device import resolve_device

if TYPE_CHECKING:
    from omegaconf import DictConfig


def with_given(table: Table, given: Mapping[str, Path]) -> tuple[Table, dict[str, Path]]:
    """Give every checkpoint of authors' weights its own row; return the table and row label -> checkpoint.

    The new row and the row that the checkpoint was given for both show the published number, and the latter is no
    longer measured. A checkpoint that was trained here stays in its row.

    Args:
        given: row label -> checkpoint.

    Raises:
        UserError: for a row that the table does not have.
    """
    labels = [row.label for row in table.rows]
    for label in given:
        if label not in labels:
            raise UserError(f"{table.id} has no row {label!r}; its rows are {', '.join(labels)}")
    rows, paths = [], {}
    for row in table.rows:
        path = given.get(row.label)
        if path is None or checkpoint.read(path)["batches_done"]:
            rows.append(row)
            label = row.label
        else:
            label = f"{row.label}, {AUTHORS}"
            rows += [replace(row, experiment=None), replace(row, label=label, note="")]
        if path is not None:
            paths[label] = path
    return replace(table, rows=tuple(rows)), paths


def config_of_given(table: Table, scale: str, overrides: Sequence[str], label: str) -> tuple[DictConfig, str | None]:
    """The config that describes the test pairs for a given checkpoint, and the system that it must be of, if known."""
    first = next(row.experiment for row in table.rows if row.experiment)
    own = next(row.experiment for row in table.rows if row.label == label)
    config, of_row = (
        compose_config([f"experiment={name}", f"masks={table.masks}", f"scale={scale}", *overrides])
        for name in (first, own or first)
    )
    return config, of_row.system if own else None


def evaluate_given(config: DictConfig, path: Path, system: str | None, label: str) -> Measured:
    """Evaluate a given checkpoint on the pairs that `config` describes.

    Args:
        system: refuse a checkpoint of any other.
    """
    from inpaintlab.evaluation.run import evaluate_subject

    test = to_plain(config)
    device = resolve_device(test["trainer"]["accelerator"])
    restored = checkpoint.load(path, system=system, device=device)
    folder = Path(test["output"]) / "checkpoints" / f"{path.stem}-{restored.digest()}"
    results = evaluate_subject(restored, test, folder, device=device, label=label)
    of_run = record.RunRecord(
        state=record.FINISHED,
        name=results.name,
        scale=results.scale,
        seed=results.seed,
        batches=restored.batches,
        remarks=[f"evaluated from {path.name} (weights {restored.digest()}), not trained by this command"],
        parameters=sum(p.numel() for p in restored.generator.parameters()),
        precision=record.Precision("as in the checkpoint", channels_last=False, why="not trained by this command"),
        compiled=False,
        device=device,
        test_masks_in_training=results.test_masks_in_training,
        conditions=results.conditions,
    )
    return Measured({results.seed: results}, record=of_run)
