"""Convolutions that keep the size (stride 1) or halve it (stride 2), optionally gated, with three padding rules.

The public codes of DeepFill use different rules. They differ at the border and, at stride 2, in the pixels that a
filter sees:

- "same": zeros as in TensorFlow's "SAME". For even sides and stride 2, a 3x3 filter gets no row before and one after, a
  5x5 filter one before and two after; the sampling grid is shifted by one pixel relative to the other rules.
- "symmetric": zeros, the same number on both sides.
- "mirror": pixels mirrored at the border pixel, which is not repeated; the same number on both sides.

A gated convolution (Yu et al., ICCV 2019) computes twice the channels: y = act(first half) * sigmoid(second half).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.errors import check_choice

RULES = ("same", "symmetric", "mirror")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"elu": F.elu, "relu": F.relu, "none": lambda x: x}


def same_pads(side: int, kernel: int, stride: int = 1, dilation: int = 1, rule: str = "same") -> tuple[int, int]:
    """Return the numbers of rows (or columns) to pad before and after a side of `side` pixels."""
    span = (kernel - 1) * dilation
    if rule != "same":
        return span // 2, span // 2
    outputs = -(-side // stride)
    total = max(0, (outputs - 1) * stride + span + 1 - side)
    return total // 2, total - total // 2


def same_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, dilation: int = 1, rule: str = "same"
) -> Tensor:
    """Convolve (N, I, H, W) with filters (O, I, k, k), k odd; return (N, O, ceil(H / stride), ceil(W / stride))."""
    kernel = weight.shape[-1]
    (top, bottom), (left, right) = (same_pads(side, kernel, stride, dilation, rule) for side in x.shape[-2:])
    if rule == "mirror":
        if min(x.shape[-2:]) <= top:
            sides = tuple(x.shape[-2:])
            raise ValueError(f"mirror padding by {top} needs features of more than {top} pixels per side, got {sides}")
        x = F.pad(x, (left, right, top, bottom), mode="reflect")
    elif (top, left) != (bottom, right):
        x = F.pad(x, (left, right, top, bottom))
    else:
        return F.conv2d(x, weight, bias, stride, (top, left), dilation)
    return F.conv2d(x, weight, bias, stride, 0, dilation)


class SameConv(nn.Conv2d):
    """Convolution with activation, optionally gated and optionally after nearest-neighbour upsampling by 2.

    Args:
        inputs, outputs: channels; a gated convolution computes 2 * outputs channels internally.
        kernel: side of the filters, odd.
        rule: padding, "same", "symmetric" or "mirror".
        activation: "elu", "relu" or "none"; not applied to the gate.
        gated: multiply the first half of the channels by the sigmoid of the second half.
        upsample: double the resolution first.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        rule: str = "same",
        activation: str = "elu",
        gated: bool = False,
        upsample: bool = False,
    ) -> None:
        check_choice("rule", rule, RULES)
        check_choice("activation", activation, ACTIVATIONS)
        super().__init__(inputs, 2 * outputs if gated else outputs, kernel, stride, dilation=dilation)
        self.rule, self.activation, self.gated, self.upsample = rule, activation, gated, upsample

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample:
            x = F.interpolate(x, scale_factor=2.0)
        y = self.convolve(x)
        act = ACTIVATIONS[self.activation]
        if not self.gated:
            return act(y)
        features, gate = y.chunk(2, 1)
        return act(features) * torch.sigmoid(gate)

    def convolve(self, x: Tensor) -> Tensor:
        """Apply padding and convolution, without activation and gate."""
        stride, dilation = self.stride[0], self.dilation[0]
        return same_conv2d(x, self.weight, self.bias, stride=stride, dilation=dilation, rule=self.rule)
