"""Run the jobs of a sweep as an array of SLURM jobs, through submitit.

SLURM starts one task per process of a run, and Lightning connects them. Before the time limit of a job, or when it is
pre-empted, SLURM sends SIGUSR2: the run saves a checkpoint, submitit requeues the job, and the run continues.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inpaintlab.errors import UserError
from inpaintlab.sweep.jobs import Job
from inpaintlab.utils.atomic_write import require_writable, write_text
from inpaintlab.utils.process import explain

TICKET = "slurm.json"  # in the folder of a run: the number of its job, so that a restarted sweep waits for it
POLL = 2.0  # seconds
# Options that submitit accepts for any cluster; it wants the others with the prefix slurm_.
OF_ANY_CLUSTER = ("timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node")


class Task:
    """The function that submitit runs in every task of a job, and again after a requeue.

    Args:
        overrides: arguments of `inpaintlab train`.
    """

    def __init__(self, overrides: Sequence[str]) -> None:
        self.overrides = list(overrides)

    def __call__(self) -> None:
        from inpaintlab.config.compose import compose_config
        from inpaintlab.training.run import run_training

        try:
            run_training(compose_config(self.overrides))
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                raise
            raise UserError(sentence) from None  # becomes the last line of the log

    def checkpoint(self) -> Any:
        """Submitit asks what to run after the requeue: the same, since a run continues by itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmLauncher:
    """Submits the jobs of a sweep and waits for them; if it is interrupted, the jobs stay in the queue.

    Args:
        folder: for scripts and logs; all nodes must see it.
        max_num_timeout: how often a job that reaches its time limit is requeued.
        options: of submitit: nodes, tasks_per_node, gpus_per_node, partition and so on.

    Raises:
        UserError: if submitit is missing, SLURM is not available here, or an option is unknown.
    """

    def __init__(self, *, folder: str, max_num_timeout: int = 1000, **options: Any) -> None:
        try:
            import submitit
        except ModuleNotFoundError:
            raise UserError(
                "hydra/launcher=slurm needs the package submitit: pip install 'inpaintlab[sweep]'"
            ) from None
        self.submitit = submitit
        self.nodes, self.tasks = options["nodes"], options["tasks_per_node"]
        self.folder = Path(folder).absolute()
        try:
            self.executor = submitit.AutoExecutor(
                self.folder / "%j", cluster="slurm", slurm_max_num_timeout=max_num_timeout
            )
            given = {key: value for key, value in options.items() if value is not None}
            named = {key if key in OF_ANY_CLUSTER else f"slurm_{key}": value for key, value in given.items()}
            self.executor.update_parameters(name="inpaintlab", **named)
        except (RuntimeError, ValueError, NameError) as error:
            raise UserError(f"hydra/launcher=slurm: {error}") from None

    def run(self, jobs: Sequence[Job]) -> None:
        """Submit the jobs that are not in the queue yet, wait for all and settle each."""
        for job in jobs:
            self._require_fitting(job)
            require_writable(job.folder)
        handles = self._submit(jobs)
        for job in jobs:
            handle = handles[job.folder]
            job.state, job.log = "in the queue", Path(handle.paths.stderr)
            print(f"job {handle.job_id}: {job.name} (log: {job.log})", flush=True)
        left = list(jobs)
        while left:
            time.sleep(POLL)
            for job in [job for job in left if handles[job.folder].done()]:
                left.remove(job)
                self._end(job, handles[job.folder])

    def _submit(self, jobs: Sequence[Job]) -> dict[Path, Any]:
        """Submitit's handle of each job by the folder of its run."""
        known = {job.folder: self._submitted_before(job) for job in jobs}
        handles = {folder: handle for folder, handle in known.items() if handle is not None}
        new = [job for job in jobs if job.folder not in handles]
        if new:
            with self.executor.batch():
                submitted = [self.executor.submit(Task(job.overrides)) for job in new]
            for job, handle in zip(new, submitted, strict=True):
                write_text(job.folder / TICKET, json.dumps({"job": handle.job_id}) + "\n")
                handles[job.folder] = handle
        return handles

    def _end(self, job: Job, handle: Any) -> None:
        (job.folder / TICKET).unlink(missing_ok=True)
        state = handle.watcher.get_state(handle.job_id, mode="cache")
        note = f"SLURM says {state}" if state != "UNKNOWN" else ""
        job.settle(ended_well=state == "COMPLETED", was_stopped=state.startswith("CANCELLED"), note=note)
        print(f"  {job.state}: {job.name}" + (f": {job.reason}" if job.reason else ""), flush=True)

    def _require_fitting(self, job: Job) -> None:
        trainer = job.config["trainer"]
        if (trainer["devices"], trainer["num_nodes"]) != (self.tasks, self.nodes):
            raise UserError(
                f"{job.name} runs with trainer.devices={trainer['devices']} and "
                f"trainer.num_nodes={trainer['num_nodes']}, but SLURM would start "
                f"hydra.launcher.tasks_per_node={self.tasks} and hydra.launcher.nodes={self.nodes}; make them equal"
            )

    def _submitted_before(self, job: Job) -> Any:
        """Submitit's handle of a job from an earlier sweep that is still queued or running, or None."""
        ticket = job.folder / TICKET
        if not ticket.exists():
            return None
        tasks = range(self.nodes * self.tasks)
        handle: Any = self.submitit.SlurmJob(self.folder / "%j", json.loads(ticket.read_text())["job"], tasks)
        known = handle.watcher.get_info(handle.job_id, mode="force")
        return handle if known and not handle.done() else None
