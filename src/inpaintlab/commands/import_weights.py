"""Convert a checkpoint that a paper's authors published: `inpaintlab import SYSTEM FILE --out NEW.ckpt`."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing, require_writable
from inpaintlab.utils.printable import printable
from inpaintlab.utils.process import run_program


def parser() -> ArgumentParser:
    """Return the command line; imports nothing heavy."""
    p = ArgumentParser("inpaintlab import", description=__doc__)
    p.add_argument("system", help="the system whose authors published the weights; an unknown name lists them")
    p.add_argument(
        "file",
        type=Path,
        help="the authors' checkpoint: a PyTorch or .npz file, or the prefix of a TensorFlow checkpoint",
    )
    p.add_argument("--out", required=True, type=Path, help="the checkpoint to write")
    p.add_argument("--experiment", help="the experiment whose config, including its data, is stored with the weights")
    p.add_argument(
        "--swap-colours",
        action=BooleanOptionalAction,
        help="reverse BGR to RGB, or not; by default done for weights in TensorFlow's own layout",
    )
    p.add_argument("--overwrite", action="store_true", help="replace an existing file")
    p.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="changes of that config, for example data.root=PICTURES"
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
    """Write the checkpoint and return the entries of the file that do not belong to the generator.

    Args:
        experiment: the experiment whose config is stored with the weights; by default the first one of the system,
            with the embedded photographs as data, so that the checkpoint can be evaluated anywhere.
        swap_colours: see `checkpoints.authors.from_released`.
        overrides: changes of the experiment's config, as for training.

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
        raise UserError(f"there is no experiment of {system} whose config could be stored with the weights")
    chosen = experiment or names[0]
    data = [] if experiment or any(word.startswith("data=") for word in overrides) else ["data=photos"]
    config = to_plain(compose_config([f"experiment={chosen}", *data, *overrides]))
    if config["system"] != system:
        raise UserError(
            f"{chosen} is an experiment of {config['system']}, not of {system}; use one of {', '.join(names)}"
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
    """Run `inpaintlab import`."""
    parsed = parser().parse_intermixed_args(arguments)

    def program() -> None:
        if parsed.out.is_dir():
            raise UserError(f"--out {parsed.out} is a folder; name the file to write")
        if parsed.out.exists() and not parsed.overwrite:
            raise UserError(f"{parsed.out} exists; choose another --out or add --overwrite")
        words = [word for word in parsed.overrides if "=" not in word]
        if words:
            raise UserError(f"expected KEY=VALUE, got {words[0]!r}; only overrides may follow the file")
        require_writable(parsed.out.parent, "choose another --out or make it writable")
        ignored = convert(
            parsed.system, parsed.file, parsed.out, parsed.experiment, parsed.swap_colours, parsed.overrides
        )
        print(f"written to {parsed.out}: the generator of {parsed.system} with the weights of {parsed.file.name}")
        if ignored:
            more = ", ..." if len(ignored) > 4 else ""
            names = printable(", ".join(ignored[:4]))
            print(f"ignored: {len(ignored)} entries that do not belong to the generator: {names}{more}")

    run_program(program)
