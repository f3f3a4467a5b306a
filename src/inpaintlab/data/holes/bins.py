"""Bins of hole sizes, named as tables print them: "0.1-0.2" is a share of missing pixels in (0.1, 0.2]."""

from __future__ import annotations

IRREGULAR = ("0.01-0.1", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.4-0.5", "0.5-0.6")  # Liu et al. 2018


def limits(name: str) -> tuple[float, float]:
    """Return the lower limit, which the bin excludes, and the upper limit, which it includes.

    Raises:
        ValueError: if `name` does not have the form "low-high" with 0 <= low < high <= 1.
    """
    try:
        low, high = (float(part) for part in name.split("-"))
    except ValueError:
        low = high = -1.0
    if not 0 <= low < high <= 1:
        raise ValueError(f"a hole bin must have the form low-high with 0 <= low < high <= 1, as 0.1-0.2; got {name!r}")
    return low, high


def find(share: float, names: tuple[str, ...]) -> str | None:
    """Return the bin among `names` that contains `share`, or None."""
    for name in names:
        low, high = limits(name)
        if low < share <= high:
            return name
    return None
