"""Fill holes with a checkpoint or a fill without training: in one picture, or in a folder with one of masks."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.commands.inpaint_files import fill_file, find_jobs, read_job
from inpaintlab.errors import UserError
from inpaintlab.utils.printable import printable
from inpaintlab.utils.process import explain, run_program

if TYPE_CHECKING:
    from inpaintlab.networks.generator import InpaintingGenerator


def parser() -> ArgumentParser:
    """Return the command line; imports nothing heavy."""
    p = ArgumentParser("inpaintlab inpaint", description=__doc__)
    by = p.add_mutually_exclusive_group(required=True)
    by.add_argument("--checkpoint", type=Path, help="a checkpoint of this package; needs no other file")
    by.add_argument(
        "--method",
        metavar="NAME",
        help="a fill without training: mean_colour, nearest, telea, navier_stokes, harmonic or biharmonic",
    )
    p.add_argument("--image", required=True, type=Path, help="a picture, or a folder of pictures, of any size")
    p.add_argument("--mask", required=True, type=Path, help="its mask, or a folder of masks of the same names")
    p.add_argument("--out", required=True, type=Path, help="the PNG file to write, or a folder for the results")
    p.add_argument(
        "--polarity", default="white_hole", choices=("white_hole", "black_hole"), help="colour of missing pixels"
    )
    p.add_argument("--threshold", default=0.5, type=share, help="grey levels of at least this share are white")
    p.add_argument("--average", action="store_true", help="use the averaged weights (of a run with trainer.average)")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument("--overwrite", action="store_true", help="replace existing results")
    p.add_argument("--show", choices=("attention",), help="also write the attention maps, to NAME-attention.png")
    p.add_argument(
        "--at",
        action="append",
        default=[],
        type=pixel,
        metavar="ROW,COLUMN",
        help="with --show, for systems with patch attention: a pixel whose attention is drawn over the picture; can be "
        "repeated; default: four pixels inside the hole",
    )
    return p


def pixel(text: str) -> tuple[int, int]:
    """Parse ROW,COLUMN."""
    row, _, column = text.partition(",")
    if not (row.strip().isdecimal() and column.strip().isdecimal()):
        raise ArgumentTypeError(f"expected ROW,COLUMN, two whole numbers counted from 0 at the top left, got {text!r}")
    return int(row), int(column)


def share(text: str) -> float:
    """Parse a number in (0, 1]."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ArgumentTypeError(f"expected a number in (0, 1], got {text!r}")
    return value


def run(arguments: Namespace) -> int:
    """Fill all pictures and return the number of failures; a failure is reported and the others continue."""
    show = arguments.show is not None
    if arguments.average and arguments.method:
        raise UserError("--average chooses the weights of a --checkpoint; leave it out with --method")
    if arguments.at and not show:
        raise UserError("--at chooses pixels for --show attention; add --show attention or leave --at out")
    jobs = find_jobs(arguments.image, arguments.mask, arguments.out, show=show, overwrite=arguments.overwrite)
    todo = [job for job in jobs if arguments.overwrite or not job.done(show)]
    if len(todo) < len(jobs):
        print(f"{len(jobs) - len(todo)} of {len(jobs)} results exist and are kept (--overwrite replaces them)")
    if not todo:
        return 0

    from inpaintlab.image import NotFinite
    from inpaintlab.utils.atomic_write import require_writable
    from inpaintlab.utils.device import resolve_device
    from inpaintlab.utils.progress import Bar
    from inpaintlab.visualization import attention_sheet

    folder = arguments.out if arguments.image.is_dir() else todo[0].out.parent
    require_writable(folder, "choose another --out or make it writable")
    device = resolve_device(arguments.device)
    name, generator = _generator(arguments, device)
    failures = []
    if show:
        attention_sheet.require(generator, name)
    with Bar(f"inpainting with {name}", len(todo), quiet=len(todo) == 1) as bar:
        for done, job in enumerate(todo, 1):
            try:
                picture, hole = read_job(job, arguments.polarity, arguments.threshold, arguments.at)
                fill_file(generator, job, picture, hole, device, show, arguments.at)
            except Exception as error:
                sentence = explain(error)
                if sentence is None:
                    raise
                failures.append(f"{printable(job.image)}: {sentence}" if isinstance(error, NotFinite) else sentence)
            bar.update(done)
    for sentence in failures:
        print(f"error: {sentence}", file=sys.stderr)
    print(f"{len(todo) - len(failures)} of {len(todo)} written to {arguments.out}")
    return len(failures)


def _generator(arguments: Namespace, device: str) -> tuple[str, InpaintingGenerator]:
    """The name and the generator of the checkpoint or of the fill."""
    if arguments.method:
        from inpaintlab.networks.fills import make_fill

        return arguments.method, make_fill(arguments.method)
    from inpaintlab.checkpoints import checkpoint

    restored = checkpoint.load(arguments.checkpoint, average=arguments.average, device=device)
    return restored.name, restored.generator


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `inpaintlab inpaint`."""
    parsed = parser().parse_args(arguments)

    def program() -> None:
        if run(parsed):
            sys.exit(1)

    run_program(program)
