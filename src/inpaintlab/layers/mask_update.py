"""Mask updates: how the valid mask of one layer becomes that of the next.

Every module is called as `update(valid)` with a map (N, C, H, W) that is 1 where something is known, and
returns `(gate, valid)`: what the layer's features are multiplied by or joined with, and the mask that goes on
to the next layer. For max pooling and resizing the two are the same.

- `MaxPoolMaskUpdate`, `ResizedMask`: MSA-Net (Qin et al. 2020);
- `PartialMaskUpdate`: partial convolution (Liu et al. 2018), and the "unlearned" row of LBAM's Table 2;
- `LearnableMaskUpdate`: LBAM (Xie et al. 2019), for its forward and its reverse path.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.layers import fast_strided_conv


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


class PartialMaskUpdate(nn.Module):
    """Partial convolution's: the gate is sum(1) / sum(valid) over the window, valid is 1 where that sum is not 0.

    In LBAM's terms Eqs. 4 and 5 on the mean of the mask over the window. Padding counts as hole, so sum(1) is the
    whole window at the border, too. Binary masks give exact sums; for others the released rule is followed, where the
    new mask is the sum clamped to 1. Always float32 (a half cannot hold large windows), and without gradient.

    Args:
        planes: for how many equal feature channels each channel of the mask stands. Channels of a mask that left one
            layer are identical, so (C1, C2) on two planes equals C1 + C2 planes of one channel each, for little of
            the cost. The default is one mask for all features.
        kernel, stride, padding, dilation: those of the convolution that the mask accompanies.
    """

    weights: Tensor

    def __init__(
        self, planes: Sequence[int] = (1,), kernel: int = 3, stride: int = 1, padding: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.planes, self.kernel = tuple(planes), kernel
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.window = kernel * kernel * sum(planes)
        weights = torch.tensor(self.planes, dtype=torch.float32).view(1, -1, 1, 1).expand(-1, -1, kernel, kernel)
        self.register_buffer("weights", weights.contiguous(), persistent=False)

    @torch.no_grad()
    def forward(self, valid: Tensor) -> tuple[Tensor, Tensor]:
        """From a mask (N, len(planes), H, W) to gate and mask, both (N, 1, H', W')."""
        with torch.autocast(valid.device.type, enabled=False):
            known = F.conv2d(
                valid.float(), self.weights.float(), stride=self.stride, padding=self.padding, dilation=self.dilation
            )
        updated = known.clamp(0, 1)
        return self.window / (known + 1e-8) * updated, updated


class LearnableMaskUpdate(nn.Module):
    """LBAM's: M^c = M (x) k with learned filters, gate g_A(M^c), mask g_M(M^c) (Eqs. 8-11, 13).

    In float32 under mixed precision: without batch norm the gates of the first layers are near 0.02 each, and their
    products leave the range of a half.

    Args:
        inputs, outputs: channels of the mask before and after.
        attention, update: g_A and g_M, modules on M^c.
        kernel, stride, padding: of the filters; the grid must match that of the features.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        attention: nn.Module,
        update: nn.Module,
        *,
        kernel: int = 4,
        stride: int = 2,
        padding: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.attention = attention
        self.update = update

    def forward(self, valid: Tensor) -> tuple[Tensor, Tensor]:
        """From a mask (N, inputs, H, W), or (N, 1, H, W) for equal channels, to gate and mask (N, outputs, H', W')."""
        weight = self.conv.weight
        with torch.autocast(valid.device.type, enabled=False):
            if valid.shape[1] == 1:  # equal channels: their filters add up, and each still gets its own gradient
                weight = weight.sum(1, keepdim=True)
            response = self.convolve(valid.to(weight.dtype), weight)
            return self.attention(response), self.update(response)

    def convolve(self, valid: Tensor, weight: Tensor) -> Tensor:
        if self.conv.stride == (2, 2):
            return fast_strided_conv.conv2d(valid, weight, padding=int(self.conv.padding[0]))
        return F.conv2d(valid, weight, None, self.conv.stride, self.conv.padding)
