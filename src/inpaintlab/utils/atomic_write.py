"""Writing files so that a reader, or a run started again after a kill, never sees half of one; one writer at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inpaintlab.errors import UserError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to it if the block ends well, removed if it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, since writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8) to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def locked(path: str | Path, patience: float = 60.0, what: str = "") -> Iterator[None]:
    """Hold the lock file `path`, which the system takes back when the process ends in whatever way.

    Args:
        patience: seconds to wait for another process, one that is just being stopped, say.
        what: the other process is said to work on.

    Raises:
        UserError: if another process keeps the lock.
    """
    import fcntl  # not on Windows

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                # Of the process: not inherited by the workers of a data loader, which may live on for a moment.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise UserError(f"another process works on {what or path}; wait until it has ended") from None
                time.sleep(0.2)
        yield


def require_writable(folder: str | Path, remedy: str = "choose another with `output=...` or make it writable") -> Path:
    """Create `folder` and make sure that files can be written into it.

    Raises:
        PermissionError: naming the folder, before any work is done.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"  # each process of a run asks
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise PermissionError(
            f"cannot write into the output folder {folder.absolute()} ({error.strerror}); {remedy}"
        ) from None
    return folder
