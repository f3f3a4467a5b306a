"""The same work on very many things, on all cores, in order, with a progress bar."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from inpaintlab.utils.process import end_with_parent
from inpaintlab.utils.progress import Bar

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 64
FEW = 4 * CHUNK  # starting processes takes longer than so many files


def spread(
    work: Callable[[T], R], things: Iterable[T], total: int, label: str, processes: int | None = None
) -> Iterator[R]:
    """`work` of every thing, in order.

    Args:
        work: a function of a module, possibly with arguments bound by `partial`; processes are started anew.
        things, total: they and their number; only a few are in flight at any time, so there may be millions.
        label: of the progress bar.
        processes: all cores if None.
    """
    processes = processes or os.cpu_count() or 1
    with Bar(label, total) as bar:
        if processes == 1 or total <= FEW:
            for done, thing in enumerate(things, 1):
                yield work(thing)
                bar.update(done)
            return
        rest = iter(things)
        chunks = iter(lambda: list(islice(rest, CHUNK)), [])
        waiting: deque[Future[list[R]]] = deque()
        done = 0
        with ProcessPoolExecutor(processes, get_context("spawn"), _begin) as pool:
            try:
                for chunk in chunks:
                    waiting.append(pool.submit(_all, work, chunk))
                    if len(waiting) < 4 * processes:
                        continue
                    yield from (results := waiting.popleft().result())
                    done += len(results)
                    bar.update(done)
                while waiting:
                    yield from (results := waiting.popleft().result())
                    done += len(results)
                    bar.update(done)
            except BaseException:
                pool.shutdown(cancel_futures=True)  # what is not begun would be done first
                raise


def _begin() -> None:
    end_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one answers it


def _all(work: Callable[[T], R], things: list[T]) -> list[R]:
    return [work(thing) for thing in things]
