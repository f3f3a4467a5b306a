"""Stop a training on SIGTERM, Ctrl-C or a scheduler's signal: save after the current batch and end the process.

A second Ctrl-C ends the process at once. The exit status is 128 + the signal's number, 143 for SIGTERM, as usual for a
program that a signal ends: a launcher reads it as "stopped", not "failed", and the same command continues the run. A
launcher that runs the training inside its own process and has installed a signal handler, as submitit does to requeue
its job on SLURM, has that handler called after the checkpoint is written.
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
    """Checks after every batch whether any process received a signal; all processes stop after the same batch.

    Replaces Lightning's own signal handlers: one exchanges tensors with the other processes at an arbitrary point of
    the program, another resumes from a checkpoint file of its own.

    Args:
        save: writes a checkpoint; called in all processes.
    """

    def __init__(self, save: Callable[[pl.Trainer], object]) -> None:
        self.save = save
        self._pending: set[int] = set()
        self._launchers = {number: signal.getsignal(number) for number in SIGNALS}
        self._keyboard = signal.getsignal(signal.SIGINT)
        self._group: Any = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.world_size > 1:
            # gloo exchanges on the host; an exchange between GPUs would make them wait after every batch.
            self._group = torch.distributed.new_group(backend="gloo")
        if threading.current_thread() is threading.main_thread():
            for number in (*SIGNALS, signal.SIGINT):  # Lightning restores the earlier handlers, except Ctrl-C's
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
            print(f"stopped and saved after batch {module.batches_done}; the same command continues", flush=True)
        launcher = self._launchers.get(signal.Signals(number))
        if callable(launcher):
            launcher(number, None)
            return  # the process continues until the launcher ends it
        # Lightning treats a non-zero status of a process that it started as a failure and kills the first process.
        sys.exit(128 + number if trainer.is_global_zero else 0)

    def _asked(self) -> int:
        """The number of a signal that any process received, the same in all processes; 0 if there is none."""
        number = max(self._pending, default=0)
        if self._group is None:
            return number
        greatest = torch.tensor(number)
        torch.distributed.all_reduce(greatest, torch.distributed.ReduceOp.MAX, group=self._group)
        return int(greatest)
