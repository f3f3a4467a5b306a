"""The inputs of an evaluation: its data, its networks, and whether files changed or test masks were trained on."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.checkpoints.stored_config import build
from inpaintlab.data.holes.overlap import masks_are_shared
from inpaintlab.data.holes.source import HoleSource
from inpaintlab.data.pairs import PairSet
from inpaintlab.metrics import lpips, protocols

if TYPE_CHECKING:
    import torch

    from inpaintlab.data.datamodule import InpaintingData
    from inpaintlab.evaluation.subject import Subject
    from inpaintlab.metrics.lpips import Lpips
    from inpaintlab.networks.extractors.inception import Inception, InceptionOfTorchvision


@dataclass(frozen=True)
class MetricNetworks:
    """The pretrained networks that some metrics need.

    Args:
        extractors: metric, a kind of FID -> its network.
        perceptual: the network of LPIPS, or None.
    """

    extractors: dict[str, Inception | InceptionOfTorchvision]
    perceptual: Lpips | None

    def columns(self) -> dict[str, protocols.Column]:
        """The metrics of single pictures that need a network."""
        return {lpips.KEY: lpips.column(self.perceptual)} if self.perceptual else {}

    def origins(self) -> dict[str, str]:
        """Option of `weights` -> where the weights of that network come from."""
        networks = {**self.extractors, **({lpips.KEY: self.perceptual} if self.perceptual else {})}
        return {pretrained_files.NETWORKS[metric]: network.origin for metric, network in networks.items()}


def metric_networks(test: dict[str, Any], device: str | torch.device = "cpu") -> MetricNetworks:
    """The networks of the metrics that `test["evaluation"]` asks for.

    Raises:
        FileNotFoundError, UserError: if a file of weights is missing or is not the file that its name says.
    """
    options, weights = test["evaluation"], test["weights"]
    extractors: dict[str, Inception | InceptionOfTorchvision] = {}
    if options["fid"]:
        extractors["fid"] = pretrained_files.inception(weights["inception"]).to(device)
    if options["fid_torchvision"]:
        extractors["fid_torchvision"] = pretrained_files.inception_torchvision(weights["inception_torchvision"])
        extractors["fid_torchvision"].to(device)
    perceptual = pretrained_files.lpips(weights["alexnet"]).to(device) if options[lpips.KEY] else None
    return MetricNetworks(extractors, perceptual)


def build_data(test: dict[str, Any]) -> InpaintingData:
    """The data of an evaluation, without the training masks, which may be missing on this machine."""
    from inpaintlab.data.datamodule import InpaintingData

    return build(test["data"], InpaintingData, "data", train_holes=None)


def require_inputs(test: dict[str, Any]) -> None:
    """Raise now if an evaluation would later: training checks this first, so that a long run does not fail at its end.

    Raises:
        FileNotFoundError, UserError: for missing files and unknown names.
    """
    protocols.find(test["evaluation"]["protocol"])
    metric_networks(test)
    build_data(test).pairs("test")


def files_digest(pairs: PairSet) -> str:
    """Sixteen characters that change with the name, size or modification time of any picture or mask file."""
    found = hashlib.sha256()
    for path in dict.fromkeys(item.path for item in pairs.items) | dict.fromkeys(pairs.holes.mask_files()):
        stat = path.stat()
        found.update(os.fsencode(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n"))
    return found.hexdigest()[:16]


def masks_seen(subject: Subject, test_holes: HoleSource) -> bool | None:
    """Whether test masks were seen in training; None if this machine cannot tell."""
    if not subject.file or not any(True for _ in test_holes.mask_files()):  # no training, or drawn holes
        return False
    if not subject.batches:  # authors' weights, whose training the config does not describe
        return None
    try:
        trained = build(subject.train_holes, HoleSource, "data.train_holes")  # type: ignore[type-abstract]
        return masks_are_shared(trained, test_holes)
    except OSError:  # the training masks are not on this machine
        return None
