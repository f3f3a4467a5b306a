"""Launchers for Hydra's multirun, `inpaintlab train -m hydra/launcher=...`; Hydra finds them by the package's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from inpaintlab.sweep import jobs


class Local(Launcher):
    """See `inpaintlab.sweep.local.LocalLauncher`."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, **_: Any) -> None:
        """Nothing to prepare."""

    def make(self) -> jobs.Launcher:
        """The object that runs the jobs."""
        from inpaintlab.sweep.local import LocalLauncher

        return LocalLauncher(**self.options)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs; raise UserError at the end if one is not finished."""
        from inpaintlab.sweep.jobs import require_finished, run_jobs

        launcher, state = self.make(), Singleton.get_state()
        GlobalHydra.instance().clear()  # every job composes its own config
        try:
            jobs = run_jobs(job_overrides, launcher)
        finally:
            Singleton.set_state(state)
        require_finished(jobs)
        return [JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED) for job in jobs]


class Slurm(Local):
    """See `inpaintlab.sweep.slurm.SlurmLauncher`."""

    def make(self) -> jobs.Launcher:
        from inpaintlab.sweep.slurm import SlurmLauncher

        return SlurmLauncher(**self.options)
