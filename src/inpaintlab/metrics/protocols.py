"""Metric protocols by name. The same pictures give an SSIM of 0.61 or 0.81 depending on the convention, so a
number is worth nothing without the name of its protocol."""

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

# From the composite in [0, 1] to the levels 0 to 255 that a protocol looks at.
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
        compute: called with the levels of the result and the truth, both RGB (H, W, 3), 0 to 255.
        higher_is_better: direction.
        unit: as printed in tables.
        hole_only: `compute` is called with the hole, too, and looks at nothing else.
        levels: of the result, a name in `LEVELS`.
        pool: how the values of all pictures, in their order, become the number of a table.
    """

    compute: Callable[..., float]
    higher_is_better: bool
    unit: str
    hole_only: bool = False
    levels: str = "rounded"
    pool: Callable[[Sequence[float]], float] = _mean

    @property
    def is_mean(self) -> bool:
        """Whether a table's number is the mean over pictures, so that pictures may be compared one by one."""
        return self.pool is _mean


@dataclass(frozen=True)
class Protocol:
    """How results become numbers.

    Args:
        description: one sentence for the foot of a table.
        columns: the metrics, per picture.
    """

    description: str
    columns: dict[str, Column]

    def measure(self, composite: NDArray[np.float32], truth: Picture, hole: Hole) -> dict[str, float]:
        """All metrics of one picture.

        Args:
            composite: the result with the known pixels of the truth, (H, W, 3) in [0, 1].
            truth: (H, W, 3), 8 bit.
            hole: (H, W), 1 = missing.
        """
        levels = {kind: LEVELS[kind](composite) for kind in {column.levels for column in self.columns.values()}}
        return {
            name: column.compute(levels[column.levels], truth, *([hole] if column.hole_only else []))
            for name, column in self.columns.items()
        }

    def pool(self, rows: Sequence[dict[str, float]]) -> dict[str, float]:
        """A table's numbers from those of the pictures, in their order."""
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
    """The protocol called so; of several the union, where columns of all but the first are called `name/metric`."""
    first, *others = [names] if isinstance(names, str) else list(names) or [""]
    for name in (first, *others):
        check_choice("metric protocol", name, PROTOCOLS)
    if not others:
        return PROTOCOLS[first]
    columns = {f"{name}/{key}": column for name in others for key, column in PROTOCOLS[name].columns.items()}
    description = "; ".join(f"{name}: {PROTOCOLS[name].description}" for name in (first, *others))
    return Protocol(description, PROTOCOLS[first].columns | columns)
