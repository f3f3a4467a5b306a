"""Whole runs: finished runs are not trained again, stopped runs continue bit for bit, bad input stops them early."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from inpaintlab.checkpoints import checkpoint
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.papers.msanet import MSANet
from inpaintlab.training import callbacks
from inpaintlab.training.health import LossNotFinite
from inpaintlab.training.record import Precision, finished_run
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]
# For runs whose weights are compared up to rounding: Adam divides gradients by their size, so it turns the rounding
# errors of gradients near zero into full steps.
SGD = ["model.optimizer_g._target_=torch.optim.SGD", "model.optimizer_g.lr=0.1"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(folder / "checkpoints" / checkpoint.LAST)["state_dict"]


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def stop_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """Make the next training end as if it were killed, after this many batches and before they are saved."""
    original = callbacks.Progress.on_train_batch_end

    def dying(self: Any, trainer: Any, module: Any, *rest: Any) -> None:
        original(self, trainer, module, *rest)
        if module.batches_done == batches:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", dying)


def test_a_run_leaves_what_it_says_and_is_not_trained_twice(
    compose: Compose, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose("trainer.sample_every=4", "trainer.validate_every=4")
    folder = run_training(config)
    assert folder == run_folder(config)
    record = json.loads((folder / "run.json").read_text())
    assert record["state"] == "finished"
    assert record["batches"] == 4
    assert record["precision"]["precision"] == "32"
    assert (folder / "config.yaml").exists()
    assert (folder / "samples" / "batch0000004.png").exists()
    log = (folder / "csv" / "version_0" / "metrics.csv").read_text()
    assert "train/style" in log
    assert "val/psnr/all" in log
    monkeypatch.setattr("inpaintlab.training.run._train", lambda *_: pytest.fail("trained again"))
    run_training(config)
    assert "finished already" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_equals_uninterrupted_bit_for_bit(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    options = ["batches=7", f"data.workers={workers}", "trainer.checkpoint_every=2"]
    whole = weights(run_training(compose(*options)))
    config = compose(*options, f"output={tmp_path / 'stopped'}")
    for batches in (3, 5):  # in the middle of an epoch; the last saved batches are 2 and 4
        with monkeypatch.context() as patch:
            stop_after(patch, batches)
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                run_training(config)
        folder = run_folder(config)
        assert finished_run(folder) is None
        assert checkpoint.read(folder / "checkpoints" / checkpoint.LAST)["batches_done"] == batches - 1
    assert_equal(weights(run_training(config)), whole)


def test_torn_checkpoint_falls_back_to_the_one_before(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = weights(run_training(compose("batches=5")))
    config = compose("batches=5", f"output={tmp_path / 'torn'}")
    stop_after(monkeypatch, 5)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run_training(config)
    monkeypatch.undo()
    last = run_folder(config) / "checkpoints" / checkpoint.LAST
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    assert_equal(weights(run_training(config)), whole)
    assert "cannot be read as a checkpoint" in capsys.readouterr().out


def test_nan_names_the_term_and_keeps_the_last_good_checkpoint(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = MSANet.generator_terms

    def poisoned(self: MSANet, batch: Any, output: Any) -> dict[str, torch.Tensor]:
        terms = original(self, batch, output)
        if self.batches_done == 2:
            terms["style"] = terms["style"] * float("nan")
        return terms

    monkeypatch.setattr(MSANet, "generator_terms", poisoned)
    config = compose()
    with pytest.raises(LossNotFinite, match="term `style`, `total` became NaN or infinite in batch 2"):
        run_training(config)
    good = checkpoint.read(run_folder(config) / "checkpoints" / checkpoint.LAST)
    assert good["batches_done"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in good["state_dict"].values())


def test_bad_pictures_and_unwritable_output_stop_before_training(
    compose: Compose, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match="cannot write into the output folder"):
        run_training(compose(f"output={tmp_path / 'file'}"))
    (folder / "train" / "broken.png").write_text("x")
    config = compose()
    with pytest.raises(UserError, match=r"broken\.png"):
        run_training(config)
    assert not (run_folder(config) / "run.json").exists()


def test_precision_probe_and_record(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inpaintlab.training import precision

    plain, mixed = precision.probe("cpu")
    assert plain > 0
    assert mixed > 0
    chosen = precision.choose("auto", "auto", "cpu")
    assert chosen.precision == ("bf16-mixed" if plain / mixed >= precision.WORTH_IT else "32")
    assert chosen.channels_last == (chosen.precision == "bf16-mixed")
    assert precision.choose(32, "auto", "cpu") == Precision("32", False, "as configured")
    memory = tmp_path / "precision.json"
    for faster, expected in ((0.5, "32"), (9.0, "32")):  # the first answer stays
        monkeypatch.setattr(precision, "probe", lambda device, faster=faster: (faster, 1.0))
        assert precision.choose("auto", "auto", "cpu", memory).precision == expected
    with pytest.raises(UserError, match="must be one of 32, bf16-mixed, auto"):
        precision.choose("16", "auto", "cpu")
    folder = run_training(compose("trainer.precision=bf16-mixed", "batches=2"))
    assert json.loads((folder / "run.json").read_text())["precision"]["precision"] == "bf16-mixed"
    assert weights(folder)["generator.extract_first.0.weight"].dtype == torch.float32


def test_learning_rate_schedule_counts_batches(compose: Compose) -> None:
    folder = run_training(compose("schedule=multistep", "schedule.milestones=[0.5]", "schedule.gamma=0.5"))
    import csv

    with (folder / "csv" / "version_0" / "metrics.csv").open() as file:
        rates = [float(row["train/lr_g"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([3e-4, 3e-4, 1.5e-4, 1.5e-4])


def test_a_run_begins_with_the_generator_of_init_from(compose: Compose, tmp_path: Path) -> None:
    small = ["data.geometry.size=128", "batches=1"]
    first = run_training(compose(*small, experiment="pconv_places2"))
    start = f"init_from={first}/checkpoints/last.ckpt"
    second = compose(*small, start, "model.optimizer_g.lr=0", experiment="pconv_places2_finetune")
    before, after = weights(first), weights(run_training(second))
    for name in before:
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(before[name], after[name]), name
    encoder = [name for name in before if ".encoder." in name and "running" in name]
    assert encoder
    assert all(torch.equal(before[name], after[name]) for name in encoder)  # frozen in the second phase
    with pytest.raises(UserError, match="is a checkpoint of pconv, not of msanet"):
        run_training(compose(start))
    with pytest.raises(UserError, match="begins with a trained generator: give it as init_from=CHECKPOINT"):
        run_training(compose(*small, experiment="pconv_places2_finetune"))


@pytest.mark.slow
def test_a_gan_trains_in_two_processes(tiny: list[str], tmp_path: Path) -> None:
    extra = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.log_every=1", "batches=2"]
    overrides = ["experiment=lbam_paris", *tiny, *extra, "data.geometry.size=128", "data.batch_size=4"]
    command = [sys.executable, "-m", "inpaintlab", "train", *overrides, "model.discriminator.width=0.25"]
    command.append("trainer.sample_every=1")  # by the first process alone
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    (folder,) = (tmp_path / "runs").glob("lbam_paris/*/seed0")
    assert json.loads((folder / "run.json").read_text())["state"] == "finished"
    assert "train/gradient_penalty" in (folder / "csv" / "version_0" / "metrics.csv").read_text()


@pytest.mark.slow
def test_two_processes_train_the_same_weights_as_one(tiny: list[str], tmp_path: Path) -> None:
    """DDP over gloo: same batches, same loss averages, hence the same weights up to rounding."""
    folders = {}
    for name, extra in (
        ("one", ["trainer=cpu"]),
        ("two", ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]),
    ):
        overrides = [
            "experiment=msanet_places2_mum",
            *tiny,
            *extra,
            *SGD,
            f"output={tmp_path / name}",
            "trainer.validate_every=4",
        ]
        command = [
            sys.executable,
            "-m",
            "inpaintlab",
            "train",
            *overrides,
            "trainer.precision=32",
            "trainer.log_every=1",
        ]
        subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
        (folders[name],) = (tmp_path / name).glob("*/*/seed0")
    one, two = (weights(folder) for folder in folders.values())
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=2e-6)
    logs = []
    for folder in folders.values():
        with (folder / "csv" / "version_0" / "metrics.csv").open() as file:
            logs.append([line for line in csv.DictReader(file) if line["train/total"]])
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]] == ["1", "2", "3", "4"]
    for key in ("train/total", "health/gradient_norm_generator"):
        for alone, shared in zip(*logs, strict=True):
            assert float(shared[key]) == pytest.approx(float(alone[key]), rel=1e-4), key
