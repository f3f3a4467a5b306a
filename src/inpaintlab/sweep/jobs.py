"""Many runs by one command: which are left, each in a process of its own, and what became of them.

`inpaintlab train -m` and `inpaintlab table --jobs` end here. A run that fails leaves the others alone; the same command
started again does what is left, since every run knows from its folder whether it is finished.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from inpaintlab.config.compose import compose_config
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
            return finished_run(self.folder) is not None and (
                not self.config["evaluate"] or finished_evaluation(self.config, self.folder) is not None
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


def plan_jobs(job_overrides: Sequence[Sequence[str]]) -> list[Job]:
    """The runs of a sweep, each once; those with nothing left to do are marked.

    Raises:
        UserError: if any of the configs is wrong, before anything is started.
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
    """Do what is left of a sweep and print a summary, also if the sweep is stopped half-way."""
    jobs = plan_jobs(job_overrides)
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


def require_finished(jobs: Sequence[Job]) -> None:
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
