"""The processes that load: one thread each, deaf to signals that are meant for the program, and gone when it ends."""

from __future__ import annotations

import os
import signal
from functools import cache
from multiprocessing import active_children, util
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from inpaintlab.utils.process import SIGNALS


def loader(dataset: Any, workers: int, **options: Any) -> DataLoader[Any]:
    """A loader whose workers use one thread each and leave signals to the training, which saves and ends them."""
    if workers:
        _end_with(os.getpid())
    return DataLoader(
        dataset,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_begin if workers else None,
        **options,
    )


def _begin(worker: int) -> None:
    del worker
    cv2.setNumThreads(0)
    for number in (*SIGNALS, signal.SIGINT):  # sent to every process of a job, or of a terminal
        signal.signal(number, signal.SIG_IGN)


@cache
def _end_with(process: int) -> None:
    """Have the workers of this process killed when it ends.

    Python would end them by a signal to which they are deaf, and wait for ever: whenever an error keeps the loader.
    """
    del process
    util.Finalize(None, _kill, exitpriority=100)  # before Python's own


def _kill() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler takes a killed worker for an error
    for child in active_children():
        if child.daemon:
            child.kill()
