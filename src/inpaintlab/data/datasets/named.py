"""What data sets with a documented layout have in common: their lists, original or prepared.

A set reads its pictures from `root`, which is the original layout as the archives unpack it, or what
`inpaintlab data prepare` made of it: folders train/, val/ and test/ with a list file each, and prepared.json.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from inpaintlab.data.files import lists
from inpaintlab.data.files.items import Files
from inpaintlab.data.files.lists import Names
from inpaintlab.errors import UserError, check_choice

SPLITS = ("train", "val", "test")
PREPARED, STARTED = "prepared.json", "preparing.json"  # written by `inpaintlab data prepare`, last and first
LOOKED_AT = 64  # pictures of the training split that are shown during training, where a set has no validation split


class NamedSet(ABC):
    """A data set with a documented layout.

    Args:
        root: its folder.
        options: how its splits are made; a prepared folder must have been made with the same.

    Raises:
        UserError, FileNotFoundError: at the first use of a split, saying what is missing.
    """

    title: ClassVar[str]

    def __init__(self, root: str | Path | None, **options: Any) -> None:
        if root is None:
            raise UserError(f"data.root is not set: say where {self.title} is, data.root=FOLDER")
        self.root = Path(root).expanduser()
        self.options = options
        self._known: dict[str, Names] = {}

    def split(self, name: str, size: int) -> Files:
        """The pictures of "train", "val" or "test"; some of them are looked for, none is decoded."""
        del size
        names = self.names(name)
        missing = [path for path in names.spread(16) if not (self.root / path).exists()]
        if missing:
            raise FileNotFoundError(
                f"{self.title}: {self.root.absolute() / missing[0]} is listed for {name!r} but not there; "
                "`inpaintlab data verify` says what else is missing"
            )
        return Files(self.root, names, self.name_of)

    def names(self, split: str) -> Names:
        """The paths of a split, relative to `root`; lists and folders are read once."""
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
        """A picture's name, the same in every layout of the set, from its path relative to `root`."""
        return path.split("/", 1)[1] if self.is_prepared else self.canonical(path)

    @abstractmethod
    def original(self, split: str) -> Names:
        """The paths of a split in the original layout."""

    @abstractmethod
    def canonical(self, path: str) -> str:
        """A picture's name from its path in the original layout."""

    @abstractmethod
    def folders(self) -> list[str]:
        """The folders of the original layout that hold pictures, relative to `root`; those that are there."""

    @abstractmethod
    def archives(self) -> Mapping[str, Mapping[str, str]]:
        """Patterns of the archives that the set comes in, each with those of its top folders that get another name."""

    def expected(self) -> Mapping[str, int]:
        """How many pictures the complete set has per split, where that is known."""
        return {}

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

    # ------------------------------------------------------------------ helpers of the sets
    def find_file(self, *names: str, needed_for: str | None = None) -> Path | None:
        """The first of these files in `root` or one of its sub-folders, two levels deep.

        Raises:
            FileNotFoundError: if there is none and it is needed.
        """
        for name in names:
            for pattern in (name, f"*/{name}", f"*/*/{name}"):
                found = next(iter(sorted(self.root.glob(pattern))), None)
                if found is not None and found.is_file():
                    return found
        if needed_for is not None:
            raise FileNotFoundError(
                f"{needed_for} needs {' or '.join(names)}, which is not in {self.root.absolute()} or its sub-folders"
            )
        return None

    def find_folder(self, *names: str) -> str | None:
        """The first of these folders of `root` that is there, relative to `root`."""
        return next((name for name in names if (self.root / name).is_dir()), None)

    def need_folder(self, *names: str) -> str:
        """The same; raises FileNotFoundError with the list of those looked for."""
        found = self.find_folder(*names)
        if found is None:
            there = sorted(path.name for path in self.root.iterdir())[:8]
            raise FileNotFoundError(
                f"{self.title}: none of the folders {', '.join(names)} is in {self.root.absolute()}, which holds "
                f"{', '.join(there) or 'nothing'}"
            )
        return found

    def scan(self, folder: str) -> Names:
        """The pictures below a folder of `root`, relative to `root`."""
        return Names(f"{folder}/{name}" for name in lists.scan(self.root / folder))


def refuse_half_prepared(root: Path) -> None:
    """Raise UserError if `inpaintlab data prepare` was stopped while it wrote `root`."""
    if (root / STARTED).exists() and not (root / PREPARED).exists():
        raise UserError(
            f"{root.absolute()} is not complete: `inpaintlab data prepare` was stopped there; start it again, and it "
            "goes on"
        )


def require(option: str, value: str, known: Iterable[str]) -> None:
    """Raise ValueError if `value` is not among the known ones."""
    check_choice(option, value, known)


def looked_at(train: Names) -> Names:
    """Training pictures to look at where a set has no validation split; they are trained on."""
    return train.spread(LOOKED_AT)
