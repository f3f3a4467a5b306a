"""Where pictures come from: photographs that a dependency ships, or any folder."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Protocol

from inpaintlab.data import lists
from inpaintlab.data.files import BadPicture, find_bad
from inpaintlab.data.items import Files, Item, Region
from inpaintlab.data.lists import Names
from inpaintlab.data.named import refuse_half_prepared
from inpaintlab.errors import UserError


class PictureSource(Protocol):
    """What the data module asks of a source of pictures."""

    def split(self, name: str, size: int) -> Sequence[Item]:
        """The items of "train", "val" or "test"; `size` is the side of the crops that will be cut."""
        ...


class Photos:
    """Four photographs that scikit-image ships, cut into disjoint regions for training and testing.

    All are in the public domain or CC0. Training sees the left parts of three of them, testing the right parts,
    cut into tiles that do not overlap; the fourth serves for validation. Training and test regions share no pixel
    but come from the same photographs: good for trying things out and for comparing variants of a system, not
    for any statement about a system's quality.
    """

    # file, first half of its sha256, train region, test region as (top, left, height, width)
    FILES: ClassVar[dict[str, tuple[str, str, Region | None, Region | None]]] = {
        "astronaut": ("astronaut.png", "88431cd9653ccd539741b555fb0a46b6", (0, 0, 512, 256), (0, 256, 512, 256)),
        "coffee": ("coffee.png", "cc02f8ca188b167c775a7101b5d767d1", (0, 0, 400, 344), (0, 344, 400, 256)),
        "rocket": ("rocket.jpg", "c2dd0de7c538df8d111e479619b12946", (0, 0, 427, 384), (0, 384, 427, 256)),
        "chelsea": ("chelsea.png", "596aa1e7cb875eb79f437e310381d26b", None, None),
    }
    VALIDATION: ClassVar[tuple[str, Region]] = ("chelsea", (0, 100, 300, 256))

    def split(self, name: str, size: int) -> list[Item]:
        """Regions for training, tiles of `size` for "val" and "test"."""
        if size > 256:
            raise UserError(f"the embedded photographs give crops of at most 256 pixels, not {size}")
        if name == "train":
            return [self._item(key, train) for key, (_, _, train, _) in self.FILES.items() if train]
        if name == "val":
            return self._tiles(*self.VALIDATION, size)
        return [tile for key, (*_, test) in self.FILES.items() if test for tile in self._tiles(key, test, size)]

    def _tiles(self, key: str, region: Region, size: int) -> list[Item]:
        top, left, height, width = region
        return [
            self._item(key, (top + row * size, left + column * size, size, size))
            for row in range(height // size)
            for column in range(width // size)
        ]

    def _item(self, key: str, box: Region) -> Item:
        top, left, height, width = box
        return Item(f"{key}@{top},{left},{height}x{width}", _shipped(*self.FILES[key][:2]), box, keep=True)


@lru_cache
def _shipped(name: str, digest: str) -> Path:
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the embedded photographs come with scikit-image; install it")
    path = Path(spec.submodule_search_locations[0]) / "data" / name
    if not path.exists() or not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest):
        raise BadPicture(f"scikit-image's {name} is missing or another picture than expected: {path}")
    return path


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
        if on_broken not in ("refuse", "skip"):
            raise ValueError(f"on_broken={on_broken!r} is unknown; known are refuse, skip")
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
