"""Photographs that come with scikit-image."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from inpaintlab.data.files.images import BadPicture
from inpaintlab.data.files.items import Item, Region
from inpaintlab.errors import UserError


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
