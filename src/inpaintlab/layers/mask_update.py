"""Mask updates: how the valid mask of one layer becomes that of the next.

Every module is called as `update(valid)` with a map (N, C, H, W) that is 1 where something is known, and
returns `(gate, valid)`: what the layer's features are multiplied by or joined with, and the mask that goes on
to the next layer. For a binary update the two are the same.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class MaxPoolMaskUpdate(nn.Module):
    """A position is valid as soon as its window holds one valid pixel (MSA-Net, section 3.2; Uhrig et al. 2017).

    Args:
        kernel, stride, padding: those of the convolution that the mask accompanies.
    """

    def __init__(self, kernel: int = 3, stride: int = 2, padding: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, valid: Tensor) -> tuple[Tensor, Tensor]:
        valid = F.max_pool2d(valid, self.kernel, self.stride, self.padding)
        return valid, valid


class ResizedMask(nn.Module):
    """No update: the mask is only shrunk to the next grid (nearest neighbour), its holes keep their shape.

    Args:
        stride: that of the convolution that the mask accompanies.
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, valid: Tensor) -> tuple[Tensor, Tensor]:
        valid = valid[..., :: self.stride, :: self.stride]
        return valid, valid
