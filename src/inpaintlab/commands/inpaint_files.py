"""The files of `inpaintlab inpaint`: which pictures to fill, how they are read, and what is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inpaintlab.networks.generator import InpaintingGenerator

    Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Job:
    """A picture, its mask, and the PNG file to write."""

    image: Path
    mask: Path
    out: Path

    @property
    def sheet(self) -> Path:
        """The file for the attention maps behind the result."""
        return self.out.with_name(f"{self.out.stem}-attention.png")

    def done(self, show: bool) -> bool:
        """Return whether the result, and with `show` the sheet of attention maps, exists."""
        return self.out.exists() and (not show or self.sheet.exists())


def find_jobs(image: Path, mask: Path, out: Path, *, show: bool = False, overwrite: bool = False) -> list[Job]:
    """Pair pictures with masks and outputs, and check all paths before any work.

    Args:
        image, mask: two files or two folders.
        out: a file or a folder.
        show: attention maps are written, too.
        overwrite: existing results may be replaced.

    Raises:
        FileNotFoundError: if a file is missing; every picture without a mask is named.
        UserError: if two files have the same name, an output exists, or an output would replace an input.
    """
    if image.is_dir():
        return _folder_jobs(image, mask, out, show)
    for path in (image, mask):
        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path}" + (" (a folder)" if path.is_dir() else ""))
    job = Job(image, mask, out / f"{image.stem}.png" if out.is_dir() else out)
    if job.out.suffix.lower() != ".png":
        raise UserError(f"--out {out} must end in .png: other formats would change the known pixels")
    outputs = [job.out, job.sheet] if show else [job.out]
    protect_inputs({"picture": [image], "mask": [mask]}, outputs)
    for path in outputs:
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists; choose another --out or add --overwrite")
    return [job]


def _folder_jobs(image: Path, mask: Path, out: Path, show: bool) -> list[Job]:
    if out.is_file():
        raise UserError(f"--image is a folder, so --out must be a folder too, but {out} is a file")
    pictures, masks = by_name(image, "pictures"), by_name(mask, "masks")
    alone = sorted(str(path) for name, path in pictures.items() if name not in masks)
    if alone:
        raise FileNotFoundError(
            f"{len(alone)} of {len(pictures)} pictures have no mask of the same name in {mask}: {', '.join(alone[:8])}"
        )
    jobs = [Job(path, masks[name], out / name.parent / f"{name.name}.png") for name, path in pictures.items()]
    targets = [job.out for job in jobs]
    protect_inputs({"pictures": pictures.values(), "masks": masks.values()}, targets)
    if show:
        taken = {path.resolve() for path in (*pictures.values(), *masks.values(), *targets)}
        double = [str(job.out) for job in jobs if job.sheet.resolve() in taken]
        if double:
            raise UserError(f"the attention maps of {double[0]} would be written over another picture; rename it")
    return jobs


def by_name(folder: Path, what: str) -> dict[Path, Path]:
    """Return the pictures in a folder by their relative path without suffix.

    Raises:
        UserError: if two files differ by their suffix alone.
    """
    from inpaintlab.data.files.images import list_pictures

    found: dict[Path, Path] = {}
    for path in list_pictures(folder, what):
        name = path.relative_to(folder).with_suffix("")
        if name in found:
            raise UserError(f"the {what} {found[name]} and {path} differ by their suffix alone; rename one")
        found[name] = path
    return found


def protect_inputs(inputs: dict[str, Iterable[Path]], outputs: Iterable[Path]) -> None:
    """Raise UserError if an output is one of the inputs, which are listed by what they are called."""
    written = {path.resolve() for path in outputs}
    for name, paths in inputs.items():
        clash = [path for path in paths if path.resolve() in written]
        if clash:
            itself = "themselves" if name.endswith("s") else "itself"
            raise UserError(f"the output would replace the {name} {itself}, {clash[0]}; choose another --out")


def read_job(job: Job, polarity: str, threshold: float, pixels: Sequence[tuple[int, int]]) -> tuple[Picture, Picture]:
    """Return the picture (H, W, 3) and its hole (H, W), 1 = missing, both 8 bit.

    Raises:
        UserError: if a file does not decode, the sizes differ, the mask marks nothing or everything, or one of
            `pixels` lies outside.
    """
    from inpaintlab.data.files.images import read_picture
    from inpaintlab.data.holes.mask_files import read_hole

    picture, hole = read_picture(job.image), read_hole(job.mask, polarity, threshold)
    height, width = hole.shape
    if picture.shape[:2] != (height, width):
        sizes = f"{width}x{height} and the picture {picture.shape[1]}x{picture.shape[0]}"
        raise UserError(f"the mask {job.mask} is {sizes}; they must have the same size")
    other = "black_hole" if polarity == "white_hole" else "white_hole"
    if not hole.any():
        raise UserError(
            f"the mask {job.mask} marks no pixel as missing; with --polarity {other} it would mark all of them (a mask "
            "is read by its colours, not by its alpha channel)"
        )
    if hole.all():
        raise UserError(f"the mask {job.mask} marks every pixel as missing; with --polarity {other} it would mark none")
    for row, column in pixels:
        if row >= height or column >= width:
            raise UserError(
                f"--at {row},{column} lies outside {job.image}: {height} rows, {width} columns, counted from 0"
            )
    return picture, hole


def fill_file(
    generator: InpaintingGenerator,
    job: Job,
    picture: Picture,
    hole: Picture,
    device: str,
    show: bool,
    pixels: Sequence[tuple[int, int]],
) -> None:
    """Fill one picture and write it as PNG; known pixels and an alpha channel stay bit for bit.

    With `show`, the sheet of attention maps is written first, so that every result has its sheet. `pixels` are those
    whose attention is drawn; if there are none, some are chosen inside the hole.

    Raises:
        NotFinite: if the generator predicts NaN or infinity.
    """
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    from inpaintlab.image import from_uint8, inpaint, to_uint8
    from inpaintlab.utils.atomic_write import replacing
    from inpaintlab.visualization import attention_sheet
    from inpaintlab.visualization.patch_attention import choose_pixels

    image = from_uint8(torch.from_numpy(picture.transpose(2, 0, 1).copy()))[None].to(device)
    missing = torch.from_numpy(hole)[None, None].float().to(device)
    if show:
        filled, sheet = attention_sheet.draw_attention(generator, image, missing, pixels or choose_pixels(hole))
        with replacing(job.sheet) as temporary:
            sheet.save(temporary)
    else:
        filled = inpaint(generator, image, missing)
    result = to_uint8(filled)[0].permute(1, 2, 0).cpu().numpy()
    result = np.where(hole[..., None] > 0, result, picture)
    with Image.open(job.image) as original:
        if original.has_transparency_data:  # an alpha channel, or transparent colours of a palette
            alpha = ImageOps.exif_transpose(original).convert("RGBA").getchannel("A")
            result = np.dstack([result, np.asarray(alpha)])
    with replacing(job.out) as temporary:
        Image.fromarray(result).save(temporary)
