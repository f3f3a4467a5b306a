"""Holes at the resolution of features, and the index tables that a layer needs to walk them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

THRESHOLD = 5 / 16  # of the released code


def feature_hole(hole: Tensor, steps: int = 3, threshold: float = THRESHOLD) -> Tensor:
    """Which positions of features count as missing.

    Each step takes means of 4x4 values at stride 2, what lies outside the picture counting as known; only at the end
    a position is missing if its value is strictly above the threshold. Holes thinner than about six pixels vanish at
    three steps.

    Args:
        hole: (N, 1, H, W), 1 = missing.
        steps: halvings between the picture and the features.

    Returns:
        (N, 1, H / 2^steps, W / 2^steps), exactly 0 or 1.
    """
    soft = hole.float()
    for _ in range(steps):
        soft = F.avg_pool2d(soft, 4, stride=2, padding=1)
    return (soft > threshold).to(hole.dtype)


@dataclass(frozen=True)
class Table:
    """Raster indices of the positions of a batch of holes, short lists filled up to the longest.

    Args:
        holes: (N, n); behind the `counts[i]` missing positions of sample i come known ones.
        known: (N, m), m at least 1; every entry is a known position, the last one repeated in front to fill up.
        counts: number of missing positions of each sample.
    """

    holes: Tensor
    known: Tensor
    counts: tuple[int, ...]

    def valid(self) -> Tensor:
        """(N, n), True where an entry of `holes` is a missing position."""
        counts = torch.tensor(self.counts, device=self.holes.device)
        return torch.arange(self.holes.shape[1], device=self.holes.device) < counts.unsqueeze(1)


def table(hole: Tensor) -> Table:
    """The tables of holes (N, 1, H, W); a sample without any known position counts as one without a hole.

    The host reads the number of positions once; the lists stay on the device.
    """
    missing = hole.flatten(1) > 0.5  # (N, H W)
    missing = missing & ~missing.all(1, keepdim=True)
    order = missing.to(torch.uint8).argsort(dim=1, descending=True, stable=True)  # missing ones first, in raster order
    counts = tuple(missing.sum(1).tolist())
    known = order[:, min(counts) :]
    if max(counts) > min(counts):
        known = torch.where(missing.gather(1, known), order[:, -1:], known)
    return Table(order[:, : max(counts)], known, counts)
