"""Draw attention maps on one sheet: a row per kind of map, a column per layer, and numbers under every map.

Works for every generator with `shows_attention`. Maps are named `<kind>_<layer>`, with the suffix `_<what>` for a
second map of the layer: "forward_1", "forward_1_mask" (LBAM, Figures 7 and 8). Patch attention has two names of its
own, drawn in colour: "flow" (N, 2, h, w), the offset of the patch that each position attends to most, and "heat"
(N, K, h, w), the attention of K chosen pixels.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from inpaintlab.errors import UserError
from inpaintlab.image import fill, padded_size, predict, to_uint8
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.visualization.patch_attention import flow_picture, heat_picture

Pixel = tuple[int, int]  # row, column
# In pixels: longer side of a map, gap between cells, height of a line of text, width of the row names.
SIDE, GAP, LINE, LABEL = 176, 8, 15, 128


def require(generator: InpaintingGenerator, system: str) -> None:
    """Raise UserError, naming the system, unless the generator has attention maps to show."""
    if not generator.shows_attention:
        raise UserError(f"{system} has no attention maps to show; run it without --show attention")


@contextmanager
def keeping_attention(generator: InpaintingGenerator, points: Sequence[tuple[float, float]] = ()) -> Iterator[None]:
    """Make the generator return its attention maps, and those of `points` if it can; restore it at the end."""
    before = generator.keep_attention, generator.points
    generator.keep_attention = True
    if generator.shows_points:
        generator.points = points
    try:
        yield
    finally:
        generator.keep_attention, generator.points = before


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet, of any size, and the two lines of text under it."""

    picture: Image.Image
    place: str
    values: str


def sheet(
    maps: Mapping[str, Tensor],
    aspect: float = 1.0,
    picture: NDArray[np.uint8] | None = None,
    pixels: Sequence[Pixel] = (),
) -> Image.Image:
    """Draw all attention maps of the first picture of a batch on one sheet.

    Each map is averaged over its channels and enlarged without interpolation, to the same size for all layers. Its
    smallest value is black and its largest white; the text under it gives both, with the layer and the resolution. A
    constant map is drawn in mid-grey.

    Args:
        maps: (N, C, H, W) by name; see the module for names.
        aspect: width / height of the picture.
        picture: (H, W, 3), 8 bit; the background of "heat". Without it, "heat" is drawn like any other map.
        pixels: (row, column) of the pixels whose attention "heat" contains.

    Raises:
        UserError: if there are no maps, or a map is not finite.
    """
    if not maps:
        raise UserError("the generator returned no attention maps")
    rows: dict[str, list[Cell]] = {}
    for name, value in maps.items():
        values = value[0].detach().float().cpu().numpy()
        if name == "flow":
            rows["where each position looks"] = [_flow_cell(values)]
        elif name == "heat" and picture is not None:
            looks = zip(values, pixels, strict=True)
            rows["what a pixel looks at"] = [_heat_cell(picture, heat, pixel) for heat, pixel in looks]
        else:
            kind, layer = split_name(name)
            rows.setdefault(kind, []).append(_grey_cell(layer, values.mean(0)))
    width, height = (SIDE, max(48, round(SIDE / aspect))) if aspect >= 1 else (max(96, round(SIDE * aspect)), SIDE)
    columns = max(map(len, rows.values()))
    step_x, step_y, head = width + GAP, height + 2 * LINE + GAP, 2 * LINE
    page = Image.new("RGB", (LABEL + columns * step_x, head + len(rows) * step_y), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    draw.text((GAP, 6), _legend(maps), "black", font)
    for i, (kind, cells) in enumerate(rows.items()):
        top = head + i * step_y
        draw.multiline_text((GAP, top + height // 2 - LINE), textwrap.fill(kind, 16), "black", font)
        for j, cell in enumerate(cells):
            left = LABEL + j * step_x
            page.paste(cell.picture.resize((width, height), Image.Resampling.NEAREST), (left, top))
            draw.rectangle((left - 1, top - 1, left + width, top + height), outline=(160, 160, 160))
            draw.text((left, top + height + 2), cell.place, "black", font)
            draw.text((left, top + height + 1 + LINE), cell.values, "black", font)
    return page


def _legend(maps: Mapping[str, Tensor]) -> str:
    if "flow" in maps:
        return (
            "flow: hue = direction, white = itself, strong = far; heat: black = none, yellow = most, cross = the pixel"
        )
    return "mean over the channels of each map; black = min, white = max of [min, max]"


def _grey_cell(layer: str, values: NDArray[np.float32]) -> Cell:
    size = f"{values.shape[1]} x {values.shape[0]}"
    limits = f"[{values.min():.3g}, {values.max():.3g}]"
    return Cell(Image.fromarray(grey(values)), f"{layer}, {size}" if layer else size, limits)


def _flow_cell(offsets: NDArray[np.float32]) -> Cell:
    far = np.hypot(*offsets).max()
    size = f"{offsets.shape[2]} x {offsets.shape[1]} positions"
    return Cell(Image.fromarray(flow_picture(offsets)), size, f"farthest: {far:.0f} positions")


def _heat_cell(picture: NDArray[np.uint8], heat: NDArray[np.float32], pixel: Pixel) -> Cell:
    drawn = Image.fromarray(heat_picture(picture, heat, pixel))
    return Cell(drawn, f"row {pixel[0]}, column {pixel[1]}", f"most: {heat.max():.2g} of {heat.sum():.2g}")


def split_name(name: str) -> tuple[str, str]:
    """Return the row and column of a map: "forward_1_mask" gives ("forward mask", "layer 1"), "hole" ("hole", "")."""
    found = re.fullmatch(r"(.+?)_(\d+)(?:_(.+))?", name)
    if found is None:
        return name.replace("_", " "), ""
    kind, layer, what = found.groups()
    return f"{kind} {what or 'map'}".replace("_", " "), f"layer {layer}"


def grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert a map (H, W) to 8 bit: smallest value black, largest white; a constant map becomes mid-grey."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise UserError("an attention map contains NaN or infinity and cannot be drawn; check the checkpoint")
    if high - low <= 1e-6 * max(abs(high), 1e-30):
        return np.full(values.shape, 128, np.uint8)
    return np.round((values - low) / (high - low) * 255).astype(np.uint8)


def draw_attention(
    generator: InpaintingGenerator, image: Tensor, hole: Tensor, pixels: Sequence[Pixel] = ()
) -> tuple[Tensor, Image.Image]:
    """Inpaint one picture of any size and draw the attention maps behind the result.

    Args:
        generator: one that shows attention; see `require`.
        image: (1, 3, H, W) in [0, 1].
        hole: (1, 1, H, W), 1 = missing.
        pixels: (row, column) of the pixels whose attention is drawn, if the generator can show it.

    Returns:
        The filled picture, (1, 3, H, W) in [0, 1], and the sheet.
    """
    size = (image.shape[-2], image.shape[-1])
    height, width = padded_size(*size, generator.multiple)
    points = [((y + 0.5) / height, (x + 0.5) / width) for y, x in pixels]
    with keeping_attention(generator, points):
        output = predict(generator, image, hole)
    filled = fill(image, output.image, hole)
    picture = to_uint8(filled)[0].permute(1, 2, 0).cpu().numpy()
    return filled, sheet(output.attention, size[1] / size[0], picture, pixels)
