"""File lists of any length: one buffer instead of a million objects, and the ways they are written down."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class Names(Sequence[str]):
    """A sequence of strings in one byte buffer.

    A Python list of 1.8 million names takes 200 MB, and every worker that reads from it copies its pages one after the
    other, because reading counts references. The buffer takes 60 MB once, for all workers.

    Args:
        names: the strings, in their order.
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
        """The names at these positions, in this order."""
        return Names(self[int(index)] for index in indices)

    def spread(self, count: int) -> Names:
        """Up to `count` names, spread evenly over all."""
        places = np.linspace(0, len(self) - 1, min(count, len(self))).round()
        return self.take(sorted({int(place) for place in places}))

    @property
    def nbytes(self) -> int:
        """Memory for all names."""
        return self._buffer.nbytes + self._ends.nbytes


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its suffix, in any case; hidden files are not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def scan(folder: str | Path, what: str = "pictures") -> Names:
    """The picture files below `folder`, relative to it, sorted part by part. Linked folders are followed.

    Raises:
        FileNotFoundError: if the folder does not exist or holds no picture.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of {what} does not exist: {folder.absolute()}")
    found = Names(sorted(_walk(str(folder), "", ()), key=lambda name: name.replace("/", "\0")))
    if not found:
        kinds = ", ".join(sorted(SUFFIXES))
        raise FileNotFoundError(f"no {what} in {folder.absolute()} (looked for {kinds}, in all sub-folders)")
    return found


def _walk(folder: str, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_picture(entry.name) and not entry.is_dir():
                yield prefix + entry.name
            elif entry.is_dir() and not entry.name.startswith("."):
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in above:  # a link to a folder that it lies in would never end
                    yield from _walk(entry.path, f"{prefix}{entry.name}/", (*above, os.path.realpath(folder)))


def read_list(path: str | Path, column: str = "image") -> Names:
    """The file names in a list: one per line, or a column of a CSV file with a header.

    Empty lines and lines that begin with # are skipped. What follows a space after a picture's suffix, a class number
    say, is cut off, and so is a leading slash.

    Raises:
        FileNotFoundError: if there is no such list, or no name in it.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no such file list: {path.absolute()}")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        if path.suffix.lower() == ".csv":
            names = Names(row[column].strip() for row in csv.DictReader(file) if row.get(column))
        else:
            names = Names(filter(None, map(_name, file)))
    if not names:
        raise FileNotFoundError(f"the file list {path.absolute()} holds no names")
    return names


def _name(line: str) -> str:
    line = line.strip()
    if not line or line.startswith("#"):
        return ""
    head, _, tail = line.rpartition(" ")
    return (head.rstrip() if tail.isdigit() and is_picture(os.path.basename(head.rstrip())) else line).lstrip("/")
