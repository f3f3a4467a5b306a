"""Run several jobs, each in its own process, and report their outcomes.

`inpaintlab train -m` and `inpaintlab table --jobs` use this module. A run that fails does not stop the others. The same
command continues an interrupted sweep, since every run knows from its folder whether it is finished.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hydra.utils import instantiate

from inpaintlab.config.compose import compose_checked, compose_config
from inpaintlab.config.plain import to_plain
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.evaluation.results import finished_evaluation
from inpaintlab.training.record import finished_run
from inpaintlab.utils.process import MENDABLE

BEFORE, DONE, FAILED, STOPPED, LEFT = "finished before", "done", "failed", "stopped", "not started"
LOG = "log.txt"  # in the folder of a run


@dataclass
class Job:
    """One run of a sweep.

    Args:
        overrides: arguments of `inpaintlab train`.
        name: the overrides in which it differs from the other jobs.
        config: composed, plain.
        folder: of the run.
        state: one of the constants above, or a launcher's own word while the job waits.
        log: the file with its output.
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
        """Whether the run, and its evaluation if one is asked for, is finished."""
        try:
            return finished_run(self.folder) is not None and (
                not self.config["evaluate"] or finished_evaluation(self.config, self.folder) is not None
            )
        except MENDABLE:  # a torn record or a manifest of other pairs; the process of the run reports it
            return False

    def settle(self, ended_well: bool, was_stopped: bool, note: str = "") -> None:
        """Set the final state, after the process has ended.

        Args:
            ended_well: whether its exit status was 0.
            was_stopped: whether it was asked to stop.
            note: what the launcher knows about a failure.
        """
        self.state = DONE if self.finished() else STOPPED if was_stopped else FAILED
        if self.state == FAILED:
            why = note or ("" if not ended_well else "the process ended without finishing the run")
            self.reason = "; ".join(part for part in (last_words(self.log), why) if part)


class Launcher(Protocol):
    """Runs jobs and calls `settle` on each when its process has ended."""

    def run(self, jobs: Sequence[Job]) -> None: ...


def make_launcher(overrides: Sequence[str]) -> Launcher:
    """The launcher of the config group `hydra/launcher`: local unless the overrides choose another."""
    launcher: Launcher = instantiate(compose_checked(overrides, "train").hydra.launcher).make()
    return launcher


def plan_jobs(job_overrides: Sequence[Sequence[str]]) -> list[Job]:
    """The jobs of a sweep without repetitions, each in state BEFORE or LEFT.

    Args:
        job_overrides: the overrides of each job.

    Raises:
        UserError: if any config is wrong, before anything is started.
    """
    jobs: dict[Path, Job] = {}
    common = set.intersection(*map(set, job_overrides)) if len(job_overrides) > 1 else set()
    for overrides in job_overrides:
        config = compose_config(overrides)
        folder = run_folder(config)
        name = " ".join(o for o in overrides if o not in common or o.startswith("experiment="))
        job = Job(tuple(overrides), name, to_plain(config), folder, log=folder / LOG)
        job.state = BEFORE if job.finished() else LEFT
        jobs.setdefault(folder, job)
    return list(jobs.values())


def run_jobs(job_overrides: Sequence[Sequence[str]], launcher: Launcher) -> list[Job]:
    """Run the unfinished jobs of a sweep; print a summary at the end, also if the sweep is interrupted."""
    jobs = plan_jobs(job_overrides)
    try:
        launcher.run([job for job in jobs if job.state == LEFT])
    finally:
        print(summary(jobs), flush=True)
    return jobs


def summary(jobs: Sequence[Job]) -> str:
    """The outcome of each job, as text."""
    states = [state for state in (DONE, FAILED, STOPPED, LEFT, BEFORE) if any(job.state == state for job in jobs)]
    count = ", ".join(f"{sum(job.state == state for job in jobs)} {state}" for state in states)
    lines = [f"\n{len(jobs)} runs: {count}"]
    for job in sorted(jobs, key=lambda job: states.index(job.state)):
        lines.append(f"  {job.state:16} {job.name}" + (f"\n    {job.reason}\n    {job.log}" if job.reason else ""))
    if {FAILED, STOPPED, LEFT} & set(states):
        lines.append("The same command runs the rest.")
    return "\n".join(lines)


def require_finished(jobs: Sequence[Job]) -> None:
    """Raise UserError if any job is not finished."""
    left = [job for job in jobs if job.state not in (DONE, BEFORE)]
    if left:
        raise UserError(f"{len(left)} of {len(jobs)} runs are not finished")


def last_words(log: Path) -> str:
    """The line of a log that explains why a process ended: its last error, or otherwise its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()] if log.exists() else []
    begin = max((i for i, line in enumerate(lines) if line.startswith("--- ")), default=-1)
    said = [line for line in lines[begin + 1 :] if line]
    errors = [line for line in said if re.match(r"(error|[\w.]*(Error|Exception|NotFinite|Unhealthy)): ", line)]
    return (errors or said or ["it printed nothing"])[-1][:300]
