"""The loggers of a training: CSV files by default, Weights & Biases on request, offline and in the run's folder.

All systems log under the same names, so that one dashboard can show a whole table: `train/<term>`, `train/score_fake`
and `train/score_real`, `val/<metric>/<bin>`, `samples`, `speed/...`, `memory/...`, `health/...`, and one table
`results/<table>` per evaluation. The step is the number of batches.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import write_text
from inpaintlab.utils.printable import printable
from inpaintlab.utils.process import first_process

RUN_ID = Path("wandb") / "id"  # in the folder of a run, so that a resumed run stays one run on W&B's dashboard


def make(config: dict[str, Any], folder: Path, run_config: dict[str, Any], facts: Mapping[str, Any]) -> list[Logger]:
    """Return the loggers of a run.

    Args:
        config: the group `logger`.
        folder: of the run; nothing is written outside it.
        run_config: the run's config, as plain data.
        facts: shown by W&B together with the config, such as the commit.
    """
    loggers: list[Logger] = []
    if config["csv"]:
        # A resumed run writes csv/version_1 and so on, so that nothing is overwritten.
        loggers.append(CSVLogger(folder, name="csv", flush_logs_every_n_steps=1))
    if config["wandb"]:
        options = dict(config["wandb"])
        options["name"] = options["name"] or printable(f"{run_config['name']}/seed{run_config['seed']}")
        kind = str(run_config["data"]["pictures"]["_target_"]).rpartition(".")[2]
        options["tags"] = [run_config["system"], run_config["scale"]["name"], kind, *options["tags"]]
        loggers.append(_wandb(options, folder, {**run_config, **facts}))
    return loggers


def close(loggers: Iterable[Logger]) -> None:
    """End the W&B run, so that the next training of this process starts its own."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def log_results(
    config: dict[str, Any], folder: Path, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Add a result table to the W&B run of a training, unless there is no such run or it shows the same table already.

    Args:
        config: the run's config, as plain data.
        folder: of the run.
        name: of the table.
    """
    rows = [[printable(value) if isinstance(value, str) else value for value in row] for row in rows]
    shown = folder / "wandb" / f"results-{name}.txt"
    text = "\n".join("\t".join(map(str, row)) for row in (columns, *rows)) + "\n"
    if not (folder / RUN_ID).exists() or (shown.exists() and shown.read_text() == text):
        return
    logger = _wandb({**config["logger"]["wandb"], "name": None, "tags": None}, folder, {})
    logger.log_table(f"results/{name}", list(columns), [list(row) for row in rows])
    close([logger])
    write_text(shown, text)


def _wandb(options: dict[str, Any], folder: Path, run_config: dict[str, Any]) -> WandbLogger:
    folder = folder.absolute()
    for variable in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        os.environ[variable] = str(folder / "wandb")  # also if this process has trained another run before
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    try:
        import wandb

        settings = wandb.Settings(console="off", silent=True)  # offline, W&B warns at each resume
        return WandbLogger(
            save_dir=folder,
            log_model=False,
            config=run_config,
            id=_run_id(folder / RUN_ID),
            resume="allow",
            settings=settings,
            **options,
        )
    except ModuleNotFoundError:
        raise UserError("logger=wandb needs the package wandb: pip install 'inpaintlab[wandb]'") from None


def _run_id(path: Path) -> str | None:
    if not first_process():
        return None  # only the first process logs
    if not path.exists():
        write_text(path, secrets.token_hex(6))
    return path.read_text()
