"""The two stages of `coarse_to_fine`, built from one style of convolution.

Layers have the numbers of the authors' code, so that weights and descriptions can be compared layer by layer. The
attention branch has no layers 7 and 8.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from inpaintlab.layers.contextual import resize_nearest
from inpaintlab.layers.same_conv import SameConv


@dataclass(frozen=True)
class Style:
    """The kind of convolution that a system uses.

    Args:
        rule: padding rule, see `layers.same_conv`.
        gated: whether the layers are gated.
        gated_output: whether the last layer of a stage is gated, too.
        matching: activation before the attention layer; with ReLU, its scores are never negative.
        sampling: how the hole is resized to the resolution of the features, see `resize_nearest`.
    """

    rule: str = "same"
    gated: bool = False
    gated_output: bool = False
    matching: str = "relu"
    sampling: str = "align_corners"

    def conv(self, inputs: int, outputs: int, kernel: int = 3, **options: Any) -> SameConv:
        """Return a convolution in this style; `options` as of `SameConv`."""
        return SameConv(inputs, outputs, kernel, rule=self.rule, gated=self.gated, **options)

    def encoder(self, inputs: int, outputs: Sequence[int], *, dilated: bool, last: str = "elu") -> nn.Sequential:
        """Return `conv1` ... `conv6`, down to a quarter of the resolution, and optionally `conv7` ... `conv10`.

        Args:
            inputs: input channels.
            outputs: output channels of the six layers.
            dilated: append the four dilated layers.
            last: activation of `conv6`.
        """
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (before, after) in enumerate(pairwise([inputs, *outputs]), 1):
            kernel, stride, activation = 5 if i == 1 else 3, 2 if i in (2, 4) else 1, last if i == 6 else "elu"
            layers[f"conv{i}"] = self.conv(before, after, kernel, stride=stride, activation=activation)
        for i, dilation in enumerate((2, 4, 8, 16) if dilated else (), 7):
            layers[f"conv{i}"] = self.conv(outputs[-1], outputs[-1], dilation=dilation)
        return nn.Sequential(layers)

    def decoder(self, inputs: int, c: int) -> nn.Sequential:
        """Return `conv11` ... `conv17`, back to full resolution; three output channels without activation.

        Args:
            inputs: input channels.
            c: base width.
        """
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = [inputs, 4 * c, 4 * c, 2 * c, 2 * c, c, c // 2]
        for i, (before, after) in enumerate(pairwise(channels), 11):
            layers[f"conv{i}"] = self.conv(before, after, upsample=i in (13, 15))
        layers["conv17"] = SameConv(c // 2, 3, rule=self.rule, activation="none", gated=self.gated_output)
        return nn.Sequential(layers)


def base_width(full: int, width: float) -> int:
    """Return `full` times `width` as an even number; the last but one layer has half as many channels."""
    return 2 * max(1, round(full * width / 2))


def preserving(module: nn.Module) -> None:
    """Initialise weights so that features keep about their size from layer to layer, and biases with zeros.

    A gate starts at sigmoid(0) and halves its features. With Glorot's initialisation, a stage of gated layers has
    outputs of about 1e-7, and a short training is spent on their growth.
    """
    for layer in module.modules():
        if isinstance(layer, SameConv):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            if layer.gated:
                with torch.no_grad():
                    layer.weight[: len(layer.weight) // 2] *= 2
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Stage(nn.Module):
    """Base of the two networks; called with the input and the hole, both at full resolution.

    Args:
        sampling: see `Style`.

    Attributes:
        gates: modules called as `gate(features, hole)` after parts of the stage, by the name of the part; none by
            default.
    """

    def __init__(self, sampling: str) -> None:
        super().__init__()
        self.sampling = sampling
        self.gates = nn.ModuleDict()

    def gate(self, place: str, features: Tensor, hole: Tensor) -> Tensor:
        """Apply the gate after the part `place`, if there is one."""
        return self.gates[place](features, self.resized(hole, features)) if place in self.gates else features

    def resized(self, hole: Tensor, features: Tensor) -> Tensor:
        """Resize the hole to the resolution of the features."""
        return resize_nearest(hole, features.shape[-2:], self.sampling)


class OneBranch(Stage):
    """The coarse network: an encoder with dilated convolutions and a decoder. A gate may follow the "encoder".

    Args:
        inputs: input channels.
        c: base width.
        narrow: use the widths of the refinement's encoder, c, c, 2c, 2c, instead of c, 2c, 2c, 4c.
    """

    def __init__(self, style: Style, inputs: int, c: int, *, narrow: bool = False) -> None:
        super().__init__(style.sampling)
        first = (c, c, 2 * c, 2 * c) if narrow else (c, 2 * c, 2 * c, 4 * c)
        self.encoder = style.encoder(inputs, (*first, 4 * c, 4 * c), dilated=True)
        self.decoder = style.decoder(4 * c, c)

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        """Map inputs (N, inputs, H, W) and holes (N, 1, H, W) to predictions (N, 3, H, W)."""
        return self.decoder(self.gate("encoder", self.encoder(x), hole))


class TwoBranches(Stage):
    """The refinement network. Gates may follow "convolution", "attention" and their concatenation, "merged".

    Args:
        inputs: input channels.
        c: base width.
        attention: patch attention, called as `attention(features, hole)`; None leaves the features unchanged.
        decoder_width: base width of the decoder, c by default.
        hole_only: use the result of the attention inside the hole only.
    """

    def __init__(
        self,
        style: Style,
        inputs: int,
        c: int,
        attention: nn.Module | None,
        *,
        decoder_width: int | None = None,
        hole_only: bool = False,
    ) -> None:
        super().__init__(style.sampling)
        self.convolution = style.encoder(inputs, (c, c, 2 * c, 2 * c, 4 * c, 4 * c), dilated=True)
        self.matching = style.encoder(inputs, (c, c, 2 * c, 4 * c, 4 * c, 4 * c), dilated=False, last=style.matching)
        self.attention, self.hole_only = attention, hole_only
        self.after = nn.Sequential(OrderedDict((f"conv{i}", style.conv(4 * c, 4 * c)) for i in (9, 10)))
        self.decoder = style.decoder(8 * c, decoder_width or c)

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        """Map inputs (N, inputs, H, W) and holes (N, 1, H, W) to predictions (N, 3, H, W)."""
        convolved, matched = self.convolution(x), self.matching(x)
        if self.attention is not None:
            small = self.resized(hole, matched)
            attended = self.attention(matched, small)
            matched = torch.where(small > 0.5, attended, matched) if self.hole_only else attended
        convolved = self.gate("convolution", convolved, hole)
        attended = self.gate("attention", self.after(matched), hole)
        return self.decoder(self.gate("merged", torch.cat([convolved, attended], 1), hole))
