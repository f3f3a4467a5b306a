"""Attention maps as a sheet that can be read: a row per kind of map, a column per layer, numbers under every map.

Works for any generator that fills `Output.attention` when its `keep_attention` is True. Names are `<kind>_<layer>`,
with `_<what>` behind it for a second map of the layer: "forward_1", "forward_1_mask" (LBAM, Figures 7 and 8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from inpaintlab.batch import Output
from inpaintlab.errors import UserError

SIDE, GAP, LINE, LABEL = 176, 8, 15, 128  # pixels of a map's longer side, between cells, per line of text, of row names


def require(generator: object, system: str) -> None:
    """Raise unless the generator can show attention maps.

    Raises:
        UserError: naming the system.
    """
    if not hasattr(generator, "keep_attention"):
        raise UserError(f"{system} has no attention maps to show; run it without --show attention")


@contextmanager
def collecting(generator: Any, size: tuple[int, int]) -> Iterator[tuple[Callable[..., Output], dict[str, Tensor]]]:
    """A stand-in for `generator` and the maps of its last call, cropped to pictures of `size` (height, width).

    The maps of a padded picture lose the share of rows and columns that lies in the padding; a row that lies in the
    picture by any part of it stays.
    """
    maps: dict[str, Tensor] = {}

    def call(image: Tensor, hole: Tensor) -> Output:
        output: Output = generator(image, hole)
        maps.clear()
        for name, value in output.attention.items():
            keep = [
                -(-n * own // padded) for n, own, padded in zip(value.shape[-2:], size, image.shape[-2:], strict=True)
            ]
            maps[name] = value[..., : keep[0], : keep[1]]
        return output

    before = generator.keep_attention
    generator.keep_attention = True
    try:
        yield call, maps
    finally:
        generator.keep_attention = before


def sheet(maps: Mapping[str, Tensor], aspect: float = 1.0) -> Image.Image:
    """All maps of the first picture of a batch on one sheet.

    Each map is the mean over its channels, enlarged without interpolation to one size for all layers. Black is the
    smallest value of the map and white the largest; both stand under it, with the layer and the resolution. A map
    that is the same everywhere is drawn in mid-grey.

    Args:
        maps: (N, C, H, W) by name.
        aspect: width / height of the picture.
    """
    if not maps:
        raise UserError("the network returned no attention maps")
    rows: dict[str, list[tuple[str, NDArray[np.float32]]]] = {}
    for name, value in maps.items():
        kind, layer = split_name(name)
        rows.setdefault(kind, []).append((layer, value[0].detach().float().mean(0).cpu().numpy()))
    width, height = (SIDE, max(48, round(SIDE / aspect))) if aspect >= 1 else (max(96, round(SIDE * aspect)), SIDE)
    columns = max(map(len, rows.values()))
    step_x, step_y, head = width + GAP, height + 2 * LINE + GAP, 2 * LINE
    page = Image.new("RGB", (LABEL + columns * step_x, head + len(rows) * step_y), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    draw.text((GAP, 6), "mean over the channels of each map; black = min, white = max of [min, max]", "black", font)
    for i, (kind, cells) in enumerate(rows.items()):
        top = head + i * step_y
        draw.multiline_text((GAP, top + height // 2 - LINE), kind.replace(" ", "\n", 1), "black", font)
        for j, (layer, values) in enumerate(cells):
            left = LABEL + j * step_x
            picture = Image.fromarray(grey(values)).resize((width, height), Image.Resampling.NEAREST)
            page.paste(picture, (left, top))
            draw.rectangle((left - 1, top - 1, left + width, top + height), outline=(160, 160, 160))
            place = (
                f"{layer}, {values.shape[1]} x {values.shape[0]}" if layer else f"{values.shape[1]} x {values.shape[0]}"
            )
            draw.text((left, top + height + 2), place, "black", font)
            draw.text((left, top + height + 1 + LINE), f"[{values.min():.3g}, {values.max():.3g}]", "black", font)
    return page


def split_name(name: str) -> tuple[str, str]:
    """Row and column of a map: "forward_1_mask" is ("forward mask", "layer 1"); without a number one cell of a row."""
    found = re.fullmatch(r"(.+?)_(\d+)(?:_(.+))?", name)
    if found is None:
        return name.replace("_", " "), ""
    kind, layer, what = found.groups()
    return f"{kind} {what or 'map'}".replace("_", " "), f"layer {layer}"


def grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W) to 8 bit, the smallest value black and the largest white; mid-grey where there is only one."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise UserError("an attention map is not finite, so it cannot be drawn")
    if high - low <= 1e-6 * max(abs(high), 1e-30):
        return np.full(values.shape, 128, np.uint8)
    return np.round((values - low) / (high - low) * 255).astype(np.uint8)


def draw_attention(
    generator: Any, fill: Callable[[Callable[..., Output]], Any], size: tuple[int, int]
) -> tuple[Any, Image.Image]:
    """What `fill` returns when it is given the generator, and the sheet of the maps that it made meanwhile.

    Args:
        fill: calls the generator once.
        size: height and width of the picture before it was padded.
    """
    with collecting(generator, size) as (call, maps), torch.no_grad():
        result = fill(call)
    return result, sheet(maps, size[1] / size[0])
