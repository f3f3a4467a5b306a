"""Metric protocols by name. The same pictures give an SSIM of 0.61 or 0.81 depending on the convention, so a
number is worth nothing without the name of its protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inpaintlab.metrics import image_metrics

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Column:
    """One metric of a protocol.

    Args:
        compute: called with the result and the truth, both 8-bit RGB (H, W, 3).
        higher_is_better: direction.
        unit: as printed in tables.
    """

    compute: Callable[[Picture, Picture], float]
    higher_is_better: bool
    unit: str


@dataclass(frozen=True)
class Protocol:
    """How results become numbers.

    Args:
        description: one sentence for the foot of a table.
        columns: the metrics, per picture; a table shows their means.
    """

    description: str
    columns: dict[str, Column]

    def measure(self, result: Picture, truth: Picture) -> dict[str, float]:
        """All metrics of one picture."""
        return {name: column.compute(result, truth) for name, column in self.columns.items()}


PROTOCOLS = {
    "standard": Protocol(
        description=(
            "composite rounded to 8 bit, RGB; PSNR per picture, then the mean; SSIM with a Gaussian window (11, 1.5), "
            "covered positions only; L1 and L2 over the whole picture in per cent"
        ),
        columns={
            "psnr": Column(image_metrics.psnr, True, "dB"),
            "ssim": Column(image_metrics.ssim, True, ""),
            "l1_pct": Column(image_metrics.l1_percent, False, "%"),
            "l2_pct": Column(image_metrics.l2_percent, False, "%"),
        },
    ),
}


def find(name: str) -> Protocol:
    """The protocol called `name`."""
    if name not in PROTOCOLS:
        raise ValueError(f"metric protocol {name!r} is unknown; known are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
