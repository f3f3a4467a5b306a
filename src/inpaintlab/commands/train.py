"""`inpaintlab train`: train one run, or several with `-m`.

With the same overrides, a stopped run continues and a finished run ends at once. On SIGTERM a run saves a checkpoint
after the current batch and exits with status 143 (see `training.interruption`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inpaintlab.config.hydra_program import HELP, group_names, run_hydra_program
from inpaintlab.utils.process import end_with_parent, first_process

if TYPE_CHECKING:
    from omegaconf import DictConfig

USAGE = """usage: inpaintlab train [-m] [KEY=VALUE ...]

Train a run. The same command continues a stopped run.

  inpaintlab train experiment=msanet_places2 scale=demo             one run, at demo scale
  inpaintlab train -m 'experiment=glob(msanet_*)' seed=0,1 scale=demo   a sweep (Hydra's multirun)
  inpaintlab train -m ... hydra.launcher.jobs=2          two runs at once; or hydra/launcher=slurm
  inpaintlab train experiment=msanet_places2 data=folder data.root=PICTURES batches=20000
  inpaintlab train experiment=msanet_places2 trainer=ddp trainer.devices=4 logger=wandb
  inpaintlab train experiment=msanet_places2 --cfg job              show the composed config

experiments: {experiment}
models: {model}; data: {data}; masks: {masks}; schedules: {schedule}
trainers: {trainer}; loggers: {logger}; scales: {scale}
"""


def _train(config: DictConfig) -> None:
    from inpaintlab.training.run import run_training

    run_training(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab train`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if set(HELP) & set(arguments):
        groups = ("experiment", "model", "data", "masks", "schedule", "trainer", "logger", "scale")
        print(USAGE.format(**group_names(*groups)), end="")
        return
    if os.environ.get("INPAINTLAB_JOB"):  # set by a sweep
        # The other processes of a DDP run cannot save without the first, so they are killed.
        end_with_parent(signal.SIGTERM if first_process() else signal.SIGKILL)
    run_hydra_program("train", arguments, _train)
