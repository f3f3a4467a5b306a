"""Runs and evaluations with faulty data: pairs that differ from the manifest, missing or torn masks, torn pictures."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trees
from omegaconf import DictConfig
from PIL import Image
from test_interruption import TWO_PROCESSES, start, state, wait_for_batch

from inpaintlab.commands import evaluate
from inpaintlab.config.compose import compose_config
from inpaintlab.config.run_folder import run_folder
from inpaintlab.data.datamodule import InpaintingData
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.failures import Failures
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes.box import Box
from inpaintlab.data.holes.free_form import FreeForm
from inpaintlab.data.holes.raw_masks import RawMasks
from inpaintlab.data.pairs import read_manifest, write_manifest
from inpaintlab.errors import UserError
from inpaintlab.evaluation.results import EvaluationResults, read_results
from inpaintlab.sweep.jobs import BEFORE, LEFT, plan_jobs
from inpaintlab.tables import measure
from inpaintlab.training.module import InpaintingModule
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]
RAW, FILES = "inpaintlab.data.holes.raw_masks.RawMasks", "inpaintlab.data.holes.mask_folder.MaskFolder"


def lines(folder: Path, count: int) -> Path:
    """A folder of training masks with black holes on white, each at another place."""
    folder.mkdir()
    for i in range(count):
        line = np.full((32, 32), 255, np.uint8)
        line[6 * i : 6 * i + 5, 4:30] = 0
        Image.fromarray(line).save(folder / f"{i}.png")
    return folder


# ---------------------------------------------------------------------- manifests of finished evaluations
def test_a_finished_evaluation_must_match_the_manifest(compose: Compose, folder: Path, tmp_path: Path) -> None:
    run = run_training(compose("batches=1"))
    given = [f"checkpoint={run}/checkpoints/last.ckpt", f"out={tmp_path / 'out'}"]
    given += ["data=folder", f"data.root={folder}", "data.geometry.size=32", "masks=irregular"]

    def evaluated(*more: str) -> EvaluationResults:
        return evaluate.run(compose_config([*given, *more], "evaluate"))

    done = evaluated().folder
    written = (done / "metrics.json").stat().st_mtime_ns
    pairs = read_manifest(done / "pairs.csv")
    write_manifest(tmp_path / "three.csv", pairs[:3])
    assert evaluated(f"data.manifest={done / 'pairs.csv'}").folder == done
    with pytest.raises(UserError, match=rf"three.csv names other pairs .* than those evaluated in {done}"):
        evaluated(f"data.manifest={tmp_path / 'three.csv'}")
    with pytest.raises(FileNotFoundError, match="there is no such manifest of pairs: .*nowhere.csv"):
        evaluated(f"data.manifest={tmp_path / 'nowhere.csv'}")
    three = f"data.manifest={tmp_path / 'three.csv'}"  # the manifest is for the test split only
    assert evaluated("split=val", three).split == "val"
    assert (done / "metrics.json").stat().st_mtime_ns == written


def test_runs_sweeps_and_tables_compare_a_finished_evaluation_with_the_manifest(
    compose: Compose, tiny: list[str], tmp_path: Path
) -> None:
    run = run_training(compose("batches=1", "evaluate=true"))
    (done,) = run.glob("evaluation-*")
    write_manifest(tmp_path / "three.csv", read_manifest(done / "pairs.csv")[:3])
    for name, error, text in (
        ("three.csv", UserError, "names other pairs"),
        ("nowhere.csv", FileNotFoundError, "no such manifest"),
    ):
        options = ["batches=1", "evaluate=true", f"data.manifest={tmp_path / name}"]
        with pytest.raises(error, match=text):
            run_training(compose(*options))
        with pytest.raises(error, match=text):
            measure._read(compose(*options))
        (job,) = plan_jobs([["experiment=msanet_places2_mum", *tiny, *options]])
        assert job.state == LEFT  # the job will start and report the error
    same = ["batches=1", "evaluate=true", f"data.manifest={done / 'pairs.csv'}"]
    assert measure._read(compose(*same)) == read_results(done)
    assert plan_jobs([["experiment=msanet_places2_mum", *tiny, *same]])[0].state == BEFORE


# ---------------------------------------------------------------------- training masks on another machine
def test_a_machine_without_the_training_masks_can_evaluate(compose: Compose, tmp_path: Path) -> None:
    masks = lines(tmp_path / "masks", 5)
    test = tmp_path / "test"
    trees.nvidia_test(test, 1)
    holes = [f"data.train_holes={{_target_: {RAW}, root: {masks}, dilation: [1, 3], shift: 0.1}}",
             f"data.test_holes={{_target_: {FILES}, root: {test}}}"]  # fmt: skip
    run = run_training(compose("batches=1", *holes))
    given = [f"checkpoint={run}/checkpoints/last.ckpt"]
    here = evaluate.run(compose_config([*given, f"out={tmp_path / 'here'}"], "evaluate"))
    assert here.test_masks_in_training is False
    masks.rename(tmp_path / "elsewhere")
    gone = evaluate.run(compose_config([*given, f"out={tmp_path / 'gone'}"], "evaluate"))
    assert gone.test_masks_in_training is None
    assert gone.means == here.means
    drawn = evaluate.run(compose_config([*given, "masks=center"], "evaluate"))
    assert drawn.test_masks_in_training is False  # drawn holes have no file to share


def test_shared_masks_are_looked_up_before_the_evaluation(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_training(compose("batches=1"))

    def fail(*_: object) -> None:
        raise UserError("no work was done")

    monkeypatch.setattr("inpaintlab.evaluation.inputs.masks_seen", fail)
    monkeypatch.setattr("inpaintlab.evaluation.evaluator.evaluate_pairs", lambda *_, **__: pytest.fail("evaluated"))
    with pytest.raises(UserError, match="no work was done"):
        evaluate.run(compose_config([f"checkpoint={run}/checkpoints/last.ckpt"], "evaluate"))


def test_changed_pictures_are_evaluated_again(compose: Compose, tmp_path: Path) -> None:
    run = run_training(compose("batches=1"))
    for i in range(3):
        trees.picture(tmp_path / "pictures" / "test" / f"{i}.png", (64, 64))
        trees.picture(tmp_path / "pictures" / "train" / f"{i}.png", (64, 64))
    given = [f"checkpoint={run}/checkpoints/last.ckpt", "data=folder", f"data.root={tmp_path / 'pictures'}"]
    given += ["data.geometry.size=32", "masks=center", f"out={tmp_path / 'out'}", "evaluation.keep=0", "data.workers=0"]
    first = evaluate.run(compose_config(given, "evaluate"))
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert evaluate.run(compose_config(given, "evaluate")) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == times  # files are only read
    Image.new("RGB", (64, 64), (250, 0, 0)).save(tmp_path / "pictures/test/0.png")
    second = evaluate.run(compose_config(given, "evaluate"))
    assert second.folder == first.folder
    assert second.means != first.means
    shutil.rmtree(tmp_path / "pictures")
    with pytest.raises((FileNotFoundError, UserError), match="does not exist"):
        evaluate.run(compose_config(given, "evaluate"))


def test_missing_inputs_of_the_evaluation_stop_the_run_before_training(compose: Compose, tmp_path: Path) -> None:
    for lacking, message in (
        (f"data.manifest={tmp_path / 'none.csv'}", "none.csv"),
        ("evaluation.fid=true", "inception"),
        ("data.pairing=sometimes", "sometimes"),
    ):
        config = compose("batches=1", "evaluate=true", lacking)
        with pytest.raises((UserError, ValueError, FileNotFoundError), match=message):
            run_training(config)
        assert not list(run_folder(config).rglob("*.ckpt"))


@pytest.mark.parametrize("how", ["after the training", "of a finished run", "of a checkpoint"])
def test_an_evaluation_skips_broken_pictures_as_its_config_says(
    compose: Compose, folder: Path, tmp_path: Path, how: str
) -> None:
    trees.picture(folder / "test" / "torn.png").write_bytes(b"torn")
    skip = ["batches=1", "data.pictures.on_broken=skip"]
    run = run_training(compose(*skip, f"evaluate={str(how == 'after the training').lower()}"))
    if how == "of a finished run":
        run_training(compose(*skip, "evaluate=true"))
    if how == "of a checkpoint":
        evaluate.run(compose_config([f"checkpoint={run}/checkpoints/last.ckpt", f"out={run}"], "evaluate"))
    (done,) = run.glob("evaluation-*")
    assert {pair.picture for pair in read_manifest(done / "pairs.csv")} == {f"test/{i}.png" for i in range(3)}


# ---------------------------------------------------------------------- torn masks and pictures
def module(folder: Path, **options: Any) -> InpaintingData:
    defaults: dict[str, Any] = {
        "pictures": Folder(folder, scan_limit=0), "geometry": Geometry(32), "train_holes": FreeForm(),
        "test_holes": FreeForm(), "batch_size": 4, "batches": 12, "workers": 0,
    }  # fmt: skip
    return InpaintingData(**(defaults | options))


def test_a_batch_whose_shared_mask_is_torn_shares_another_one(folder: Path, tmp_path: Path) -> None:
    masks = RawMasks(lines(tmp_path / "masks", 5), dilation=(1, 3), shift=0.1)
    data = module(folder, train_holes=masks, shared_holes=True)
    sound = list(data.stream())
    (tmp_path / "masks" / "2.png").write_bytes(b"torn")
    drawn_again = 0
    for before, after in zip(sound, data.stream(), strict=True):
        assert before["name"] == after["name"]
        assert torch.equal(before["image"], after["image"])  # the picture is sound and stays
        assert torch.equal(after["hole"], after["hole"][:1].expand(4, -1, -1, -1))
        assert len({bool(reason) for reason in after["failed"]}) == 1  # a batch shares the failure, too
        assert all("2.png: does not decode" in reason for reason in after["failed"] if reason)
        assert bool(after["failed"][0]) != torch.equal(before["hole"], after["hole"])
        drawn_again += bool(after["failed"][0])
    assert 0 < drawn_again < len(sound)


def test_a_torn_picture_keeps_the_hole_of_its_batch(folder: Path) -> None:
    data = module(folder, shared_holes=True)
    sound = list(data.stream())
    (folder / "train" / "1.png").write_bytes(b"torn")
    torn = list(data.stream())
    assert any(any(batch["failed"]) for batch in torn)
    assert all(torch.equal(before["hole"], after["hole"]) for before, after in zip(sound, torn, strict=True))


def test_only_max_failed_limits_the_number_of_torn_pictures(tmp_path: Path) -> None:
    """The second half of 80 pictures is torn, so that the next picture rarely helps."""
    for i in range(80):
        trees.picture(tmp_path / "train" / f"{i:02d}.png", (32, 32))
    data = module(tmp_path, train_holes=Box(), batch_size=8, batches=10)
    data.train_set()
    for i in range(40, 80):
        (tmp_path / "train" / f"{i:02d}.png").write_bytes(b"torn")
    batches = list(data.stream())
    assert sum(bool(reasons) for batch in batches for reasons in batch["failed"]) == 40
    again = list(module(tmp_path, train_holes=Box(), batch_size=8, batches=10, workers=2).stream())
    assert [batch["name"] for batch in batches] == [batch["name"] for batch in again]
    taken = [name for batch in batches for name, reason in zip(batch["name"], batch["failed"], strict=True) if reason]
    assert len(set(taken)) > 20  # spread over all readable pictures
    second = {data.train_set()[epoch, 50, 0]["name"] for epoch in range(4)}
    assert len(second) > 1  # another replacement in another epoch
    patient, strict = Failures(0.9), Failures(0.2)
    for batch in batches:
        patient.add(batch["failed"])
    with pytest.raises(UserError, match="more than data.max_failed=0.2 allows"):
        strict.add([reasons for batch in batches for reasons in batch["failed"]])


# ---------------------------------------------------------------------- counts of several processes
SUMMARY = re.compile(r"(\d+) of (\d+) samples could not be read and were replaced by others:")


def test_counts_are_summed() -> None:
    one, two = Failures(0.5), Failures(0.5)
    one.add(["a.jpg: torn", "", ""])
    two.add(["a.jpg: torn", "b.jpg: gone\na.jpg: torn", ""])
    both = Failures.merged(0.5, [one.state(), two.state()])
    assert both.state() == {"samples": 6, "failed": 3, "reasons": {"a.jpg: torn": 3, "b.jpg: gone": 1}}
    assert one.samples == 3  # the counts that were merged stay as they are


def test_a_run_that_is_stopped_ends_with_a_summary_too(
    compose: Compose, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compose("data.pictures.scan_limit=0", "batches=6", "trainer.checkpoint_every=100")
    spoil = folder / "train" / "1.png"
    spoil.write_bytes(b"torn")
    original = InpaintingModule.training_step

    def step(self: Any, *arguments: Any) -> None:
        if self.batches_done == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(InpaintingModule, "training_step", step)
        with pytest.raises(SystemExit):
            run_training(config)
    assert SUMMARY.findall(capsys.readouterr().out) == [("1", "8")]
    run_training(config)
    assert SUMMARY.findall(capsys.readouterr().out) == [("2", "12")]


@pytest.mark.slow
def test_two_processes_count_together_also_after_a_stop(tiny: list[str], folder: Path, tmp_path: Path) -> None:
    for name in ("1.png", "4.png"):
        (folder / "train" / name).write_bytes(b"torn")
    length = 30
    options = [
        "data.batch_size=4",
        "data.pictures.scan_limit=0",
        "data.max_failed=0.9",
        "trainer.checkpoint_every=1000",
    ]
    overrides = ["experiment=msanet_places2_mum", *tiny, *TWO_PROCESSES, *options, f"batches={length}"]
    out = tmp_path / "out"

    first = start(overrides, out)
    wait_for_batch(first, out, 5)
    os.killpg(first.pid, signal.SIGTERM)
    assert first.wait(timeout=300) == 143
    (run,) = out.glob("*/*/seed0")
    done = state(run)["batches_done"]
    ((failed, samples),) = SUMMARY.findall((out / "log.txt").read_text())  # printed once
    assert int(samples) == 4 * done
    kept = state(run)["InpaintingData"]
    assert (kept["failed"], kept["samples"]) == (int(failed), int(samples))

    assert start(overrides, out).wait(timeout=300) == 0
    expected = [list(module(folder, batches=n).stream()) for n in (done, length)]
    truth = [sum(bool(reasons) for batch in batches for reasons in batch["failed"]) for batches in expected]
    assert truth == [int(failed), 4 * length // 3]
    assert SUMMARY.findall((out / "log.txt").read_text())[1:] == [(str(truth[1]), str(4 * length))]
    replaced = json.loads((run / "run.json").read_text())["replaced"]
    assert (replaced["failed"], replaced["samples"]) == (truth[1], 4 * length)
    assert replaced == state(run)["InpaintingData"]
