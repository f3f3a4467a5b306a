"""Lightning's trainer for a run, with its callbacks and loggers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger

from inpaintlab.checkpoints import checkpoint
from inpaintlab.data.datamodule import InpaintingData
from inpaintlab.tracking import loggers
from inpaintlab.training import callbacks
from inpaintlab.training.interruption import Interruption
from inpaintlab.training.record import RunRecord
from inpaintlab.training.weight_averaging import WeightAveraging


def build_trainer(
    config: dict[str, Any], folder: Path, data: InpaintingData, record: RunRecord, label: str
) -> pl.Trainer:
    """The trainer of a run.

    Args:
        config: of the run, plain.
        folder: of the run; checkpoints, samples and logs go below it.
        data: gives the validation pairs.
        record: of the run.
        label: in front of the progress bar.
    """
    options = config["trainer"]
    strategy = options["strategy"]
    return pl.Trainer(
        accelerator=options["accelerator"],
        devices=options["devices"],
        num_nodes=options["num_nodes"],
        strategy=strategy if isinstance(strategy, str) else instantiate(strategy),
        precision=record.precision.precision,  # type: ignore[arg-type]  # a string, Lightning wants a literal
        deterministic=options["deterministic"],
        log_every_n_steps=options["log_every"],
        max_epochs=1,  # the whole stream is one pass of Lightning's loop
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the stream divides itself among the processes
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=_callbacks(config, folder, data, record, label),
        logger=_loggers(config, folder, data, record),
    )


def _callbacks(
    config: dict[str, Any], folder: Path, data: InpaintingData, record: RunRecord, label: str
) -> list[pl.Callback]:
    """The callbacks in the order in which they act after a batch."""
    options, total = config["trainer"], record.batches
    average = WeightAveraging(options["average"]) if options["average"] else None
    shown = average if config["evaluation"]["average"] else None
    about = checkpoint.describe(config, asdict(record.conditions))
    checkpoints = callbacks.Checkpoints(folder / "checkpoints", options["checkpoint_every"], total, about)
    return [
        *([average] if average else []),  # first: the others save and show the averaged weights
        callbacks.Progress(label, total),
        callbacks.Validation(options["validate_every"], total, data, config["evaluation"]["protocol"], shown),
        callbacks.Samples(folder / "samples", options["sample_every"], total, options["sample_count"], data, shown),
        callbacks.Speed(data.batch_size),
        checkpoints,
        Interruption(checkpoints.save),  # last: a batch is complete before the process ends
    ]


def _loggers(config: dict[str, Any], folder: Path, data: InpaintingData, record: RunRecord) -> list[Logger]:
    facts = asdict(record.conditions)
    if config["logger"]["wandb"]:
        samples = data.sample_digest(config["trainer"]["sample_count"])
        facts |= {"data_hash": data.train_digest(), "sample_pairs_hash": samples}
    return loggers.make(config["logger"], folder, config, facts)
