"""The offline dashboard: panels of what the runs have, in their colours; errors."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from inpaintlab.errors import UserError
from inpaintlab.tracking import dashboard
from inpaintlab.tracking.offline_wandb import Run


def runs(folder: Path) -> list[Run]:
    Image.new("RGB", (50, 80), "#123456").save(folder / "sheet.png")
    table = {"columns": ["row", "published", "measured"], "data": [["MUM", None, 26.25]]}
    first = Run("1", "MUM seed0", "msanet.table3", ("msanet",), {}, {"train/total": {1: 3.0, 2: math.nan, 3: 1.0}})
    first.tables, first.images = {"results/msanet.table3": table}, {"samples": {2: folder / "sheet.png"}}
    second = Run("2", "No-MUM seed0", curves={"train/total": {1: 2.0, 3: 2.0}, "val/psnr/all": {3: 20.0}})
    return [first, second]


def test_each_run_has_its_colour_in_each_panel_that_it_has(tmp_path: Path) -> None:
    pixels = np.asarray(dashboard.draw(runs(tmp_path)))

    def seen(colour: str, part: np.ndarray = pixels) -> int:
        return int((part == ImageColor.getrgb(colour)).all(2).sum())

    total, psnr = np.split(
        pixels[3 * dashboard.LINE : 3 * dashboard.LINE + dashboard.HEIGHT, : 2 * dashboard.WIDTH], 2, 1
    )
    assert seen(dashboard.COLOURS[0], total) > 100
    assert seen(dashboard.COLOURS[1], total) > 100
    assert seen(dashboard.COLOURS[0], psnr) == 0
    assert seen(dashboard.COLOURS[1], psnr) > 5  # one point
    assert seen("#123456") == dashboard.WIDTH * round(80 * dashboard.WIDTH / 50)
    fewer = dashboard.draw(runs(tmp_path), ["val/psnr/all", "no/such/curve"])
    assert fewer.width == pixels.shape[1]


def test_results_have_one_head(tmp_path: Path) -> None:
    assert dashboard._results(runs(tmp_path)) == [["row", "published", "measured"], ["MUM", "-", "26.2500"]]


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no offline W&B run below"):
        dashboard.run([tmp_path], tmp_path / "out.png")
