"""The dashboard: what it reads from the folder of a run, the panels that it draws, and its errors."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from omegaconf import DictConfig
from PIL import Image

from inpaintlab.commands import dashboard as dashboard_command
from inpaintlab.errors import UserError
from inpaintlab.tracking import csv_log, dashboard
from inpaintlab.tracking.dashboard import Run
from inpaintlab.training.run import run_training
from inpaintlab.visualization.line_chart import COLOURS


def runs(folder: Path) -> list[Run]:
    Image.new("RGB", (50, 80), "#123456").save(folder / "sheet.png")
    first = Run("MUM", {"train/total": {1: 3.0, 2: math.nan, 3: 1.0}}, folder / "sheet.png", {"all": {"psnr": 26.25}})
    second = Run("No-MUM", {"train/total": {1: 2.0, 3: 2.5}, "val/psnr/all": {3: 20.0}}, None, {"all": {"ssim": 0.5}})
    return [first, second]


def points(panel: Axes) -> dict[str, list[tuple[float, float]]]:
    """The points of the lines of a panel, by colour."""
    return {to_hex(line.get_color()): list(map(tuple, line.get_xydata().tolist())) for line in panel.lines}  # type: ignore[union-attr]


def test_each_run_has_its_colour_in_each_panel_that_it_has(tmp_path: Path) -> None:
    figure = dashboard.draw(runs(tmp_path))
    total, psnr = (panel for panel in figure.axes if panel.get_title() in dashboard.CURVES)
    assert (total.get_title(), psnr.get_title()) == ("train/total", "val/psnr/all")
    assert points(total) == {COLOURS[0]: [(1, 3.0), (3, 1.0)], COLOURS[1]: [(1, 2.0), (3, 2.5)]}
    assert points(psnr) == {COLOURS[0]: [], COLOURS[1]: [(3, 20.0)]}
    legend = [part.legends[0] for part in figure.subfigs if part.legends]
    assert [text.get_text() for text in legend[0].get_texts()] == ["MUM", "No-MUM"]
    (sheet,) = (panel for panel in figure.axes if panel.images)
    assert sheet.get_title() == "samples: MUM"
    assert (np.asarray(sheet.images[0].get_array()) == (0x12, 0x34, 0x56)).all()
    fewer = dashboard.draw(runs(tmp_path), ["val/psnr/all", "no/such/curve"])
    assert [panel.get_title() for panel in fewer.axes if panel.lines] == ["val/psnr/all"]


def test_results_have_one_head(tmp_path: Path) -> None:
    (shown,) = (panel.tables[0] for panel in dashboard.draw(runs(tmp_path)).axes if panel.tables)
    text = {place: cell.get_text().get_text() for place, cell in shown.get_celld().items()}
    lines = [[text[row, column] for column in range(4)] for row in range(3)]
    assert lines == [
        ["run", "evaluation", "psnr", "ssim"], ["MUM", "all", "26.2500", "-"], ["No-MUM", "all", "-", "0.5000"],
    ]  # fmt: skip


def test_a_resumed_run_is_one_curve_with_the_newest_values(tmp_path: Path) -> None:
    for version, lines in (
        (2, ["1,3,,9.0"]),
        (10, ["1,4,0.1,8.0", "1,5,0.2,7.0", "1,"]),  # the process was killed while it wrote the last line
        (0, ["0,1,,1.0", "0,2,nan,2.0", "0,3,,3.0", "0,4,,4.0"]),
    ):
        folder = tmp_path / "csv" / f"version_{version}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("\n".join(["epoch,step,val/psnr/all,train/total", *lines]) + "\n")
    curves = csv_log.read_curves(tmp_path)
    assert list(curves["train/total"].items()) == [(1, 1.0), (2, 2.0), (3, 9.0), (4, 8.0), (5, 7.0)]
    assert math.isnan(curves["val/psnr/all"].pop(2))
    assert curves["val/psnr/all"] == {4: 0.1, 5: 0.2}
    assert set(curves) == {"train/total", "val/psnr/all"}
    assert csv_log.read_curves(tmp_path / "csv") == {}


def test_a_dashboard_of_a_real_run(compose: Callable[..., DictConfig], tmp_path: Path) -> None:
    folder = run_training(compose("trainer.sample_every=2", "trainer.validate_every=2", "evaluate=true"))
    dashboard_command.main([str(tmp_path / "runs"), "--out", str(tmp_path / "out.png")])
    dashboard_command.main([str(folder), "--out", str(tmp_path / "out.PDF"), "--curves", "train/total"])
    assert Image.open(tmp_path / "out.png").width == 1200
    assert (tmp_path / "out.PDF").read_bytes().startswith(b"%PDF")
    run = dashboard.read_run(folder, dashboard_command._results(folder))
    assert run.name == "/".join(folder.parts[-3:])
    assert run.sample == folder / "samples" / "batch0000004.png"
    with (folder / "csv" / "version_0" / "metrics.csv").open() as file:
        logged = {int(line["step"]): float(line["train/total"]) for line in csv.DictReader(file) if line["train/total"]}
    assert run.curves["train/total"] == logged
    assert sorted(run.curves["val/psnr/all"]) == [2, 4]
    ((evaluation, means),) = run.results.items()
    assert evaluation.startswith("standard, 18 pairs ")
    assert set(means) == {"psnr", "ssim", "l1_pct", "l2_pct"}


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run below .*: expected folders with csv/version_\*/metrics.csv"):
        dashboard.find_runs([tmp_path])
    with pytest.raises(UserError, match=r"--out must name a .png or .pdf file, got .*out.jpg"):
        dashboard.write_dashboard(runs(tmp_path), tmp_path / "out.jpg")
