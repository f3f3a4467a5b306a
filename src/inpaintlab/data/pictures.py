"""Where pictures come from: photographs that a dependency ships, or any folder."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Protocol

from inpaintlab.data.files import BadPicture, Picture, find_bad, list_pictures, read_picture
from inpaintlab.errors import UserError

Region = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True)
class Item:
    """One picture, or a part of one.

    Args:
        name: unique within its split, stable across machines.
        path: the file.
        box: (top, left, height, width) of the part, or None for the whole picture.
        keep: whether to keep the decoded file in memory; for a handful of files with many parts each.
    """

    name: str
    path: Path
    box: Region | None = None
    keep: bool = False

    def load(self, at_least: int | None = None) -> Picture:
        """RGB, uint8 (H, W, 3); `at_least` as for `files.read_picture`."""
        picture = _read_kept(self.path) if self.keep else read_picture(self.path, at_least)
        if self.box is not None:
            top, left, height, width = self.box
            picture = picture[top : top + height, left : left + width]
        return picture


@lru_cache(maxsize=8)
def _read_kept(path: Path) -> Picture:
    return read_picture(path)


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
    """Any folder of pictures.

    If `root` has a sub-folder `train` or `test`, these (and `val`) are the splits. If not, all pictures below
    `root` are split by a hash of their relative path: `held_out` of them for testing, as many for validation.

    Args:
        root: the folder.
        train, val, test: sub-folders of `root` for the splits, when they are called otherwise.
        held_out: share of the pictures for each of test and validation, if there are no sub-folders.
        on_broken: what happens when a picture does not decode: "refuse" or "skip".
        scan_cache: file that remembers which pictures were found good.

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
    ) -> None:
        if root is None:
            raise UserError("data.root is not set: say where the pictures are, data.root=FOLDER")
        if on_broken not in ("refuse", "skip"):
            raise ValueError(f"on_broken={on_broken!r} is unknown; known are refuse, skip")
        self.root = Path(root).expanduser()
        self.folders = {"train": train, "val": val, "test": test}
        self.held_out, self.on_broken = held_out, on_broken
        self.scan_cache = Path(scan_cache) if scan_cache else None
        self.skipped: list[tuple[Path, str]] = []

    def split(self, name: str, size: int) -> list[Item]:
        """The pictures of one split. Without a validation folder "val" is the first pictures of training."""
        del size
        files = self._files(name)
        bad = dict(find_bad(files, self.scan_cache))
        if bad:
            shown = "\n  ".join(list(bad.values())[:10])
            if self.on_broken == "refuse":
                raise BadPicture(
                    f"{len(bad)} of {len(files)} pictures do not decode:\n  {shown}\n"
                    "Mend or remove them, or start with data.pictures.on_broken=skip to leave them out."
                )
            self.skipped += bad.items()
            print(f"left out {len(bad)} of {len(files)} pictures that do not decode:\n  {shown}")
        items = [Item(path.relative_to(self.root).as_posix(), path) for path in files if path not in bad]
        if not items:
            raise FileNotFoundError(f"no usable picture for the split {name!r} in {self.root.absolute()}")
        return items

    def _files(self, name: str) -> list[Path]:
        if not self.root.is_dir():
            raise FileNotFoundError(f"the folder of pictures does not exist: {self.root.absolute()} (data.root)")
        folders = {split: self.root / (folder or split) for split, folder in self.folders.items()}
        named = any(self.folders.values())
        if not named and not folders["train"].is_dir() and not folders["test"].is_dir():
            return self._by_hash(name)
        if name == "val" and self.folders["val"] is None and not folders["val"].is_dir():
            return list_pictures(folders["train"], "training pictures")[:64]
        return list_pictures(folders[name], f"{name} pictures")

    def _by_hash(self, name: str) -> list[Path]:
        files = list_pictures(self.root)
        if len(files) < 3:
            raise FileNotFoundError(
                f"{self.root.absolute()} holds {len(files)} pictures; at least 3 are needed to split them into "
                "training, validation and test, or sub-folders train/ and test/"
            )
        relative = {path: path.relative_to(self.root).as_posix() for path in files}
        ranked = sorted(files, key=lambda path: hashlib.sha256(relative[path].encode()).digest())
        count = max(1, round(self.held_out * len(files)))
        parts = {"test": ranked[:count], "val": ranked[count : 2 * count], "train": ranked[2 * count :]}
        return sorted(parts[name])
