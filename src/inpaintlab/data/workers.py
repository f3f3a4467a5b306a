"""Data loaders whose worker processes use one thread each, ignore signals, and end with the program."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import cache
from multiprocessing import active_children, util
from typing import Any, TypedDict, TypeVar, Unpack

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from inpaintlab.utils.process import SIGNALS

T = TypeVar("T")


class LoaderOptions(TypedDict, total=False):
    """Options that `loader` passes on to torch's DataLoader."""

    batch_size: int
    batch_sampler: Sampler[list[Any]]
    collate_fn: Callable[[list[Any]], object]


def loader(dataset: Dataset[T], workers: int, **options: Unpack[LoaderOptions]) -> DataLoader[T]:
    """Return a data loader with `workers` worker processes; 0 loads in this process.

    Workers use one thread each. They ignore the signals that stop a training, which saves its state and then ends them.
    """
    if workers:
        _kill_workers_at_exit(os.getpid())
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
    for number in (*SIGNALS, signal.SIGINT):  # a job or a terminal sends these to all of its processes
        signal.signal(number, signal.SIG_IGN)


@cache
def _kill_workers_at_exit(process: int) -> None:
    """Register the end of this process's workers, once for each process.

    At exit Python sends workers a signal that they ignore and then waits for them forever, unless the loader is gone
    by then. An error often keeps the loader alive.
    """
    del process
    util.Finalize(None, _kill, exitpriority=100)  # before Python's own handler


def _kill() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would report a killed worker as an error
    for child in active_children():
        if child.daemon:
            child.kill()
