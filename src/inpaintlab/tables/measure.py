"""Measure a table: train the rows that lack a finished run and evaluate all rows on the same pairs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.utils import get_method

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.config.compose import compose_config
from inpaintlab.config.plain import digest, to_plain
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.evaluation.results import EvaluationResults, finished_evaluation
from inpaintlab.sweep.jobs import BEFORE, DONE, Launcher, run_jobs
from inpaintlab.tables import wandb_table
from inpaintlab.tables.cells import is_comparable
from inpaintlab.tables.given_checkpoints import config_of_given, evaluate_given
from inpaintlab.tables.results import Measured, by_protocol, fill, with_training_time
from inpaintlab.tables.spec import SECONDS, TRAINING_SECONDS, Row, Table
from inpaintlab.training import record
from inpaintlab.utils.process import explain

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class _Run:
    """One training of a row.

    Args:
        row, seed: what is trained.
        overrides: of `inpaintlab train`.
        config: composed from them.
        label: in front of progress bars and errors.
        same_as: label of the row whose training this is; "" if the row has its own.
    """

    row: Row
    seed: int
    overrides: list[str]
    config: DictConfig
    label: str
    same_as: str = ""

    @property
    def folder(self) -> Path:
        return run_folder(self.config)


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
        scale: name of the scale.
        seeds: of the trainings of each row.
        overrides: config overrides for all rows.
        given: row label -> checkpoint that is evaluated instead of training the row.
        launcher: trains and evaluates the rows, each in its own process; None does it here, one after another.
        train: whether to train and evaluate what is missing; otherwise existing results are only read.

    Raises:
        UserError: if an override is wrong, before anything is trained, or if rows were evaluated on different pairs.
    """
    if table.kind == "parameters":
        return {row.label: Measured(counts=_count(table, row)) for row in table.rows}
    if table.kind == "quoted":
        return {row.label: Measured() for row in table.rows}
    given = given or {}
    runs = _runs(table, scale, seeds, overrides, given)
    absent = ask_for_metrics(table, [run.config for run in runs])
    failed = _launch(table, runs, launcher) if launcher is not None and runs else {}
    results = {row.label: Measured() for row in table.rows}
    for run in runs:
        _measure_run(table, run, results[run.row.label], failed.get(run.folder), train)
    for label, path in given.items():
        config, system = config_of_given(table, scale, overrides, label)
        absent = ask_for_metrics(table, [config])
        results[label] = evaluate_given(config, path, system, f"{label}, evaluating {path.name}")
    for label, result in results.items():
        if result.summaries:
            result.absent = absent
            fill(result, label)
    wandb_table.log(table, results, comparable=is_comparable(scale, overrides))
    _require_same_pairs(table, results)
    return by_protocol(table, results[table.rows[0].label]) if table.kind == "protocols" else results


def _runs(
    table: Table, scale: str, seeds: Sequence[int], overrides: Sequence[str], given: Mapping[str, Path]
) -> list[_Run]:
    """The trainings that the table needs, with their configs."""
    rows = [row for row in table.rows if row.experiment and row.label not in given]
    if table.kind == "protocols":
        rows = rows[:1]  # one evaluation measures them all
    jobs = [(row, seed) for row in rows for seed in seeds]
    runs = []
    for number, (row, seed) in enumerate(jobs, 1):
        own = [
            f"experiment={row.experiment}",
            f"masks={table.masks}",
            f"scale={scale}",
            *(wandb_table.overrides(table, row, seed) if "logger=wandb" in overrides else []),
            *overrides,
            f"seed={seed}",
        ]
        label = f"row {number} of {len(jobs)}: {row.label}" + (f", seed {seed}" if len(seeds) > 1 else "")
        runs.append(_Run(row, seed, own, compose_config(own), label))
    return list(_share_trainings(runs))


def _share_trainings(runs: Sequence[_Run]) -> Iterator[_Run]:
    """Give runs whose configs are equal but for their names the config, and so the training, of the first of them."""
    firsts: dict[str, _Run] = {}
    for run in runs:
        content = to_plain(run.config)
        for key in ("name", "logger"):  # the logger's settings name the row
            del content[key]
        first = firsts.setdefault(digest(content), run)
        if first is run:
            yield run
        else:
            yield replace(run, overrides=first.overrides, config=first.config, same_as=first.row.label)


def ask_for_metrics(table: Table, configs: Sequence[DictConfig]) -> dict[str, str]:
    """Turn on the table's metrics in the configs; return metric -> why it cannot be measured."""
    absent = {}
    for config in configs:
        for metric, network in table.networks.items():
            absent[metric] = pretrained_files.missing(network, config.weights[network])
            config.evaluation[metric] = not absent[metric]
        config.evaluation.protocol = table.protocols
        config.evaluation.seconds = any(metric.key == SECONDS for metric in table.metrics)
    return {metric: reason for metric, reason in absent.items() if reason}


def _launch(table: Table, runs: Sequence[_Run], launcher: Launcher) -> dict[Path, str]:
    """Train and evaluate the runs through the launcher; return folder -> reason of those that are not finished."""
    wanted = runs[0].config.evaluation
    names = table.protocols if isinstance(table.protocols, str) else f"[{','.join(table.protocols)}]"
    asked = [f"evaluation.{metric}={wanted[metric]}" for metric in (*pretrained_files.NETWORKS, SECONDS)]
    test = [f"evaluation.protocol={names}", *asked, "evaluate=true"]
    jobs = run_jobs([[*run.overrides, *test] for run in runs if not run.same_as], launcher)
    return {job.folder: job.reason or job.state for job in jobs if job.state not in (DONE, BEFORE)}


def _measure_run(table: Table, run: _Run, result: Measured, failure: str | None, train: bool) -> None:
    """Put the results of a run into those of its row, or the reason why there are none.

    Args:
        failure: why the launcher did not finish the run, or None.
        train: whether to train and evaluate if there are no results yet.
    """
    result.same_as = run.same_as
    try:
        if failure is not None:
            raise UserError(failure)
        results = _read(run.config) or (_train(run.config, run.label) if train else None)
        if results is None:
            return
        if TRAINING_SECONDS in {metric.key for metric in table.metrics}:
            results = with_training_time(results, run.folder)
        result.record = record.read(run.folder)
        result.summaries[run.seed] = results
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        result.missing = sentence
        print(f"{run.label}: not available: {sentence}", file=sys.stderr)


def _require_same_pairs(table: Table, results: Mapping[str, Measured]) -> None:
    digests = {summary.pairs_digest for result in results.values() for summary in result.summaries.values()}
    if len(digests) > 1:
        raise UserError(f"the rows of {table.id} were evaluated on different pairs ({', '.join(sorted(digests))})")


def _read(config: DictConfig) -> EvaluationResults | None:
    """The results of a run that is finished and evaluated, or None."""
    folder = run_folder(config)
    return finished_evaluation(to_plain(config), folder) if record.finished_run(folder) else None


def _train(config: DictConfig, label: str) -> EvaluationResults:
    """Train and evaluate one run, unless that is done."""
    from inpaintlab.evaluation.run import evaluate_run
    from inpaintlab.training import run

    folder = run_folder(config)
    if not record.finished_run(folder):
        run.run_training(config, f"{label}, training")
    return evaluate_run(to_plain(config), folder, label=f"{label}, evaluating")


def _count(table: Table, row: Row) -> dict[str, float]:
    """Return the parameter counts of the row's structure, by bin."""
    count: Callable[[str | None], dict[str, float]] = get_method(table.count)
    return count(row.block)
