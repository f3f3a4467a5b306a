"""Numbers of channels of scaled networks."""

from __future__ import annotations

from collections.abc import Iterable


def scale_channels(channels: Iterable[int], width: float, least: int = 4) -> list[int]:
    """Multiply numbers of channels by `width`; the results are multiples of 4 and at least `least`."""
    return [max(least, round(n * width / 4) * 4) for n in channels]
