"""The folder of a run and the key of an evaluation, derived from the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from inpaintlab.checkpoints.pretrained_files import NETWORKS
from inpaintlab.config.plain import digest, drop_key, get_key, to_plain, without_hydra

# Keys that are left out of the digest in a run's folder: they do not change the training, except for the seeds, which
# have a sub-folder each.
NOT_IN_RUN_NAME = (
    "seed",
    "model.seed",
    "data.seed",
    "data.pictures.scan_cache",
    "trainer",
    "logger",
    "output",
    "masks",
    "evaluate",
    "evaluation",
    "data.test_holes",
    "data.pairs_seed",
    "data.pairing",
    "data.manifest",
    "data.max_failed",
    "data.test_masks_in_training",
    "data.workers",
    *(f"weights.{network}" for network in NETWORKS.values()),
)

# The trainer's options that change the training, with the values that turn them off. Others enter the digest.
OFF = {"accumulate": 1, "clip_norm": None, "average": None}

EVALUATION = ("data.pictures", "data.geometry", "data.test_holes", "data.pairs_seed", "evaluation.protocol")
NOT_IN_EVALUATION = ("on_broken", "scan_cache")  # options of data.pictures that do not change the pairs


def register_resolvers() -> None:
    """Make `${run_name:}`, `${run_system:}` and `${run_subfolder:}` available in configs; safe to call repeatedly."""
    OmegaConf.register_new_resolver("run_name", _run_name, replace=True)
    OmegaConf.register_new_resolver("run_system", lambda: HydraConfig.get().runtime.choices["model"], replace=True)
    OmegaConf.register_new_resolver("run_subfolder", lambda *, _root_: str(_subfolder(_root_)), replace=True)


def _run_name() -> str:
    choices = HydraConfig.get().runtime.choices
    return choices["experiment"] or f"{choices['model']}_{choices['data']}"


def run_folder(config: DictConfig) -> Path:
    """`<output>/<name>/<scale>-<digest of the config>/seed<seed>`: without a time stamp, so that a run can continue."""
    return Path(str(config.output)) / _subfolder(config)


def _subfolder(config: DictConfig) -> Path:
    content = to_plain(without_hydra(config))
    learning = {key: content["trainer"][key] for key, off in OFF.items() if content["trainer"][key] != off}
    for key in NOT_IN_RUN_NAME:
        drop_key(content, key)
    if learning:
        content["trainer"] = learning
    return Path(str(config.name)) / f"{config.scale.name}-{digest(content)}" / f"seed{config.seed}"


def evaluation_key(config: dict[str, Any]) -> str:
    """Eight characters that identify the pairs, the protocol and the networks of an evaluation.

    Args:
        config: plain, with the keys `data`, `evaluation` and `weights`.
    """
    content = {key: get_key(config, key) for key in EVALUATION}
    pictures: dict[str, Any] = content["data.pictures"]
    content["data.pictures"] = {key: pictures[key] for key in pictures if key not in NOT_IN_EVALUATION}
    pairing = config["data"].get("pairing", "every_bin")
    if pairing != "every_bin":
        content["data.pairing"] = pairing
    if config["evaluation"].get("average"):
        content["evaluation.average"] = True
    for metric, network in NETWORKS.items():
        if get_key(config, f"evaluation.{metric}"):
            content[f"weights.{network}"] = get_key(config, f"weights.{network}")
    if get_key(config, "evaluation.seconds"):
        content["evaluation.seconds"] = True
    return digest(content)
