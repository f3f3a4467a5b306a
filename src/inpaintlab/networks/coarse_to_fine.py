"""The two-stage skeleton that DeepFill v1, GConv (DeepFill v2) and Charef & Ouqour's network share.

A coarse network fills the hole; its result, pasted into the known pixels, is refined by a second network whose two
encoders, one of dilated convolutions and one with patch attention, feed one decoder. Layers are called by the numbers
of the authors' code, which skip 7 and 8 in the attention branch, so that weights and fact sheets can be followed.
The systems differ in width c, kind of convolution, last activation, and what the second stage sees.

Convention of these papers, kept inside these files: pictures in [-1, 1], zeros (mid grey) in the hole, mask 1 =
missing, and a plane of ones from which zero-padded convolutions can tell the border.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.errors import check_choice
from inpaintlab.image import empty_hole
from inpaintlab.layers.coherent import CoherentAttention
from inpaintlab.layers.contextual import ContextualAttention, resize_nearest
from inpaintlab.layers.same_conv import SameConv
from inpaintlab.networks.generator import InpaintingGenerator

REFINEMENT_INPUTS = {"image": 3, "image_hole": 4, "image_ones_hole": 5}

# Patch attentions that fit between the layers of the attention branch, called as `attention(features, hole)`.
ATTENTIONS: dict[str, Callable[[str], nn.Module | None]] = {
    "contextual": lambda follows: ContextualAttention(follows=follows, mask="per_sample"),
    "csa": lambda follows: CoherentAttention(),
    "none": lambda follows: None,
}


@dataclass(frozen=True)
class Style:
    """The kind of convolution of a system.

    Args:
        rule: of padding, see `same_conv`.
        gated: whether the layers are gated.
        gated_output: whether the last layer of a stage is, too.
        matching: activation in front of the attention; ReLU makes all its scores at least 0.
        sampling: how the mask is brought to the features' resolution, see `resize_nearest`.
    """

    rule: str = "same"
    gated: bool = False
    gated_output: bool = False
    matching: str = "relu"
    sampling: str = "align_corners"

    def conv(self, inputs: int, outputs: int, kernel: int = 3, **options: Any) -> SameConv:
        return SameConv(inputs, outputs, kernel, rule=self.rule, gated=self.gated, **options)

    def encoder(self, inputs: int, maps: Sequence[int], *, dilated: bool, last: str = "elu") -> nn.Sequential:
        """`conv1` ... `conv6` to a quarter of the resolution and, if dilated, `conv7` ... `conv10` there.

        Args:
            inputs: planes.
            maps: of the six layers.
            dilated: with the last four.
            last: activation of `conv6`.
        """
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (before, after) in enumerate(pairwise([inputs, *maps]), 1):
            kernel, stride, activation = 5 if i == 1 else 3, 2 if i in (2, 4) else 1, last if i == 6 else "elu"
            layers[f"conv{i}"] = self.conv(before, after, kernel, stride=stride, activation=activation)
        for i, dilation in enumerate((2, 4, 8, 16) if dilated else (), 7):
            layers[f"conv{i}"] = self.conv(maps[-1], maps[-1], dilation=dilation)
        return nn.Sequential(layers)

    def decoder(self, inputs: int, c: int) -> nn.Sequential:
        """`conv11` ... `conv17` back to full resolution; three maps without activation."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        maps = [inputs, 4 * c, 4 * c, 2 * c, 2 * c, c, c // 2]
        for i, (before, after) in enumerate(pairwise(maps), 11):
            layers[f"conv{i}"] = self.conv(before, after, upsample=i in (13, 15))
        layers["conv17"] = SameConv(c // 2, 3, rule=self.rule, activation="none", gated=self.gated_output)
        return nn.Sequential(layers)


def one_of(option: str, value: str, known: Iterable[str]) -> None:
    """Raise unless the value of an option is known."""
    check_choice(option, value, known)


def channels(full: int, width: float) -> int:
    """The base width `full` times `width`, even, since the last but one layer has half of it."""
    return 2 * max(1, round(full * width / 2))


def glorot(module: nn.Module) -> None:
    """Glorot's uniform initialisation with zero biases, TensorFlow's default and so the authors'."""
    for layer in module.modules():
        if isinstance(layer, SameConv):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def preserving(module: nn.Module) -> None:
    """Weights that about keep the size of features from layer to layer, zero biases; for short trials.

    A gate that starts at sigmoid(0) halves its features. With Glorot's initialisation a stage of gated layers gives
    outputs of 1e-7, and a short training is spent on getting away from there.
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
    """One of the two networks; called with its input and the hole, both at full resolution.

    Args:
        sampling: see `Style`.

    Attributes:
        gates: modules called as `gate(features, hole)` behind the parts that are named in the stage; none by default.
    """

    def __init__(self, sampling: str) -> None:
        super().__init__()
        self.sampling = sampling
        self.gates = nn.ModuleDict()

    def gate(self, place: str, features: Tensor, hole: Tensor) -> Tensor:
        return self.gates[place](features, self.shrunk(hole, features)) if place in self.gates else features

    def shrunk(self, hole: Tensor, features: Tensor) -> Tensor:
        return resize_nearest(hole, features.shape[-2:], self.sampling)


class OneBranch(Stage):
    """Encoder of dilated convolutions and decoder: the coarse network. A gate may stand behind the "encoder".

    Args:
        inputs: planes of the input.
        c: base width.
        narrow: with the widths of the refinement's encoder, c, c, 2c, 2c, instead of c, 2c, 2c, 4c.
    """

    def __init__(self, style: Style, inputs: int, c: int, *, narrow: bool = False) -> None:
        super().__init__(style.sampling)
        maps = (c, c, 2 * c, 2 * c) if narrow else (c, 2 * c, 2 * c, 4 * c)
        self.encoder = style.encoder(inputs, (*maps, 4 * c, 4 * c), dilated=True)
        self.decoder = style.decoder(4 * c, c)

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        return self.decoder(self.gate("encoder", self.encoder(x), hole))


class TwoBranches(Stage):
    """The refinement network. Gates may stand behind "convolution", "attention" and their concatenation, "merged".

    Args:
        inputs: planes of the input.
        c: base width.
        attention: the patch attention, called as `attention(features, hole)`; None leaves the features as they are.
        decoder_width: base width of the decoder, c by default.
        hole_only: use what the attention gives in the hole only.
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
        convolved, matched = self.convolution(x), self.matching(x)
        if self.attention is not None:
            small = self.shrunk(hole, matched)
            attended = self.attention(matched, small)
            matched = torch.where(small > 0.5, attended, matched) if self.hole_only else attended
        convolved = self.gate("convolution", convolved, hole)
        attended = self.gate("attention", self.after(matched), hole)
        return self.decoder(self.gate("merged", torch.cat([convolved, attended], 1), hole))


class CoarseToFine(InpaintingGenerator):
    """Both stages, from picture and hole to the prediction.

    Args:
        coarse: takes five planes: picture, ones, hole.
        refinement: takes the picture with the coarse result in the hole, alone or with ones and hole; or None.
        squash: brings both results into [-1, 1].
        refinement_input: "image", "image_hole" or "image_ones_hole".
        passes: how often the refinement is applied, each time to its own result.
        detach: no gradient from the refinement into the coarse network.

    Attributes:
        keep_attention: put "flow" (N, 2, h, w), the offset of the patch that each position attends to most, into
            `Output.attention`, and "heat" (N, K, h, w), the attention of K `points`, where they are set.
        points: (y, x) in [0, 1] of the picture.
    """

    multiple = 8

    def __init__(
        self,
        coarse: Stage,
        refinement: Stage | None,
        squash: Callable[[Tensor], Tensor],
        *,
        refinement_input: str = "image_ones_hole",
        passes: int = 1,
        detach: bool = False,
    ) -> None:
        super().__init__()
        self.coarse, self.refinement, self.squash = coarse, refinement, squash
        self.refinement_input, self.passes, self.detach = refinement_input, passes, detach
        self.shows_attention = self.shows_points = self._attention_layer() is not None

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict the whole picture.

        Args:
            image: (N, 3, H, W) in [0, 1], H and W multiples of 8; the hole's content is ignored.
            hole: (N, 1, H, W), 1 = missing.

        Returns:
            The results of both stages, between 0 and 1; of the only one, where there is no refinement.
        """
        self.require_size(hole)
        known, ones = empty_hole(2 * image - 1, hole), torch.ones_like(hole)
        first = self.squash(self.coarse(torch.cat([known, ones, hole], 1), hole).to(image.dtype))
        if self.refinement is None:
            return Output(image=(first + 1) / 2)
        planes = {"image": [], "image_hole": [hole], "image_ones_hole": [ones, hole]}[self.refinement_input]
        attention = self._attention_layer()
        if attention is not None:
            attention.keep_attention, attention.points = self.keep_attention, self.points
        second = first.detach() if self.detach else first
        for _ in range(self.passes):
            pasted = torch.where(hole > 0.5, second, known)
            second = self.squash(self.refinement(torch.cat([pasted, *planes], 1), hole).to(image.dtype))
        maps: dict[str, Tensor] = {}
        if self.keep_attention and attention is not None and attention.kept is not None:
            maps["flow"] = attention.kept.offsets.to(image.dtype)
            if self.points:
                maps["heat"] = attention.kept.heat
        return Output(image=(second + 1) / 2, coarse=(first + 1) / 2, attention=maps)

    def _attention_layer(self) -> ContextualAttention | CoherentAttention | None:
        """The attention layer, if there is one that can show its maps."""
        layer = self.refinement.attention if isinstance(self.refinement, TwoBranches) else None
        return layer if isinstance(layer, (ContextualAttention, CoherentAttention)) else None
