"""Train one run, or the rest of it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from inpaintlab.checkpoints import checkpoint
from inpaintlab.config.plain import to_plain
from inpaintlab.config.run_folder import run_folder
from inpaintlab.data.datamodule import InpaintingData
from inpaintlab.data.holes.overlap import masks_are_shared
from inpaintlab.errors import UserError
from inpaintlab.evaluation.inputs import require_inputs
from inpaintlab.evaluation.run import evaluate_run, evaluate_run_together
from inpaintlab.tracking import loggers
from inpaintlab.training import precision
from inpaintlab.training import record as run_record
from inpaintlab.training.module import InpaintingModule
from inpaintlab.training.record import Precision, Replaced, RunRecord
from inpaintlab.training.step import StepOptions
from inpaintlab.training.trainer import build_trainer
from inpaintlab.utils import provenance, quiet
from inpaintlab.utils.atomic_write import locked, require_writable, write_text
from inpaintlab.utils.device import resolve_device
from inpaintlab.utils.process import first_process


def run_training(config: DictConfig, label: str = "training") -> Path:
    """Train the run that the config describes, or the rest of it.

    Args:
        config: composed from `conf/train.yaml`.
        label: in front of the progress bar.

    Returns:
        The folder of the run, with `run.json`, `config.yaml`, `checkpoints/last.ckpt`, `csv/`, `samples/`.

    Raises:
        UserError, FileNotFoundError, PermissionError: before training starts wherever the reason is known by then.
    """
    folder = run_folder(config)
    plain = to_plain(config)
    if run_record.finished_run(folder):
        print(f"{folder}: finished already")
    else:
        require_writable(folder)
        lock = locked(folder / ".lock", what=str(folder)) if first_process() else nullcontext()
        with lock:
            _train(config, plain, folder, label)
    if plain["evaluate"] and first_process():
        evaluate_run(plain, folder)
    return folder


def _train(config: DictConfig, plain: dict[str, Any], folder: Path, label: str) -> None:
    """Train up to the last batch, then record the run as finished and evaluate it if asked to."""
    quiet.lightning()
    _require_consistent(plain)
    if plain["trainer"]["threads"]:
        torch.set_num_threads(plain["trainer"]["threads"])
    resumed_from = checkpoint.newest(folder / "checkpoints")
    device = resolve_device(plain["trainer"]["accelerator"])
    chosen = _choose_precision(plain, folder, device)
    pl.seed_everything(plain["seed"], workers=True, verbose=False)
    data = _build_data(config, plain)
    module = _build_module(config, plain, data, chosen, resumed=resumed_from is not None)
    record = _describe(plain, data, module, chosen, device)
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain)))
    run_record.write(folder, record)
    trainer = build_trainer(plain, folder, data, record, label)
    try:
        trainer.fit(module, data, ckpt_path=resumed_from, weights_only=True)
    finally:
        loggers.close(trainer.loggers)
    if module.batches_done < record.batches:
        raise RuntimeError(f"stopped after {module.batches_done} of {record.batches} batches")
    replaced = Replaced(**data.state_dict())  # gathered from all processes
    if trainer.is_global_zero:
        run_record.write(folder, replace(record, state=run_record.FINISHED, replaced=replaced))
    if plain["evaluate"]:
        where = trainer.strategy.root_device
        evaluate_run_together(plain, folder, device=where, rank=trainer.global_rank, world=trainer.world_size)


def _require_consistent(plain: dict[str, Any]) -> None:
    """Raise UserError for options that do not go together."""
    if plain["init_from"] == "":
        raise UserError(f"{plain['name']} begins with a trained generator: give it as init_from=CHECKPOINT")
    if plain["evaluation"]["average"] and not plain["trainer"]["average"]:
        raise UserError(
            "evaluation.average=true needs a run with averaged weights; add for example trainer.average=0.999"
        )


def _choose_precision(plain: dict[str, Any], folder: Path, device: str) -> Precision:
    """The precision of the config; "auto" stays what it was when an earlier or the first process began the run."""
    options = plain["trainer"]
    memory = Path(plain["output"]) / "precision.json"
    chosen = precision.choose(options["precision"], options["channels_last"], device, memory)
    begun = run_record.read(folder)
    return begun.precision if begun and options["precision"] == "auto" else chosen


def _build_data(config: DictConfig, plain: dict[str, Any]) -> InpaintingData:
    """The data of the run. Bad files stop the program here, before anything is trained."""
    data: InpaintingData = instantiate(config.data, _convert_="all")
    data.total_batches()
    data.train_set()
    if plain["evaluate"] and first_process():
        require_inputs(plain)
    return data


def _build_module(
    config: DictConfig, plain: dict[str, Any], data: InpaintingData, chosen: Precision, resumed: bool
) -> InpaintingModule:
    """The system, ready to be trained.

    Args:
        resumed: whether the weights will come from a checkpoint of this run, not from `init_from`.
    """
    module: InpaintingModule = instantiate(config.model, _convert_="all")
    size, multiple = data.geometry.size, module.generator.multiple
    if size % multiple:
        raise UserError(f"data.geometry.size={size} must be a multiple of {multiple} for {plain['system']}")
    if plain["init_from"] and not resumed:
        first = checkpoint.load(plain["init_from"], system=plain["system"])
        checkpoint.load_exactly(module.generator, first.generator.state_dict(), plain["init_from"])
    if chosen.channels_last:
        module.to(memory_format=torch.channels_last)
    options = plain["trainer"]
    if options["compile"]:
        module.generator.compile()  # in place, so that the weights keep their names
    warn = print if first_process() else _say_nothing  # one process warns for all
    module.set_schedule(instantiate(config.schedule, _convert_="all"), data.total_batches())
    module.set_step_options(StepOptions(options["accumulate"], options["clip_norm"], options["health"], warn))
    return module


def _say_nothing(sentence: str) -> None:
    """Used where another process prints the same warning."""


def _describe(
    plain: dict[str, Any], data: InpaintingData, module: InpaintingModule, chosen: Precision, device: str
) -> RunRecord:
    """The record of the run that begins now."""
    width = plain["model"]["generator"].get("width", 1.0)
    narrow = [] if width == 1 else [f"networks {width:g} times as wide as the paper's"]
    return RunRecord(
        state=run_record.RUNNING,
        name=plain["name"],
        scale=plain["scale"]["name"],
        seed=plain["seed"],
        batches=data.total_batches(),
        remarks=[*module.remarks(), *narrow],
        parameters=sum(p.numel() for p in module.generator.parameters()),
        precision=chosen,
        compiled=plain["trainer"]["compile"],
        device=device,
        test_masks_in_training=masks_are_shared(data.train_holes, data.test_holes),
        conditions=provenance.conditions(),
    )
