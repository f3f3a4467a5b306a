"""CSA: coherent semantic attention for image inpainting (Liu, Jiang, Xiao, Yang, ICCV 2019).

Two U-Nets. The rough one predicts the picture, as in pix2pix; the refinement network gets that prediction inside the
hole, and the emptied picture beside it, and holds the attention layer behind its fourth 3x3 convolution. Neither gets
the hole as a channel. The text gives no output activation of the second: as released, it has none.

The released code differs in the attention's similarity and gradient (see `layers.coherent`), and it empties the second
copy of the picture with grey where the first stage saw a colour.

Convention of the paper, kept inside this file: pictures in [-1, 1], one colour in the hole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.layers.coherent import CoherentAttention, feature_hole
from inpaintlab.layers.contextual import ContextualAttention

ATTENTIONS = ("csa", "contextual", "conv", "none")
POSITIONS = {64: 2, 32: 3, 16: 4}  # side of the features for pictures of 256 pixels -> halvings before
SECOND_INPUTS = ("colour", "grey")
COLOUR = (123, 104, 117)  # of the hole, red, green, blue in 0..255; ImageNet's mean, two channels swapped, as released
PROFILES: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"similarity": "released", "backward": "released", "second_input": "grey"},
}


def _norm(maps: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(maps, affine=True)


def _widths(maps: Iterable[int], width: float) -> list[int]:
    return [max(4, round(n * width / 4) * 4) for n in maps]


class Rough(nn.Module):
    """The U-Net of pix2pix with instance norm, 3 channels to 3 in [-1, 1].

    Args:
        levels: halvings of the resolution.
        width: factor on all numbers of maps.
    """

    def __init__(self, levels: int = 8, width: float = 1.0) -> None:
        super().__init__()
        maps = _widths((64, 128, 256, *[512] * 5)[:levels], width)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip([3, *maps[:-1]], maps, strict=True)):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if i else []
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            layers += [_norm(outputs)] if 0 < i < levels - 1 else []
            self.encoder.append(nn.Sequential(*layers))
            above = outputs if i == levels - 1 else 2 * outputs  # joined with the skip connection
            layers = [nn.ReLU(), nn.ConvTranspose2d(above, inputs, 4, stride=2, padding=1)]
            layers += [_norm(inputs)] if i else [nn.Tanh()]
            self.decoder.append(nn.Sequential(*layers))  # in the encoder's order, outermost first

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in reversed(self.decoder):
            x = block(x)
            x = torch.cat([x, skips.pop().to(x.dtype)], 1) if skips else x
        return x


class Refinement(nn.Module):
    """The second U-Net, 6 channels to 3; 4x4 convolutions halve, dilated by 2, and 3x3 ones widen.

    Args:
        attention: in the layer's place; called with features and their hole.
        level: halvings before that place.
        levels, width: as of `Rough`.
    """

    def __init__(
        self, attention: Callable[[int], nn.Module], level: int = 3, levels: int = 8, width: float = 1.0
    ) -> None:
        super().__init__()
        maps = _widths((64, 128, 256, *[512] * 5)[:levels], width)
        self.level = level
        self.attention = attention(maps[level])
        self.first = nn.Conv2d(6, maps[0], 3, padding=1)
        self.encoder, self.norms, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for inputs, outputs in pairwise(maps):
            halve = nn.Conv2d(inputs, inputs, 4, stride=2, padding=3, dilation=2)
            widen = nn.Conv2d(inputs, outputs, 3, padding=1)
            self.encoder.append(nn.Sequential(nn.LeakyReLU(0.2), halve, _norm(inputs), nn.LeakyReLU(0.2, True), widen))
            self.norms.append(_norm(outputs))  # behind the attention, where there is one
            narrow = nn.ConvTranspose2d(2 * outputs, inputs, 3, padding=1)
            grow = nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1)
            self.decoder.append(nn.Sequential(nn.ReLU(True), narrow, _norm(inputs), nn.ReLU(True), grow, _norm(inputs)))
        inner = maps[-1]
        self.encoder.append(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(inner, inner, 4, stride=2, padding=3, dilation=2))
        )
        self.decoder.append(
            nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(inner, inner, 4, stride=2, padding=1), _norm(inner))
        )
        self.last = nn.Sequential(nn.ReLU(True), nn.ConvTranspose2d(2 * maps[0], 3, 3, padding=1))

    def forward(self, x: Tensor, hole: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The picture, and the features that the consistency loss compares: of the attention, of the decoder there."""
        x = self.first(x)
        skips, taps = [x], []
        for level, (block, norm) in enumerate(zip(self.encoder, self.norms, strict=False), 1):
            x = block(x)
            if level == self.level:
                x = self.attention(x, hole)
                taps.append(x)
            x = norm(x)
            skips.append(x)
        x = self.encoder[-1](x)
        for block in reversed(self.decoder):
            x = block(x)
            if len(skips) - 1 == self.level:
                taps.append(x)
            x = torch.cat([x, skips.pop().to(x.dtype)], 1)
        return self.last(x), (taps[0], taps[1])


