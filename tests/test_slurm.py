"""Sweeps on SLURM, with a stand-in for its commands: requested resources, failures, pre-emption, restarts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inpaintlab.errors import UserError
from inpaintlab.sweep.jobs import make_launcher

STUB = Path(__file__).parent / "stub" / "slurm.py"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SLURM's commands on the path; returns the folder where the stand-in keeps its jobs."""
    pytest.importorskip("submitit")
    programs, jobs = tmp_path / "bin", tmp_path / "jobs"
    programs.mkdir()
    jobs.mkdir()
    for name in ("sbatch", "srun", "sacct", "scontrol", "scancel"):
        shutil.copy(STUB, programs / name)
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_STUB", str(jobs))
    return jobs


def command(tiny: list[str], *more: str) -> list[str]:
    options = ["hydra/launcher=slurm", "hydra.launcher.gpus_per_node=null", *more]
    return [
        sys.executable,
        "-m",
        "inpaintlab",
        "train",
        "-m",
        "experiment=glob(msanet_places2_m*)",
        *tiny,
        *options,
    ]


def test_without_submitit_or_a_cluster_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "submitit", None)
        with pytest.raises(UserError, match=r"pip install 'inpaintlab\[sweep\]'"):
            make_launcher(["hydra/launcher=slurm"])
    pytest.importorskip("submitit")
    with pytest.raises(UserError, match='Could not detect "srun"'):
        make_launcher(["hydra/launcher=slurm"])


@pytest.mark.usefixtures("cluster")
def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UserError, match="Unknown argument 'colour'"):
        make_launcher(["hydra/launcher=slurm", "+hydra.launcher.colour=red"])


@pytest.mark.slow
def test_an_array_of_jobs_with_a_failing_one(tiny: list[str], tmp_path: Path, cluster: Path) -> None:
    options = ["hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=90", "hydra.launcher.setup=[echo ready]"]
    done = subprocess.run(
        command(tiny, *options, "model.generator.n_msau=0,2", "batches=2"),
        capture_output=True, text=True, cwd=tmp_path, timeout=400,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "4 runs: 2 done, 2 failed" in done.stdout
    assert done.stdout.count("n_msau must be one of 2, 3; got 0") >= 2
    script = (cluster / "script.sh").read_text()
    wanted = ["array=0-3%4", "partition=gpu", "time=90", "nodes=1", "ntasks-per-node=1", "signal=USR2@120", "requeue"]
    for line in wanted:
        assert f"#SBATCH --{line}\n" in script
    assert "#SBATCH --gpus-per-node" not in script
    assert "\necho ready\n" in script
    again = subprocess.run(
        command(tiny, *options, "model.generator.n_msau=2", "batches=2"),
        capture_output=True, text=True, cwd=tmp_path, timeout=400,
    )  # fmt: skip
    assert again.returncode == 0
    assert "2 runs: 2 finished before" in again.stdout
    assert len(list(cluster.glob("*.array"))) == 1


@pytest.mark.slow
def test_preempted_jobs_of_two_processes_go_on_and_a_second_sweep_waits_for_them(
    tiny: list[str], tmp_path: Path, cluster: Path
) -> None:
    ddp = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.launcher.tasks_per_node=2"]
    only = [o.replace("_m*", "_mum*") for o in command(tiny, *ddp, "batches=60", "trainer.checkpoint_every=1000")]
    with (tmp_path / "sweep.txt").open("wb") as log:
        first = subprocess.Popen(only, cwd=tmp_path, stdout=log, stderr=log)
    runs = tmp_path / "runs"
    deadline = time.monotonic() + 300

    def logged() -> int:
        files = list(runs.glob("*/*/seed0/csv/*/metrics.csv"))
        return sum(len(file.read_text().splitlines()) for file in files)

    while logged() < 8:
        assert first.poll() is None, (tmp_path / "sweep.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()  # the jobs stay in the queue
    first.wait()
    (name,) = [path.stem for path in cluster.glob("*.state")]
    for number in ("SIGTERM", "USR2"):  # as SLURM pre-empts
        subprocess.run(["scancel", name, "--signal", number], check=True)
    second = subprocess.run(only, capture_output=True, text=True, cwd=tmp_path, timeout=400)
    logs = "\n".join(path.read_text()[-3000:] for path in runs.glob("slurm/*/*log*"))
    assert second.returncode == 0, second.stdout + second.stderr + logs
    assert "1 runs: 1 done" in second.stdout
    assert (cluster / "requeued").read_text() == f"{name}\n"
    assert len(list(cluster.glob("*.array"))) == 1  # nothing was submitted twice
    versions = list(runs.glob("*/*/seed0/csv/version_*"))
    assert len(versions) == 2
    lines = [len((version / "metrics.csv").read_text().splitlines()) - 1 for version in versions]
    assert sum(lines) == 60  # every batch once: it was saved before the requeue
