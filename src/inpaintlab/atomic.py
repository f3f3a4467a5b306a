"""Writing files so that a reader, or a run started again after a kill, never sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def require_writable(folder: str | Path) -> Path:
    """Create `folder` and make sure that files can be written into it.

    Raises:
        PermissionError: naming the folder, before any work is done.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / ".writable") as temporary:
            temporary.touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise PermissionError(
            f"cannot write into the output folder {folder.absolute()} ({error.strerror}); choose another with "
            "`output=...` or make it writable"
        ) from None
    return folder
