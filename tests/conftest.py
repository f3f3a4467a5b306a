"""Fixtures: small pictures, masks and configs that tests write themselves."""

from __future__ import annotations

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["WANDB_MODE"] = "offline"

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from inpaintlab.config.compose import compose_config
from inpaintlab.utils import quiet


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    torch.set_num_threads(1)  # tests may run side by side
    quiet.lightning()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of pictures with train/ and test/, smooth and different from each other."""
    root = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        (root / split).mkdir(parents=True)
        for i in range(count):
            coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((60, 48), Image.Resampling.BICUBIC).save(root / split / f"{i}.png")
    return root


@pytest.fixture
def tiny(folder: Path, tmp_path: Path) -> list[str]:
    """Overrides of a run that takes about a second."""
    return [
        "scale=demo",
        "trainer.precision=32",
        "data=folder",
        f"data.root={folder}",
        "data.geometry.size=32",
        "data.batch_size=2",
        "data.workers=0",
        "batches=4",
        "trainer.checkpoint_every=2",
        "trainer.sample_every=0",
        "trainer.log_every=1",
        "model.generator.width=0.25",
        f"output={tmp_path / 'runs'}",
    ]


@pytest.fixture
def compose(tiny: list[str]) -> Callable[..., DictConfig]:
    """A tiny config of an experiment, with more overrides."""

    def make(*overrides: str, experiment: str = "msanet_places2_mum") -> DictConfig:
        return compose_config([f"experiment={experiment}", *tiny, *overrides])

    return make
