"""Fill the cells of a table: train the rows that lack a finished run, evaluate all on the same pairs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.config.compose import compose_config
from inpaintlab.config.plain import to_plain
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.sweep.jobs import BEFORE, DONE, Launcher, run_jobs
from inpaintlab.tables import wandb_table
from inpaintlab.tables.results import AUTHORS, Measured, add_training_time, by_protocol, fill
from inpaintlab.tables.spec import SECONDS, TRAINING_SECONDS, Row, Table
from inpaintlab.utils.process import explain


def measure(
    table: Table,
    scale: str,
    seeds: Sequence[int],
    overrides: Sequence[str],
    given: Mapping[str, Path] | None = None,
    launcher: Launcher | None = None,
    *,
    train: bool = True,
) -> dict[str, Measured]:
    """Measure all rows, by label. A row that fails says why and leaves the others alone.

    Args:
        given: checkpoints by row label; such a row is evaluated, not trained.
        launcher: trains and evaluates the rows, each in a process of its own; None does it here, one after another.
        train: whether to train and evaluate what is not there; otherwise it is only read.

    Raises:
        UserError: if an override is wrong, before anything is trained, or if rows were evaluated on different pairs.
    """
    if table.kind == "parameters":
        return {row.label: Measured(counts=_count(table, row)) for row in table.rows}
    if table.kind == "quoted":
        return {row.label: Measured() for row in table.rows}
    given = given or {}
    rows = [row for row in table.rows if row.experiment and row.label not in given]
    if table.kind == "protocols":
        rows = rows[:1]  # one evaluation measures them all
    jobs = [(row, seed) for row in rows for seed in seeds]
    job_overrides = [
        [
            f"experiment={row.experiment}",
            f"masks={table.masks}",
            f"scale={scale}",
            *(wandb_table.overrides(table, row, seed) if "logger=wandb" in overrides else []),
            *overrides,
            f"seed={seed}",
        ]
        for row, seed in jobs
    ]
    composed = [compose_config(of_job) for of_job in job_overrides]
    absent = _prepare(table, composed)
    lost: dict[Path, str] = {}
    if launcher is not None and composed:
        wanted = to_plain(composed[0])["evaluation"]
        names = table.protocols if isinstance(table.protocols, str) else f"[{','.join(table.protocols)}]"
        asked = [f"evaluation.{metric}={wanted[metric]}" for metric in (*pretrained_files.NETWORKS, SECONDS)]
        test = [f"evaluation.protocol={names}", *asked, "evaluate=true"]
        runs = run_jobs([[*of_job, *test] for of_job in job_overrides], launcher)
        lost = {run.folder: run.reason or run.state for run in runs if run.state not in (DONE, BEFORE)}
    results = {row.label: Measured() for row in table.rows}
    for number, ((row, seed), config) in enumerate(zip(jobs, composed, strict=True), 1):
        part = f"row {number} of {len(jobs)}: {row.label}" + (f", seed {seed}" if len(seeds) > 1 else "")
        try:
            if run_folder(config) in lost:
                raise UserError(lost[run_folder(config)])
            summary = _read(config) or (_train(config, part) if train else None)
            if summary is None:
                continue
            if TRAINING_SECONDS in {metric.key for metric in table.metrics}:
                add_training_time(summary, run_folder(config))
            results[row.label].summaries[seed] = summary
            results[row.label].record = json.loads((run_folder(config) / "run.json").read_text())
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                raise
            results[row.label].missing = sentence
            print(f"{part}: not available: {sentence}", file=sys.stderr)
    for label, path in given.items():
        first = next(row.experiment for row in table.rows if row.experiment)
        own = next(row.experiment for row in table.rows if row.label == label)
        config, of_row = (
            compose_config([f"experiment={name}", f"masks={table.masks}", f"scale={scale}", *overrides])
            for name in (first, own or first)
        )
        system = of_row.system if own else None
        absent = _prepare(table, [config])
        results[label] = _evaluated(config, path, system, f"{label}, evaluating {path.name}")
    for label, result in results.items():
        if result.summaries:
            result.absent = absent
            fill(result, label)
    wandb_table.log(table, results)
    digests = {summary["pairs_digest"] for result in results.values() for summary in result.summaries.values()}
    if len(digests) > 1:
        raise UserError(f"the rows of {table.id} were evaluated on different pairs ({', '.join(sorted(digests))})")
    if table.kind == "protocols":
        return by_protocol(table, results[table.rows[0].label])
    return results


def with_given(table: Table, given: Mapping[str, Path]) -> tuple[Table, dict[str, Path]]:
    """The table and its checkpoints, where each checkpoint of authors' weights has got a row of its own.

    A row is trained here or it is the authors'; the published number stands in both. The row that such a checkpoint
    was given for is no longer measured.

    Raises:
        UserError: for a row that the table does not have.
    """
    from inpaintlab.checkpoints import checkpoint

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


def _prepare(table: Table, composed: Sequence[Any]) -> dict[str, str]:
    """Say in the configs what the table wants measured; why a metric cannot be, by metric."""
    absent = {}
    for config in composed:
        for metric, network in table.networks.items():
            absent[metric] = pretrained_files.missing(network, config.weights[network])
            config.evaluation[metric] = not absent[metric]
        config.evaluation.protocol = table.protocols
        config.evaluation.seconds = any(metric.key == SECONDS for metric in table.metrics)
    return {metric: reason for metric, reason in absent.items() if reason}


def _read(config: Any) -> dict[str, Any] | None:
    """The content of `metrics.json`, if the run is finished and evaluated: it does not change any more."""
    from inpaintlab.evaluation.run import finished_evaluation
    from inpaintlab.training.run import finished_run

    folder = run_folder(config)
    if not finished_run(folder):
        return None
    return finished_evaluation(to_plain(config), folder)


def _train(config: Any, part: str) -> dict[str, Any]:
    """Train and evaluate one run, as far as that is not done; the content of its `metrics.json`."""
    from inpaintlab.evaluation.run import evaluate_run
    from inpaintlab.training.run import finished_run, run_training

    folder = run_folder(config)
    if not finished_run(folder):
        run_training(config, f"{part}, training")
    return evaluate_run(to_plain(config), folder, label=f"{part}, evaluating")


def _evaluated(config: Any, path: Path, system: str | None, label: str) -> Measured:
    """Evaluate a checkpoint that is given, one of the row's system, on the pairs that `config` describes."""
    from inpaintlab.checkpoints import checkpoint
    from inpaintlab.evaluation.run import evaluate_checkpoint
    from inpaintlab.utils.device import resolve_device

    test = to_plain(config)
    device = resolve_device(test["trainer"]["accelerator"])
    restored = checkpoint.load(path, system=system, device=device)
    folder = Path(test["output"]) / "checkpoints" / f"{path.stem}-{restored.digest()}"
    summary = evaluate_checkpoint(restored, test, folder, device=device, label=label)
    record = {
        "batches": restored.batches,
        "parameters": sum(p.numel() for p in restored.generator.parameters()),
        "precision": {"precision": "as in the checkpoint"},
        "device": device,
        "conditions": summary["conditions"],
        "remarks": [f"evaluated from {path.name} (weights {restored.digest()}), not trained by this command"],
    }
    return Measured({int(summary["seed"]): summary}, record=record)


def _count(table: Table, row: Row) -> dict[str, float]:
    """Counted parameters of a structure; the network's file knows how."""
    network = importlib.import_module(f"inpaintlab.networks.{table.id.partition('.')[0]}")
    return network.parameter_counts(row.block)
