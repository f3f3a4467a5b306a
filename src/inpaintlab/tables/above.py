"""Which fills without training a number is better than: a row that is above none of them has not learnt to inpaint."""

from __future__ import annotations

from collections.abc import Mapping

from inpaintlab.networks.fills import TITLES
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import TIMES, Metric

TRIVIAL = tuple(TITLES[name] for name in ("mean_colour", "nearest"))  # claims about rows below them are not judged
NONE_BELOW = "none"


def below(value: float | None, metric: Metric, bin: str, fills: Mapping[str, Measured]) -> list[str] | None:
    """Return the fills that a row's number is better than, the best first.

    Args:
        value: of the row in this metric and bin; None if it was not measured.
        fills: by label.

    Returns:
        None if there is nothing to compare: no value, no fill, or a metric of time.
    """
    if value is None or metric.key in TIMES:
        return None
    numbers = {label: measured.mean(metric.key, bin) for label, measured in fills.items()}
    known = {label: number for label, number in numbers.items() if number is not None}
    if not known:
        return None
    sign = 1 if metric.higher else -1
    worse = [label for label, number in known.items() if sign * (value - number) > 0]
    return sorted(worse, key=lambda label: sign * known[label], reverse=True)
