"""The command `inpaintlab`: a thin front; each sub-command is a program of its own."""

from __future__ import annotations

import runpy
import sys

from inpaintlab import __version__

COMMANDS = {
    "train": ("inpaintlab.train", "train a run, or the rest of it"),
    "evaluate": ("inpaintlab.evaluate", "metrics of a checkpoint on fixed pairs of picture and hole"),
    "inpaint": ("inpaintlab.inpaint", "fill holes in pictures with a checkpoint"),
    "import": ("inpaintlab.import_released", "turn a checkpoint of a paper's authors into one of ours"),
    "data": ("inpaintlab.datasets.program", "verify and prepare pictures and masks, write evaluation pairs"),
    "weights": ("inpaintlab.weights", "which files of pretrained networks are here"),
    "table": ("inpaintlab.tables.program", "reproduce a table of a paper"),
    "dashboard": ("inpaintlab.dashboard", "draw the curves and results of offline W&B runs"),
}
TRAIN_HELP = """usage: inpaintlab train [-m] [KEY=VALUE ...]

Train a run, or the rest of it. Started again with the same overrides, a stopped run continues.

  inpaintlab train experiment=msanet_places2 scale=demo             one run, at demo scale
  inpaintlab train -m 'experiment=glob(msanet_*)' seed=0,1 scale=demo   a sweep (Hydra's multirun)
  inpaintlab train -m ... hydra.launcher.jobs=2          two runs at once; or hydra/launcher=slurm
  inpaintlab train experiment=msanet_places2 data=folder data.root=PICTURES batches=20000
  inpaintlab train experiment=msanet_places2 trainer=ddp trainer.devices=4 logger=wandb
  inpaintlab train experiment=msanet_places2 --cfg job              show the composed config

experiments: {experiment}
models: {model}; data: {data}; masks: {masks};
trainers: {trainer}; loggers: {logger}; scales: {scale}
"""
EVALUATE_HELP = """usage: inpaintlab evaluate checkpoint=FILE [KEY=VALUE ...]

Metrics of a checkpoint. Pictures and holes are those of its training config unless given.

  inpaintlab evaluate checkpoint=last.ckpt
  inpaintlab evaluate checkpoint=last.ckpt data=folder data.root=PICTURES data.geometry.size=256
  inpaintlab evaluate checkpoint=last.ckpt masks=folder masks.root=MASKS masks.polarity=black_hole

keys: checkpoint, out, split, device, evaluation.protocol, evaluation.batch_size, evaluation.keep
data: {data}; masks: {masks}
"""
HELP = {"train": TRAIN_HELP, "evaluate": EVALUATE_HELP}


def main() -> None:
    """Entry point."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: inpaintlab COMMAND ...\n")
        for name, (_, purpose) in COMMANDS.items():
            print(f"  {name:10} {purpose}")
        print("\n`inpaintlab COMMAND --help` says more.")
        return
    if arguments[0] == "--version":
        print(__version__)
        return
    if arguments[0] not in COMMANDS:
        import difflib

        nearest = difflib.get_close_matches(arguments[0], COMMANDS, 1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        print(f"error: no command {arguments[0]!r}{hint} Commands: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    name = arguments[0]
    if name in HELP and any(argument in ("-h", "--help") for argument in arguments):
        print(HELP[name].format(**_options()), end="")
        return
    sys.argv = sys.argv[:1] + arguments[1:]
    # As `python -m` would: the processes of a DDP run are started with the same command as this one.
    runpy.run_module(COMMANDS[name][0], run_name="__main__", alter_sys=True)


def _options() -> dict[str, str]:
    from inpaintlab import paths

    groups = ("experiment", "model", "data", "masks", "trainer", "logger", "scale")
    return {g: ", ".join(sorted(p.stem for p in (paths.conf() / g).glob("*.yaml"))) for g in groups}


if __name__ == "__main__":
    main()
