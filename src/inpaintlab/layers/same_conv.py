"""Convolutions that keep the size (stride 1) or halve it (stride 2), with the padding rules of DeepFill's codes; gates.

The rules differ at the border, and at stride 2 in which pixels the filters see:

- "same": zeros, TensorFlow's "SAME". For even sides, a 3x3 filter of stride 2 gets no row before and one after, a 5x5
  filter one and two; the sampling grid is shifted by one pixel against the other rules.
- "symmetric": zeros, the same number on both sides.
- "mirror": the picture mirrored without repeating its border pixels, the same number on both sides.

A gated convolution (Yu et al., ICCV 2019) has twice the maps: y = act(first half) * sigmoid(second half).
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
    """How many rows (columns) the rule puts before and after a side of `side` pixels."""
    span = (kernel - 1) * dilation
    if rule != "same":
        return span // 2, span // 2
    outputs = -(-side // stride)
    total = max(0, (outputs - 1) * stride + span + 1 - side)
    return total // 2, total - total // 2


def same_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, dilation: int = 1, rule: str = "same"
) -> Tensor:
    """Convolve (N, I, H, W) with odd filters (O, I, k, k) to (N, O, ceil(H / stride), ceil(W / stride))."""
    kernel = weight.shape[-1]
    (top, bottom), (left, right) = (same_pads(side, kernel, stride, dilation, rule) for side in x.shape[-2:])
    if rule == "mirror":
        if min(x.shape[-2:]) <= top:
            sides = tuple(x.shape[-2:])
            raise ValueError(f"mirror padding by {top} needs features of more than {top} pixels per side, not {sides}")
        x = F.pad(x, (left, right, top, bottom), mode="reflect")
    elif (top, left) != (bottom, right):
        x = F.pad(x, (left, right, top, bottom))
    else:
        return F.conv2d(x, weight, bias, stride, (top, left), dilation)
    return F.conv2d(x, weight, bias, stride, 0, dilation)


class SameConv(nn.Conv2d):
    """Convolution and activation, optionally gated, optionally behind nearest-neighbour upsampling by 2.

    Args:
        inputs, outputs: maps; a gated convolution has filters for 2 * outputs.
        kernel: odd.
        rule: "same", "symmetric" or "mirror".
        activation: "elu", "relu" or "none"; of the features, where there is a gate.
        gated: multiply by the sigmoid of the second half of the maps.
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
        """The bare convolution with its padding."""
        stride, dilation = self.stride[0], self.dilation[0]
        return same_conv2d(x, self.weight, self.bias, stride=stride, dilation=dilation, rule=self.rule)
