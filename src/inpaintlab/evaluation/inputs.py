"""What an evaluation looks at: its pairs, whether their files have changed, whether their masks were trained on."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException

from inpaintlab.checkpoints import checkpoint, pretrained_files
from inpaintlab.data.holes.overlap import masks_are_shared
from inpaintlab.data.holes.source import HoleSource
from inpaintlab.data.pairs import PairSet
from inpaintlab.metrics import lpips, protocols

if TYPE_CHECKING:
    from inpaintlab.checkpoints.checkpoint import Restored
    from inpaintlab.data.datamodule import InpaintingData


def inceptions(test: dict[str, Any]) -> dict[str, Any]:
    """The networks of the FIDs that are asked for, by metric."""
    makers = {"fid": pretrained_files.inception, "fid_torchvision": pretrained_files.inception_torchvision}
    asked = {metric: make for metric, make in makers.items() if test["evaluation"][metric]}
    return {metric: make(test["weights"][pretrained_files.NETWORKS[metric]]) for metric, make in asked.items()}


def build_data(test: dict[str, Any]) -> InpaintingData:
    """The data of an evaluation; nothing asks for the training masks, which may not be on this machine."""
    return checkpoint.build(test["data"] | {"train_holes": None}, "inpaintlab.data.")


def require_inputs(test: dict[str, Any]) -> None:
    """Raise what an evaluation would, of missing files or unknown names; before a training, lest it be for nothing."""
    protocols.find(test["evaluation"]["protocol"])
    inceptions(test)
    if test["evaluation"][lpips.KEY]:
        pretrained_files.lpips(test["weights"]["alexnet"])
    build_data(test).pairs("test")


def files_digest(pairs: PairSet) -> str:
    """Sixteen characters that change with the name, the length or the time of any picture or mask file."""
    found = hashlib.sha256()
    for path in dict.fromkeys(item.path for item in pairs.items) | dict.fromkeys(pairs.holes.mask_files()):
        stat = path.stat()
        found.update(os.fsencode(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n"))
    return found.hexdigest()[:16]


def masks_seen(restored: Restored, test_holes: HoleSource) -> bool | None:
    """Whether test masks were seen in training; None if that cannot be known here."""
    if not any(True for _ in test_holes.mask_files()):  # drawn
        return False
    if not restored.batches:  # released weights: their training was another one than the config says
        return None
    try:
        trained = checkpoint.build(restored.config["data"]["train_holes"], "inpaintlab.data.")
        return masks_are_shared(trained, test_holes)
    except OSError:  # the training masks are not on this machine
        return None
    except InstantiationException as error:  # Hydra's, around whatever the source raised
        if isinstance(error.__cause__, OSError):
            return None
        raise
