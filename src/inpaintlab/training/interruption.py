"""Stopping when asked to: SIGTERM, Ctrl-C, or a scheduler's warning, saves within one batch and ends the process.

A second Ctrl-C ends at once. The exit status is 128 + the signal's number, 143 for SIGTERM, as of any program that a
signal ends: a launcher reads it as "stopped", not "failed", and the same command continues the run. A launcher that
runs us inside its own process and has installed a handler, as submitit has to requeue its job on SLURM, is asked
instead, once the checkpoint is written.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch

from inpaintlab.utils.process import SIGNALS


class Interruption(pl.Callback):
    """Looks after every batch whether a signal came, to any of the processes; all stop after the same batch.

    Lightning has handlers of its own while it trains: one exchanges tensors with other processes in the middle of
    whatever the program does, another resumes from a file we do not know. Ours take their place.

    Args:
        save: writes a checkpoint, on all processes.
    """

    def __init__(self, save: Callable[[pl.Trainer], object]) -> None:
        self.save = save
        self._pending: set[int] = set()
        self._launchers = {number: signal.getsignal(number) for number in SIGNALS}
        self._keyboard = signal.getsignal(signal.SIGINT)
        self._group: Any = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.world_size > 1:
            # On the host: asking through the GPUs would make them wait after every batch.
            self._group = torch.distributed.new_group(backend="gloo")
        if threading.current_thread() is threading.main_thread():
            for number in (*SIGNALS, signal.SIGINT):  # Lightning restores what was there before, but for the last
                signal.signal(number, self._note)

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._keyboard)

    def _note(self, number: int, frame: object) -> None:
        if number == signal.SIGINT and number in self._pending:
            raise KeyboardInterrupt
        self._pending.add(number)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        number = self._asked()
        if not number:
            return
        self._pending.discard(number)
        self.save(trainer)
        if trainer.is_global_zero:
            print(f"stopped and saved after batch {module.batches_done}; the same command goes on", flush=True)
        launcher = self._launchers.get(signal.Signals(number))
        if callable(launcher):
            launcher(number, None)
            return  # it wants the job to go on, until it is killed
        # Lightning takes another status of a process that it started for a failure, and kills the first one.
        sys.exit(128 + number if trainer.is_global_zero else 0)

    def _asked(self) -> int:
        """The number of a signal that any process has received, the same on all; or 0."""
        number = max(self._pending, default=0)
        if self._group is None:
            return number
        greatest = torch.tensor(number)
        torch.distributed.all_reduce(greatest, torch.distributed.ReduceOp.MAX, group=self._group)
        return int(greatest)
