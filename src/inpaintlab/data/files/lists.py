"""File lists of any length: one buffer instead of a million objects, and the ways they are written down."""

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


def printable(text: str) -> str:
    """The text, with bytes that are not UTF-8 in the names of files written as \\udcXX: others cannot be printed."""
    return text.encode(errors="backslashreplace").decode()


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its suffix, in any case; hidden files are not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def scan(folder: str | Path, what: str = "pictures") -> Names:
    """The picture files below `folder`, relative to it, sorted part by part.

    Linked folders are followed, but none is scanned twice: what is found in the tree itself is not found again by a
    link to it, and of two links to the same folder the first in the order of names counts.

    Raises:
        FileNotFoundError: if the folder does not exist or holds no picture.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of {what} does not exist: {folder.absolute()}")
    walk = _walk(str(folder), "", os.path.realpath(folder), set())
    found = Names(sorted(walk, key=lambda name: name.replace("/", "\0")))
    if not found:
        kinds = ", ".join(sorted(SUFFIXES))
        raise FileNotFoundError(f"no {what} in {folder.absolute()} (looked for {kinds}, in all sub-folders)")
    return found


def _walk(folder: str, prefix: str, root: str, walked: set[str], linked: bool = False) -> Iterator[str]:
    """The pictures in `folder`; `linked` if a link has led there, so that its files may be found otherwise, too."""
    real = os.path.realpath(folder)
    if real in walked or (linked and _reached(real, root)):
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
        yield from _walk(path, f"{prefix}{name}/", root, walked, by_link)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say
        return False


def _reached(real: str, root: str) -> bool:
    """Whether a folder is scanned without any link; hidden ones are not."""
    parts = os.path.relpath(real, root).split(os.sep)
    return parts[0] != os.pardir and not any(part.startswith(".") and part != os.curdir for part in parts)


def read_list(path: str | Path, column: str = "image", root: Path | None = None) -> Names:
    """The file names in a list: one per line, or a column of a CSV file with a header.

    Empty lines and lines that begin with # are skipped. What follows a space after a picture's suffix, a class number
    say, is cut off, and so is a leading slash.

    Args:
        root: the folder that the names are relative to; those that lead elsewhere are refused.

    Raises:
        FileNotFoundError: if there is no such list, or no name in it.
        UserError: if it is no UTF-8 text, or a name leads out of `root`.
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
            raise UserError(f"the file list {path.absolute()} is no CSV file: {error}") from None
    if not names:
        raise FileNotFoundError(f"the file list {path.absolute()} holds no names")
    return names


def _text(lines: Iterable[str], path: Path) -> Iterator[str]:
    """The lines; UserError at one that other encodings than UTF-8 make."""
    for line in lines:
        if "\0" in line or line.startswith(("\udcff\udcfe", "\udcfe\udcff")):  # the marks of UTF-16
            raise UserError(f"the file list {path.absolute()} is no UTF-8 text (UTF-16, it seems): save it as UTF-8")
        yield line


def _within(names: Iterable[str], root: Path, path: Path) -> Iterator[str]:
    """The names; UserError at one that leads out of `root`."""
    for name in names:
        if ".." in name.split("/"):
            raise UserError(
                f"{path.absolute()} lists {name}, which leads out of {root.absolute()}: write it without .."
            )
        # The official lists of Places2 begin every name with a slash, and mean no file of the machine.
        if name.startswith("/") and os.path.exists(name) and not (root / name.lstrip("/")).exists():
            raise UserError(f"{path.absolute()} lists {name}: write its paths relative to {root.absolute()}")
        yield name


def _name(line: str) -> str:
    line = line.strip()
    if not line or line.startswith("#"):
        return ""
    head, _, tail = line.rpartition(" ")
    return head.rstrip() if tail.isdigit() and is_picture(os.path.basename(head.rstrip())) else line
