"""Lists of file names: compact in memory, scanned from folders, read from list files."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from inpaintlab.errors import UserError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class Names(Sequence[str]):
    """A sequence of strings, stored in one byte buffer.

    A Python list of 1.8 million names takes 200 MB, and each worker process gradually copies all of it, because reading
    an object changes its reference count. The buffer takes 60 MB and is shared by all workers.

    Args:
        names: the strings, in order.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        buffer, ends = bytearray(), [0]
        for name in names:
            buffer += os.fsencode(name)
            ends.append(len(buffer))
        self._buffer: NDArray[np.uint8] = np.frombuffer(bytes(buffer), np.uint8)
        self._ends: NDArray[np.int64] = np.array(ends, np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Names: ...
    def __getitem__(self, index: int | slice) -> str | Names:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"name {index} of {len(self)}")
        index %= len(self)
        return os.fsdecode(self._buffer[self._ends[index] : self._ends[index + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: Iterable[int]) -> Names:
        """Return the names at these positions, in this order."""
        return Names(self[int(index)] for index in indices)

    def spread(self, count: int) -> Names:
        """Return up to `count` names, spread evenly over all."""
        places = np.linspace(0, len(self) - 1, min(count, len(self))).round()
        return self.take(sorted({int(place) for place in places}))

    @property
    def nbytes(self) -> int:
        """Memory of all names, in bytes."""
        return self._buffer.nbytes + self._ends.nbytes


def is_picture(name: str) -> bool:
    """Whether a file name has the suffix of a picture, in upper or lower case, and is not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def scan(folder: str | Path, what: str = "pictures") -> Names:
    """Return the picture files below `folder`, relative to it, sorted by path components.

    Linked folders are followed, but no folder is scanned twice: a link to a folder within the tree is skipped, and of
    several links to the same outside folder only the first, in the order of names, is followed.

    Args:
        what: the kind of pictures, for error messages.

    Raises:
        FileNotFoundError: if the folder does not exist or holds no picture.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of {what} does not exist: {folder.absolute()}")
    found = Names(sorted(_walk(str(folder)), key=lambda name: name.replace("/", "\0")))
    if not found:
        kinds = ", ".join(sorted(SUFFIXES))
        raise FileNotFoundError(f"no {what} in {folder.absolute()} (looked for {kinds}, in all sub-folders)")
    return found


def _walk(root: str) -> Iterator[str]:
    """Yield the pictures below `root`, relative to it; see `scan`."""
    real_root, walked = os.path.realpath(root), set[str]()

    def walk(folder: str, prefix: str, linked: bool) -> Iterator[str]:
        real = os.path.realpath(folder)
        if real in walked or (linked and _reached(real, real_root)):
            return
        walked.add(real)
        below: list[tuple[str, str, bool]] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                inside = _is_folder(entry)
                if is_picture(entry.name) and not inside:
                    yield prefix + entry.name
                elif inside and not entry.name.startswith("."):
                    below.append((entry.name, entry.path, linked or entry.is_symlink()))
        for name, path, by_link in sorted(below):
            yield from walk(path, f"{prefix}{name}/", by_link)

    yield from walk(root, "", False)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for example a link to itself
        return False


def _reached(real: str, root: str) -> bool:
    """Whether the scan of `root` reaches the folder `real` without following links; it skips hidden folders."""
    parts = os.path.relpath(real, root).split(os.sep)
    return parts[0] != os.pardir and not any(part.startswith(".") and part != os.curdir for part in parts)


def read_list(path: str | Path, column: str = "image", root: Path | None = None) -> Names:
    """Return the file names in a list: one per line, or a column of a CSV file with a header.

    Empty lines and lines that begin with # are skipped. A class number after a picture's name is cut off, and so is a
    leading slash.

    Args:
        column: the column of a CSV file.
        root: the folder that the names are relative to; names that lead out of it are refused. None accepts all.

    Raises:
        FileNotFoundError: if the list does not exist or holds no name.
        UserError: if the list is not UTF-8 text, or a name leads out of `root`.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no such file list: {path.absolute()}")
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = _text(file, path)
        if path.suffix.lower() == ".csv":
            found: Iterable[str] = (row[column].strip() for row in csv.DictReader(lines) if row.get(column))
        else:
            found = filter(None, map(_name, lines))
        if root is not None:
            found = _within(found, root, path)
        try:
            names = Names(filter(None, (name.lstrip("/") for name in found)))
        except csv.Error as error:
            raise UserError(f"the file list {path.absolute()} is not a CSV file: {error}") from None
    if not names:
        raise FileNotFoundError(f"the file list {path.absolute()} holds no names")
    return names


def _text(lines: Iterable[str], path: Path) -> Iterator[str]:
    """Yield the lines; raise UserError at a line that is UTF-16 rather than UTF-8."""
    for line in lines:
        if "\0" in line or line.startswith(("\udcff\udcfe", "\udcfe\udcff")):  # byte order marks of UTF-16
            raise UserError(f"the file list {path.absolute()} is not UTF-8 but seems to be UTF-16; save it as UTF-8")
        yield line


def _within(names: Iterable[str], root: Path, path: Path) -> Iterator[str]:
    """Yield the names; raise UserError at a name that leads out of `root`."""
    for name in names:
        if ".." in name.split("/"):
            raise UserError(
                f"{path.absolute()} lists {name}, which leads out of {root.absolute()}; write it without .."
            )
        # A leading slash alone is fine: the official lists of Places2 begin every name with one.
        if name.startswith("/") and os.path.exists(name) and not (root / name.lstrip("/")).exists():
            raise UserError(f"{path.absolute()} lists {name}; write paths relative to {root.absolute()}")
        yield name


def _name(line: str) -> str:
    """Return the file name in a line, or "" for a line without one."""
    line = line.strip()
    if not line or line.startswith("#"):
        return ""
    head, _, tail = line.rpartition(" ")
    return head.rstrip() if tail.isdigit() and is_picture(os.path.basename(head.rstrip())) else line
