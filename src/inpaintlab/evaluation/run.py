"""Evaluate checkpoints, finished runs and fills without training; existing results are read, not computed again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from inpaintlab.checkpoints import checkpoint
from inpaintlab.config.run_folder import evaluation_key
from inpaintlab.evaluation import evaluator, inputs
from inpaintlab.evaluation.ranking import EXTREMES
from inpaintlab.evaluation.results import EvaluationResults, finished_evaluation, read_results, write_results
from inpaintlab.utils import provenance
from inpaintlab.utils.atomic_write import require_writable
from inpaintlab.utils.device import resolve_device
from inpaintlab.utils.progress import Bar

if TYPE_CHECKING:
    from inpaintlab.checkpoints.checkpoint import Restored
    from inpaintlab.data.pairs import PairSet
    from inpaintlab.evaluation.evaluator import Evaluation
    from inpaintlab.evaluation.inputs import MetricNetworks
    from inpaintlab.evaluation.subject import Subject
    from inpaintlab.networks.generator import InpaintingGenerator


def evaluate_subject(
    subject: Subject,
    test: dict[str, Any],
    folder: Path,
    *,
    split: str = "test",
    device: str | torch.device = "cpu",
    label: str = "",
    same_files: bool = False,
) -> EvaluationResults:
    """Evaluate and write the results folder; results of the same weights that are there already are only read.

    Args:
        subject: the generator and its origin.
        test: plain data with the keys that `config.run_folder.evaluation_key` reads.
        folder: the results go to `folder/evaluation-<key>`.
        label: in front of the progress bar.
        same_files: evaluate again if a picture or mask file has changed since; the files must be there.

    Raises:
        FileNotFoundError, UserError: if a file is missing or `data.manifest` names other pairs; see `read_results`.
    """
    out = folder / f"evaluation-{evaluation_key(test)}"
    if split != "test":
        out = out.with_name(f"{out.name}-{split}")
    results = read_results(out)
    if results is not None and same_files and results.files != _files_now(test, split):
        print(f"pictures or masks have changed since {out} was written; evaluating again", flush=True)
        results = None
    if results is None or results.weights != subject.digest():
        _evaluate(subject, test, out, split, device, label or f"evaluating {subject.system}")
    results = read_results(out, test["data"].get("manifest") if split == "test" else None)
    assert results is not None
    return results


def evaluate_run(
    config: dict[str, Any], folder: Path, *, device: str | torch.device | None = None, label: str = ""
) -> EvaluationResults:
    """Evaluate the last checkpoint of a finished run, unless that is done.

    Args:
        config: of the run, plain.
        folder: of the run.
        device: None takes the one that the run was trained on.
        label: in front of the progress bar.
    """
    known = finished_evaluation(config, folder)
    if known is not None:  # a finished run does not change: no need to open its checkpoint
        return known
    device = device or resolve_device(config["trainer"]["accelerator"])
    return evaluate_subject(_last(config, folder, device), config, folder, device=device, label=label)


def evaluate_run_together(config: dict[str, Any], folder: Path, *, device: torch.device, rank: int, world: int) -> None:
    """Evaluate as `evaluate_run` does, in all processes of a training: each takes its share and the first one writes.

    Args:
        config, folder: of the run.
        device: of this process.
        rank, world: the number of this process, and of all processes.
    """
    if finished_evaluation(config, folder) is None:
        restored = _last(config, folder, device)
        out = folder / f"evaluation-{evaluation_key(config)}"
        _evaluate(restored, config, out, "test", device, f"evaluating {restored.system}", rank, world)


def _last(config: dict[str, Any], folder: Path, device: str | torch.device) -> Restored:
    path = folder / "checkpoints" / checkpoint.LAST
    return checkpoint.load(path, average=config["evaluation"]["average"], device=device)


def _files_now(test: dict[str, Any], split: str) -> str:
    """The digest of the files as they are now; the manifest, which may name other pairs, is compared later."""
    here = inputs.build_data({"data": test["data"] | {"manifest": None}})
    return inputs.files_digest(here.pairs(split))


def _evaluate(
    subject: Subject,
    test: dict[str, Any],
    out: Path,
    split: str,
    device: str | torch.device,
    label: str,
    rank: int = 0,
    world: int = 1,
) -> None:
    require_writable(out, below=out.parent)
    data = inputs.build_data(test)
    options = test["evaluation"]
    networks = inputs.metric_networks(test, device)
    pairs = data.pairs(split)
    if rank == 0:  # before the work, so that an error here does not lose it
        seen, files = inputs.masks_seen(subject, data.test_holes), inputs.files_digest(pairs)
    evaluation = _evaluate_pairs(subject.generator, pairs, networks, options, data.workers, device, label, rank, world)
    if rank:
        return
    if options["seconds"]:
        device = device if subject.file else "cpu"  # on which fills compute
        evaluation.seconds = evaluator.seconds_per_picture(subject.generator, pairs, device)
    results = EvaluationResults(
        folder=out,
        means=evaluation.means(),
        pairs=len(evaluation.pairs),
        pairs_digest=evaluation.pairs_digest(),
        system=subject.system,
        name=subject.name,
        scale=subject.scale,
        seed=subject.seed,
        batches=subject.batches,
        checkpoint=subject.file,
        weights=subject.digest(),
        average=options["average"],
        protocol=options["protocol"],
        split=split,
        size=data.geometry.size,
        pictures=type(data.pictures).__name__,
        test_masks_in_training=seen,
        files=files,
        precision="32",
        conditions=provenance.conditions(),
        networks=networks.origins(),
        timed_on=provenance.processor(str(device)) if options["seconds"] else None,
    )
    write_results(results, evaluation)


def _evaluate_pairs(
    generator: InpaintingGenerator,
    pairs: PairSet,
    networks: MetricNetworks,
    options: dict[str, Any],
    workers: int,
    device: str | torch.device,
    label: str,
    rank: int,
    world: int,
) -> Evaluation:
    with Bar(label, len(range(rank, len(pairs), world)), quiet=rank > 0) as bar:
        return evaluator.evaluate_pairs(
            generator,
            pairs,
            protocol=options["protocol"],
            more=networks.columns(),
            extractors=networks.extractors,
            batch_size=options["batch_size"],
            keep=options["keep"],
            extremes=EXTREMES if options["keep"] else 0,
            workers=workers,
            device=device,
            rank=rank,
            world=world,
            progress=lambda done, total: bar.update(done),
        )
