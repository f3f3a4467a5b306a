"""Evaluate a checkpoint: `python -m inpaintlab.evaluate checkpoint=runs/.../last.ckpt [data=folder data.root=...]`.

Nothing but the checkpoint is needed: pictures, geometry and holes are those of its training, unless given.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra

from inpaintlab import config as configs
from inpaintlab import paths
from inpaintlab.errors import UserError
from inpaintlab.programs import ending_with_a_sentence, run_program
from inpaintlab.weights import NETWORKS

if TYPE_CHECKING:
    import torch
    from omegaconf import DictConfig

    from inpaintlab.checkpoint import Restored

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
    out = folder / f"evaluation-{configs.evaluation_key(test)}"
    if split != "test":
        out = out.with_name(f"{out.name}-{split}")
    summary = read(out)
    if summary is not None and same_files:
        from inpaintlab import evaluated

        here = evaluated.build({"data": test["data"] | {"manifest": None}}).pairs(split)  # which is looked at below
        if summary.get("files") != evaluated.files_digest(here):
            print(f"pictures or masks are not those of {out}; evaluating again", flush=True)
            summary = None
    if summary is None or summary["weights"] != restored.digest():
        _evaluate(restored, test, out, split, device, label or f"evaluating {restored.system}", rank, world)
        if rank:
            return {}
    summary = read(out, test["data"].get("manifest") if split == "test" else None)
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
    known = finished(config, folder)
    if known is not None:  # a finished run does not change: no need to open its checkpoint
        return known
    from inpaintlab import checkpoint, precision

    device = device or precision.device(config["trainer"]["accelerator"])
    last = folder / "checkpoints" / checkpoint.LAST
    restored = checkpoint.load(last, average=config["evaluation"]["average"], device=device)
    return evaluate_checkpoint(restored, config, folder, device=device, label=label, rank=rank, world=world)


def finished(config: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """What `evaluate_run` returns, if that is done; None if not.

    Raises:
        FileNotFoundError, UserError: if `data.manifest` names other pairs; see `read`.
    """
    return read(folder / f"evaluation-{configs.evaluation_key(config)}", config["data"].get("manifest"))


def read(folder: Path, manifest: str | None = None) -> dict[str, Any] | None:
    """The content of a finished evaluation's `metrics.json`, with its folder under "folder"; None if there is none.

    Args:
        manifest: a file of the pairs that must have been evaluated; None takes any.

    Raises:
        FileNotFoundError, UserError: if there is no such manifest, or it names other pairs.
    """
    path = folder / "metrics.json"
    if not path.exists():
        return None
    summary = json.loads(path.read_text()) | {"folder": str(folder)}
    if manifest is not None:
        from inpaintlab.data.pairs import digest, read_manifest

        named = digest(read_manifest(manifest))
        if named != summary["pairs_digest"]:
            raise UserError(
                f"{manifest} names other pairs ({named}) than those evaluated in {folder} "
                f"({summary['pairs_digest']}): give another data.manifest, or remove that folder to evaluate again"
            )
    return summary


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
    from inpaintlab import evaluated, evaluation, record, weights
    from inpaintlab.atomic import require_writable
    from inpaintlab.metrics import lpips
    from inpaintlab.progress import Bar

    require_writable(out)
    data = evaluated.build(test)
    options = test["evaluation"]
    extractors = {metric: network.to(device) for metric, network in evaluated.inceptions(test).items()}
    perceptual = weights.lpips(test["weights"]["alexnet"]).to(device) if options[lpips.KEY] else None
    pairs = data.pairs(split)
    if rank == 0:  # before the work, lest it be lost
        of_files = {
            "test_masks_in_training": evaluated.masks_seen(restored, data.test_holes),
            "files": evaluated.files_digest(pairs),
        }
    with Bar(label, len(range(rank, len(pairs), world)), quiet=rank > 0) as bar:
        result = evaluation.evaluate(
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
        result.seconds = evaluation.seconds_per_picture(restored.generator, pairs, device)
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
        **({"timed_on": record.processor(str(device))} if options["seconds"] else {}),
        "split": split,
        "size": data.geometry.size,
        "pictures": type(data.pictures).__name__,
        **of_files,
        "precision": "32",
        "conditions": record.conditions(),
    }
    evaluation.write(out, result, conditions)


def run(config: DictConfig) -> dict[str, Any]:
    """The evaluation that `conf/evaluate.yaml` and the overrides describe."""
    from omegaconf import OmegaConf

    from inpaintlab import checkpoint, precision
    from inpaintlab.metrics import protocols

    if OmegaConf.is_missing(config, "checkpoint"):
        raise UserError("checkpoint is not set: give it as checkpoint=FILE")
    protocols.find(config.evaluation.protocol)
    device = precision.device(config.device)
    restored = checkpoint.load(config.checkpoint, average=config.evaluation.average, device=device)
    trained = restored.config["data"]
    OmegaConf.set_struct(config, False)
    if config.get("masks") is None:
        config.masks = {"train": trained["train_holes"], "test": trained["test_holes"]}
    if config.get("data") is None:
        config.data = {**trained, "train_holes": "${masks.train}", "test_holes": "${masks.test}"}
    test = configs.plain(config)
    folder = Path(config.out) if config.out else restored.path.parent
    return evaluate_checkpoint(restored, test, folder, split=config.split, device=device, same_files=True)


@hydra.main(config_path=str(paths.conf()), config_name="evaluate", version_base="1.3")
def _hydra(config: DictConfig) -> None:
    with ending_with_a_sentence():
        result = run(config)
    bins = list(result["means"])
    metrics = list(result["means"]["all"])
    protocol = result["protocol"] if isinstance(result["protocol"], str) else ", ".join(result["protocol"])
    print(
        f"{result['name']} seed {result['seed']}, {result['batches']} batches, scale {result['scale']}: "
        f"{result['pairs']} pairs ({result['pairs_digest']}), protocol {protocol}"
        + "".join(f", {metric} by {result[name]}" for metric, name in NETWORKS.items() if name in result)
    )
    width = max(10, *(len(metric) + 1 for metric in metrics))
    print(" " * width + "".join(f"{bin:>10}" for bin in bins))
    for metric in metrics:
        print(f"{metric:{width}}" + "".join(f"{result['means'][bin][metric]:10.4f}" for bin in bins))
    print(f"written to {result['folder']}")


def main() -> None:
    """The program behind `inpaintlab evaluate` and `python -m inpaintlab.evaluate`."""
    configs.register_resolvers()
    run_program(_hydra, lambda: configs.check(sys.argv[1:], "evaluate"))


if __name__ == "__main__":
    main()
