"""The base class of data sets with a documented layout, original or prepared.

A set reads its pictures from `root`. `root` holds either the original layout, as the archives unpack it, or the output
of `inpaintlab data prepare`: the folders train/, val/ and test/, one list file for each, and prepared.json.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from inpaintlab.data.datasets.source import PREPARED, PREVIEWS, SPLITS, refuse_half_prepared
from inpaintlab.data.files import lists
from inpaintlab.data.files.items import Files
from inpaintlab.data.files.lists import Names
from inpaintlab.errors import UserError

Option = str | int | bool | list[str] | None  # plain data: prepared.json keeps the options


class NamedSet(ABC):
    """A data set with a documented layout.

    Args:
        root: folder of the set.
        options: how its splits are made; a prepared folder must have been made with the same options.

    Raises:
        UserError: at once, if `root` is None; at the first use of a split, if `root` was prepared otherwise.
        FileNotFoundError: at the first use of a split, naming what is missing.
    """

    title: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = SPLITS  # those that the set has

    def __init__(self, root: str | Path | None, **options: Option) -> None:
        if root is None:
            raise UserError(f"data.root is not set: give the folder of {self.title} as data.root=FOLDER")
        self.root = Path(root).expanduser()
        self.options = options
        self._known: dict[str, Names] = {}

    def split(self, name: str, size: int) -> Files:
        """Return the pictures of "train", "val" or "test". Checks that a sample of them exists; decodes none."""
        del size
        names = self.names(name)
        missing = [path for path in names.spread(16) if not (self.root / path).exists()]
        if missing:
            raise FileNotFoundError(
                f"{self.title}: {self.root.absolute() / missing[0]} is listed for {name!r} but not there; "
                "`inpaintlab data verify` names all missing files"
            )
        return Files(self.root, names, self.name_of)

    def names(self, split: str) -> Names:
        """Return the paths of a split, relative to `root`. Lists and folders are read once."""
        if split not in self.splits:
            raise UserError(
                f"{self.title} has no {split!r} pictures, only {', '.join(self.splits)}; choose another data= for that"
            )
        if split not in self._known:
            if not self.root.is_dir():
                raise FileNotFoundError(
                    f"the folder of {self.title} does not exist: {self.root.absolute()} (data.root)"
                )
            refuse_half_prepared(self.root)
            found = self._prepared(split) if self.is_prepared else self.original(split)
            if not found:
                raise FileNotFoundError(f"{self.title}: no picture for the split {split!r} in {self.root.absolute()}")
            self._known[split] = found
        return self._known[split]

    @property
    def is_prepared(self) -> bool:
        """Whether `root` was written by `inpaintlab data prepare`."""
        return (self.root / PREPARED).is_file()

    def name_of(self, path: str) -> str:
        """Return a picture's name, the same in every layout of the set, from its path relative to `root`."""
        return path.split("/", 1)[1] if self.is_prepared else self.canonical(path)

    # ------------------------------------------------------------------ what each set defines
    @abstractmethod
    def original(self, split: str) -> Names:
        """Return the paths of a split in the original layout."""

    @abstractmethod
    def canonical(self, path: str) -> str:
        """Return a picture's name from its path in the original layout."""

    @abstractmethod
    def folders(self) -> list[str]:
        """Return the existing folders of the original layout that hold pictures, relative to `root`."""

    @abstractmethod
    def archives(self) -> Mapping[str, Mapping[str, str]]:
        """Return a pattern for each archive of the set, with the new names of top folders that are renamed."""

    def expected(self) -> Mapping[str, int]:
        """Return the number of pictures of the complete set by split, where it is known."""
        return {}

    # ------------------------------------------------------------------ helpers for the sets
    def find_file(self, *names: str) -> Path | None:
        """Return the first of these files in `root` or its sub-folders, two levels deep, or None."""
        for name in names:
            for pattern in (name, f"*/{name}", f"*/*/{name}"):
                found = next(iter(sorted(self.root.glob(pattern))), None)
                if found is not None and found.is_file():
                    return found
        return None

    def need_file(self, *names: str, needed_for: str) -> Path:
        """Like `find_file`, but raises FileNotFoundError if there is none; `needed_for` is the purpose of the file."""
        found = self.find_file(*names)
        if found is None:
            raise FileNotFoundError(
                f"{needed_for} needs {' or '.join(names)}, which is not in {self.root.absolute()} or its sub-folders"
            )
        return found

    def find_folder(self, *names: str) -> str | None:
        """Return the first existing one of these folders, relative to `root`, or None."""
        return next((name for name in names if (self.root / name).is_dir()), None)

    def need_folder(self, *names: str) -> str:
        """Like `find_folder`, but raises FileNotFoundError with the names that were tried."""
        found = self.find_folder(*names)
        if found is None:
            there = sorted(path.name for path in self.root.iterdir())[:8]
            raise FileNotFoundError(
                f"{self.title}: none of the folders {', '.join(names)} is in {self.root.absolute()}, which holds "
                f"{', '.join(there) or 'nothing'}"
            )
        return found

    def scan(self, folder: str) -> Names:
        """Return the pictures below a folder of `root`, relative to `root`."""
        return Names(f"{folder}/{name}" for name in lists.scan(self.root / folder))

    def _prepared(self, split: str) -> Names:
        made = json.loads((self.root / PREPARED).read_text())
        other = {
            key: (value, made["options"].get(key)) for key, value in self.options.items()
            if made["options"].get(key) != value
        }  # fmt: skip
        if made["set"] != type(self).__name__ or other:
            changes = ", ".join(f"{key}={then!r} and not {now!r}" for key, (now, then) in other.items())
            raise UserError(
                f"{self.root.absolute()} was prepared as {made['set']}{' with ' if changes else ''}{changes}; give "
                "the same options (data.pictures.*) or prepare another folder"
            )
        return Names(f"{split}/{name}" for name in lists.read_list(self.root / f"{split}.txt"))


def preview(train: Names) -> Names:
    """Return training pictures that stand in for a validation split that a set does not have."""
    return train.spread(PREVIEWS)
