"""Evaluation pairs: every picture with one fixed hole of each size, the same for every row and every system."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from inpaintlab.atomic import write_text
from inpaintlab.data import seeds
from inpaintlab.data.files import Picture
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes import Hole, HoleSource
from inpaintlab.data.items import Item
from inpaintlab.data.stream import sample


@dataclass(frozen=True)
class Pair:
    """One line of the manifest; hashes are of the pixels as the network gets them."""

    picture: str
    bin: str
    hole_share: float
    picture_sha256: str
    hole_sha256: str


class PairSet(Dataset[dict[str, Tensor | str]]):
    """Pictures x bins. The hole of a pair depends on (seed, index of the picture, bin) only.

    Args:
        items: pictures.
        geometry: their fixed test view.
        holes: drawn for each of its bins.
        seed: of the holes; not that of the training.
    """

    def __init__(self, items: Sequence[Item], geometry: Geometry, holes: HoleSource, seed: int) -> None:
        self.items, self.geometry, self.holes, self.seed = items, geometry, holes, seed
        self.bins = holes.bins
        self.numbers: Sequence[int] = range(len(items) * len(self.bins))

    def chosen(self, numbers: Sequence[int]) -> PairSet:
        """Only these of the pairs."""
        some = copy(self)
        some.numbers = [self.numbers[number] for number in numbers]
        return some

    def spread(self, count: int) -> list[int]:
        """Up to `count` numbers, spread evenly over the pairs."""
        return sorted({int(n) for n in np.linspace(0, len(self) - 1, min(count, len(self))).round()})

    def __len__(self) -> int:
        return len(self.numbers)

    def load(self, number: int) -> tuple[Picture, Hole, str, str]:
        """Picture (H, W, 3), hole (H, W), the picture's name and the bin."""
        index, place = divmod(self.numbers[number], len(self.bins))
        picture, bin = self.geometry.test(self.items[index].load()), self.bins[place]
        rng = seeds.generator("pair", self.seed, index, bin)
        return picture, self.holes.draw(rng, bin, *picture.shape[:2]), self.items[index].name, bin

    def __getitem__(self, number: int) -> dict[str, Tensor | str]:
        picture, hole, name, bin = self.load(number)
        return {**sample(picture, hole, name), "bin": bin}


def describe(picture: Picture, hole: Hole, name: str, bin: str) -> Pair:
    """The manifest line of a pair."""
    digests = [hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16] for array in (picture, hole)]
    return Pair(name, bin, round(float(hole.mean()), 6), *digests)


def digest(pairs: Sequence[Pair]) -> str:
    """One hash for all pairs; equal hashes mean equal pictures and holes in the same order."""
    return hashlib.sha256("\n".join(repr(asdict(pair)) for pair in pairs).encode()).hexdigest()[:16]


def write_manifest(path: Path, pairs: Sequence[Pair]) -> None:
    """Write the pairs as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Pair)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(pair) for pair in pairs)
    write_text(path, text.getvalue())
