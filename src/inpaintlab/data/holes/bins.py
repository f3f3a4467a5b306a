"""Names of hole sizes, as the tables print them: "0.1-0.2" is the share of missing pixels in (0.1, 0.2]."""

from __future__ import annotations

IRREGULAR = ("0.01-0.1", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.4-0.5", "0.5-0.6")


def limits(name: str) -> tuple[float, float]:
    """The open lower and closed upper limit of a bin.

    Raises:
        ValueError: if `name` is not of the form "low-high" with 0 <= low < high <= 1.
    """
    try:
        low, high = (float(part) for part in name.split("-"))
    except ValueError:
        low = high = -1.0
    if not 0 <= low < high <= 1:
        raise ValueError(f"hole bin {name!r} is not of the form low-high with 0 <= low < high <= 1, e.g. 0.1-0.2")
    return low, high


def find(share: float, names: tuple[str, ...]) -> str | None:
    """The bin among `names` that `share` falls into, or None."""
    for name in names:
        low, high = limits(name)
        if low < share <= high:
            return name
    return None
