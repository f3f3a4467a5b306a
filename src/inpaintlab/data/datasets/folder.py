"""Where pictures come from: photographs that a dependency ships, or any folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from inpaintlab.data.datasets.named import refuse_half_prepared
from inpaintlab.data.files import lists
from inpaintlab.data.files.images import BadPicture, find_bad
from inpaintlab.data.files.items import Files, Item
from inpaintlab.data.files.lists import Names
from inpaintlab.errors import UserError, check_choice


class PictureSource(Protocol):
    """What the data module asks of a source of pictures."""

    def split(self, name: str, size: int) -> Sequence[Item]:
        """The items of "train", "val" or "test"; `size` is the side of the crops that will be cut."""
        ...


class Folder:
    """Any folder of pictures, or lists of them.

    If `root` has a sub-folder `train` or `test`, these (and `val`) are the splits. If not, all pictures below
    `root` are split by a hash of their relative path: `held_out` of them for testing, as many for validation.

    Args:
        root: the folder.
        train, val, test: the splits, when they are called otherwise: sub-folders of `root`, or list files in it (one
            path per line, or a CSV file with a column "image"), whose paths are relative to `root`.
        held_out: share of the pictures for each of test and validation, if there are no sub-folders.
        on_broken: what happens when a picture does not decode: "refuse" or "skip".
        scan_cache: file that remembers which pictures were found good.
        scan_limit: splits of more pictures are not decoded before the training, which would take hours; one that fails
            then is replaced and counted (see `failures`), and `inpaintlab data verify` decodes them all.

    Raises:
        FileNotFoundError, BadPicture: at the first use of a split, before any training.
    """

    def __init__(
        self,
        root: str | Path | None,
        *,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        held_out: float = 0.1,
        on_broken: str = "refuse",
        scan_cache: str | Path | None = None,
        scan_limit: int = 20_000,
    ) -> None:
        if root is None:
            raise UserError("data.root is not set: say where the pictures are, data.root=FOLDER")
        check_choice("on_broken", on_broken, ("refuse", "skip"))
        self.root = Path(root).expanduser()
        self.parts = {"train": train, "val": val, "test": test}
        self.held_out, self.on_broken, self.scan_limit = held_out, on_broken, scan_limit
        self.scan_cache = Path(scan_cache) if scan_cache else None
        self.skipped: list[tuple[Path, str]] = []

    def split(self, name: str, size: int) -> Files:
        """The pictures of one split. Without a validation folder "val" is the first pictures of training."""
        del size
        names = self.names(name)
        if len(names) <= self.scan_limit:
            names = self._good(names)
        if not names:
            raise FileNotFoundError(f"no usable picture for the split {name!r} in {self.root.absolute()}")
        return Files(self.root, names)

    def names(self, split: str) -> Names:
        """The paths of a split, relative to `root`; nothing is decoded."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"the folder of pictures does not exist: {self.root.absolute()} (data.root)")
        refuse_half_prepared(self.root)
        parts = {name: part or name for name, part in self.parts.items()}
        folders = [(self.root / parts[name]).is_dir() for name in ("train", "test")]
        if not any(self.parts.values()) and not any(folders):
            return self._by_hash(split)
        if split == "val" and self.parts["val"] is None and not (self.root / "val").is_dir():
            return self._part(parts["train"], "training pictures")[:64]
        return self._part(parts[split], f"{split} pictures")

    def _part(self, part: str, what: str) -> Names:
        if (self.root / part).is_file():
            return lists.read_list(self.root / part, root=self.root)
        return Names(f"{part}/{name}" for name in lists.scan(self.root / part, what))

    def _by_hash(self, split: str) -> Names:
        names = lists.scan(self.root)
        if len(names) < 3:
            raise FileNotFoundError(
                f"{self.root.absolute()} holds {len(names)} pictures; at least 3 are needed to split them into "
                "training, validation and test, or sub-folders train/ and test/"
            )
        ranked = sorted(range(len(names)), key=lambda i: hashlib.sha256(os.fsencode(names[i])).digest())
        count = max(1, round(self.held_out * len(names)))
        parts = {"test": ranked[:count], "val": ranked[count : 2 * count], "train": ranked[2 * count :]}
        return names.take(sorted(parts[split]))

    def _good(self, names: Names) -> Names:
        """Those that decode; others are an error, or left out and said."""
        bad = dict(find_bad([self.root / name for name in names], self.scan_cache))
        if not bad:
            return names
        shown = lists.printable("\n  ".join(list(bad.values())[:10]))
        if self.on_broken == "refuse":
            raise BadPicture(
                f"{len(bad)} of {len(names)} pictures do not decode:\n  {shown}\n"
                "Mend or remove them, or start with data.pictures.on_broken=skip to leave them out."
            )
        self.skipped += bad.items()
        print(f"left out {len(bad)} of {len(names)} pictures that do not decode:\n  {shown}")
        return Names(name for name in names if self.root / name not in bad)
