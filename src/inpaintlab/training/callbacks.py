"""Callbacks of a training: checkpoints, progress bar, speed, sample pictures and validation.

All intervals are counted in finished batches, which the module keeps and a checkpoint restores.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import WandbLogger

from inpaintlab.checkpoints import checkpoint
from inpaintlab.data.datamodule import InpaintingData
from inpaintlab.data.pairs import PairSet
from inpaintlab.evaluation.evaluator import Evaluation, evaluate_pairs
from inpaintlab.training.module import InpaintingModule
from inpaintlab.training.weight_averaging import WeightAveraging
from inpaintlab.utils.atomic_write import replacing
from inpaintlab.utils.progress import Bar
from inpaintlab.visualization import picture_grid


def due(batches: int, every: int, total: int) -> bool:
    """Whether a callback acts now that acts every `every` batches (0 = never) and after the last one."""
    return every > 0 and (batches % every == 0 or batches == total)


class Checkpoints(pl.Callback):
    """Keeps the last two checkpoints, each with its config.

    Args:
        folder: in which they are written.
        every: number of batches between two of them, 0 = none; the last batch is always saved.
        total: batches of the whole training.
        about: from `checkpoint.describe`.
    """

    def __init__(self, folder: Path, every: int, total: int, about: dict[str, Any]) -> None:
        self.folder, self.every, self.total, self.about = folder, every, total, about

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, content: dict[str, Any]) -> None:
        content[checkpoint.KEY] = self.about

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, InpaintingModule)
        if due(module.batches_done, self.every, self.total) or module.batches_done == self.total:
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Write a checkpoint under a temporary name, rename the last one to the previous one, and this one to last."""
        last = self.folder / checkpoint.LAST
        temporary = self.folder / f".{checkpoint.LAST}.new"
        if trainer.is_global_zero:
            temporary.unlink(missing_ok=True)  # also a link, which would be followed
        trainer.save_checkpoint(temporary)  # in all processes; the first one writes
        if trainer.is_global_zero:
            if last.exists():
                os.replace(last, self.folder / checkpoint.PREVIOUS)
            os.replace(temporary, last)
        trainer.strategy.barrier()


class Progress(pl.Callback):
    """A progress bar over the batches of the whole training.

    Args:
        label: in front of the bar.
        total: batches of the whole training.
    """

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.bar: Bar | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, InpaintingModule)
        self.bar = Bar(self.label, self.total, module.batches_done, quiet=not trainer.is_global_zero).__enter__()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, InpaintingModule)
        assert self.bar is not None
        total = module.logged.get("train/total")
        self.bar.update(module.batches_done, f"loss {total:.4g}" if total is not None else "")

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
            self.bar = None


class Speed(pl.Callback):
    """Logs pictures per second, the share of time spent waiting for data, and memory, since the last logged batch.

    Args:
        batch_size: the total over all processes.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.batches, self.waited = 0, 0.0
        self.began = self.ended = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.began = self.ended = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, InpaintingModule)
        now = time.monotonic()
        self.waited += now - self.ended
        if not self.batches or not module.logged_after(module.batches_done + 1):
            return
        seconds = max(now - self.began, 1e-9)
        values = {
            "speed/pictures_per_second": self.batches * self.batch_size / seconds,
            "speed/waiting_for_data": self.waited / seconds,
            "memory/process_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,  # Linux counts in KiB
        }
        if module.device.type == "cuda":
            values["memory/gpu_gb"] = torch.cuda.max_memory_allocated(module.device) / 2**30
        for name, value in values.items():
            module.note(name, torch.tensor(value, device=module.device))
        self.batches, self.waited, self.began = 0, 0.0, now

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        self.batches += 1
        self.ended = time.monotonic()


class Samples(pl.Callback):
    """Writes input, result and truth of always the same pairs as one PNG file.

    Args:
        folder: in which the files are written.
        every: number of batches between two files, 0 = none.
        total: batches of the whole training.
        count: number of pairs, spread evenly over the validation pairs.
        data: gives the pairs.
        average: holds the averaged weights to show; None shows the current weights.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        total: int,
        count: int,
        data: InpaintingData,
        average: WeightAveraging | None = None,
    ) -> None:
        self.folder, self.every, self.total, self.count, self.data = folder, every, total, count, data
        self.average = average

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, InpaintingModule)
        if not due(module.batches_done, self.every, self.total):
            return
        module.check_health()  # names the cause of a broken generator, which its pictures would only show
        if not trainer.is_global_zero:
            return
        pairs = self.data.pairs("val")
        result = _evaluated(module, self.average, pairs.chosen(pairs.spread(self.count)), keep=self.count)
        rows = [[picture_grid.with_hole(truth, hole), filled, truth] for truth, hole, filled in result.kept.values()]
        sheet = picture_grid.grid(rows, ["input", f"batch {module.batches_done}", "truth"])
        path = self.folder / f"batch{module.batches_done:07d}.png"
        with replacing(path) as temporary:
            sheet.save(temporary)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("samples", [sheet], step=module.batches_done)


class Validation(pl.Callback):
    """Logs the metrics on the validation pairs as `val/<metric>/<bin>`; the processes share the work.

    Args:
        every: number of batches between two validations, 0 = none.
        total: batches of the whole training.
        data: gives the pairs.
        protocol: name of the metric protocol, or of several.
        average: holds the averaged weights to evaluate; None evaluates the current weights.
    """

    def __init__(
        self,
        every: int,
        total: int,
        data: InpaintingData,
        protocol: str | Sequence[str],
        average: WeightAveraging | None = None,
    ) -> None:
        self.every, self.total, self.data, self.protocol = every, total, data, protocol
        self.average = average

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, InpaintingModule)
        if not due(module.batches_done, self.every, self.total):
            return
        module.check_health()
        shares = {"rank": trainer.global_rank, "world": trainer.world_size}
        means = _evaluated(module, self.average, self.data.pairs("val"), protocol=self.protocol, **shares).means()
        values = {f"val/{metric}/{bin}": v for bin, metrics in means.items() for metric, v in metrics.items()}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=module.batches_done)


def _evaluated(module: InpaintingModule, average: WeightAveraging | None, pairs: PairSet, **options: Any) -> Evaluation:
    module.generator.eval()
    try:
        with average.shown(module.generator) if average else nullcontext():
            return evaluate_pairs(module.generator, pairs, device=module.device, **options)
    finally:
        module.generator.train()
