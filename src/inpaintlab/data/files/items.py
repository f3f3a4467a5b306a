"""Pictures that are not read yet: one item, or a sequence of millions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import overload

from inpaintlab.data.files.images import Picture, read_fast, read_picture
from inpaintlab.data.files.lists import Names

Region = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True)
class Item:
    """One picture, or a part of one.

    Args:
        name: unique within its split, and the same on all machines.
        path: the file.
        box: (top, left, height, width) of the part in pixels, or None for the whole picture.
        keep: keep the decoded file in memory; for a handful of files with many parts each.
    """

    name: str
    path: Path
    box: Region | None = None
    keep: bool = False

    def load(self) -> Picture:
        """Return RGB, uint8 (H, W, 3), with the exact pixels of the file."""
        return self._part(_read_kept(self.path) if self.keep else read_picture(self.path))

    def load_for_training(self, at_least: int | None = None) -> Picture:
        """Like `load`, but a large JPEG may be decoded smaller, with a shorter side of `at_least`; see `read_fast`."""
        return self._part(_read_kept(self.path) if self.keep else read_fast(self.path, at_least))

    def _part(self, picture: Picture) -> Picture:
        if self.box is None:
            return picture
        top, left, height, width = self.box
        return picture[top : top + height, left : left + width]


@lru_cache(maxsize=8)
def _read_kept(path: Path) -> Picture:
    return read_picture(path)


class Files(Sequence[Item]):
    """A sequence of whole pictures in files; items are created on access.

    Args:
        root: the folder.
        paths: paths of the files, relative to `root`.
        name: returns a picture's name from its path.
    """

    def __init__(self, root: Path, paths: Names, name: Callable[[str], str] = str) -> None:
        self.root, self.paths, self.name = root, paths, name

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Files: ...
    def __getitem__(self, index: int | slice) -> Item | Files:
        if isinstance(index, slice):
            return Files(self.root, self.paths[index], self.name)
        path = self.paths[index]
        return Item(self.name(path), self.root / path)

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))
