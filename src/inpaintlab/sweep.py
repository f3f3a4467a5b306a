"""Many runs by one command: which are left, each in a process of its own, and what became of them.

`inpaintlab train -m` and `inpaintlab table --jobs` end here. A run that fails leaves the others alone; the same command
started again does what is left, since every run knows from its folder whether it is finished.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from inpaintlab import config as configs
from inpaintlab import evaluate, train
from inpaintlab.atomic import require_writable
from inpaintlab.errors import UserError
from inpaintlab.programs import MENDABLE, stopped

BEFORE, DONE, FAILED, STOPPED, LEFT = "finished before", "done", "failed", "stopped", "not started"
LOG = "log.txt"  # in the folder of a run
GRACE = 120.0  # seconds that a run has to save and end when the sweep is stopped


@dataclass
class Job:
    """One run of a sweep.

    Args:
        overrides: what `inpaintlab train` gets.
        name: those of the overrides that tell it from the others.
        config: composed, plain.
        folder: of the run.
        state: one of the words above.
        log: what it printed.
        reason: why it failed, one line.
    """

    overrides: tuple[str, ...]
    name: str
    config: dict[str, Any]
    folder: Path
    state: str = LEFT
    log: Path = field(default=Path())
    reason: str = ""

    def finished(self) -> bool:
        """Whether nothing is left of it."""
        try:
            return train.finished(self.folder) is not None and (
                not self.config["evaluate"] or evaluate.finished(self.config, self.folder) is not None
            )
        except MENDABLE:  # its manifest names other pairs: its own process says so
            return False

    def settle(self, ended_well: bool, was_stopped: bool, note: str = "") -> None:
        """Find out what became of it, now that its process is gone."""
        self.state = DONE if self.finished() else STOPPED if was_stopped else FAILED
        if self.state == FAILED:
            why = note or ("" if not ended_well else "the process ended without finishing the run")
            self.reason = "; ".join(part for part in (last_words(self.log), why) if part)


class Launcher(Protocol):
    """Runs jobs that are not finished, and settles each."""

    def run(self, jobs: Sequence[Job]) -> None: ...


def plan(job_overrides: Sequence[Sequence[str]]) -> list[Job]:
    """The runs of a sweep, each once; those with nothing left to do are marked.

    Raises:
        UserError: if any of the configs is wrong, before anything is started.
    """
    jobs: dict[Path, Job] = {}
    common = set.intersection(*map(set, job_overrides)) if len(job_overrides) > 1 else set()
    for overrides in job_overrides:
        config = configs.compose(overrides)
        folder = configs.run_folder(config)
        name = " ".join(o for o in overrides if o not in common or o.startswith("experiment="))
        job = Job(tuple(overrides), name, configs.plain(config), folder, log=folder / LOG)
        job.state = BEFORE if job.finished() else LEFT
        jobs.setdefault(folder, job)
    return list(jobs.values())


def run(job_overrides: Sequence[Sequence[str]], launcher: Launcher) -> list[Job]:
    """Do what is left of a sweep and print a summary, also if the sweep is stopped half-way."""
    jobs = plan(job_overrides)
    try:
        launcher.run([job for job in jobs if job.state == LEFT])
    finally:
        print(summary(jobs), flush=True)
    return jobs


def summary(jobs: Sequence[Job]) -> str:
    """What became of each run."""
    states = [state for state in (DONE, FAILED, STOPPED, LEFT, BEFORE) if any(job.state == state for job in jobs)]
    count = ", ".join(f"{sum(job.state == state for job in jobs)} {state}" for state in states)
    lines = [f"\n{len(jobs)} runs: {count}"]
    for job in sorted(jobs, key=lambda job: states.index(job.state)):
        lines.append(f"  {job.state:16} {job.name}" + (f"\n    {job.reason}\n    {job.log}" if job.reason else ""))
    if {FAILED, STOPPED, LEFT} & set(states):
        lines.append("The same command does what is left.")
    return "\n".join(lines)


def require_all(jobs: Sequence[Job]) -> None:
    """Raise UserError if a run is not finished."""
    left = [job for job in jobs if job.state not in (DONE, BEFORE)]
    if left:
        raise UserError(f"{len(left)} of {len(jobs)} runs are not finished")


def last_words(log: Path) -> str:
    """The line of a log that says why a process ended: its last error, or else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()] if log.exists() else []
    begin = max((i for i, line in enumerate(lines) if line.startswith("--- ")), default=-1)
    said = [line for line in lines[begin + 1 :] if line]
    errors = [line for line in said if re.match(r"(error|[\w.]*(Error|Exception|NotFinite|Unhealthy)): ", line)]
    return (errors or said or ["it printed nothing"])[-1][:300]


class Local:
    """Runs of a sweep on this machine, each in a process group of its own.

    With several at once, each gets its share of the processor cores and its own GPUs, if there are enough. SIGTERM and
    Ctrl-C are passed on: the runs save and end. They also end if this process is killed (on Linux).

    Args:
        jobs: how many runs at once.
    """

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise UserError(f"{jobs} jobs at once must be at least 1")
        self.at_once = jobs

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all; settle each."""
        queue = list(jobs)
        running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            while queue or running:
                for slot in range(self.at_once):
                    if queue and slot not in running:
                        running[slot] = self._start(queue.pop(0), slot, f"{len(jobs) - len(queue)} of {len(jobs)}")
                time.sleep(0.1)
                for slot in [slot for slot, (_, process) in running.items() if process.poll() is not None]:
                    self._end(*running.pop(slot))
        finally:
            for _, process in running.values():
                process.terminate()  # not its group: workers must live until it has saved
            for job, process in running.values():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
                self._end(job, process)
            signal.signal(signal.SIGTERM, before)

    def _start(self, job: Job, slot: int, number: str) -> tuple[Job, subprocess.Popen[bytes]]:
        require_writable(job.folder)
        command = [sys.executable, "-m", "inpaintlab.train", *job.overrides]
        with job.log.open("ab") as log:
            log.write(f"--- {datetime.now():%Y-%m-%d %H:%M:%S} {' '.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"INPAINTLAB_JOB": "1"} | self._share(slot),
                start_new_session=True,
            )
        print(f"run {number}: {job.name} (log: {job.log})", flush=True)
        return job, process

    def _end(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what is left of its group
        status = process.wait()
        killed = f"killed by {signal.Signals(-status).name}" if status < 0 else ""
        job.settle(status == 0, stopped(status), killed)
        print(f"  {job.state}: {job.name}" + (f": {job.reason}" if job.reason else ""), flush=True)

    def _share(self, slot: int) -> dict[str, str]:
        if self.at_once == 1:
            return {}
        share = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // self.at_once))} | {
            key: value for key, value in os.environ.items() if key == "OMP_NUM_THREADS"
        }
        gpus = _gpus()
        if gpus:
            each = max(1, len(gpus) // self.at_once)
            mine = [gpus[(slot * each + i) % len(gpus)] for i in range(each)]
            share["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        return share


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
