"""Apply a function to very many items, on all cores, in order, with a progress bar."""

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
FEW = 4 * CHUNK  # up to this number, starting processes takes longer than the work


def spread(
    work: Callable[[T], R], items: Iterable[T], total: int, label: str, processes: int | None = None
) -> Iterator[R]:
    """Yield `work(item)` for every item, in order.

    Args:
        work: a module-level function, or a `partial` of one, since spawned processes import it.
        items: any number of them; only a few are in progress at any time.
        total: their number.
        label: of the progress bar.
        processes: number of processes; None for all cores.
    """
    processes = processes or os.cpu_count() or 1
    with Bar(label, total) as bar:
        if processes == 1 or total <= FEW:
            for done, item in enumerate(items, 1):
                yield work(item)
                bar.update(done)
            return
        rest = iter(items)
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
                pool.shutdown(cancel_futures=True)  # without it, all waiting work would be done first
                raise


def _begin() -> None:
    end_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main process handles it


def _all(work: Callable[[T], R], items: list[T]) -> list[R]:
    return [work(item) for item in items]
