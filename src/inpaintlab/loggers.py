"""Where the numbers of a training go: CSV files always, Weights & Biases if asked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from inpaintlab.errors import UserError


def make(config: dict[str, Any], folder: Path, name: str, run_config: dict[str, Any]) -> list[Logger]:
    """The loggers of a run.

    Args:
        config: the group `logger`.
        folder: of the run; nothing is written outside it.
        name: of the run.
        run_config: what W&B shows as the run's config.
    """
    loggers: list[Logger] = []
    if config["csv"]:
        # A resumed run adds csv/version_1 and so on, so that nothing is overwritten.
        loggers.append(CSVLogger(folder, name="csv", flush_logs_every_n_steps=1))
    if config["wandb"]:
        loggers.append(_wandb(dict(config["wandb"]), folder, name, run_config))
    return loggers


def close(loggers: Iterable[Logger]) -> None:
    """End the W&B run, so that the next training of this process gets one of its own."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def _wandb(config: dict[str, Any], folder: Path, name: str, run_config: dict[str, Any]) -> Logger:
    folder = folder.absolute()
    for variable in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        os.environ[variable] = str(folder / "wandb")  # of this run, also if the process has trained another before
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    try:
        return WandbLogger(name=name, save_dir=folder, log_model=False, config=run_config, **config)
    except ModuleNotFoundError:
        raise UserError("logger=wandb needs the package wandb: pip install 'inpaintlab[wandb]'") from None
