"""Run the jobs of a sweep on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from types import FrameType

from inpaintlab.errors import UserError
from inpaintlab.sweep.jobs import Job
from inpaintlab.utils.atomic_write import require_writable
from inpaintlab.utils.process import stopped

GRACE = 120.0  # seconds for a run to save and end when the sweep is stopped


class LocalLauncher:
    """Runs the jobs of a sweep on this machine, each in its own process group.

    Runs at the same time share the processor cores, and each has its own GPUs if there are enough. On SIGTERM and
    Ctrl-C the runs save a checkpoint and end. On Linux they also end if this process is killed.

    Args:
        jobs: number of runs at the same time.
    """

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise UserError(f"hydra.launcher.jobs={jobs} must be at least 1")
        self.at_once = jobs

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs and settle each."""
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
                process.terminate()  # only the process itself: it needs its workers until it has saved
            for job, process in running.values():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
                self._end(job, process)
            signal.signal(signal.SIGTERM, before)

    def _start(self, job: Job, slot: int, number: str) -> tuple[Job, subprocess.Popen[bytes]]:
        require_writable(job.folder)
        command = [sys.executable, "-m", "inpaintlab", "train", *job.overrides]
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
            os.killpg(process.pid, signal.SIGKILL)  # worker processes that outlived it
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
