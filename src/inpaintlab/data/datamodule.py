"""Joins pictures, holes and geometry into the training stream and the evaluation pairs."""

from __future__ import annotations

import hashlib
import math
import os
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from inpaintlab.batch import Batch
from inpaintlab.data.datasets.folder import PictureSource
from inpaintlab.data.failures import Failures
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes.overlap import masks_are_shared
from inpaintlab.data.holes.source import HoleSource
from inpaintlab.data.pairs import PairSet, describe, digest, read_manifest
from inpaintlab.data.stream import Stream, TrainSet
from inpaintlab.data.workers import loader
from inpaintlab.errors import UserError
from inpaintlab.image import from_uint8


def to_batch(raw: dict[str, Any]) -> Batch:
    """Bytes from the loader to float pictures in [0, 1] and holes of 0 and 1, on the device where they are."""
    return Batch(from_uint8(raw["image"]), raw["hole"].to(torch.float32), tuple(raw["name"]))


class InpaintingData(pl.LightningDataModule):
    """Pictures with holes.

    Args:
        pictures: where they come from.
        geometry: how they become squares.
        train_holes, test_holes: sources of holes.
        batch_size: the total over all processes.
        batches, epochs: length of the training; exactly one of them (needed for training only).
        shared_holes: one hole for all training pictures of a batch, instead of one each.
        seed: of the order, crops, flips and holes of the training.
        pairs_seed: of the holes in evaluation; one fixed number, so that all rows see the same pairs.
        pairing: which pictures are tested with which holes; a name of `pairing.PROTOCOLS`.
        manifest: a file of `inpaintlab data pairs`; pairs that differ from it are refused.
        test_masks_in_training: whether a mask of the test set may be one of the training masks.
        max_failed: share of the training's samples that may fail to be read; they are replaced.
        root: where the pictures lie; kept for the record only, `pictures` has it too.
        workers: loader processes; None takes what the machine has, up to 8, less one for the training itself.
    """

    def __init__(
        self,
        *,
        pictures: PictureSource,
        geometry: Geometry,
        train_holes: HoleSource,
        test_holes: HoleSource,
        batch_size: int,
        batches: int | None = None,
        epochs: float | None = None,
        shared_holes: bool = False,
        seed: int = 0,
        pairs_seed: int = 2020,
        pairing: str = "every_bin",
        manifest: str | None = None,
        test_masks_in_training: bool = False,
        max_failed: float = 0.01,
        root: str | None = None,
        workers: int | None = None,
    ) -> None:
        super().__init__()
        self.pictures, self.geometry = pictures, geometry
        self.train_holes, self.test_holes = train_holes, test_holes
        self.batch_size, self.batches, self.epochs = batch_size, batches, epochs
        self.shared_holes = shared_holes
        self.seed, self.pairs_seed, self.root = seed, pairs_seed, root
        self.workers = min(8, (os.cpu_count() or 1) - 1) if workers is None else workers
        self.pairing, self.manifest = pairing, manifest
        self.test_masks_in_training = test_masks_in_training
        self.failures = Failures(max_failed)  # of this process; the first one goes on from a checkpoint's sum
        self._of_all = self.failures  # of all processes, as of the last checkpoint
        self._train: TrainSet | None = None

    def train_set(self) -> TrainSet:
        """The training pictures; scans the folder at the first call and raises what is wrong with it."""
        if self._train is None:
            items = self.pictures.split("train", self.geometry.size)
            self.train_holes.prepare(self.geometry.size, self.geometry.size)
            if not self.test_masks_in_training and masks_are_shared(self.train_holes, self.test_holes):
                raise UserError(
                    "masks of the test set are among the training masks. If the paper did so, say "
                    "masks.test_masks_in_training=true, and every result says it too; if not, give other training masks"
                )
            self._train = TrainSet(items, self.geometry, self.train_holes, self.seed, self.shared_holes)
        return self._train

    def total_batches(self) -> int:
        """Length of the whole training in batches."""
        if (self.batches is None) == (self.epochs is None):
            raise UserError(f"set one of batches={self.batches} and epochs={self.epochs}, the length of the training")
        if self.batches is not None:
            return self.batches
        return math.ceil(float(self.epochs or 0) * len(self.train_set()) / self.batch_size)

    def stream(self, *, start: int = 0, rank: int = 0, world: int = 1) -> DataLoader[Any]:
        """The rest of the training stream after `start` batches."""
        dataset = self.train_set()
        batches = Stream(
            len(dataset), self.batch_size, self.total_batches(), seed=self.seed, start=start, rank=rank, world=world
        )
        return loader(dataset, self.workers, batch_sampler=batches)

    def pairs(self, split: str = "test") -> PairSet:
        """The evaluation pairs of "test", or those of "val" to look at during training."""
        items = self.pictures.split(split, self.geometry.size)
        pairing = self.pairing if split == "test" else "every_bin"  # what is looked at during training has no protocol
        if pairing != "same_name":  # whose masks may have any size
            self.test_holes.prepare(self.geometry.size, self.geometry.size)
        expected = read_manifest(self.manifest) if self.manifest and split == "test" else None
        return PairSet(items, self.geometry, self.test_holes, self.pairs_seed, pairing, expected)

    def train_digest(self) -> str:
        """Sixteen characters that depend on the names of all training pictures."""
        names = "\n".join(item.name for item in self.train_set().items)
        return hashlib.sha256(os.fsencode(names)).hexdigest()[:16]

    def sample_digest(self, count: int) -> str:
        """Sixteen characters that depend on the pixels of the `count` pairs that are looked at during training."""
        pairs = self.pairs("val")
        return digest([describe(*pairs.load(number)) for number in pairs.spread(count)])

    # ------------------------------------------------------------------ Lightning's hooks
    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        done = getattr(self.trainer.lightning_module, "batches_done", 0)
        return self.stream(start=done, rank=self.trainer.global_rank, world=self.trainer.world_size)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> Batch:
        self.failures.add(batch["failed"])
        return to_batch(batch)

    def teardown(self, stage: str) -> None:
        if self._of_all.failed and self._is_first():
            print(self._of_all.summary(), flush=True)

    def on_exception(self, exception: BaseException) -> None:
        if isinstance(exception, (SystemExit, KeyboardInterrupt)):  # asked to stop; `teardown` is not called then
            self.teardown("fit")

    def state_dict(self) -> dict[str, Any]:
        """The failures of all processes, which must ask for it together, as they do to save a checkpoint."""
        if self.trainer is not None and self.trainer.world_size > 1:
            states: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(states, self.failures.state())
            self._of_all = Failures.together(self.failures.share, states)
        return self._of_all.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self._is_first():  # it alone, or the sum would be multiplied
            self.failures.restore(state_dict)

    def _is_first(self) -> bool:
        return self.trainer is None or self.trainer.is_global_zero
