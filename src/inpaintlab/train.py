"""Train one run: `python -m inpaintlab.train experiment=msanet_places2 scale=demo`, or `-m` for a sweep.

Started again with the same overrides, a run that was stopped continues, and one that is finished does nothing. SIGTERM
saves within one batch and ends the program with status 143 (see `interruption`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra

from inpaintlab import config as configs
from inpaintlab import paths
from inpaintlab.atomic import locked, require_writable, write_text
from inpaintlab.errors import UserError
from inpaintlab.programs import end_with_parent, ending_with_a_sentence, first_process, run_program

if TYPE_CHECKING:
    from omegaconf import DictConfig


def finished(folder: Path) -> dict[str, Any] | None:
    """The record of a finished run, or None."""
    path = folder / "run.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    return record if record.get("state") == "finished" else None


def run(config: DictConfig, label: str = "training") -> Path:
    """Train what the config says, or the rest of it.

    Args:
        config: composed from `conf/train.yaml`.
        label: in front of the progress bar.

    Returns:
        The folder of the run, with `run.json`, `config.yaml`, `checkpoints/last.ckpt`, `csv/`, `samples/`.

    Raises:
        UserError, FileNotFoundError, PermissionError: before any training, wherever the reason can be known then.
    """
    folder = configs.run_folder(config)
    plain = configs.plain(config)
    if finished(folder):
        print(f"{folder}: finished already")
    else:
        require_writable(folder)
        lock = locked(folder / ".lock", what=str(folder)) if first_process() else nullcontext()
        with lock:
            _train(config, plain, folder, label)
    if plain["evaluate"] and first_process():
        from inpaintlab import evaluate

        evaluate.evaluate_run(plain, folder)
    return folder


def _train(config: DictConfig, plain: dict[str, Any], folder: Path, label: str) -> None:
    import lightning.pytorch as pl
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from inpaintlab import (
        averaging,
        callbacks,
        checkpoint,
        evaluate,
        evaluated,
        interruption,
        loggers,
        precision,
        record,
        silence,
    )  # fmt: skip
    from inpaintlab.data.seen import masks_are_shared
    from inpaintlab.papers.health import Health

    silence.lightning()
    if plain["init_from"] == "":
        raise UserError(f"{plain['name']} begins with a trained generator: give it as init_from=CHECKPOINT")
    how = plain["trainer"]
    count = how["sample_count"]
    if plain["evaluation"]["average"] and not how["average"]:
        raise UserError("evaluation.average needs a run with averaged weights: trainer.average=0.999, say")
    if how["threads"]:
        torch.set_num_threads(how["threads"])
    earlier = checkpoint.newest(folder / "checkpoints")
    kind = precision.device(how["accelerator"])
    chosen = precision.choose(how["precision"], how["channels_last"], kind, Path(plain["output"]) / "precision.json")
    before = json.loads((folder / "run.json").read_text()) if (folder / "run.json").exists() else None
    if before and how["precision"] == "auto":  # as it was begun, by an earlier process or by the first of a DDP run
        chosen = precision.Precision(**before["precision"])

    pl.seed_everything(plain["seed"], workers=True, verbose=False)
    data = instantiate(config.data, _convert_="all")
    total = data.total_batches()
    data.train_set()  # now, so that a bad picture or mask stops the program before anything else happens
    if plain["evaluate"] and first_process():
        evaluated.require(plain)
    module = instantiate(config.model, _convert_="all")
    size, multiple = data.geometry.size, getattr(module.generator, "multiple", 1)
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
        "conditions": record.conditions(),
    }
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain)))
    write_text(folder / "run.json", json.dumps(entry, indent=1) + "\n")
    facts = dict(entry["conditions"])
    if plain["logger"]["wandb"]:
        facts |= {"data_hash": data.train_digest(), "sample_pairs_hash": data.sample_digest(count)}
    about = checkpoint.describe(plain, entry["conditions"])
    average = averaging.Average(how["average"]) if how["average"] else None
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
        evaluate.evaluate_run(plain, folder, device=device, rank=rank, world=world)


def _width(generator: dict[str, Any]) -> list[str]:
    width = generator.get("width", 1.0)
    return [] if width == 1 else [f"networks {width:g} times as wide as the paper's"]


@hydra.main(config_path=str(paths.conf()), config_name="train", version_base="1.3")
def _hydra(config: DictConfig) -> None:
    with ending_with_a_sentence():
        run(config)


def main() -> None:
    """The program behind `inpaintlab train` and `python -m inpaintlab.train`."""
    if os.environ.get("INPAINTLAB_JOB"):  # of a sweep; the other processes of a DDP run cannot save without the first
        end_with_parent(signal.SIGTERM if first_process() else signal.SIGKILL)
    configs.register_resolvers()
    run_program(_hydra, lambda: configs.check(sys.argv[1:], "train"))


if __name__ == "__main__":
    main()
