"""Progress of long work: a live bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from inpaintlab.utils.printable import printable

LINE_EVERY = 10.0  # seconds between two lines without a terminal


class Bar:
    """A progress bar for one piece of work, used as a context manager.

    Args:
        label: in front of the bar, for example "row 1 of 2: No-MUM, training".
        total: number of steps.
        done: number of steps that were done earlier.
        quiet: show nothing; for all processes except the first.
    """

    def __init__(self, label: str, total: int, done: int = 0, *, quiet: bool = False) -> None:
        self.label = printable(label)
        self.total, self.done, self.quiet = total, done, quiet
        self._first, self._start, self._last = done, time.monotonic(), time.monotonic()
        self._live = sys.stderr.isatty() and not quiet
        if self._live:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self._progress = Progress(
                *columns,
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
            )
            self._task = self._progress.add_task(self.label, total=total, completed=done, note="")

    def __enter__(self) -> Bar:
        if self._live:
            self._progress.start()
        elif not self.quiet:
            print(f"{self.label}: {self.done}/{self.total}", file=sys.stderr, flush=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` steps are done in total, and `note` after them."""
        self.done, note = done, printable(note)
        if self._live:
            self._progress.update(self._task, completed=done, note=note)
            return
        now = time.monotonic()
        if self.quiet or (done < self.total and now - self._last < LINE_EVERY):
            return
        self._last = now
        rate = (done - self._first) / max(now - self._start, 1e-9)
        left = f", {(self.total - done) / rate:.0f} s left" if rate and done < self.total else ""
        text = f"{self.label}: {done}/{self.total}, {rate:.2f}/s{left}"
        print(f"{text}, {note}" if note else text, file=sys.stderr, flush=True)
