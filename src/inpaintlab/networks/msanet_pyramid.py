"""The multi-scale structure of MSA-Net's units, and those that Table 2 compares it with.

Widths follow Table 1, for 128 input and 192 output channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from inpaintlab.errors import check_choice

BLOCKS = ("msau", "single", "inception_v1", "inception_v3")


def conv_relu(inputs: int, outputs: int, kernel: int, *, stride: int = 1, rate: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size (up to the stride), with dilation `rate`, and a ReLU."""
    padding = rate * (kernel - 1) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, dilation=rate)
    return nn.Sequential(conv, nn.ReLU())


class Pyramid(nn.Module):
    """Parallel branches on the same features, concatenated and optionally reduced by a 1x1 convolution (Table 1).

    Args:
        branches: the branches.
        attend: one module after each branch (the spatial attention of Eq. 3), or none.
        reduce: module after the concatenation (the Inception replacements have one), or None.
    """

    def __init__(
        self, branches: Sequence[nn.Module], attend: Sequence[nn.Module] = (), reduce: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.attend = nn.ModuleList(attend or [nn.Identity() for _ in branches])
        self.reduce = reduce if reduce is not None else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Map features (N, inputs, H, W) to (N, outputs, H, W)."""
        scales = [attend(branch(features)) for branch, attend in zip(self.branches, self.attend, strict=True)]
        return self.reduce(torch.cat(scales, 1))


def pyramid(
    block: str, inputs: int = 128, outputs: int = 192, attend: Callable[[int], nn.Module] | None = None
) -> Pyramid:
    """Build one of Table 2's four multi-scale structures.

    Args:
        block: "msau" (dilation 1, 2, 4, 8), "single" (one dilated convolution of the same size; the paper does not
            print its rate, 2 is the smallest that dilates), "inception_v1" or "inception_v3".
        inputs, outputs: channels; the inner widths scale with `outputs`.
        attend: builds the spatial attention for one scale from its number of channels.
    """
    check_choice("block", block, BLOCKS)

    def width(printed: int) -> int:
        return max(4, printed * outputs // 192)

    def pooled() -> nn.Module:
        return nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv_relu(inputs, width(64), 1))

    reduce = None
    if block == "msau":
        channels = [width(48)] * 4
        rates = (1, 2, 4, 8)
        branches: list[nn.Module] = [
            conv_relu(inputs, n, 3, rate=rate) for n, rate in zip(channels, rates, strict=True)
        ]
    elif block == "single":
        channels = [outputs]
        branches = [conv_relu(inputs, outputs, 3, rate=2)]
    elif block == "inception_v1":
        channels = [width(192), width(192), width(64), width(64)]
        branches = [
            conv_relu(inputs, width(192), 1),
            nn.Sequential(conv_relu(inputs, width(96), 1), conv_relu(width(96), width(192), 3)),
            nn.Sequential(conv_relu(inputs, width(24), 3), conv_relu(width(24), width(64), 1)),
            pooled(),
        ]
        reduce = conv_relu(sum(channels), outputs, 1)
    else:
        channels = [width(192), width(48), width(64)]
        branches = [
            conv_relu(inputs, width(192), 3),
            nn.Sequential(
                conv_relu(inputs, width(32), 1), conv_relu(width(32), width(48), 3), conv_relu(width(48), width(48), 3)
            ),
            pooled(),
        ]
        reduce = conv_relu(sum(channels), outputs, 1)
    return Pyramid(branches, [attend(n) for n in channels] if attend else (), reduce)
