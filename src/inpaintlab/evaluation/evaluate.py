"""Evaluate a checkpoint or a fill without training, from the options of `inpaintlab evaluate` or from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from inpaintlab.checkpoints import checkpoint as checkpoints
from inpaintlab.config.compose import compose_config
from inpaintlab.config.plain import to_plain, without_hydra
from inpaintlab.data.holes.mask_files import POLARITIES
from inpaintlab.errors import UserError, check_choice
from inpaintlab.evaluation.results import EvaluationResults
from inpaintlab.evaluation.run import evaluate_subject
from inpaintlab.evaluation.subject import untrained
from inpaintlab.metrics import protocols
from inpaintlab.utils.device import resolve_device

Means = dict[str, dict[str, float]]


def evaluate(
    checkpoint: str | Path,
    pictures: str | Path | None = None,
    masks: str | Path | None = None,
    *,
    polarity: str = "white_hole",
    out: str | Path | None = None,
    device: str = "auto",
    overrides: Sequence[str] = (),
) -> Means:
    """Measure a checkpoint on pictures with holes, in float32.

    Results are also written to a folder, with the metrics of every picture, the pairs and some filled pictures. If that
    folder holds them already, and neither weights nor files have changed, they are read.

    Args:
        checkpoint: the file.
        pictures: a folder with a sub-folder `test`, or without sub-folders `train` and `test`: then all its pictures
            are taken, at 256 pixels unless `overrides` say otherwise. None takes the test pictures of the training
            config, at its size.
        masks: a folder of mask files, one for each picture and of the same name without the suffix; needs `pictures`.
            None takes the test holes of the training config.
        polarity: what a mask file marks: "white_hole" or "black_hole".
        out: the results go to a sub-folder of it; None takes the folder of the checkpoint.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".
        overrides: any options of `inpaintlab evaluate`, for example "evaluation.protocol=edgeconnect".

    Returns:
        The metrics by range of the hole's share of the picture ("0.1-0.2", for example) and, under "all", their mean
        over the ranges. With the standard protocol: "psnr" (dB), "ssim", "l1_pct" and "l2_pct" (per cent).

    Raises:
        FileNotFoundError, UserError: if a file is missing, an option is unknown, or masks are given without pictures.
    """
    if masks is not None and pictures is None:
        raise UserError(f"masks={str(masks)!r} without pictures: give the folder of the pictures that they belong to")
    check_choice("polarity", polarity, POLARITIES)
    options = [_override("checkpoint", checkpoint), _override("device", device)]
    options.append(_override("output", Path(checkpoint).parent if out is None else out))  # not the current folder
    if out is not None:
        options.append(_override("out", out))
    if pictures is not None:
        options += ["data=folder", _override("data.root", pictures)]
        if not any((Path(pictures) / split).is_dir() for split in ("train", "test")):
            options.append("data.pictures.test=.")
    if masks is not None:
        options += ["masks=folder", _override("masks.root", masks), f"masks.polarity={polarity}"]
        options.append("data.pairing=same_name")
    return evaluate_config(compose_config([*options, *overrides], "evaluate")).means


def _override(key: str, value: str | Path) -> str:
    """KEY=VALUE with a quoted value, since Hydra gives commas, blanks and brackets a meaning."""
    quoted = str(value).replace("\\'", "\\\\'").replace("'", "\\'")
    return f"{key}='{quoted}'"


def evaluate_config(config: DictConfig) -> EvaluationResults:
    """Evaluate what `conf/evaluate.yaml` and the overrides describe.

    Raises:
        FileNotFoundError, UserError: if a file is missing or an option is unknown.
    """
    if (config.checkpoint is None) == (config.method is None):
        if config.method is not None:
            raise UserError("checkpoint and method exclude each other: give one of checkpoint=FILE and method=NAME")
        raise UserError("checkpoint is not set: give it as checkpoint=FILE, or a fill without training as method=NAME")
    protocols.find(config.evaluation.protocol)
    return _evaluate_checkpoint(config) if config.method is None else _evaluate_fill(config)


def _evaluate_checkpoint(config: DictConfig) -> EvaluationResults:
    device = resolve_device(config.device)
    restored = checkpoints.load(config.checkpoint, average=config.evaluation.average, device=device)
    test = _with_trained_data(config, restored.config["data"])
    folder = Path(config.out) if config.out else restored.path.parent
    return evaluate_subject(restored, test, folder, split=config.split, device=device, same_files=True)


def _evaluate_fill(config: DictConfig) -> EvaluationResults:
    subject = untrained(config.method)
    for group in ("data", "masks"):
        if config.get(group) is None:
            raise UserError(f"method={config.method} has no training config that names {group}: give {group}=NAME")
    if config.evaluation.average:
        raise UserError(f"method={config.method} has no weights to average: leave evaluation.average out")
    test = to_plain(config)
    folder = Path(config.out) if config.out else subject.folder(config.output)
    device = resolve_device(config.device)
    return evaluate_subject(subject, test, folder, split=config.split, device=device, same_files=True)


def _with_trained_data(config: DictConfig, trained: dict[str, Any]) -> dict[str, Any]:
    """Return the evaluation's config as plain data, with the data of the training where the user gives none.

    The training's config comes from the checkpoint, that is, perhaps from a stranger. It is never part of a config
    whose references are resolved, and its `scan_cache`, a file to be written, is left out.
    """
    config = without_hydra(config)  # a copy, since the caller may evaluate with it again
    own_masks, own_data = config.get("masks") is not None, config.get("data") is not None
    if not own_masks:
        config.masks = {"train": None, "test": None}  # the data of the user's choice refer to them
    test = to_plain(config)
    holes = {"train_holes": "train", "test_holes": "test"}
    if not own_data:
        pictures = {key: value for key, value in trained["pictures"].items() if key != "scan_cache"}
        test["data"] = {**trained, "pictures": pictures}
        if own_masks:
            test["data"] |= {name: test["masks"][part] for name, part in holes.items()}
    elif not own_masks:
        test["data"] |= {name: trained[name] for name in holes if test["data"].get(name) is None}
    return test
