"""Train one run, or what is left of it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inpaintlab.config.plain import to_plain
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import locked, require_writable, write_text
from inpaintlab.utils.process import first_process

if TYPE_CHECKING:
    from omegaconf import DictConfig


def finished_run(folder: Path) -> dict[str, Any] | None:
    """The record of a finished run, or None."""
    path = folder / "run.json"
    provenance = json.loads(path.read_text()) if path.exists() else {}
    return provenance if provenance.get("state") == "finished" else None


def run_training(config: DictConfig, label: str = "training") -> Path:
    """Train what the config says, or the rest of it.

    Args:
        config: composed from `conf/train.yaml`.
        label: in front of the progress bar.

    Returns:
        The folder of the run, with `run.json`, `config.yaml`, `checkpoints/last.ckpt`, `csv/`, `samples/`.

    Raises:
        UserError, FileNotFoundError, PermissionError: before any training, wherever the reason can be known then.
    """
    folder = run_folder(config)
    plain = to_plain(config)
    if finished_run(folder):
        print(f"{folder}: finished already")
    else:
        require_writable(folder)
        lock = locked(folder / ".lock", what=str(folder)) if first_process() else nullcontext()
        with lock:
            _train(config, plain, folder, label)
    if plain["evaluate"] and first_process():
        from inpaintlab.evaluation.run import evaluate_run

        evaluate_run(plain, folder)
    return folder


def _train(config: DictConfig, plain: dict[str, Any], folder: Path, label: str) -> None:
    import lightning.pytorch as pl
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from inpaintlab.checkpoints import checkpoint
    from inpaintlab.data.holes.overlap import masks_are_shared
    from inpaintlab.evaluation.inputs import require_inputs
    from inpaintlab.evaluation.run import evaluate_run
    from inpaintlab.tracking import loggers
    from inpaintlab.training import callbacks, interruption, precision
    from inpaintlab.training.health import Health
    from inpaintlab.training.weight_averaging import WeightAveraging
    from inpaintlab.utils import provenance, quiet  # fmt: skip
    from inpaintlab.utils.device import resolve_device

    quiet.lightning()
    if plain["init_from"] == "":
        raise UserError(f"{plain['name']} begins with a trained generator: give it as init_from=CHECKPOINT")
    how = plain["trainer"]
    count = how["sample_count"]
    if plain["evaluation"]["average"] and not how["average"]:
        raise UserError("evaluation.average needs a run with averaged weights: trainer.average=0.999, say")
    if how["threads"]:
        torch.set_num_threads(how["threads"])
    earlier = checkpoint.newest(folder / "checkpoints")
    kind = resolve_device(how["accelerator"])
    chosen = precision.choose(how["precision"], how["channels_last"], kind, Path(plain["output"]) / "precision.json")
    before = json.loads((folder / "run.json").read_text()) if (folder / "run.json").exists() else None
    if before and how["precision"] == "auto":  # as it was begun, by an earlier process or by the first of a DDP run
        chosen = precision.Precision(**before["precision"])

    pl.seed_everything(plain["seed"], workers=True, verbose=False)
    data = instantiate(config.data, _convert_="all")
    total = data.total_batches()
    data.train_set()  # now, so that a bad picture or mask stops the program before anything else happens
    if plain["evaluate"] and first_process():
        require_inputs(plain)
    module = instantiate(config.model, _convert_="all")
    size, multiple = data.geometry.size, module.generator.multiple
    if size % multiple:
        raise UserError(f"data.geometry.size={size} must be a multiple of {multiple} for {plain['system']}")
    if plain["init_from"] and not earlier:
        first = checkpoint.load(plain["init_from"], system=plain["system"])
        checkpoint.load_exactly(module.generator, first.generator.state_dict(), plain["init_from"])
    if chosen.channels_last:
        module.to(memory_format=torch.channels_last)
    if how["compile"]:
        module.generator.compile()  # in place, so that no weight gets another name
    module.accumulate, module.clip_norm = how["accumulate"], how["clip_norm"]
    module.health = Health(how["health"], print if first_process() else str)  # one process warns for all

    entry = {
        "state": "running",
        "name": plain["name"],
        "scale": plain["scale"]["name"],
        "seed": plain["seed"],
        "batches": total,
        "remarks": [*module.remarks(), *_width(plain["model"]["generator"])],
        "parameters": sum(p.numel() for p in module.generator.parameters()),
        "precision": asdict(chosen),
        "compiled": how["compile"],
        "device": kind,
        "test_masks_in_training": masks_are_shared(data.train_holes, data.test_holes),
        "conditions": provenance.conditions(),
    }
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain)))
    write_text(folder / "run.json", json.dumps(entry, indent=1) + "\n")
    facts = dict(entry["conditions"])
    if plain["logger"]["wandb"]:
        facts |= {"data_hash": data.train_digest(), "sample_pairs_hash": data.sample_digest(count)}
    about = checkpoint.describe(plain, entry["conditions"])
    average = WeightAveraging(how["average"]) if how["average"] else None
    shown = average if plain["evaluation"]["average"] else None
    checkpoints = callbacks.Checkpoints(folder / "checkpoints", how["checkpoint_every"], total, about)
    hooks: list[pl.Callback] = [
        *([average] if average else []),  # first: the others save and show it
        callbacks.Progress(label, total),
        callbacks.Validation(how["validate_every"], total, data, plain["evaluation"]["protocol"], shown),
        callbacks.Samples(folder / "samples", how["sample_every"], total, count, data, shown),
        callbacks.Speed(data.batch_size),
        checkpoints,
        interruption.Interruption(checkpoints.save),  # last: what a batch leads to is done before
    ]
    trainer = pl.Trainer(
        accelerator=how["accelerator"],
        devices=how["devices"],
        num_nodes=how["num_nodes"],
        strategy=how["strategy"] if isinstance(how["strategy"], str) else instantiate(how["strategy"]),
        precision=chosen.precision,  # type: ignore[arg-type]
        deterministic=how["deterministic"],
        log_every_n_steps=how["log_every"],
        max_epochs=1,  # the whole stream is one pass of Lightning's loop
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the stream divides itself
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=hooks,
        logger=loggers.make(plain["logger"], folder, plain, facts),
    )
    try:
        trainer.fit(module, data, ckpt_path=earlier, weights_only=True)
    finally:
        loggers.close(trainer.loggers)
    if module.batches_done < total:
        raise RuntimeError(f"stopped after {module.batches_done} of {total} batches")
    replaced = data.state_dict()  # on all processes
    if trainer.is_global_zero:
        done = {"state": "finished", "replaced": replaced}
        write_text(folder / "run.json", json.dumps(entry | done, indent=1) + "\n")
    if plain["evaluate"]:
        device, rank, world = trainer.strategy.root_device, trainer.global_rank, trainer.world_size
        evaluate_run(plain, folder, device=device, rank=rank, world=world)


def _width(generator: dict[str, Any]) -> list[str]:
    width = generator.get("width", 1.0)
    return [] if width == 1 else [f"networks {width:g} times as wide as the paper's"]
