"""Convolutions of stride 2 that are faster on a CPU when no gradient is needed, as in inference.

PyTorch's CPU kernels copy the weights into another memory layout in every call. For 512 x 512 filters on a grid of
8 x 8 the copy costs more than the arithmetic; a matrix product reads the weights once, in place. The results differ by
rounding. In training a rounding error can change the sign of an activation near 0 and so its gradient, therefore
training uses PyTorch's kernels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Limits up to which the matrix product was faster in timings with one thread: positions (batch x height x width) in a
# convolution's output; elements before folding in a transposed convolution.
POSITIONS, UNFOLDED = 128, 1 << 22


def conv2d(x: Tensor, weight: Tensor, padding: int = 1) -> Tensor:
    """Convolve (N, I, H, W) with filters (O, I, k, k) at stride 2; return (N, O, H', W')."""
    n, kernel = len(x), weight.shape[-1]
    height, width = ((side + 2 * padding - kernel) // 2 + 1 for side in x.shape[-2:])
    if n * height * width > POSITIONS or not _as_product(x, weight):
        return F.conv2d(x, weight, None, 2, padding)
    columns = F.unfold(x, kernel, padding=padding, stride=2).transpose(0, 1).reshape(weight[0].numel(), -1)
    return (weight.reshape(len(weight), -1) @ columns).view(-1, n, height, width).transpose(0, 1)


def conv_transpose2d(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve (N, I, H, W) transposed with filters (I, O, 4, 4), stride 2, padding 1; return (N, O, 2 H, 2 W)."""
    n, inputs, height, width = x.shape
    if n * height * width * weight[0].numel() > UNFOLDED or not _as_product(x, weight):
        return F.conv_transpose2d(x, weight, None, 2, 1)
    weight, positions = weight.reshape(inputs, -1), x.transpose(0, 1).reshape(inputs, -1)
    # Only the smaller factor is transposed in memory.
    columns = (positions.t() @ weight).t() if inputs > n * height * width else weight.t() @ positions
    columns = columns.reshape(-1, n, height * width).transpose(0, 1)
    return F.fold(columns, (2 * height, 2 * width), 4, padding=1, stride=2)


def _as_product(x: Tensor, weight: Tensor) -> bool:
    """Return whether the matrix product is to be used: on a CPU, without gradient or autocast, in float32 or float64.

    PyTorch's kernels for bfloat16 do not copy the weights.
    """
    full = x.dtype == weight.dtype and x.dtype in (torch.float32, torch.float64)
    needed = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    return full and x.device.type == "cpu" and not needed


class Conv(nn.Conv2d):
    """4x4 convolution that halves the resolution: stride 2, padding 1, no bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight)


class ConvTranspose(nn.ConvTranspose2d):
    """4x4 transposed convolution that doubles the resolution: stride 2, padding 1, no bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return conv_transpose2d(x, self.weight)
