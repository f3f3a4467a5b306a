"""A checkpoint of a tiny network that was not trained: complete, and a second to make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from inpaintlab.checkpoints import checkpoint
from inpaintlab.networks import lbam

HOLES = {"_target_": "inpaintlab.data.holes.box.Box", "area": 0.25}


def tiny_config(root: Path | str = "pictures") -> dict[str, Any]:
    """The entries of a training config that a checkpoint must have; its data are a folder of pictures."""
    return {
        "name": "tiny LBAM",
        "system": "lbam",
        "seed": 0,
        "scale": {"name": "demo"},
        "model": {"generator": {"_target_": "inpaintlab.networks.lbam.Generator", "width": 0.125}},
        "data": {
            "_target_": "inpaintlab.data.datamodule.InpaintingData",
            "pictures": {"_target_": "inpaintlab.data.datasets.folder.Folder", "root": str(root), "scan_cache": None},
            "geometry": {"_target_": "inpaintlab.data.geometry.Geometry", "size": 128, "kind": "resize_square"},
            "train_holes": HOLES,
            "test_holes": HOLES,
            "batch_size": 2,
            "pairs_seed": 2020,
            "workers": 0,
        },
    }


def tiny_lbam(path: Path, value: float | None = None, root: Path | str = "pictures") -> Path:
    """Write an untrained LBAM; with a value, all its weights are that."""
    torch.manual_seed(0)
    state = lbam.Generator(width=0.125).state_dict()
    if value is not None:
        state = {name: torch.full_like(v, value) if v.is_floating_point() else v for name, v in state.items()}
    weights = {f"generator.{name}": v for name, v in state.items()}
    about = checkpoint.describe(tiny_config(root), {})
    torch.save({checkpoint.KEY: about, "state_dict": weights, "batches_done": 0}, path)
    return path
