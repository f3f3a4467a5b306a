"""The runs of a sweep as an array of SLURM jobs, through submitit.

SLURM starts as many tasks as a run has processes, and Lightning connects them. Before a job's time is over, or when it
is pre-empted, SLURM sends SIGUSR2: the run saves, submitit puts the job into the queue again, and it continues.
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

TICKET = "slurm.json"  # in the folder of a run: its job, so that a sweep that is started again waits for it
POLL = 2.0  # seconds
OF_ANY_CLUSTER = ("timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node")  # to submitit


class Task:
    """What submitit runs in every task of a job, and again when the job was put back into the queue.

    Args:
        overrides: what `inpaintlab train` gets.
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
            raise UserError(sentence) from None  # the last line of the log

    def checkpoint(self) -> Any:
        """Asked by submitit for what to do after the requeue: the same, since a run continues by itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmLauncher:
    """Submits what is left of a sweep and waits for it; interrupted, it leaves the jobs in the queue.

    Args:
        folder: scripts and logs, seen by all nodes.
        max_num_timeout: how often a job whose time is over goes back into the queue.
        options: as submitit names them: nodes, tasks_per_node, gpus_per_node, partition, and so on.

    Raises:
        UserError: if submitit is missing, this is no cluster, or an option is unknown.
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
        """Submit those that are not in the queue already, wait for all, settle each."""
        for job in jobs:
            self._require_fitting(job)
            require_writable(job.folder)
        waiting = {job.folder: self._submitted_before(job) for job in jobs}
        new = [job for job in jobs if waiting[job.folder] is None]
        if new:
            with self.executor.batch():
                handles = [self.executor.submit(Task(job.overrides)) for job in new]
            for job, handle in zip(new, handles, strict=True):
                write_text(job.folder / TICKET, json.dumps({"job": handle.job_id}) + "\n")
                waiting[job.folder] = handle
        for job in jobs:
            job.state, job.log = "in the queue", Path(waiting[job.folder].paths.stderr)
            print(f"job {waiting[job.folder].job_id}: {job.name} (log: {job.log})", flush=True)
        left = list(jobs)
        while left:
            time.sleep(POLL)
            for job in [job for job in left if waiting[job.folder].done()]:
                left.remove(job)
                (job.folder / TICKET).unlink(missing_ok=True)
                state = waiting[job.folder].watcher.get_state(waiting[job.folder].job_id, mode="cache")
                cancelled = state.startswith("CANCELLED")
                job.settle(state == "COMPLETED", cancelled, f"SLURM says {state}" if state != "UNKNOWN" else "")
                print(f"  {job.state}: {job.name}" + (f": {job.reason}" if job.reason else ""), flush=True)

    def _require_fitting(self, job: Job) -> None:
        trainer = job.config["trainer"]
        if (trainer["devices"], trainer["num_nodes"]) != (self.tasks, self.nodes):
            raise UserError(
                f"{job.name} is to run in trainer.devices={trainer['devices']} processes on "
                f"trainer.num_nodes={trainer['num_nodes']} nodes, and SLURM is asked for "
                f"hydra.launcher.tasks_per_node={self.tasks} and hydra.launcher.nodes={self.nodes}; make them equal"
            )

    def _submitted_before(self, job: Job) -> Any:
        """The job of an earlier sweep that is still in the queue or running, or None."""
        ticket = job.folder / TICKET
        if not ticket.exists():
            return None
        tasks = range(self.nodes * self.tasks)
        handle: Any = self.submitit.SlurmJob(self.folder / "%j", json.loads(ticket.read_text())["job"], tasks)
        known = handle.watcher.get_info(handle.job_id, mode="force")
        return handle if known and not handle.done() else None
