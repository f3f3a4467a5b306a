"""The training stream: one endless, reproducible sequence of samples, cut into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from inpaintlab.data import seeds
from inpaintlab.data.failures import NAMED
from inpaintlab.data.files.images import BadPicture, Picture
from inpaintlab.data.files.items import Item
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes.source import Hole, HoleSource
from inpaintlab.errors import UserError

Key = tuple[int, int, int]  # epoch, index of the picture, number of the batch
T = TypeVar("T")
ATTEMPTS = 64  # at one sample; how many samples may fail at first is what data.max_failed says


def sample(picture: Picture, hole: Hole, name: str) -> dict[str, Tensor | str]:
    """What travels from a worker to the device: 8 bit, image (3, H, W) and hole (1, H, W); see performance.

    Transport of floats is fifteen times slower than of bytes; `datamodule.to_batch` makes the floats.
    """
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return {"image": image, "hole": torch.from_numpy(hole[None]), "name": name}


class TrainSet(Dataset[dict[str, Tensor | str]]):
    """Samples by (epoch, index, batch); crop, flip and hole depend on (seed, epoch, index) and nothing else.

    Args:
        shared_holes: all pictures of a batch have the same hole, which depends on (seed, batch) alone.
    """

    def __init__(
        self, items: Sequence[Item], geometry: Geometry, holes: HoleSource, seed: int, shared_holes: bool = False
    ) -> None:
        self.items, self.geometry, self.holes, self.seed = items, geometry, holes, seed
        self.shared_holes = shared_holes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Key) -> dict[str, Tensor | str]:
        """The sample of a key. If its picture or mask cannot be read, another picture and hole take its place.

        The picture is the next one, then one at a place drawn anew: broken files may lie side by side. A hole that the
        batch shares is drawn again by itself, so that it is still the same for all. What failed is named under
        "failed", line by line.

        Raises:
            BadPicture: if nothing that was tried can be read.
        """
        batch = key[2]
        failed: list[str] = []
        if self.shared_holes:
            picture, name, _ = _first(lambda attempt: self._picture(key, attempt), failed)
            hole = _first(lambda attempt: self._hole(_random("hole", self.seed, batch, attempt), picture), failed)
        else:
            picture, name, hole = _first(lambda attempt: self._sample(key, attempt), failed)
        return {**sample(picture, hole, name), "failed": "\n".join(failed)}

    def _sample(self, key: Key, attempt: int) -> tuple[Picture, str, Hole]:
        picture, name, rng = self._picture(key, attempt)
        return picture, name, self._hole(rng, picture)

    def _picture(self, key: Key, attempt: int) -> tuple[Picture, str, np.random.Generator]:
        """The view of a picture, its name, and the generator to draw its hole with."""
        epoch, index, _ = key
        place = index + attempt
        if attempt > 1:
            place = int(_random("replacement", self.seed, epoch, index, attempt).integers(len(self.items)))
        item = self.items[place % len(self.items)]
        rng = _random("sample", self.seed, epoch, index, attempt)
        return self.geometry.train(item.load_for_training(self.geometry.at_least), rng), item.name, rng

    def _hole(self, rng: np.random.Generator, picture: Picture) -> Hole:
        name = self.holes.bins[int(rng.integers(len(self.holes.bins)))]
        return self.holes.draw(rng, name, *picture.shape[:2])


def _random(*parts: int | str) -> np.random.Generator:
    """A generator of the parts, the last of which is the number of the attempt; 0 has no part in it."""
    return seeds.generator(*(parts if parts[-1] else parts[:-1]))


def _first(make: Callable[[int], T], failed: list[str]) -> T:
    """What the first attempt gives that finds its files readable; `failed` gets a line for each one before."""
    for attempt in range(ATTEMPTS):
        try:
            return make(attempt)
        except (BadPicture, OSError) as error:
            failed.append(str(error).replace("\n", " "))
    reasons = list(dict.fromkeys(failed))
    raise BadPicture(
        f"{ATTEMPTS} attempts at a training sample found nothing that can be read:\n  " + "\n  ".join(reasons[:NAMED])
    )


class Stream(Sampler[list[Key]]):
    """Batches of keys: sample number k is picture `order(epoch)[k % N]` of epoch `k // N`.

    There is no short batch at the end of an epoch: a batch may begin in one epoch and end in the next. With
    several processes each takes its slice of every batch, so the batches are those of one process.

    Args:
        pictures: N.
        batch_size: total, over all processes.
        batches: number of batches in the whole training.
        seed: of the order of the pictures.
        start: batches already done.
        rank, world: this process and their number.

    Raises:
        UserError: if the batch cannot be divided among the processes.
    """

    def __init__(
        self, pictures: int, batch_size: int, batches: int, *, seed: int, start: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        if batch_size % world:
            raise UserError(f"data.batch_size={batch_size} (the total) cannot be divided among {world} processes")
        self.pictures, self.batch_size, self.batches = pictures, batch_size, batches
        self.seed, self.start, self.rank, self.world = seed, start, rank, world

    def __len__(self) -> int:
        return max(0, self.batches - self.start)

    def __iter__(self) -> Iterator[list[Key]]:
        share = self.batch_size // self.world
        epoch, order = -1, np.empty(0, np.int64)
        for batch in range(self.start, self.batches):
            first = batch * self.batch_size + self.rank * share
            keys = []
            for number in range(first, first + share):
                if number // self.pictures != epoch:
                    epoch = number // self.pictures
                    order = seeds.generator("order", self.seed, epoch).permutation(self.pictures)
                keys.append((epoch, int(order[number % self.pictures]), batch))
            yield keys
