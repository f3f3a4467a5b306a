"""Draw the curves, the last samples and the results of runs, from the files that every run writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.errors import UserError
from inpaintlab.tracking import csv_log

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

CURVES = (
    "train/total", "val/psnr/all", "val/ssim/all", "health/gradient_norm_generator", "health/feature_size",
    "health/not_finite", "train/score_fake", "train/score_real", "speed/pictures_per_second", "speed/waiting_for_data",
    "memory/process_gb", "memory/gpu_gb",
)  # fmt: skip
ACROSS = 3  # panels in a row
WIDTH, HEIGHT, LINE = 4.0, 2.1, 0.2  # inches: of a panel, and of a line of text
DPI = 100


@dataclass
class Run:
    """What a dashboard shows of a run.

    Args:
        name: in the legend.
        curves: metric -> {batches: value}.
        sample: the newest sheet of sample pictures, None if the run has written none.
        results: evaluation -> metric -> the mean over all pairs.
    """

    name: str
    curves: Mapping[str, Mapping[int, float]]
    sample: Path | None = None
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of the runs at or below `folders`.

    Raises:
        UserError: if there are none.
    """
    found = sorted({path.parents[2] for folder in folders for path in folder.rglob(csv_log.PATTERN)})
    if not found:
        where = ", ".join(map(str, folders))
        raise UserError(f"no run below {where}: expected folders with {csv_log.PATTERN}, which logger.csv=true writes")
    return found


def read_run(folder: Path, results: Mapping[str, Mapping[str, float]]) -> Run:
    """Return what the folder of a run holds; `results` as in `Run`."""
    samples = sorted((folder / "samples").glob("*.png"))
    name = "/".join(folder.absolute().parts[-3:])  # experiment, scale with the digest of the config, seed
    return Run(name, csv_log.read_curves(folder), samples[-1] if samples else None, results)


def draw(runs: Sequence[Run], curves: Sequence[str] = CURVES) -> Figure:
    """Return a figure: a panel for each curve that any run has, then the samples of each run, then the results.

    Args:
        curves: metrics to draw, in this order; those that no run has are left out.
    """
    import numpy as np
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from PIL import Image

    from inpaintlab.visualization.line_chart import STYLE

    shown = [name for name in curves if any(run.curves.get(name) for run in runs)]
    samples = {run.name: np.asarray(Image.open(run.sample).convert("RGB")) for run in runs if run.sample}
    table = _results(runs)
    sections: list[tuple[float, Callable[[SubFigure], None]]] = [  # height in inches, and what draws it
        (LINE * (len(runs) + 1), lambda part: _draw_names(part, runs)),
        (HEIGHT * math.ceil(len(shown) / ACROSS), lambda part: _draw_curves(part, runs, shown)),
        (_height(list(samples.values())), lambda part: _draw_samples(part, samples)),
        (1.4 * LINE * len(table), lambda part: _draw_results(part, table)),
    ]
    sections = [section for section in sections if section[0]]
    heights = [height for height, _ in sections]
    with rc_context(STYLE):
        figure = Figure((ACROSS * WIDTH, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(sections), 1, squeeze=False, height_ratios=heights)
        for (_, section), part in zip(sections, parts[:, 0], strict=True):
            section(part)
    return figure


def write_dashboard(runs: Sequence[Run], out: Path, curves: Sequence[str] = CURVES) -> None:
    """Draw the runs into a PNG or PDF file.

    Raises:
        UserError: if the name of the file ends in something else.
    """
    from PIL import Image

    from inpaintlab.utils.atomic_write import replacing
    from inpaintlab.visualization.line_chart import encode

    format = out.suffix.lower().removeprefix(".")
    if format not in ("png", "pdf"):
        raise UserError(f"--out must name a .png or .pdf file, got {out}")
    content = encode(draw(runs, curves), format, DPI)
    with replacing(out) as temporary:
        if format == "pdf":
            temporary.write_bytes(content)
        else:
            Image.open(BytesIO(content)).convert("RGB").quantize(255).save(temporary, optimize=True)  # a third as large


# ---------------------------------------------------------------------- sections
def _draw_names(part: SubFigure, runs: Sequence[Run]) -> None:
    """The legend of all panels."""
    from matplotlib.lines import Line2D

    from inpaintlab.visualization.line_chart import line_style, plain_text

    lines = [Line2D([], [], label=plain_text(run.name), **line_style(number)) for number, run in enumerate(runs)]
    part.legend(handles=lines, loc="center left")


def _draw_curves(part: SubFigure, runs: Sequence[Run], shown: Sequence[str]) -> None:
    from inpaintlab.visualization.line_chart import Line, plot

    for name, panel in zip(shown, _panels(part, len(shown)), strict=True):
        curves = [(run.name, run.curves.get(name, {})) for run in runs]
        plot(panel, [Line(run, list(curve), list(curve.values())) for run, curve in curves])
        panel.set_title(name)


def _draw_samples(part: SubFigure, samples: Mapping[str, NDArray[np.uint8]]) -> None:
    for (name, picture), panel in zip(samples.items(), _panels(part, len(samples)), strict=True):
        panel.imshow(picture)
        panel.set_title(f"samples: {name}", fontsize="small")
        panel.set_axis_off()


def _draw_results(part: SubFigure, table: Sequence[Sequence[str]]) -> None:
    panel = part.subplots()
    panel.set_axis_off()
    cells = panel.table(list(map(list, table[1:])), colLabels=list(table[0]), loc="center", edges="horizontal")
    cells.auto_set_column_width(list(range(len(table[0]))))


def _panels(part: SubFigure, count: int) -> list[Axes]:
    """The first `count` panels of a grid with `ACROSS` columns; the others are removed."""
    panels = list(part.subplots(math.ceil(count / ACROSS), ACROSS, squeeze=False).flat)
    for panel in panels[count:]:
        panel.remove()
    return panels[:count]


def _height(pictures: Sequence[NDArray[np.uint8]]) -> float:
    """The height in inches of all sheets of samples, as wide as a panel each."""
    heights = [WIDTH * picture.shape[0] / picture.shape[1] + LINE for picture in pictures]
    return sum(max(heights[first : first + ACROSS]) for first in range(0, len(heights), ACROSS))


def _results(runs: Sequence[Run]) -> list[list[str]]:
    """The table of results with its head, a line per run and evaluation; [] if nothing was evaluated."""
    metrics = list(dict.fromkeys(metric for run in runs for means in run.results.values() for metric in means))
    lines = [
        [run.name, evaluation, *(f"{means[metric]:.4f}" if metric in means else "-" for metric in metrics)]
        for run in runs
        for evaluation, means in run.results.items()
    ]
    return [["run", "evaluation", *metrics], *lines] if lines else []
