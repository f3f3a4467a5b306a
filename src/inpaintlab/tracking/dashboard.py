"""`inpaintlab dashboard`: curves, last samples and result tables of offline W&B runs, drawn without W&B's server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.errors import UserError

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from inpaintlab.tracking.offline_wandb import Run

CURVES = (
    "train/total", "val/psnr/all", "val/ssim/all", "health/gradient_norm_generator", "health/feature_size",
    "health/not_finite", "train/score_fake", "train/score_real", "speed/pictures_per_second", "speed/waiting_for_data",
    "memory/process_gb", "memory/gpu_gb",
)  # fmt: skip
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
ACROSS, WIDTH, HEIGHT, EDGE, LINE = 3, 300, 170, 44, 15


def draw(runs: Sequence[Run], curves: Sequence[str] = CURVES) -> Image.Image:
    """One panel for each curve that any of the runs has, then the last samples of each run, then the results."""
    from PIL import Image, ImageDraw

    shown = [name for name in curves if any(run.curves.get(name) for run in runs)]
    sheets = [Image.open(steps[max(steps)]).convert("RGB") for run in runs if (steps := run.images.get("samples"))]
    sheets = [sheet.resize((WIDTH, round(sheet.height * WIDTH / sheet.width))) for sheet in sheets[:ACROSS]]
    results = _results(runs)
    top = LINE * (len(runs) + 1)
    below = top + math.ceil(len(shown) / ACROSS) * HEIGHT
    under = below + max((sheet.height + LINE for sheet in sheets), default=0)
    picture = Image.new("RGB", (ACROSS * WIDTH, under + LINE * (len(results) + 1)), "white")
    pen = ImageDraw.Draw(picture)
    for number, run in enumerate(runs):
        text = f"{run.name}   group {run.group}   tags {', '.join(run.tags)}   run {run.id}"
        pen.text((8, 6 + LINE * number), text, COLOURS[number % len(COLOURS)])
    for number, name in enumerate(shown):
        corner = (number % ACROSS * WIDTH, top + number // ACROSS * HEIGHT)
        _panel(pen, corner, name, [run.curves.get(name, {}) for run in runs])
    for number, sheet in enumerate(sheets):
        pen.text((number * WIDTH + 8, below), f"samples: {runs[number].name}", COLOURS[number % len(COLOURS)])
        picture.paste(sheet, (number * WIDTH, below + LINE))
    left = 8
    for column in zip(*results, strict=True):
        for number, cell in enumerate(column):
            pen.text((left, under + 6 + LINE * number), cell, "black")
        left += round(max(pen.textlength(cell) for cell in column)) + 12
    return picture


def _panel(pen: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, curves: Sequence[dict[int, float]]) -> None:
    left, top, right, bottom = corner[0] + EDGE, corner[1] + 20, corner[0] + WIDTH - 10, corner[1] + HEIGHT - 22
    points = [(x, y) for curve in curves for x, y in curve.items() if math.isfinite(y)]
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    high = high if high > low else low + 1
    pen.text((left, corner[1] + 4), name, "black")
    pen.rectangle((left, top, right, bottom), outline="#bbbbbb")
    for value, height in ((high, top), (low, bottom - 10)):
        pen.text((corner[0] + 2, height), f"{value:.4g}", "#555555")
    pen.text((left, bottom + 4), str(first), "#555555")
    pen.text((right - 28, bottom + 4), str(last), "#555555")
    for number, curve in enumerate(curves):
        path = [
            (
                left + (x - first) / max(last - first, 1) * (right - left),
                bottom - (y - low) / (high - low) * (bottom - top),
            )
            for x, y in sorted(curve.items())
            if math.isfinite(y)
        ]
        colour = COLOURS[number % len(COLOURS)]
        pen.line(path, fill=colour, width=2)
        for x, y in path if len(path) < 10 else ():
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)


def _results(runs: Sequence[Run]) -> list[list[str]]:
    """A head for each kind of result table, and the lines of all runs."""
    tables = [table for run in runs for table in run.tables.values()]
    lines = [line for table in tables for line in table["data"]]
    heads = {tuple(table["columns"]) for table in tables}
    return [
        [f"{v:.4f}" if isinstance(v, float) else "-" if v is None else str(v) for v in line]
        for line in (*sorted(heads), *lines)
    ]


def run(folders: Sequence[Path], out: Path, curves: Sequence[str] = CURVES) -> None:
    """Read the runs below `folders` and write the picture.

    Raises:
        UserError: if no run has an offline log.
    """
    from inpaintlab.tracking import loggers, offline_wandb
    from inpaintlab.utils.atomic_write import replacing

    found = sorted({path.parents[1] for folder in folders for path in folder.rglob(str(loggers.RUN_ID))})
    if not found:
        raise UserError(f"no offline W&B run below {', '.join(map(str, folders))}; train with logger=wandb")
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out} must end in .png")
    with replacing(out) as temporary:
        picture = draw([offline_wandb.read(folder) for folder in found], curves)
        picture.quantize(255).save(temporary, optimize=True)  # a third of the size
    print(f"{len(found)} runs drawn to {out}")
