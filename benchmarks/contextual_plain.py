"""Contextual attention as plainly as the public port computes it, for `contextual_attention.py` to be measured against.

Written from the layer's definition: a loop over the samples, all patches as the filters of a convolution, fusion by two
convolutions with the identity matrix as kernel, pasting by a transposed convolution. Rules of the port, one hole per
sample, rate 2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SCALE, EPSILON = 10.0, 1e-4


def filters(map: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """All patches of a map (1, C, H, W) as filters (positions, C, side, side)."""
    columns = F.unfold(map, side, padding=padding, stride=stride)
    return columns.transpose(1, 2).reshape(-1, map.shape[1], side, side)


def fuse(scores: Tensor, height: int, width: int) -> Tensor:
    """Diagonal sums of the scores (1, background, height, width), in row order and then in column order."""
    identity = torch.eye(3, device=scores.device, dtype=scores.dtype).view(1, 1, 3, 3)
    count = height * width
    scores = F.conv2d(scores.view(1, 1, count, count), identity, padding=1)
    scores = scores.view(1, height, width, height, width).permute(0, 2, 1, 4, 3)
    scores = F.conv2d(scores.reshape(1, 1, count, count), identity, padding=1)
    return scores.view(1, width, height, width, height).permute(0, 2, 1, 4, 3).reshape(1, count, height, width)


def attend_sample(features: Tensor, hole: Tensor) -> Tensor:
    """One sample: features (1, C, H, W) that attend to themselves, hole (1, 1, H, W)."""
    small, small_hole = features[..., ::2, ::2], hole[..., ::2, ::2]
    height, width = small.shape[-2:]
    patches = filters(small, 3, 1, 1)
    norms = torch.sqrt((patches.square() + EPSILON).sum((1, 2, 3), keepdim=True))
    usable = (filters(small_hole, 3, 1, 1).mean((1, 2, 3)) == 0).to(features.dtype).view(1, -1, 1, 1)
    scores = fuse(F.conv2d(small, patches / norms, padding=1), height, width)
    weights = F.softmax(scores * usable * SCALE, 1) * usable
    return F.conv_transpose2d(weights, filters(features, 4, 2, 1), stride=2, padding=1) / 4


def attend(features: Tensor, hole: Tensor) -> Tensor:
    """Features (N, C, H, W) rebuilt from their known part; hole (N, 1, H, W), 1 = missing."""
    return torch.cat([attend_sample(features[i : i + 1], hole[i : i + 1]) for i in range(len(features))])
