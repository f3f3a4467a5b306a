"""The data module: joins pictures, holes and geometry into the training stream and the evaluation pairs."""

from __future__ import annotations

import hashlib
import math
import os
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from inpaintlab.batch import Batch
from inpaintlab.data.datasets.source import PictureSource
from inpaintlab.data.failures import Counts, Failures
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes.overlap import masks_are_shared
from inpaintlab.data.holes.source import HoleSource
from inpaintlab.data.pairs import PairSet, describe, digest, read_manifest
from inpaintlab.data.stream import Stream, TrainSample, TrainSet
from inpaintlab.data.workers import loader
from inpaintlab.errors import UserError
from inpaintlab.image import from_uint8

RawBatch = dict[str, Any]  # collated samples: stacked tensors, lists of strings


@runtime_checkable
class Resumable(Protocol):
    """A Lightning module that knows how many batches of the training are done."""

    batches_done: int


def to_batch(raw: RawBatch) -> Batch:
    """Convert a batch of bytes to float pictures in [0, 1] and holes of 0 and 1, on the same device."""
    return Batch(from_uint8(raw["image"]), raw["hole"].to(torch.float32), tuple(raw["name"]))


class InpaintingData(pl.LightningDataModule):
    """Pictures with holes, for training and for evaluation.

    Args:
        pictures: the source of pictures.
        geometry: how pictures become squares.
        train_holes, test_holes: the sources of holes.
        batch_size: total over all processes.
        batches, epochs: length of the training; give exactly one of them. Only training needs it.
        shared_holes: give all training pictures of a batch the same hole, instead of one each.
        seed: of the order, crops, flips and holes in training.
        pairs_seed: of the holes in evaluation; a fixed number, so that all rows of a table use the same pairs.
        pairing: which test picture gets which hole; see `pairing.PROTOCOLS`.
        manifest: file from `inpaintlab data pairs`; test pairs that differ from it are refused.
        test_masks_in_training: allow test masks among the training masks.
        max_failed: share of the training samples that may fail to be read, in [0, 1]; they are replaced.
        root: folder of the pictures; for the record only, since `pictures` knows it.
        workers: number of worker processes; None for one less than the number of cores, at most 8.
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
        self.failures = Failures(max_failed)  # of this process; the first process continues a checkpoint's sum
        self._all_failures = self.failures  # of all processes, at the last checkpoint
        self._train: TrainSet | None = None

    def train_set(self) -> TrainSet:
        """Return the training set. The first call scans the folders.

        Raises:
            UserError, FileNotFoundError: if pictures or masks are missing, do not decode, or do not fit.
        """
        if self._train is None:
            items = self.pictures.split("train", self.geometry.size)
            self.train_holes.prepare(self.geometry.size, self.geometry.size)
            if not self.test_masks_in_training and masks_are_shared(self.train_holes, self.test_holes):
                raise UserError(
                    "masks of the test set are among the training masks. If the paper did the same, set "
                    "masks.test_masks_in_training=true, and every result will state it; otherwise use other training "
                    "masks"
                )
            self._train = TrainSet(items, self.geometry, self.train_holes, self.seed, self.shared_holes)
        return self._train

    def total_batches(self) -> int:
        """Return the length of the whole training in batches."""
        if (self.batches is None) == (self.epochs is None):
            raise UserError(
                f"set one of batches and epochs, the length of the training; got {self.batches} and {self.epochs}"
            )
        if self.batches is not None:
            return self.batches
        return math.ceil(float(self.epochs or 0) * len(self.train_set()) / self.batch_size)

    def stream(self, *, start: int = 0, rank: int = 0, world: int = 1) -> DataLoader[TrainSample]:
        """Return the training stream without its first `start` batches; see `Stream`."""
        dataset = self.train_set()
        batches = Stream(
            len(dataset), self.batch_size, self.total_batches(), seed=self.seed, start=start, rank=rank, world=world
        )
        return loader(dataset, self.workers, batch_sampler=batches)

    def pairs(self, split: str = "test") -> PairSet:
        """Return the pairs of "test", or of "val" for samples and metrics during training."""
        items = self.pictures.split(split, self.geometry.size)
        pairing = self.pairing if split == "test" else "every_bin"  # protocols are for the test split only
        if pairing != "same_name":  # its masks may have any size
            self.test_holes.prepare(self.geometry.size, self.geometry.size)
        expected = read_manifest(self.manifest) if self.manifest and split == "test" else None
        return PairSet(items, self.geometry, self.test_holes, self.pairs_seed, pairing, expected)

    def train_digest(self) -> str:
        """Return sixteen characters that depend on the names of all training pictures."""
        names = "\n".join(item.name for item in self.train_set().items)
        return hashlib.sha256(os.fsencode(names)).hexdigest()[:16]

    def sample_digest(self, count: int) -> str:
        """Return sixteen characters that depend on the pixels of the `count` validation pairs shown during training."""
        pairs = self.pairs("val")
        return digest([describe(*pairs.load(number)) for number in pairs.spread(count)])

    # ------------------------------------------------------------------ hooks of Lightning
    def train_dataloader(self) -> DataLoader[TrainSample]:
        assert self.trainer is not None
        module = self.trainer.lightning_module
        done = module.batches_done if isinstance(module, Resumable) else 0
        return self.stream(start=done, rank=self.trainer.global_rank, world=self.trainer.world_size)

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        self.failures.add(batch["failed"])
        return to_batch(batch)

    def teardown(self, stage: str) -> None:
        if self._all_failures.failed and self._is_first():
            print(self._all_failures.summary(), flush=True)

    def on_exception(self, exception: BaseException) -> None:
        if isinstance(exception, (SystemExit, KeyboardInterrupt)):  # asked to stop; Lightning then skips `teardown`
            self.teardown("fit")

    def state_dict(self) -> dict[str, Any]:
        """Return the failures of all processes. All of them must call it together, as they do to save a checkpoint."""
        if self.trainer is not None and self.trainer.world_size > 1:
            counts: list[Counts] = [self.failures.state()] * self.trainer.world_size
            torch.distributed.all_gather_object(counts, self.failures.state())
            self._all_failures = Failures.merged(self.failures.share, counts)
        return dict(self._all_failures.state())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self._is_first():  # only one process, or the sum would be counted several times
            self.failures.restore(
                Counts(samples=state_dict["samples"], failed=state_dict["failed"], reasons=state_dict["reasons"])
            )

    def _is_first(self) -> bool:
        return self.trainer is None or self.trainer.is_global_zero
