"""Line charts, drawn by matplotlib without its global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from math import isfinite
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

SIZE = (7.2, 3.6)  # inches; two columns of most papers
DPI = 200
BAR = 2  # points (1/72 inch) between the bars of two lines
FEW = 10  # a line with fewer points shows them as dots
# After Okabe and Ito: most colour-blind readers can tell them apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8c510a")
DASHES = ("solid", "dashed", "dotted")  # for lines after the colours are used up
STYLE: dict[RcKeyType, object] = {
    "font.size": 9.0,
    "lines.linewidth": 1.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType: publishers refuse matplotlib's default, Type 3
    "svg.hashsalt": "inpaintlab",  # the same chart is the same file
}
DATES = {"svg": "Date", "pdf": "CreationDate"}  # keys of the metadata that would differ between equal files


@dataclass(frozen=True)
class Line:
    """One line.

    Args:
        label: in the legend.
        x, y: its points; points with a value that is not finite are left out.
        low, high: ends of an interval at each point; empty for a line without intervals.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = field(default=())
    high: Sequence[float] = field(default=())


def chart(lines: Sequence[Line], x_label: str, y_label: str, *, logarithmic: bool = False) -> Figure:
    """Return a chart with its legend on the right.

    Args:
        logarithmic: the vertical axis; see `plot`.
    """
    with rc_context(STYLE):
        figure = Figure(SIZE, layout="constrained")
        axes = figure.subplots()
        plot(axes, lines, logarithmic=logarithmic)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        figure.legend(loc="outside right upper")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout is done; every later drawing would adjust it a little
    return figure


def plot(axes: Axes, lines: Sequence[Line], *, logarithmic: bool = False) -> None:
    """Draw the lines, each with the style of its place in the sequence.

    Args:
        logarithmic: the vertical axis; values of 0 and below, and all intervals, are left out.
    """
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for number, line in enumerate(lines):
        points = _points(line, logarithmic)
        x, y = [point[0] for point in points], [point[1] for point in points]
        style, marker = line_style(number), "o" if len(points) < FEW else ""
        axes.plot(x, y, marker=marker, markersize=3.5, label=plain_text(line.label), **style)
        if line.low and not logarithmic and points:
            _draw_intervals(axes, points, number)
    axes.autoscale_view()


def _draw_intervals(axes: Axes, points: Sequence[tuple[float, ...]], number: int) -> None:
    """Draw the intervals of line `number`, beside those of the other lines, which may overlap with them."""
    x, y = [point[0] for point in points], [point[1] for point in points]
    # Rounding can move the mean of equal values out of their interval; a bar cannot have a negative length.
    below = [max(0.0, y - low) for _, y, low, _ in points]
    above = [max(0.0, high - y) for _, y, _, high in points]
    colour = line_style(number)["color"]
    aside = axes.transData + ScaledTranslation(BAR * number / 72, 0, axes.figure.dpi_scale_trans)
    axes.errorbar(x, y, [below, above], fmt="none", ecolor=colour, elinewidth=1.0, capsize=2.0, transform=aside)
    # Moved bars do not count for the range of the axes otherwise.
    axes.update_datalim([(x, end) for x, _, *ends in points for end in ends])


def line_style(number: int) -> dict[str, Any]:
    """Return matplotlib's options for line `number` of a chart: its colour and dashes."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def plain_text(text: str) -> str:
    """Return `text` so that matplotlib does not read the part between two dollar signs as a formula."""
    return text.replace("$", r"\$")


def encode(figure: Figure, format: str, dpi: int = DPI) -> bytes:
    """Return the content of an image file; equal figures give equal bytes.

    Args:
        format: "svg", "png" or "pdf".
        dpi: pixels per inch of a PNG.
    """
    with rc_context(STYLE), BytesIO() as file:
        figure.savefig(file, format=format, dpi=dpi, metadata={DATES[format]: None} if format in DATES else {})
        return file.getvalue()


def _points(line: Line, logarithmic: bool) -> list[tuple[float, ...]]:
    """The points (x, y), or (x, y, low, high), that can be drawn."""
    columns = (line.x, line.y) if logarithmic or not line.low else (line.x, line.y, line.low, line.high)
    points = [point for point in zip(*columns, strict=True) if all(map(isfinite, point))]
    return [point for point in points if point[1] > 0 or not logarithmic]