class ContextualInHole(nn.Module):
    """Contextual attention in the layer's place (Fig. 8 c): the hole is rebuilt, known positions stay as they are."""

    def __init__(self, rules: str, rate: int) -> None:
        super().__init__()
        self.layer = ContextualAttention(rules=rules, rate=rate)

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        return torch.where(hole > 0.5, self.layer(features, hole), features)


class Plain(nn.Module):
    """A 3x3 convolution in the layer's place (Fig. 8 b), or nothing."""

    def __init__(self, maps: int | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(maps, maps, 3, padding=1) if maps else nn.Identity()

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        result: Tensor = self.conv(features)
        return result


class Generator(nn.Module):
    """Both networks; the defaults are the paper's full model (54,419,459 + 77,692,291 parameters).

    Args:
        attention: "csa"; or in its place "contextual" attention, a 3x3 "conv", "none" (Fig. 8).
        attention_position: side of its features for pictures of 256 pixels, 64, 32 or 16 (Fig. 9).
        similarity, dad_reference, backward: see `layers.coherent.CoherentAttention`.
        rules, rate: of contextual attention, see there.
        threshold: above which a position of the features counts as missing.
        second_input: what the second copy of the picture has in its hole, the "colour" of the first stage, or "grey"
            as released.
        joint: let the refinement's gradient reach the rough network; it does not as released.
        levels: halvings of the resolution, 8 for pictures of 256 pixels; fewer leave the innermost out.
        width: factor on all numbers of maps, for small trials.

    Attributes:
        keep_attention: put "flow" (N, 2, h, w), the offset of each missing position's match, into `Output.attention`,
            and "heat" (N, K, h, w), the attention of the missing positions nearest to K `points`, where they are set.
        points: (y, x) in [0, 1] of the picture.
    """

    def __init__(
        self,
        *,
        attention: str = "csa",
        attention_position: int = 32,
        similarity: str = "cosine",
        dad_reference: str = "original",
        backward: str = "paper",
        rules: str = "tf",
        rate: int = 2,
        threshold: float = 0.3125,
        second_input: str = "colour",
        joint: bool = False,
        levels: int = 8,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(f"attention={attention!r} is unknown; known are {', '.join(ATTENTIONS)}")
        if attention_position not in POSITIONS:
            known = ", ".join(map(str, POSITIONS))
            raise ValueError(f"attention_position={attention_position} is unknown; known are {known}")
        if second_input not in SECOND_INPUTS:
            raise ValueError(f"second_input={second_input!r} is unknown; known are {', '.join(SECOND_INPUTS)}")
        self.steps = POSITIONS[attention_position]
        if not self.steps < levels <= 8:
            raise ValueError(f"levels={levels} must be {self.steps + 1} to 8 for attention at {attention_position}")

        def build(maps: int) -> nn.Module:
            if attention == "csa":
                return CoherentAttention(similarity=similarity, dad_reference=dad_reference, backward=backward)
            return (
                ContextualInHole(rules, rate)
                if attention == "contextual"
                else Plain(maps if attention == "conv" else None)
            )

        self.multiple = 2**levels
        self.threshold, self.second_input, self.joint = threshold, second_input, joint
        self.rough = Rough(levels, width)
        self.refinement = Refinement(build, self.steps, levels, width)
        self.register_buffer("colour", (torch.tensor(COLOUR) / 127.5 - 1).view(1, 3, 1, 1), persistent=False)
        self.keep_attention = False
        self.points: Sequence[tuple[float, float]] | None = None
        initialise(self)

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict the whole picture.

        Args:
            image: (N, 3, H, W) in [0, 1], H and W multiples of `self.multiple`; the hole's content is ignored.
            hole: (N, 1, H, W), 1 = missing.

        Returns:
            With `features`: those behind the attention and those of the decoder at the same resolution.
        """
        if hole.shape[-2] % self.multiple or hole.shape[-1] % self.multiple:
            raise ValueError(f"CSA needs sides that are multiples of {self.multiple}, not {tuple(hole.shape[-2:])}")
        missing, x = hole > 0.5, 2 * image - 1
        emptied = torch.where(missing, self.colour, x)  # type: ignore[arg-type]
        coarse = self.rough(emptied).float()
        joined = torch.where(missing, coarse if self.joint else coarse.detach(), emptied)
        second = emptied if self.second_input == "colour" else torch.where(missing, 0.0, x)
        layer = self._watched()
        refined, taps = self.refinement(torch.cat([joined, second], 1), self.feature_hole(hole))
        maps: dict[str, Tensor] = {}
        if self.keep_attention and layer is not None and layer.kept is not None:
            maps["flow"] = layer.kept.offsets
            maps |= {"heat": layer.kept.heat} if self.points else {}
        return Output((refined.float() + 1) / 2, (coarse + 1) / 2, taps, maps)

    def feature_hole(self, hole: Tensor) -> Tensor:
        """The hole (N, 1, H, W) at the attention's resolution."""
        return feature_hole(hole, self.steps, self.threshold)

    def _watched(self) -> CoherentAttention | ContextualAttention | None:
        """The attention layer, told what to keep."""
        layer = getattr(self.refinement.attention, "layer", self.refinement.attention)
        if not isinstance(layer, (CoherentAttention, ContextualAttention)):
            return None
        layer.keep_attention, layer.points = self.keep_attention, self.points
        return layer


def initialise(network: nn.Module) -> None:
    """As released: weights normal with deviation 0.02, biases 0; norms keep 1 and 0."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def authors_name(name: str) -> str:
    """What a weight of the full `Generator` is called in the released state dicts, with "P." or "G." in front.

    The released networks are nested: each level of the U lies inside the one above it.
    """
    network, part, *rest = name.split(".")
    entry = rest[-1]
    inner = 7  # number of the innermost level
    if network == "rough":
        level, index = int(rest[0]), int(rest[1])
        if part == "decoder":
            index += 2 if level in (0, inner) else 4
        inside = ["1"] + ["3"] * 6
        return _nested("P", inside[:level], index, entry)
    if part in ("first", "last"):
        return _nested("G", [], 0 if part == "first" else int(rest[0]) + 2, entry)
    level = int(rest[0]) + 1
    moved = 2 if level == POSITIONS[32] else 0  # the attention and the first tap stand there
    if part == "norms":
        index = 5 + moved
    elif part == "encoder":
        index = int(rest[1])
    else:
        index = int(rest[1]) + (2 if level == inner + 1 else 7 + moved + moved // 2)  # and the second tap
    return _nested("G", ["1", "6", "6", "8", "6", "6", "6", "6"][:level], index, entry)


def _nested(network: str, inside: list[str], index: int, entry: str) -> str:
    return f"{network}.model." + "".join(f"model.{i}." for i in inside) + f"model.{index}.{entry}"


def released_options(names: Iterable[str]) -> dict[str, Any]:
    """The constructor options that fit released weights; they show no choice."""
    del names
    return dict(PROFILES["released"])


def merge_released(rough: Mapping[str, Tensor], refinement: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One state dict for `checkpoint.from_released` from the two that the authors' code saves, `net_P` and `net_G`."""
    pair = {"P": rough, "G": refinement}
    return {f"{network}.{name}": weight for network, weights in pair.items() for name, weight in weights.items()}
