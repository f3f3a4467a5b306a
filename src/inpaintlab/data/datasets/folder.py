"""Any folder of pictures, with sub-folders or list files as splits, or split by a hash of the file names."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from inpaintlab.data.datasets.source import PREVIEWS, refuse_half_prepared
from inpaintlab.data.files import lists
from inpaintlab.data.files.images import BadPicture, find_bad
from inpaintlab.data.files.items import Files
from inpaintlab.data.files.lists import Names
from inpaintlab.errors import UserError, check_choice
from inpaintlab.utils.printable import printable


class Folder:
    """Any folder of pictures, or lists of them.

    If `root` has a sub-folder `train` or `test`, the sub-folders `train`, `val` and `test` are the splits. Otherwise
    all pictures below `root` are split by a hash of their relative path: the share `held_out` for testing, the same
    share for validation, the rest for training.

    Args:
        root: the folder.
        train, val, test: the splits if they have other names: sub-folders of `root`, or list files in it (one path per
            line, or a CSV file with a column "image") with paths relative to `root`.
        held_out: share of the pictures for each of test and validation, if there are no sub-folders.
        on_broken: what to do with pictures that do not decode: "refuse" (raise) or "skip" (leave them out).
        scan_cache: file that remembers which pictures decoded, so that the next check is quick.
        scan_limit: splits with more pictures than this are not decoded before training, which would take hours. A
            picture that fails during training is replaced and counted (see `failures`); `inpaintlab data verify`
            decodes all pictures.

    Raises:
        UserError: at once, if `root` is None or `on_broken` is unknown.
        FileNotFoundError, BadPicture: at the first use of a split, before training starts.
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
            raise UserError("data.root is not set: give the folder of the pictures as data.root=FOLDER")
        check_choice("data.pictures.on_broken", on_broken, ("refuse", "skip"))
        self.root = Path(root).expanduser()
        self.parts = {"train": train, "val": val, "test": test}
        self.held_out, self.on_broken, self.scan_limit = held_out, on_broken, scan_limit
        self.scan_cache = Path(scan_cache) if scan_cache else None
        self.skipped: dict[Path, str] = {}  # the pictures that were left out so far, with the reason

    def split(self, name: str, size: int) -> Files:
        """Return the pictures of one split. Without a validation split, "val" is the first training pictures."""
        del size
        names = self.names(name)
        if len(names) <= self.scan_limit:
            names = self._good(names)
        if not names:
            raise FileNotFoundError(f"no usable picture for the split {name!r} in {self.root.absolute()}")
        return Files(self.root, names)

    def names(self, split: str) -> Names:
        """Return the paths of a split, relative to `root`; nothing is decoded."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"the folder of pictures does not exist: {self.root.absolute()} (data.root)")
        refuse_half_prepared(self.root)
        parts = {name: part or name for name, part in self.parts.items()}
        folders = [(self.root / parts[name]).is_dir() for name in ("train", "test")]
        if not any(self.parts.values()) and not any(folders):
            return self._by_hash(split)
        if split == "val" and self.parts["val"] is None and not (self.root / "val").is_dir():
            return self._part(parts["train"], "training pictures")[:PREVIEWS]
        return self._part(parts[split], f"{split} pictures")

    def _part(self, part: str, what: str) -> Names:
        """Return the paths of a list file or of a sub-folder."""
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
        """Return the names whose pictures decode; raise or print the others, as `on_broken` says."""
        bad = dict(find_bad([self.root / name for name in names], self.scan_cache))
        if not bad:
            return names
        shown = [f"  {reason}" for reason in list(bad.values())[:10]]
        if self.on_broken == "refuse":
            raise BadPicture(
                f"{len(bad)} of {len(names)} pictures do not decode:",
                *shown,
                "Repair or remove them, or leave them out with data.pictures.on_broken=skip.",
            )
        self.skipped |= bad
        print(f"left out {len(bad)} of {len(names)} pictures that do not decode:", *map(printable, shown), sep="\n")
        return Names(name for name in names if self.root / name not in bad)
