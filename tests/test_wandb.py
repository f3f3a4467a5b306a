"""Offline W&B runs: what the log holds, under which names; one run over kills; nothing outside the run's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wandb_log
from hydra.utils import instantiate
from PIL import Image
from systems import SYSTEMS, small_run

from inpaintlab.config.compose import compose_config
from inpaintlab.tables import spec, wandb_table
from inpaintlab.training.run import run_training

PANELS = {
    "train/total", "train/lr_g", "val/psnr/all", "speed/pictures_per_second",
    "speed/waiting_for_data", "memory/process_gb", "health/gradient_norm_generator", "health/feature_size",
    "health/feature_size_least", "health/not_finite", "health/steps_left_out", "health/problems",
}  # fmt: skip
OF_CRITICS = {"train/discriminator", "train/adversarial", "train/score_fake", "train/score_real", "train/lr_d",
              "health/gradient_norm_discriminator"}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no variables of W&B."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))  # its cache of fonts
    return tmp_path / "home"


def read(folder: Path) -> wandb_log.Run:
    deadline = time.monotonic() + 300
    while not (run := wandb_log.read(folder)).ended:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_logs_the_same_panels(tiny: list[str], home: Path, system: str) -> None:
    options = ["logger=wandb", "trainer.validate_every=2", "trainer.sample_every=2", "batches=2"]
    config = compose_config([*tiny, *small_run(system), *options])
    every = min(2, config.model.get("generator_every", 1))
    if every == 2:
        config.model.generator_every = 2  # the first batch is the discriminator's alone
    run = read(run_training(config))
    weights = config.model.loss_weights
    own = {f"train/{term}" for term, weight in weights.items() if weight}
    own |= OF_CRITICS if "adversarial" in weights else set()
    own |= {f"val/psnr/{bin}" for bin in instantiate(config.masks.test).bins}
    assert PANELS | own <= set(run.curves), (PANELS | own) - set(run.curves)
    steps = [1, 2] if every == 1 else [2]
    assert sorted(run.curves["train/total"]) == steps
    assert sorted(run.curves["health/feature_size"]) == [1, 2]
    assert sorted(run.curves["speed/pictures_per_second"]) == [2]  # of the batch before
    assert run.name == f"{config.name}/seed0"
    assert run.group == config.system == system
    assert set(run.tags) == {config.system, "demo", "Folder"}
    assert run.config["batches"] == 2
    assert run.config["commit"]
    assert len(run.config["data_hash"]) == len(run.config["sample_pairs_hash"]) == 16
    assert Image.open(run.images["samples"][2]).size[0] > 100
    assert not [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_run_that_is_stopped_and_resumed_is_one_run(tiny: list[str], tmp_path: Path, home: Path) -> None:
    options = ["experiment=msanet_places2_mum", *tiny, "logger=wandb", "batches=40", "data.workers=1"]
    command = [sys.executable, "-m", "inpaintlab", "train", *options, "trainer.checkpoint_every=1000"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 300
    while not [p for p in tmp_path.glob("runs/*/*/seed0/csv/*/metrics.csv") if len(p.read_text().splitlines()) > 3]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)  # W&B's own process gets it too
    assert process.wait(timeout=300) == 143
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    (folder,) = (tmp_path / "runs").glob("*/*/seed0")
    logs = list(folder.glob("wandb/**/run-*.wandb"))
    assert len(logs) == 2
    assert len({log.name for log in logs}) == 1
    run = read(folder)
    assert f"run-{run.id}.wandb" == logs[0].name
    assert sorted(run.curves["train/total"]) == list(range(1, 41))


@pytest.mark.slow
def test_a_table_groups_its_runs_and_adds_published_and_measured_values(
    tiny: list[str], tmp_path: Path, home: Path
) -> None:
    options = [*(o for o in tiny if not o.startswith("scale=")), "logger=wandb", "batches=2", "trainer.sample_every=2"]
    command = [sys.executable, "-m", "inpaintlab", "table", "msanet.table3", *options]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    for row, label in (("msag", "No-MUM"), ("mum", "MUM")):  # two trainings of one process are two runs
        (folder,) = (tmp_path / "runs").glob(f"msanet_places2_{row}/*/seed0")
        run = read(folder)
        assert run.group == "msanet.table3"
        assert run.name == f"{label} seed0"
        table = run.tables["results/msanet.table3"]
        assert table["columns"] == list(wandb_table.COLUMNS)
        first = dict(zip(table["columns"], table["data"][0], strict=True))
        assert first["row"] == label
        assert first["published"] == {"msag": 26.58, "mum": 26.615}[row]
        assert first["measured"] > 0
        assert first["difference"] is None  # not comparable at this scale
        assert len(first["pairs_hash"]) == 16
        logs = len(list(folder.glob("wandb/**/run-*.wandb")))
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)  # nothing new to show
    assert len(list(folder.glob("wandb/**/run-*.wandb"))) == logs
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_names_of_rows_survive_hydras_grammar() -> None:
    table = spec.load("lbam.table2")
    for label in ("Ours(unlearned)", "it's 3x3, {a: b} [c]", "w/o adversarial"):
        row = spec.Row(label, "lbam_paris_3x3")
        config = compose_config(["logger=wandb", "scale=demo", *wandb_table.overrides(table, row, 3)])
        assert config.logger.wandb.name == f"{label} seed3"
        assert config.logger.wandb.group == "lbam.table2"
