"""Checkpoints: alone enough, exact, and safe to open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from inpaintlab.checkpoints import checkpoint
from inpaintlab.errors import UserError
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]


@pytest.fixture
def saved(compose: Compose, tmp_path: Path, folder: Path) -> Path:
    """A checkpoint far away from its run, whose pictures are gone."""
    run = run_training(compose("model.generator.c_a=se", "batches=2"))
    alone = tmp_path / "alone.ckpt"
    shutil.move(run / "checkpoints" / "last.ckpt", alone)
    shutil.rmtree(run)
    return alone


def test_a_checkpoint_reloads_alone_and_gives_the_same_picture(compose: Compose, saved: Path) -> None:
    restored = checkpoint.load(saved, system="msanet")
    assert restored.batches == 2
    assert restored.config["model"]["generator"]["c_a"] == "se"
    assert not restored.generator.training
    content = torch.load(saved, weights_only=True)
    expected = {k: v for k, v in content["state_dict"].items() if k.startswith("generator.")}
    for name, value in restored.generator.state_dict().items():
        assert torch.equal(value, expected[f"generator.{name}"])
    image, hole = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    again = checkpoint.load(saved).generator(image, hole).image
    assert torch.equal(restored.generator(image, hole).image, again)


def test_wrong_files_are_refused_with_what_they_hold(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "nowhere.ckpt")
    with pytest.raises(UserError, match="is a checkpoint of msanet, not of lbam"):
        checkpoint.load(saved, system="lbam")
    torch.save({"epoch": 3, "model": {}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="it holds epoch, model and no entry 'inpaintlab'"):
        checkpoint.load(tmp_path / "other.pth")
    (tmp_path / "torn.ckpt").write_bytes(saved.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        checkpoint.load(tmp_path / "torn.ckpt")


def test_missing_unknown_and_mis_shaped_entries_are_listed_and_nothing_is_loaded() -> None:
    module = nn.Linear(2, 3)
    before = module.weight.clone()
    with pytest.raises(UserError, match=r"missing: bias; unknown: scale; other shape: weight \(2, 2\) for \(3, 2\)"):
        checkpoint.load_exactly(module, {"weight": torch.ones(2, 2), "scale": torch.ones(1)}, "x.ckpt")
    with pytest.raises(UserError, match="missing: bias"):
        checkpoint.load_exactly(module, {"weight": torch.ones(3, 2)}, "x.ckpt")
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "inpaintlab.networks.msanet.torch.load",
        "inpaintlab.networks.msanet.parameter_counts",
        "inpaintlab.networks.msanet.nn.Conv2d",
        "inpaintlab.commands.train.main",
    ],
)
def test_a_strangers_config_builds_only_our_networks(saved: Path, tmp_path: Path, target: str) -> None:
    content = torch.load(saved, weights_only=True)
    content[checkpoint.KEY]["config"]["model"]["generator"] = {"_target_": target, "command": "false"}
    torch.save(content, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match=f"model.generator names '{target}'; expected a class of InpaintingGenerator"):
        checkpoint.load(tmp_path / "evil.ckpt")


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    ran: list[int] = []

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return ran.append, (1,)

    torch.save({checkpoint.KEY: Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match=r"cannot be read as a checkpoint: it holds an object of type "):
        checkpoint.load(tmp_path / "evil.ckpt")
    assert not ran


def test_frozen_parts_and_hyperparameters_are_not_in_it(saved: Path) -> None:
    content = checkpoint.read(saved)
    assert {name.split(".")[0] for name in content["state_dict"]} == {"generator"}
    assert content[checkpoint.KEY]["system"] == "msanet"


def test_checkpoints_from_before_version_0_2_0_are_refused_in_one_sentence(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    content[checkpoint.KEY]["format"] = 1
    torch.save(content, saved)
    expected = (
        f"{saved} was made before version 0.2.0; checkpoints and runs of earlier versions cannot be loaded: train "
        "again, or import the authors' weights again"
    )
    for read in (checkpoint.read, checkpoint.load):
        with pytest.raises(UserError) as caught:
            read(saved)
        assert str(caught.value) == expected


def test_a_config_that_names_another_network_is_refused(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    content[checkpoint.KEY]["config"]["model"]["generator"] = {"_target_": "inpaintlab.networks.lbam.Discriminator"}
    torch.save(content, saved)
    with pytest.raises(UserError, match="model.generator names 'inpaintlab.networks.lbam.Discriminator'; expected a"):
        checkpoint.load(saved)
