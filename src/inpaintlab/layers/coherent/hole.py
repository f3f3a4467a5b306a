"""Holes at the resolution of features, and tables of the indices of missing and known positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

THRESHOLD = 5 / 16  # released code


def feature_hole(hole: Tensor, steps: int = 3, threshold: float = THRESHOLD) -> Tensor:
    """Downsample holes to the resolution of features.

    Each step takes the mean of 4x4 values at stride 2; pixels outside the picture count as known. After the last step,
    a position is missing if its value is greater than the threshold. With three steps, holes thinner than about six
    pixels disappear.

    Args:
        hole: (N, 1, H, W), 1 = missing.
        steps: number of halvings between the picture and the features.
        threshold: in [0, 1].

    Returns:
        (N, 1, H / 2^steps, W / 2^steps), exactly 0 or 1.
    """
    soft = hole.float()
    for _ in range(steps):
        soft = F.avg_pool2d(soft, 4, stride=2, padding=1)
    return (soft > threshold).to(hole.dtype)


@dataclass(frozen=True)
class Table:
    """Raster indices of the missing and known positions of a batch of holes; shorter lists are filled up.

    Args:
        holes: (N, n); the first `counts[i]` entries of sample i are its missing positions, the others known ones.
        known: (N, m), m >= 1; all entries are known positions. The last one is repeated in front to fill up.
        counts: number of missing positions of each sample.
    """

    holes: Tensor
    known: Tensor
    counts: tuple[int, ...]

    def valid(self) -> Tensor:
        """Return (N, n), True where an entry of `holes` is a missing position."""
        counts = torch.tensor(self.counts, device=self.holes.device)
        return torch.arange(self.holes.shape[1], device=self.holes.device) < counts.unsqueeze(1)


def table(hole: Tensor) -> Table:
    """Build the table of holes (N, 1, H, W). A sample without any known position is treated as one without a hole.

    The numbers of positions are copied to the host once; the lists stay on the device.
    """
    missing = hole.flatten(1) > 0.5  # (N, H W)
    missing = missing & ~missing.all(1, keepdim=True)
    order = missing.to(torch.uint8).argsort(dim=1, descending=True, stable=True)  # missing first, in raster order
    counts = tuple(missing.sum(1).tolist())
    known = order[:, min(counts) :]
    if max(counts) > min(counts):
        known = torch.where(missing.gather(1, known), order[:, -1:], known)
    return Table(order[:, : max(counts)], known, counts)
