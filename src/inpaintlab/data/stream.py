"""The training stream: one endless, reproducible sequence of samples, cut into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict, TypeVar

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
ATTEMPTS = 64  # to make one sample; data.max_failed says how many samples may need more than one


class Sample(TypedDict):
    """One picture and its hole, as a worker process sends them.

    Bytes travel fifteen times faster than floats; `datamodule.to_batch` converts them on the device.

    Args:
        image: (3, H, W), uint8.
        hole: (1, H, W), uint8, 1 = missing.
        name: of the picture.
    """

    image: Tensor
    hole: Tensor
    name: str


class TrainSample(Sample):
    """A sample of the training; `failed` has a line for each file that could not be read before."""

    failed: str


def make_sample(picture: Picture, hole: Hole, name: str) -> Sample:
    """Return tensors of a picture (H, W, 3) and its hole (H, W)."""
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return {"image": image, "hole": torch.from_numpy(hole[None]), "name": name}


class TrainSet(Dataset[TrainSample]):
    """Training samples by (epoch, index, batch). Crop, flip and hole depend on (seed, epoch, index) only.

    Args:
        items: the pictures.
        geometry: their random training view.
        holes: the source of holes; each of its bins is drawn equally often.
        seed: of the training.
        shared_holes: give all pictures of a batch the same hole, which depends on (seed, batch) only.
    """

    def __init__(
        self, items: Sequence[Item], geometry: Geometry, holes: HoleSource, seed: int, shared_holes: bool = False
    ) -> None:
        self.items, self.geometry, self.holes, self.seed = items, geometry, holes, seed
        self.shared_holes = shared_holes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Key) -> TrainSample:
        """Return the sample of a key. If its picture or mask cannot be read, another picture and hole replace it.

        The first replacement is the next picture; further ones are drawn at random, since broken files may lie side by
        side. A hole that the batch shares is redrawn independently of the picture, so that the whole batch still has
        the same one.

        Raises:
            BadPicture: if all attempts fail.
        """
        batch = key[2]
        if self.shared_holes:
            (picture, name, _), failed = _first(lambda attempt: self._picture(key, attempt))
            hole, torn = _first(lambda attempt: self._hole(_random("hole", self.seed, batch, attempt), picture))
            failed += torn
        else:
            (picture, name, hole), failed = _first(lambda attempt: self._sample(key, attempt))
        return {**make_sample(picture, hole, name), "failed": "\n".join(failed)}

    def _sample(self, key: Key, attempt: int) -> tuple[Picture, str, Hole]:
        picture, name, rng = self._picture(key, attempt)
        return picture, name, self._hole(rng, picture)

    def _picture(self, key: Key, attempt: int) -> tuple[Picture, str, np.random.Generator]:
        """Return the view of a picture, its name, and the generator that draws its hole."""
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
    """Return a generator of the parts. The last one is the number of the attempt; attempt 0 is left out of the seed."""
    return seeds.generator(*(parts if parts[-1] else parts[:-1]))


def _first(make: Callable[[int], T]) -> tuple[T, list[str]]:
    """Return the result of the first attempt whose files can be read, and a line for each failed attempt before it.

    Raises:
        BadPicture: if all attempts fail.
    """
    failed: list[str] = []
    for attempt in range(ATTEMPTS):
        try:
            return make(attempt), failed
        except (BadPicture, OSError) as error:
            failed.append(str(error).replace("\n", " "))
    reasons = list(dict.fromkeys(failed))
    raise BadPicture(
        f"all {ATTEMPTS} attempts to read a training sample failed:", *(f"  {reason}" for reason in reasons[:NAMED])
    )


class Stream(Sampler[list[Key]]):
    """Batches of keys: sample k is picture `order(epoch)[k % N]` of epoch `k // N`.

    No batch is short: a batch may begin in one epoch and end in the next. With several processes each takes its slice
    of every batch, so that together they see the batches of a single process.

    Args:
        pictures: their number, N.
        batch_size: total over all processes.
        batches: number of batches in the whole training.
        seed: of the order of the pictures.
        start: number of batches already done.
        rank, world: number of this process, and of all processes.

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
