"""Arrange pictures in a grid with a caption over each column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
GAP, HEAD = 4, 22
HOLE_COLOUR = np.array([255, 255, 255], np.uint8)


def with_hole(truth: Picture, hole: Picture) -> Picture:
    """Return the picture (H, W, 3) with the hole (H, W) in white, as papers print the input."""
    return np.where(hole[..., None] > 0, HOLE_COLOUR, truth)


def grid(rows: Sequence[Sequence[Picture]], captions: Sequence[str], least: int = 160) -> Image.Image:
    """Arrange pictures of one size on a sheet.

    Args:
        rows: rows of pictures (H, W, 3), each as long as `captions`.
        captions: one per column; cut if wider than the column.
        least: smallest width of a picture on the sheet. Smaller ones are enlarged by a whole factor, without
            interpolation.
    """
    height, width = rows[0][0].shape[:2]
    factor = max(1, -(-least // width))
    step_x, step_y = width * factor + GAP, height * factor + GAP
    sheet = Image.new("RGB", (step_x * len(captions) + GAP, HEAD + step_y * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, caption in enumerate(captions):
        while draw.textlength(caption, font) > step_x - GAP and len(caption) > 1:
            caption = caption.removesuffix("…")[:-1] + "…"
        draw.text((GAP + column * step_x, 3), caption, "black", font)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            image = Image.fromarray(picture).resize((width * factor, height * factor), Image.Resampling.NEAREST)
            sheet.paste(image, (GAP + j * step_x, HEAD + i * step_y))
    return sheet
