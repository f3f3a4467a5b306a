"""Metric protocols by name.

Conventions matter: the same pictures have an SSIM of 0.61 or of 0.81. A number is only meaningful together with its
protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inpaintlab.errors import check_choice
from inpaintlab.image import to_uint8
from inpaintlab.metrics import authors_scripts, image_metrics
from inpaintlab.metrics.image_metrics import Hole, Levels, Picture

# How a protocol converts the composite from [0, 1] to values from 0 to 255.
LEVELS: dict[str, Callable[[NDArray[np.float32]], Levels]] = {
    "rounded": lambda composite: to_uint8(torch.from_numpy(composite)).numpy(),
    "truncated": lambda composite: (composite * np.float32(255)).astype(np.uint8),
    "exact": lambda composite: composite * np.float32(255),
}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


@dataclass(frozen=True)
class Column:
    """One metric of a protocol.

    Args:
        compute: called with the result and the truth, both RGB (H, W, 3) with values from 0 to 255.
        higher_is_better: whether larger values are better.
        unit: as printed in tables.
        hole_only: also call `compute` with the hole, and measure only its pixels.
        levels: how the result is converted for `compute`, a name in `LEVELS`.
        pool: turns the values of all pictures, in their order, into the number of a table.

    Raises:
        UserError: if `levels` is unknown.
    """

    compute: Callable[..., float]
    higher_is_better: bool
    unit: str
    hole_only: bool = False
    levels: str = "rounded"
    pool: Callable[[Sequence[float]], float] = _mean

    def __post_init__(self) -> None:
        check_choice("levels", self.levels, LEVELS)

    @property
    def is_mean(self) -> bool:
        """Whether the number of a table is the mean over pictures, so that rows can be compared picture by picture."""
        return self.pool is _mean


@dataclass(frozen=True)
class Protocol:
    """Definition of all metrics of an evaluation.

    Args:
        description: one sentence, printed below tables.
        columns: the metrics by name.
    """

    description: str
    columns: dict[str, Column]

    def measure(self, composite: NDArray[np.float32], truth: Picture, hole: Hole) -> dict[str, float]:
        """Return all metrics of one picture, by name.

        Args:
            composite: the prediction in the hole, the truth outside; (H, W, 3) in [0, 1].
            truth: (H, W, 3), 8 bit.
            hole: (H, W), 1 = missing.
        """
        levels = {kind: LEVELS[kind](composite) for kind in {column.levels for column in self.columns.values()}}
        return {
            name: column.compute(levels[column.levels], truth, *([hole] if column.hole_only else []))
            for name, column in self.columns.items()
        }

    def pool(self, rows: Sequence[dict[str, float]]) -> dict[str, float]:
        """Return the numbers of a table from `measure` of all pictures, in their order."""
        return {name: column.pool([row[name] for row in rows]) for name, column in self.columns.items()}


PSNR = Column(image_metrics.psnr, True, "dB")
SSIM = Column(image_metrics.ssim, True, "")
L1 = Column(image_metrics.l1_percent, False, "%")
L2 = Column(image_metrics.l2_percent, False, "%")

PROTOCOLS = {
    "standard": Protocol(
        "composite rounded to 8 bit, RGB; PSNR per picture, then the mean; SSIM with a Gaussian window (11, 1.5), "
        "covered positions only; L1 and L2 over the whole picture in per cent",
        {"psnr": PSNR, "ssim": SSIM, "l1_pct": L1, "l2_pct": L2},
    ),
    "deepfill": Protocol(
        "composite rounded to 8 bit, RGB; L1, L2 in per cent and PSNR over the pixels of the hole only, per picture, "
        "then the mean; TV is the sum of absolute differences of neighbours over both directions and all colours, per "
        "pixel of the whole composite, in per cent; whole PSNR and SSIM as in `standard`. No metric code was "
        "released; this reading is the one that fits the printed numbers",
        {
            "l1_pct": Column(image_metrics.l1_percent, False, "%", hole_only=True),
            "l2_pct": Column(image_metrics.l2_percent, False, "%", hole_only=True),
            "psnr": Column(image_metrics.psnr, True, "dB", hole_only=True),
            "tv_pct": Column(lambda result, truth: image_metrics.total_variation_percent(result), False, "%"),
            "whole_psnr": PSNR,
            "whole_ssim": SSIM,
        },
    ),
    "edgeconnect": Protocol(
        "composite rounded to 8 bit, then gray; PSNR per picture; SSIM with a uniform window of 51; L1 is the sum of "
        "absolute differences over the sum of both pictures, in per cent",
        {
            "psnr": Column(authors_scripts.edgeconnect_psnr, True, "dB"),
            "ssim": Column(authors_scripts.edgeconnect_ssim, True, ""),
            "l1_pct": Column(authors_scripts.edgeconnect_l1_percent, False, "%"),
        },
    ),
    "lbam": Protocol(
        "composite in float, RGB; PSNR of the mean squared error of 16 consecutive pictures of a bin, then the mean "
        "(the released script draws its batches at random and stops after 60); SSIM with a Gaussian window (11, 1.5), "
        "zeros around the picture, values 0 to 255 with the constants of the range 1; L1 over the whole picture in "
        "per cent",
        {
            "psnr": Column(image_metrics.psnr, True, "dB", levels="exact", pool=authors_scripts.lbam_pooled_psnr),
            "ssim": Column(authors_scripts.lbam_ssim, True, "", levels="exact"),
            "l1_pct": Column(image_metrics.l1_percent, False, "%", levels="exact"),
        },
    ),
    "rn": Protocol(
        "composite truncated to 8 bit, RGB; PSNR per picture; SSIM with a uniform window of 11; L1 of the means over "
        "the colours, in per cent",
        {
            "psnr": Column(image_metrics.psnr, True, "dB", levels="truncated"),
            "ssim": Column(authors_scripts.rn_ssim, True, "", levels="truncated"),
            "l1_pct": Column(authors_scripts.rn_l1_percent, False, "%", levels="truncated"),
        },
    ),
    "mmagic": Protocol(
        "composite rounded to 8 bit, RGB; PSNR and SSIM as in `standard`; L1 over the pixels of the hole only, in per "
        "cent",
        {
            "psnr": PSNR,
            "ssim": SSIM,
            "l1_pct": Column(image_metrics.l1_percent, False, "%", hole_only=True),
        },
    ),
}


def find(names: str | Iterable[str]) -> Protocol:
    """Return the protocol of this name, or the union of several.

    In a union the columns of the first protocol keep their names; those of the others are called `protocol/metric`.

    Raises:
        UserError: if a name is unknown.
    """
    first, *others = [names] if isinstance(names, str) else list(names) or [""]
    for name in (first, *others):
        check_choice("metric protocol", name, PROTOCOLS)
    if not others:
        return PROTOCOLS[first]
    columns = {f"{name}/{key}": column for name in others for key, column in PROTOCOLS[name].columns.items()}
    description = "; ".join(f"{name}: {PROTOCOLS[name].description}" for name in (first, *others))
    return Protocol(description, PROTOCOLS[first].columns | columns)
