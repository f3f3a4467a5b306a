"""Mask updates: compute the valid mask of the next layer from that of the current one.

Every module is called as `update(valid)` with a mask (N, C, H, W), 1 = known, and returns `(gate, valid)`: the gate, by
which the layer's features are multiplied or with which they are concatenated, and the mask of the next layer. For max
pooling and resizing the two are the same.

- `MaxPoolMaskUpdate`, `ResizedMask`: MSA-Net (Qin et al. 2020);
- `PartialMaskUpdate`: partial convolution (Liu et al. 2018), and the "unlearned" row of LBAM's Table 2;
- `LearnableMaskUpdate`: LBAM (Xie et al. 2019), in its forward and reverse paths.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.layers import fast_strided_conv


class MaxPoolMaskUpdate(nn.Module):
    """A position is valid if its window has at least one valid pixel (MSA-Net, section 3.2; Uhrig et al. 2017).

    Args:
        kernel, stride, padding: those of the convolution on the features.
    """

    def __init__(self, kernel: int = 3, stride: int = 2, padding: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, valid: Tensor) -> tuple[Tensor, Tensor]:
        valid = F.max_pool2d(valid, self.kernel, self.stride, self.padding)
        return valid, valid


class ResizedMask(nn.Module):
    """Downsample the mask to the next grid (nearest neighbour), so that holes keep their shape.

    Args:
        stride: that of the convolution on the features.
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, valid: Tensor) -> tuple[Tensor, Tensor]:
        valid = valid[..., :: self.stride, :: self.stride]
        return valid, valid


class PartialMaskUpdate(nn.Module):
    """Update of partial convolution: gate sum(1) / sum(valid) over the window; valid is 1 where that sum is not 0.

    These are LBAM's Eqs. 4 and 5 with the mean over the window as mask filter. Padding counts as hole, so sum(1) is the
    size of the window also at the border. For masks that are not binary the new mask is the sum clamped to 1, as in the
    released code. The computation is in float32, because float16 cannot represent the sums of large windows, and
    carries no gradient.

    Args:
        planes: number of feature channels for which each channel of the mask stands. All channels of a layer's output
            have the same mask, so a concatenation of C1 and C2 channels needs a mask of two channels, planes=(C1, C2),
            instead of C1 + C2. The default is one mask for all features.
        kernel, stride, padding, dilation: those of the convolution on the features.
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
        """Return gate and updated mask, both (N, 1, H', W'), of a mask (N, len(planes), H, W)."""
        with torch.autocast(valid.device.type, enabled=False):
            known = F.conv2d(
                valid.float(), self.weights.float(), stride=self.stride, padding=self.padding, dilation=self.dilation
            )
        updated = known.clamp(0, 1)
        return self.window / (known + 1e-8) * updated, updated


class LearnableMaskUpdate(nn.Module):
    """LBAM's update: M^c = M (x) k with learned filters k, gate g_A(M^c), mask g_M(M^c) (Eqs. 8-11, 13).

    It is computed in float32 also under mixed precision: without batch norm the gates of the first layers are about
    0.02 each, and their products leave the range of float16.

    Args:
        inputs, outputs: channels of the mask before and after.
        attention, update: g_A and g_M, modules on M^c.
        kernel, stride, padding: of the filters; the output must have the resolution of the layer's features.
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
        """Return gate and updated mask, both (N, outputs, H', W').

        Args:
            valid: (N, inputs, H, W), or (N, 1, H, W) if all channels are equal.
        """
        weight = self.conv.weight
        with torch.autocast(valid.device.type, enabled=False):
            if valid.shape[1] == 1:  # equal channels: the sum of their filters gives the same response
                weight = weight.sum(1, keepdim=True)
            response = self.convolve(valid.to(weight.dtype), weight)
            return self.attention(response), self.update(response)

    def convolve(self, valid: Tensor, weight: Tensor) -> Tensor:
        if self.conv.stride == (2, 2):
            return fast_strided_conv.conv2d(valid, weight, padding=int(self.conv.padding[0]))
        return F.conv2d(valid, weight, None, self.conv.stride, self.conv.padding)
