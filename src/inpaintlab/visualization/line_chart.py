"""Line charts as SVG text, a page of code in place of a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 62, 190, 16, 46  # margins; the legend stands on the right
# After Okabe and Ito, to be told apart by most readers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8c510a")
DASHES = ("", "6 3", "2 3")  # when the colours repeat


@dataclass(frozen=True)
class Line:
    """One line.

    Args:
        label: in the legend.
        x, y: its points.
        low, high: ends of an interval at each point, if there is one.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = field(default=())
    high: Sequence[float] = field(default=())


def svg(lines: Sequence[Line], x_label: str, y_label: str, *, logarithmic: bool = False) -> str:
    """The chart, readable on a white page.

    Args:
        lines: at least one; values that are not finite are left out.
        logarithmic: the vertical axis; values of 0 and below are left out, too.
    """
    lines = [_drawable(line, logarithmic) for line in lines]
    heights = [value for line in lines for values in (line.y, line.low, line.high) for value in values] or [1.0]
    x0, x1 = _ends([x for line in lines for x in line.x] or [0.0], 0.02)
    y0, y1 = _ends([log10(value) for value in heights] if logarithmic else heights, 0.05)

    def across(value: float) -> float:
        return LEFT + (value - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - ((log10(value) if logarithmic else value) - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for tick in _ticks(x0, x1):
        parts.append(_rule(across(tick), TOP, across(tick), HEIGHT - BOTTOM))
        parts.append(_text(across(tick), HEIGHT - BOTTOM + 16, f"{tick:g}", "middle"))
    for tick in _decades(y0, y1) if logarithmic else _ticks(y0, y1):
        parts.append(_rule(LEFT, down(tick), WIDTH - RIGHT, down(tick)))
        parts.append(_text(LEFT - 6, down(tick) + 4, f"{tick:g}", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(_text(14, middle, y_label, "middle", f' transform="rotate(-90 14 {middle:.1f})"'))
    for number, line in enumerate(lines):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        style = f'stroke="{colour}" stroke-width="1.8" fill="none" stroke-dasharray="{dash}"'
        points = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in zip(line.x, line.y, strict=True))
        parts.append(f'<g><title>{escape(line.label)}</title><polyline points="{points}" {style}/>')
        for x, low, high in zip(line.x, line.low, line.high, strict=True) if line.low else ():
            parts.append(f'<path d="{_bar(across(x) + 3 * number, down(low), down(high))}" {style}/>')
        height = TOP + 10 + 18 * number
        parts.append(f'<path d="M{WIDTH - RIGHT + 12} {height}h22" {style}/>')
        parts.append(_text(WIDTH - RIGHT + 40, height + 4, line.label, "start") + "</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawable(line: Line, logarithmic: bool) -> Line:
    bars = bool(line.low) and not logarithmic  # the ends of an interval may be negative
    columns = (line.x, line.y, line.low, line.high) if bars else (line.x, line.y)
    points = [point for point in zip(*columns, strict=True) if all(map(isfinite, point))]
    kept = [point for point in points if point[1] > 0 or not logarithmic]
    return Line(line.label, *([point[i] for point in kept] for i in range(len(columns))))


def _ends(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = margin * (high - low) or 0.5 * abs(high) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends, four to nine of them."""
    step = 10 ** floor(log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (step * factor) <= 8)
    first = ceil(low / step)
    return [round(k * step, 10) for k in range(first, floor(high / step) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """1, 2, 5 times the powers of ten between ends that are logarithms; with many powers, only these."""
    factors = (1, 2, 5) if high - low < 3 else (1,)
    ticks = [factor * 10.0**power for power in range(floor(low), ceil(high) + 1) for factor in factors]
    return [tick for tick in ticks if low <= log10(tick) <= high]


def _rule(x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="#ddd"/>'


def _bar(x: float, low: float, high: float) -> str:
    return f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 3:.1f} {low:.1f}h6M{x - 3:.1f} {high:.1f}h6"


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
