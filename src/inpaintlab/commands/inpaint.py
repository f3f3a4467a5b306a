"""Fill holes in pictures with a trained checkpoint: one file, or a folder of pictures and one of masks."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.errors import UserError
from inpaintlab.utils.process import explain, run_program

if TYPE_CHECKING:
    from inpaintlab.networks.generator import InpaintingGenerator


def parser() -> ArgumentParser:
    """The command line; built without importing anything heavy."""
    p = ArgumentParser("inpaintlab inpaint", description=__doc__)
    p.add_argument("--checkpoint", required=True, type=Path, help="a checkpoint of ours; it needs no other file")
    p.add_argument("--image", required=True, type=Path, help="a picture, or a folder of pictures, of any size")
    p.add_argument("--mask", required=True, type=Path, help="its mask, or a folder of masks of the same names")
    p.add_argument("--out", required=True, type=Path, help="the PNG file to write, or a folder for them")
    p.add_argument("--polarity", default="white_hole", choices=("white_hole", "black_hole"), help="what a mask marks")
    p.add_argument("--threshold", default=0.5, type=share, help="grey levels of at least this share are white")
    p.add_argument("--average", action="store_true", help="take the averaged weights, of a run with trainer.average")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    p.add_argument("--overwrite", action="store_true", help="replace pictures that are there already")
    p.add_argument("--show", choices=("attention",), help="also write the network's maps, as NAME-attention.png")
    p.add_argument(
        "--at",
        action="append",
        default=[],
        type=pixel,
        metavar="ROW,COLUMN",
        help="with --show, for systems that copy patches: a pixel whose attention is drawn over the picture; may be "
        "repeated; default: four pixels inside the hole",
    )
    return p


def pixel(text: str) -> tuple[int, int]:
    """ROW,COLUMN as two numbers."""
    row, _, column = text.partition(",")
    if not (row.strip().isdecimal() and column.strip().isdecimal()):
        raise ArgumentTypeError(f"{text!r} is not ROW,COLUMN, two whole numbers counted from 0 at the top left")
    return int(row), int(column)


def share(text: str) -> float:
    """A number in (0, 1]."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ArgumentTypeError(f"{text!r} is no number above 0 and at most 1")
    return value


def pairs(arguments: Namespace) -> list[tuple[Path, Path, Path]]:
    """(picture, mask, output) of all pictures; everything that is missing is found before any work.

    Raises:
        FileNotFoundError, UserError: naming every picture without a mask, two files of one name, or an output that
            would be overwritten or would replace what is read.
    """
    image, mask, out = arguments.image, arguments.mask, arguments.out
    if not image.is_dir():
        for path in (image, mask):
            if not path.is_file():
                raise FileNotFoundError(f"no such file: {path}" + (" (a folder)" if path.is_dir() else ""))
        out = out / f"{image.stem}.png" if out.is_dir() else out
        if out.suffix.lower() != ".png":
            raise UserError(f"--out {out} must end in .png: other formats would change the known pixels")
        keep_inputs(("picture", "mask"), [image], [mask], [out, *([shown_at(out)] if arguments.show else [])])
        if out.exists() and not arguments.overwrite:
            raise UserError(f"{out} exists; choose another --out or add --overwrite")
        if arguments.show and shown_at(out).exists() and not arguments.overwrite:
            raise UserError(f"{shown_at(out)} exists; choose another --out or add --overwrite")
        return [(image, mask, out)]
    if out.is_file():
        raise UserError(f"--image is a folder, so --out must be one too, and {out} is a file")
    pictures, masks = by_name(image, "pictures"), by_name(mask, "masks")
    alone = sorted(str(path) for name, path in pictures.items() if name not in masks)
    if alone:
        raise FileNotFoundError(
            f"{len(alone)} of {len(pictures)} pictures have no mask of the same name in {mask}: {', '.join(alone[:8])}"
        )
    jobs = [(path, masks[name], out / name.parent / f"{name.name}.png") for name, path in pictures.items()]
    targets = [target for _, _, target in jobs]
    keep_inputs(("pictures", "masks"), pictures.values(), masks.values(), targets)
    if arguments.show:
        taken = {path.resolve() for path in (*pictures.values(), *masks.values(), *targets)}
        double = [str(target) for _, _, target in jobs if shown_at(target).resolve() in taken]
        if double:
            raise UserError(f"the maps of {double[0]} would be written over another picture; rename it")
    return jobs


def by_name(folder: Path, what: str) -> dict[Path, Path]:
    """The files in a folder by their path in it, without the suffix.

    Raises:
        UserError: naming two files that differ by their suffix alone.
    """
    from inpaintlab.data.files.images import list_pictures

    found: dict[Path, Path] = {}
    for path in list_pictures(folder, what):
        name = path.relative_to(folder).with_suffix("")
        if name in found:
            raise UserError(f"the {what} {found[name]} and {path} have the same name but for the suffix; rename one")
        found[name] = path
    return found


def keep_inputs(what: tuple[str, str], pictures: Iterable[Path], masks: Iterable[Path], outputs: list[Path]) -> None:
    """Raise UserError if an output is one of the pictures or masks, which are called as `what` says."""
    written = {path.resolve() for path in outputs}
    for name, inputs in zip(what, (pictures, masks), strict=True):
        clash = [path for path in inputs if path.resolve() in written]
        if clash:
            whole = "themselves" if name.endswith("s") else "itself"
            raise UserError(f"the output would replace the {name} {whole}, {clash[0]}; choose another --out")


