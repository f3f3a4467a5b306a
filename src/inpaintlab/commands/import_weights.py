"""Turn a checkpoint that a paper's authors released into one of ours: `inpaintlab import lbam FILE --out lbam.ckpt`."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing, require_writable
from inpaintlab.utils.process import run_program


def parser() -> ArgumentParser:
    """The command line; built without importing anything heavy."""
    p = ArgumentParser("inpaintlab import", description=__doc__)
    p.add_argument("system", help="whose weights: csa, deepfill_v1, gconv, lbam")
    p.add_argument("file", type=Path, help="the authors' checkpoint; the prefix of a TensorFlow one, or .npz")
    p.add_argument("--out", required=True, type=Path, help="the checkpoint to write")
    p.add_argument("--experiment", help="the run that the weights stand for; gives the data that `evaluate` uses")
    p.add_argument(
        "--swap-colours",
        action=BooleanOptionalAction,
        help="reverse BGR to RGB, or not; by default weights in TensorFlow's own layout are reversed",
    )
    p.add_argument("--overwrite", action="store_true", help="replace a file that is there already")
    p.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="changes of that run's config, data.root=PICTURES say"
    )
    return p


def convert(
    system: str,
    file: Path,
    out: Path,
    experiment: str | None = None,
    swap_colours: bool | None = None,
    overrides: Sequence[str] = (),
) -> list[str]:
    """Write the checkpoint; the entries of the file that belong to no generator are returned.

    Args:
        experiment: whose config goes with the weights; by default the first of the system, on the embedded photographs
            so that the checkpoint can be evaluated anywhere.
        swap_colours: see `checkpoint.from_released`.
        overrides: of the experiment's config, as for a training.

    Raises:
        FileNotFoundError, UserError: if the file or the experiment does not fit; nothing is written then.
    """
    import torch

    from inpaintlab.checkpoints import checkpoint
    from inpaintlab.checkpoints.authors import build_released, read_released
    from inpaintlab.config.compose import compose_config, group_options
    from inpaintlab.config.plain import to_plain
    from inpaintlab.utils import provenance

    found = read_released(system, file, swap_colours)
    names = [name for name in group_options("experiment") if name.startswith(f"{system}_")]
    if not names:
        raise UserError(f"there is no experiment of {system}, whose config would go with the weights")
    chosen = experiment or names[0]
    data = [] if experiment or any(word.startswith("data=") for word in overrides) else ["data=photos"]
    config = to_plain(compose_config([f"experiment={chosen}", *data, *overrides]))
    if config["system"] != system:
        raise UserError(
            f"{chosen} is an experiment of {config['system']}, not of {system}; known are {', '.join(names)}"
        )
    generator = build_released(system, found)
    config["name"] = f"{system}_released"
    config["model"]["generator"] = {"_target_": config["model"]["generator"]["_target_"]} | found.options
    content = {
        "state_dict": {f"generator.{name}": value for name, value in generator.state_dict().items()},
        "batches_done": 0,
        checkpoint.KEY: checkpoint.describe(config, asdict(provenance.conditions()) | {"released_weights": file.name}),
    }
    with replacing(out) as temporary:
        torch.save(content, temporary)
    return list(found.ignored)


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab import`."""
    parsed = parser().parse_intermixed_args(arguments)

    def program() -> None:
        if parsed.out.is_dir():
            raise UserError(f"--out {parsed.out} is a folder; name the file to write")
        if parsed.out.exists() and not parsed.overwrite:
            raise UserError(f"{parsed.out} exists; choose another --out or add --overwrite")
        words = [word for word in parsed.overrides if "=" not in word]
        if words:
            raise UserError(f"{words[0]!r} is no KEY=VALUE; only such words may follow the file")
        require_writable(parsed.out.parent, "choose another --out or make it writable")
        ignored = convert(
            parsed.system, parsed.file, parsed.out, parsed.experiment, parsed.swap_colours, parsed.overrides
        )
        print(f"written to {parsed.out}: the generator of {parsed.system} with the weights of {parsed.file.name}")
        if ignored:
            more = ", ..." if len(ignored) > 4 else ""
            print(f"left aside: {len(ignored)} entries that are not the generator's: {', '.join(ignored[:4])}{more}")

    run_program(program)
