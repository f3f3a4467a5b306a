"""Write files atomically, so that neither a reader nor a restarted run sees half a file; lock files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inpaintlab.errors import UserError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end of the block, or removed if the block raises."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, since image writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def locked(path: str | Path, patience: float = 60.0, what: str = "") -> Iterator[None]:
    """Hold the lock file `path` inside the block; the system releases it when the process ends for any reason.

    Args:
        patience: seconds to wait for another process, for example for one that is just being stopped.
        what: names the locked work in the error.

    Raises:
        UserError: if another process holds the lock for longer.
    """
    import fcntl  # not on Windows

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                # Locks of the process, so worker processes that outlive it do not hold the lock.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise UserError(f"another process is working on {what or path}; wait until it ends") from None
                time.sleep(0.2)
        yield


def require_writable(folder: str | Path, remedy: str = "choose another with `output=...` or make it writable") -> Path:
    """Create `folder` and check that files can be written into it.

    Args:
        remedy: what the user can do; it ends the message.

    Returns:
        The folder.

    Raises:
        PermissionError: naming the folder.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"  # one file per process, since all processes of a run check
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise PermissionError(
            f"cannot write into the output folder {folder.absolute()} ({error.strerror}); {remedy}"
        ) from None
    return folder