def shown_at(out: Path) -> Path:
    """Where the maps behind a result are written."""
    return out.with_name(f"{out.stem}-attention.png")


def run(arguments: Namespace) -> int:
    """Fill all pictures; one that fails is named and the others go on. Returns the number of failures."""
    if arguments.at and not arguments.show:
        raise UserError("--at chooses pixels for --show attention; add that or leave it out")
    jobs = pairs(arguments)

    def written(out: Path) -> bool:
        return out.exists() and (not arguments.show or shown_at(out).exists())

    todo = [job for job in jobs if arguments.overwrite or not written(job[2])]
    if len(todo) < len(jobs):
        print(f"{len(jobs) - len(todo)} of {len(jobs)} results are there already and stay (--overwrite replaces them)")
    if not todo:
        return 0

    from inpaintlab.checkpoints import checkpoint
    from inpaintlab.image import NotFinite
    from inpaintlab.utils.atomic_write import require_writable
    from inpaintlab.utils.device import resolve_device
    from inpaintlab.utils.progress import Bar
    from inpaintlab.visualization import attention_sheet

    folder = arguments.out if arguments.image.is_dir() else todo[0][2].parent
    require_writable(folder, "choose another --out or make it writable")
    device = resolve_device(arguments.device)
    restored = checkpoint.load(arguments.checkpoint, average=arguments.average, device=device)
    if arguments.show:
        attention_sheet.require(restored.generator, restored.config["name"])
    failures = []
    with Bar(f"inpainting with {restored.config['name']}", len(todo), quiet=len(todo) == 1) as bar:
        for done, (image, mask, out) in enumerate(todo, 1):
            try:
                fill_file(
                    restored.generator,
                    image,
                    mask,
                    out,
                    arguments.polarity,
                    arguments.threshold,
                    device,
                    arguments.show,
                    arguments.at,
                )
            except Exception as error:
                sentence = explain(error)
                if sentence is None:
                    raise
                failures.append(f"{image}: {sentence}" if isinstance(error, NotFinite) else sentence)
            bar.update(done)
    for sentence in failures:
        print(f"error: {sentence}", file=sys.stderr)
    print(f"{len(todo) - len(failures)} of {len(todo)} written to {arguments.out}")
    return len(failures)


def fill_file(
    generator: InpaintingGenerator,
    image: Path,
    mask: Path,
    out: Path,
    polarity: str,
    threshold: float,
    device: str,
    show: str | None = None,
    pixels: Sequence[tuple[int, int]] = (),
) -> None:
    """Fill one picture and write it as PNG; known pixels, and an alpha channel, stay bit for bit.

    With `show` the sheet of attention maps is written first, so a result that is there has its sheet. `pixels` are
    those whose attention is drawn; none given, some are chosen inside the hole.

    Raises:
        UserError: if the files do not decode, differ in size, or the mask marks nothing or everything, or a pixel
            lies outside, or the generator predicts NaN.
    """
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    from inpaintlab.data.files.images import read_picture
    from inpaintlab.data.holes.mask_folder import read_hole
    from inpaintlab.image import from_uint8, inpaint, to_uint8
    from inpaintlab.utils.atomic_write import replacing
    from inpaintlab.visualization import attention_sheet
    from inpaintlab.visualization.patch_attention import choose_pixels

    picture, hole = read_picture(image), read_hole(mask, polarity, threshold)
    if picture.shape[:2] != hole.shape:
        sizes = f"{hole.shape[1]}x{hole.shape[0]} and the picture {picture.shape[1]}x{picture.shape[0]}"
        raise UserError(f"the mask {mask} is {sizes}; they must have the same size")
    other = "black_hole" if polarity == "white_hole" else "white_hole"
    if not hole.any():
        raise UserError(
            f"the mask {mask} marks no pixel as missing; with --polarity {other} it would mark every one (a mask is "
            "read by its colours, not by its alpha channel)"
        )
    if hole.all():
        raise UserError(f"the mask {mask} marks every pixel as missing; with --polarity {other} it would mark none")
    outside = [p for p in pixels if p[0] >= hole.shape[0] or p[1] >= hole.shape[1]]
    if outside:
        raise UserError(
            f"--at {outside[0][0]},{outside[0][1]} lies outside {image}: {hole.shape[0]} rows, "
            f"{hole.shape[1]} columns, counted from 0"
        )
    tensor = from_uint8(torch.from_numpy(picture.transpose(2, 0, 1).copy()))[None].to(device)
    missing = torch.from_numpy(hole)[None, None].float().to(device)
    if show:
        filled, sheet = attention_sheet.draw_attention(generator, tensor, missing, pixels or choose_pixels(hole))
        with replacing(shown_at(out)) as temporary:
            sheet.save(temporary)
    else:
        filled = inpaint(generator, tensor, missing)
    result = to_uint8(filled)[0].permute(1, 2, 0).cpu().numpy()
    result = np.where(hole[..., None] > 0, result, picture)
    with Image.open(image) as original:
        if original.has_transparency_data:  # an alpha channel, or transparent colours of a palette
            alpha = ImageOps.exif_transpose(original).convert("RGBA").getchannel("A")
            result = np.dstack([result, np.asarray(alpha)])
    with replacing(out) as temporary:
        Image.fromarray(result).save(temporary)


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab inpaint`."""
    parsed = parser().parse_args(arguments)

    def program() -> None:
        if run(parsed):
            sys.exit(1)

    run_program(program)
