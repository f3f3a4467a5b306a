"""Signals and kills: saved within a batch, the right exit status, and a continued run equals an undisturbed one."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from systems import one_of_each_kind, small_run

from inpaintlab.checkpoints import checkpoint
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.training.module import InpaintingModule
from inpaintlab.training.run import run_training
from inpaintlab.utils import process
from inpaintlab.utils.atomic_write import locked

Compose = Callable[..., DictConfig]
TWO_PROCESSES = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.log_every=1", "data.workers=1"]


def state(folder: Path) -> dict[str, Any]:
    return checkpoint.read(folder / "checkpoints" / checkpoint.LAST)


def assert_same_end(one: Path, two: Path) -> None:
    """All networks and optimisers, bit for bit."""
    a, b = state(one), state(two)
    assert a["batches_done"] == b["batches_done"]
    assert a["state_dict"].keys() == b["state_dict"].keys()
    for name, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][name]), name
    for mine, theirs in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
        for number, values in mine["state"].items():
            for key, value in values.items():
                assert torch.equal(value, theirs["state"][number][key]), (number, key)


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Send this process signals during its training, given as (batch, signal)."""
    plan: list[tuple[int, int]] = []
    original = InpaintingModule.training_step

    def step(self: Any, *arguments: Any) -> None:
        for batch, number in plan:
            if batch == self.batches_done:
                os.kill(os.getpid(), number)
        original(self, *arguments)

    monkeypatch.setattr(InpaintingModule, "training_step", step)
    before = {number: signal.getsignal(number) for number in process.SIGNALS}
    yield plan
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("batch", "number"),
    [(0, signal.SIGTERM), (2, signal.SIGTERM), (4, signal.SIGTERM), (2, signal.SIGINT)],  # the last one is Ctrl-C
)
def test_signals_save_the_batch_they_come_in(
    compose: Compose, tmp_path: Path, signalled: list[tuple[int, int]], batch: int, number: signal.Signals
) -> None:
    options = ["batches=5", "trainer.checkpoint_every=100"]
    whole = run_training(compose(*options))
    config = compose(*options, f"output={tmp_path / 'stopped'}")
    signalled.append((batch, number))
    keyboard = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as end:
        run_training(config)
    assert end.value.code == 128 + number
    assert signal.getsignal(signal.SIGINT) == keyboard
    assert process.stopped(143)
    assert process.stopped(-15)
    assert not process.stopped(1)
    assert state(run_folder(config))["batches_done"] == batch + 1
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as before
    signalled.clear()
    assert_same_end(run_training(config), whole)


def test_a_second_ctrl_c_ends_at_once(compose: Compose, signalled: list[tuple[int, int]]) -> None:
    config = compose("batches=5", "trainer.checkpoint_every=100")
    signalled.extend([(2, signal.SIGINT), (2, signal.SIGINT)])
    with pytest.raises((KeyboardInterrupt, SystemExit)) as end:
        run_training(config)
    assert getattr(end.value, "code", None) != 0
    assert not (run_folder(config) / "checkpoints" / checkpoint.LAST).exists()


def test_a_launchers_own_handler_is_asked_after_the_save(compose: Compose, signalled: list[tuple[int, int]]) -> None:
    """As submitit installs them: SIGTERM is ignored, SIGUSR2 puts the job into the queue again and exits."""
    calls: list[tuple[int, int]] = []
    config = compose("batches=6", "trainer.checkpoint_every=100")

    def ignore(number: int, frame: object) -> None:
        calls.append((number, state(run_folder(config))["batches_done"]))

    def requeue(number: int, frame: object) -> None:
        ignore(number, frame)
        sys.exit(-1)

    signal.signal(signal.SIGTERM, ignore)
    signal.signal(signal.SIGUSR2, requeue)
    signalled.extend([(1, signal.SIGTERM), (3, signal.SIGUSR2), (3, signal.SIGTERM)])
    with pytest.raises(SystemExit) as end:
        run_training(config)
    assert end.value.code == -1
    assert calls == [(signal.SIGTERM, 2), (signal.SIGTERM, 4), (signal.SIGUSR2, 5)]


def test_one_process_at_a_time_works_on_a_run(compose: Compose, tmp_path: Path) -> None:
    folder = run_folder(compose())
    hold = "import sys, time; from inpaintlab.utils.atomic_write import locked\n"
    hold += "with locked(sys.argv[1]): print('held', flush=True); time.sleep(600)"
    other = subprocess.Popen([sys.executable, "-c", hold, str(folder / ".lock")], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match="another process is working on"), locked(folder / ".lock", patience=0.3):
        pass
    other.kill()
    other.wait()
    with locked(folder / ".lock", patience=0):
        pass


# ---------------------------------------------------------------------- real processes, really killed
def start(overrides: list[str], folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("ab") as log:
        command = [sys.executable, "-m", "inpaintlab", "train", *overrides, f"output={folder}"]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def batches_logged(folder: Path) -> int:
    rows = 0
    for path in folder.glob("*/*/seed0/csv/*/metrics.csv"):
        with path.open() as file:
            rows = max([rows, *(int(float(row["step"])) for row in csv.DictReader(file) if row.get("step"))])
    return rows


def wait_for_batch(process: subprocess.Popen[bytes], folder: Path, batch: int) -> None:
    deadline = time.monotonic() + 300
    while batches_logged(folder) < batch:
        assert process.poll() is None, (folder / "log.txt").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("system", one_of_each_kind())
def test_terminated_and_killed_runs_end_like_undisturbed_ones(
    tiny: list[str], tmp_path: Path, system: str, processes: int
) -> None:
    """SIGTERM to all processes of the job, as schedulers send it, then a power cut; both at random moments."""
    length = 24  # the run must not end before the signals arrive, also on a busy machine
    overrides = [*tiny, f"batches={length}", "data.workers=1", "trainer.checkpoint_every=5", *small_run(system)]
    overrides = [*overrides, *(TWO_PROCESSES if processes == 2 else [])]
    rng = random.Random(f"{system} {processes}")
    assert start(overrides, tmp_path / "whole").wait(timeout=300) == 0
    (whole,) = (tmp_path / "whole").glob("*/*/seed0")

    disturbed = tmp_path / "disturbed"
    first, second = rng.randint(1, 8), rng.randint(10, 13)
    process = start(overrides, disturbed)
    wait_for_batch(process, disturbed, first)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=300) == 143, (disturbed / "log.txt").read_text()[-2000:]
    (folder,) = disturbed.glob("*/*/seed0")
    logged = batches_logged(disturbed)
    assert first <= logged <= state(folder)["batches_done"] <= logged + 1

    process = start(overrides, disturbed)
    wait_for_batch(process, disturbed, second)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(timeout=300) == -signal.SIGKILL
    assert start(overrides, disturbed).wait(timeout=300) == 0
    assert_same_end(folder, whole)
