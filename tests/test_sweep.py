"""Sweeps: each run in its own process, failures that stop no other run, restarts, kills at any moment."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from records import run_record

from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.sweep.jobs import Job, last_words, make_launcher, require_finished, run_jobs
from inpaintlab.sweep.local import LocalLauncher
from inpaintlab.training import record

Compose = Callable[..., DictConfig]


class Recorded:
    """A launcher that records its jobs and runs none."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def run(self, jobs: list[Job]) -> None:  # type: ignore[override]
        self.jobs = list(jobs)
        for job in jobs:
            job.settle(True, False)


def finish(folder: Path) -> None:
    record.write(folder, run_record())


def overrides(tiny: list[str], *more: str) -> list[list[str]]:
    return [[*tiny, f"experiment=msanet_places2_{row}", *more] for row in ("mum", "msag", "mum")]


def test_only_unfinished_jobs_are_launched_and_the_summary_reports_each_outcome(
    tiny: list[str], compose: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(run_folder(compose()))
    launcher = Recorded()
    jobs = run_jobs(overrides(tiny), launcher)
    assert [job.name for job in jobs] == ["experiment=msanet_places2_mum", "experiment=msanet_places2_msag"]
    assert launcher.jobs == jobs[1:]
    out = capsys.readouterr().out
    assert "2 runs: 1 failed, 1 finished before" in out
    assert "it printed nothing; the process ended without finishing the run" in out
    assert f"    {jobs[1].log}" in out
    assert "The same command runs the rest." in out
    with pytest.raises(UserError, match="1 of 2 runs are not finished"):
        require_finished(jobs)
    # An evaluation that is asked for is part of the work.
    jobs = run_jobs(overrides(tiny, "evaluate=true"), launcher)
    assert launcher.jobs == jobs


def test_nothing_is_launched_if_one_config_is_wrong(tiny: list[str]) -> None:
    launcher = Recorded()
    with pytest.raises(UserError, match="did you mean"):
        run_jobs([*overrides(tiny), [*tiny, "experiment=msanet_places2_mumm"]], launcher)
    assert not launcher.jobs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--- 1\nerror: an old one\n--- 2\n1/4\nerror: no such file: x\ncleaning up\n", "error: no such file: x"),
        ("--- 1\n  File x\n    raise\nan.module.LossNotFinite: the term\n\n", "an.module.LossNotFinite: the term"),
        ("--- 1\ntraining: 3/4\n", "training: 3/4"),
        ("", "it printed nothing"),
    ],
)  # fmt: skip
def test_last_words(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "log.txt").write_text(text)
    assert last_words(tmp_path / "log.txt") == expected


def test_several_at_once_share_processors_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert LocalLauncher(1)._share(0) == {}
    two = [LocalLauncher(2)._share(slot) for slot in range(2)]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in two] == ["4,5", "6,7"]
    assert two[0]["OMP_NUM_THREADS"] == "8"
    eight = [LocalLauncher(8)._share(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(8)]
    assert eight == ["4", "5", "6", "7"] * 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" not in LocalLauncher(2)._share(1)
    with pytest.raises(UserError, match="hydra.launcher.jobs=0 must be at least 1"):
        LocalLauncher(0)


def test_hydra_finds_the_launchers(tiny: list[str]) -> None:
    launcher = make_launcher(["hydra.launcher.jobs=3"])
    assert isinstance(launcher, LocalLauncher)
    assert launcher.at_once == 3
    with pytest.raises(UserError, match="hydra/launcher must be one of .*; got 'slurmm'; did you mean slurm"):
        make_launcher(["hydra/launcher=slurmm"])


# ---------------------------------------------------------------------- real processes
@pytest.mark.slow
def test_a_failing_run_leaves_the_others_and_hydras_multirun_does_the_rest_later(
    tiny: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "inpaintlab", "train", "-m", "experiment=glob(msanet_places2_m*)"]
    command += [*tiny, "model.generator.n_msau=0,2", "hydra.launcher.jobs=2", "batches=2"]
    first = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert first.returncode == 1
    assert "4 runs: 2 done, 2 failed" in first.stdout
    assert first.stdout.count("    error: model.generator: n_msau must be one of 2, 3; got 0\n") == 2
    assert first.stderr.strip().splitlines()[-1] == "error: 2 of 4 runs are not finished"
    good = [part if "n_msau" not in part else "model.generator.n_msau=2" for part in command]
    second = subprocess.run(good, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert second.returncode == 0, second.stderr
    assert "2 runs: 2 finished before" in second.stdout


@pytest.mark.slow
def test_a_table_swept_in_two_processes_and_killed_ten_times_is_the_undisturbed_table(
    tiny: list[str], tmp_path: Path
) -> None:
    """Killed by SIGKILL (the runs notice that it is gone), or stopped by SIGTERM, at random moments."""
    plain = [o for o in tiny if not o.startswith(("scale=", "output=", "batches="))]
    command = [sys.executable, "-m", "inpaintlab", "table", "msanet.table3", *plain, "batches=60"]
    command += ["--jobs", "2", "trainer.checkpoint_every=7", "evaluation.keep=2"]

    def begin(output: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{output}.txt").open("ab") as log:
            return subprocess.Popen(
                [*command, f"output={output}"], cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
            )

    began = time.monotonic()
    assert begin("whole").wait(timeout=400) == 0
    length = time.monotonic() - began
    rng = random.Random(7)
    for kill in range(10):
        process = begin("killed")
        try:
            # From the imports of the sweep itself to somewhere in the runs.
            status = process.wait(timeout=rng.uniform(0.05, 0.7) * length)
            assert status == 0, (tmp_path / "killed.txt").read_text()[-3000:]
        except subprocess.TimeoutExpired:
            number = (signal.SIGKILL, signal.SIGTERM)[kill % 2]
            process.send_signal(number)
            status = process.wait(timeout=300)
            assert status in (-number, 128 + number, 0)  # 0: done just before the signal
    assert begin("killed").wait(timeout=400) == 0, (tmp_path / "killed.txt").read_text()[-3000:]
    tables = [(tmp_path / output / "tables") for output in ("whole", "killed")]
    with next(tables[0].glob("*/table.csv")).open() as one, next(tables[1].glob("*/table.csv")).open() as two:
        rows = [list(csv.DictReader(one)), list(csv.DictReader(two))]
    for row in (*rows[0], *rows[1]):
        assert row.pop("commit")  # the checkout may change meanwhile
    assert rows[0] == rows[1]
    for run in (tmp_path / "whole").glob("*/*/seed*"):
        assert len(list(run.glob("evaluation-*"))) == 1  # by the run, as the table wants it
    for path in (tmp_path / "whole").glob("*/*/seed*/evaluation-*/per_picture.csv"):
        assert path.read_text() == (tmp_path / "killed" / path.relative_to(tmp_path / "whole")).read_text()
