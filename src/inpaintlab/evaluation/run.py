"""Evaluate checkpoints and finished runs, and reuse results that are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inpaintlab.checkpoints.pretrained_files import NETWORKS
from inpaintlab.config.run_folder import evaluation_key
from inpaintlab.evaluation.results import read_results

if TYPE_CHECKING:
    import torch

    from inpaintlab.checkpoints.checkpoint import Restored


EXTREMES = 2  # best and as many worst pictures that are kept beside those that are spread over the pairs


def evaluate_checkpoint(
    restored: Restored,
    test: dict[str, Any],
    folder: Path,
    *,
    split: str = "test",
    device: str | torch.device = "cpu",
    label: str = "",
    rank: int = 0,
    world: int = 1,
    same_files: bool = False,
) -> dict[str, Any]:
    """Evaluate and write the results folder; one of the same weights that is there already is only read.

    Args:
        restored: the generator and its training config.
        test: plain data with `data` and `evaluation`; what `config.evaluation_key` reads.
        folder: the results go to `folder/evaluation-<key>`.
        rank, world: with several processes each evaluates its share, and the first one writes.
        same_files: evaluate again if a picture or a mask file has changed since; their folders must be there.

    Returns:
        The content of `metrics.json`, with the results' folder under "folder".

    Raises:
        FileNotFoundError, UserError: if `data.manifest` names other pairs; see `read`.
    """
    out = folder / f"evaluation-{evaluation_key(test)}"
    if split != "test":
        out = out.with_name(f"{out.name}-{split}")
    summary = read_results(out)
    if summary is not None and same_files:
        from inpaintlab.evaluation.inputs import build_data, files_digest

        here = build_data({"data": test["data"] | {"manifest": None}}).pairs(split)  # which is looked at below
        if summary.get("files") != files_digest(here):
            print(f"pictures or masks are not those of {out}; evaluating again", flush=True)
            summary = None
    if summary is None or summary["weights"] != restored.digest():
        _evaluate(restored, test, out, split, device, label or f"evaluating {restored.system}", rank, world)
        if rank:
            return {}
    summary = read_results(out, test["data"].get("manifest") if split == "test" else None)
    assert summary is not None
    return summary


def evaluate_run(
    config: dict[str, Any],
    folder: Path,
    *,
    device: str | torch.device | None = None,
    label: str = "",
    rank: int = 0,
    world: int = 1,
) -> dict[str, Any]:
    """Evaluate the last checkpoint of a finished run, as far as that is not done.

    Args:
        config: of the run, plain.
        folder: of the run.
        device: None takes what the run was trained on.
        rank, world: see `evaluate_checkpoint`.
    """
    known = finished_evaluation(config, folder)
    if known is not None:  # a finished run does not change: no need to open its checkpoint
        return known
    from inpaintlab.checkpoints import checkpoint
    from inpaintlab.utils.device import resolve_device

    device = device or resolve_device(config["trainer"]["accelerator"])
    last = folder / "checkpoints" / checkpoint.LAST
    restored = checkpoint.load(last, average=config["evaluation"]["average"], device=device)
    return evaluate_checkpoint(restored, config, folder, device=device, label=label, rank=rank, world=world)


def finished_evaluation(config: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """What `evaluate_run` returns, if that is done; None if not.

    Raises:
        FileNotFoundError, UserError: if `data.manifest` names other pairs; see `read`.
    """
    return read_results(folder / f"evaluation-{evaluation_key(config)}", config["data"].get("manifest"))


def _evaluate(
    restored: Restored,
    test: dict[str, Any],
    out: Path,
    split: str,
    device: str | torch.device,
    label: str,
    rank: int,
    world: int,
) -> None:
    from inpaintlab.checkpoints import pretrained_files
    from inpaintlab.evaluation import evaluator
    from inpaintlab.evaluation.evaluator import evaluate_pairs
    from inpaintlab.evaluation.inputs import build_data, files_digest, inceptions, masks_seen
    from inpaintlab.evaluation.results import write_results
    from inpaintlab.metrics import lpips
    from inpaintlab.utils import provenance
    from inpaintlab.utils.atomic_write import require_writable
    from inpaintlab.utils.progress import Bar

    require_writable(out)
    data = build_data(test)
    options = test["evaluation"]
    extractors = {metric: network.to(device) for metric, network in inceptions(test).items()}
    perceptual = pretrained_files.lpips(test["weights"]["alexnet"]).to(device) if options[lpips.KEY] else None
    pairs = data.pairs(split)
    if rank == 0:  # before the work, lest it be lost
        of_files = {
            "test_masks_in_training": masks_seen(restored, data.test_holes),
            "files": files_digest(pairs),
        }
    with Bar(label, len(range(rank, len(pairs), world)), quiet=rank > 0) as bar:
        result = evaluate_pairs(
            restored.generator,
            pairs,
            protocol=options["protocol"],
            more={lpips.KEY: lpips.column(perceptual)} if perceptual else {},
            extractors=extractors,
            batch_size=options["batch_size"],
            keep=options["keep"],
            extremes=EXTREMES if options["keep"] else 0,
            workers=data.workers,
            device=device,
            rank=rank,
            world=world,
            progress=lambda done, total: bar.update(done),
        )
    if rank:
        return
    if options["seconds"]:
        result.seconds = evaluator.seconds_per_picture(restored.generator, pairs, device)
    training = restored.config
    conditions = {
        "system": restored.system,
        "name": training["name"],
        "scale": training["scale"]["name"],
        "seed": training["seed"],
        "batches": restored.batches,
        "checkpoint": restored.path.name,
        "weights": restored.digest(),
        "average": options["average"],
        "protocol": options["protocol"],
        **{NETWORKS[metric]: network.origin for metric, network in extractors.items()},
        **({"alexnet": perceptual.origin} if perceptual else {}),
        **({"timed_on": provenance.processor(str(device))} if options["seconds"] else {}),
        "split": split,
        "size": data.geometry.size,
        "pictures": type(data.pictures).__name__,
        **of_files,
        "precision": "32",
        "conditions": provenance.conditions(),
    }
    write_results(out, result, conditions)
