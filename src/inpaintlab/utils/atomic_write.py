"""Write files atomically, so that neither a reader nor a restarted run sees half a file; lock files."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inpaintlab.errors import UserError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end of the block, or removed if the block raises.

    A link at `path` is replaced, not followed. The temporary name cannot be guessed, so no link can wait there.

    Raises:
        UserError: if a folder below an output folder (see `require_writable`) is a link.
    """
    path = Path(path)
    _refuse_links(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, since image writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
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
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a link, which is not followed; remove it") from None
        raise
    with os.fdopen(number, "w") as file:
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


_outputs: set[Path] = set()  # folders that the user named for results, as absolute paths


def _refuse_links(folder: Path) -> None:
    """Raise UserError if a folder between an output folder and `folder`, inclusive, is a link.

    The output folder itself, and those above it, may be links: the user named them. Folders below it may have come in
    an archive from a stranger, and a link there would lead the results to any other place.
    """
    folder = Path(os.path.abspath(folder))
    for output in _outputs:
        if folder.is_relative_to(output):
            while folder != output:
                if folder.is_symlink():
                    raise UserError(
                        f"{folder} is a link below the output folder {output}, which is not followed; remove the link, "
                        "or make the output folder itself one"
                    )
                folder = folder.parent
            return


def require_writable(
    folder: str | Path,
    remedy: str = "choose another with `output=...` or make it writable",
    *,
    below: str | Path | None = None,
) -> Path:
    """Create `folder` and check that files can be written into it.

    Args:
        below: the output folder that the user named, if that is not `folder` itself; no link below it is followed, from
            now on.
        remedy: what the user can do; it ends the message.

    Returns:
        The folder.

    Raises:
        PermissionError: naming the folder.
        UserError: if a folder below the output folder is a link.
    """
    folder = Path(folder)
    _refuse_links(folder)
    _outputs.add(Path(os.path.abspath(folder if below is None else below)))
    _refuse_links(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{secrets.token_hex(4)}"  # one file per process, since all processes of a run check
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise PermissionError(
            f"cannot write into the output folder {folder.absolute()} ({error.strerror}); {remedy}"
        ) from None
    return folder
