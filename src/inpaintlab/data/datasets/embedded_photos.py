"""Photographs that ship with scikit-image, for trying things out without a download."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from inpaintlab.data.files.images import BadPicture
from inpaintlab.data.files.items import Item, Region
from inpaintlab.errors import UserError

LARGEST = 256  # side of the largest crop that all regions allow, in pixels


class Photos:
    """Four photographs from scikit-image, cut into disjoint regions for training, validation and test.

    All four are in the public domain or CC0. Training uses the left parts of three of them; testing uses the right
    parts, cut into tiles that do not overlap; validation uses the fourth. Training and test regions share no pixel but
    come from the same photographs, so this set serves to try things out and to compare variants of one system. It says
    nothing about a system's quality.
    """

    # file, first half of its SHA-256, train region, test region; regions are (top, left, height, width)
    FILES: ClassVar[dict[str, tuple[str, str, Region | None, Region | None]]] = {
        "astronaut": ("astronaut.png", "88431cd9653ccd539741b555fb0a46b6", (0, 0, 512, 256), (0, 256, 512, 256)),
        "coffee": ("coffee.png", "cc02f8ca188b167c775a7101b5d767d1", (0, 0, 400, 344), (0, 344, 400, 256)),
        "rocket": ("rocket.jpg", "c2dd0de7c538df8d111e479619b12946", (0, 0, 427, 384), (0, 384, 427, 256)),
        "chelsea": ("chelsea.png", "596aa1e7cb875eb79f437e310381d26b", None, None),
    }
    VALIDATION: ClassVar[tuple[str, Region]] = ("chelsea", (0, 100, 300, 256))

    def split(self, name: str, size: int) -> list[Item]:
        """Return whole regions for "train", and tiles of `size` x `size` pixels for "val" and "test".

        Raises:
            UserError: if `size` is larger than 256.
        """
        if size > LARGEST:
            raise UserError(
                f"the embedded photographs allow crops of at most {LARGEST} pixels, not {size}; lower "
                "data.geometry.size or choose another data="
            )
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
    """Return the path of a file in scikit-image's data folder, after a check of its content."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the embedded photographs come with scikit-image; install it")
    path = Path(spec.submodule_search_locations[0]) / "data" / name
    if not path.exists() or not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest):
        raise BadPicture(f"{path} is missing or has an unexpected content; reinstall scikit-image")
    return path
