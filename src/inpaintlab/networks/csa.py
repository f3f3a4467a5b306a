"""CSA: coherent semantic attention for image inpainting (Liu, Jiang, Xiao, Yang, ICCV 2019).

Two U-Nets. The rough one predicts the picture, as in pix2pix; the refinement network gets that prediction inside the
hole, and the emptied picture beside it, and holds the attention layer behind its fourth 3x3 convolution. Neither gets
the hole as a channel. The text gives no output activation of the second: as released, it has none.

The released code differs in the attention's similarity and gradient (see `layers.coherent`), and it empties the second
copy of the picture with grey where the first stage saw a colour (`follows`).

Convention of the paper, kept inside this file: pictures in [-1, 1], one colour in the hole.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.errors import check_choice
from inpaintlab.layers.coherent import CoherentAttention, feature_hole
from inpaintlab.layers.contextual import ContextualAttention
from inpaintlab.networks.authors_weights import AuthorsWeights, Released
from inpaintlab.networks.csa_stages import Refinement, Rough, initialise
from inpaintlab.networks.generator import InpaintingGenerator

ATTENTIONS = ("csa", "contextual", "conv", "none")
POSITIONS = {64: 2, 32: 3, 16: 4}  # side of the features for pictures of 256 pixels -> halvings before
COLOUR = (123, 104, 117)  # of the hole, red, green, blue in 0..255; ImageNet's mean, two channels swapped, as released
SECOND_INPUT_OF = {"paper": "colour", "authors": "grey"}  # by whose network is followed


class ContextualInHole(nn.Module):
    """Contextual attention in the layer's place (Fig. 8 c): the hole is rebuilt, known positions stay as they are."""

    def __init__(self, follows: str, rate: int) -> None:
        super().__init__()
        self.layer = ContextualAttention(follows=follows, rate=rate)

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


class Generator(InpaintingGenerator, AuthorsWeights):
    """Both networks; the defaults are the paper's full model (54,419,459 + 77,692,291 parameters).

    Args:
        follows: "paper", or "authors", their released code. It decides `similarity`, `gradient` and `second_input`
            where these are None.
        attention: "csa"; or in its place "contextual" attention, a 3x3 "conv", "none" (Fig. 8).
        attention_position: side of its features for pictures of 256 pixels, 64, 32 or 16 (Fig. 9).
        similarity, dad_reference, gradient: see `layers.coherent.CoherentAttention`.
        contextual_follows, rate: `follows` and `rate` of contextual attention, see there.
        threshold: above which a position of the features counts as missing.
        second_input: what the second copy of the picture has in its hole, the "colour" of the first stage (paper) or
            "grey" (authors).
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
        follows: str = "paper",
        attention: str = "csa",
        attention_position: int = 32,
        similarity: str | None = None,
        dad_reference: str = "original",
        gradient: str | None = None,
        contextual_follows: str = "authors",
        rate: int = 2,
        threshold: float = 0.3125,
        second_input: str | None = None,
        joint: bool = False,
        levels: int = 8,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        check_choice("follows", follows, SECOND_INPUT_OF)
        check_choice("attention", attention, ATTENTIONS)
        check_choice("attention_position", attention_position, POSITIONS)
        check_choice("second_input", second_input, (*SECOND_INPUT_OF.values(), None))
        self.steps = POSITIONS[attention_position]
        if not self.steps < levels <= 8:
            raise ValueError(f"levels={levels} must be {self.steps + 1} to 8 for attention at {attention_position}")

        def build(maps: int) -> nn.Module:
            if attention == "csa":
                return CoherentAttention(
                    follows=follows, similarity=similarity, dad_reference=dad_reference, gradient=gradient
                )
            return (
                ContextualInHole(contextual_follows, rate)
                if attention == "contextual"
                else Plain(maps if attention == "conv" else None)
            )

        self.multiple = 2**levels
        self.threshold, self.second_input, self.joint = threshold, second_input or SECOND_INPUT_OF[follows], joint
        self.rough = Rough(levels, width)
        self.refinement = Refinement(build, self.steps, levels, width)
        self.register_buffer("colour", (torch.tensor(COLOUR) / 127.5 - 1).view(1, 3, 1, 1), persistent=False)
        self.shows_attention = self.shows_points = self._attention_layer() is not None
        initialise(self)

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict the whole picture.

        Args:
            image: (N, 3, H, W) in [0, 1], H and W multiples of `self.multiple`; the hole's content is ignored.
            hole: (N, 1, H, W), 1 = missing.

        Returns:
            With `features`: those behind the attention and those of the decoder at the same resolution.
        """
        self.require_size(hole)
        missing, x = hole > 0.5, 2 * image - 1
        emptied = torch.where(missing, self.colour, x)  # type: ignore[arg-type]
        coarse = self.rough(emptied)
        coarse = coarse.to(torch.promote_types(coarse.dtype, torch.float32))
        joined = torch.where(missing, coarse if self.joint else coarse.detach(), emptied)
        second = emptied if self.second_input == "colour" else torch.where(missing, 0.0, x)
        layer = self._attention_layer()
        if layer is not None:
            layer.keep_attention, layer.points = self.keep_attention, self.points
        refined, taps = self.refinement(torch.cat([joined, second], 1), self.feature_hole(hole))
        maps: dict[str, Tensor] = {}
        if self.keep_attention and layer is not None and layer.kept is not None:
            maps["flow"] = layer.kept.offsets
            maps |= {"heat": layer.kept.heat} if self.points else {}
        return Output((refined.to(coarse.dtype) + 1) / 2, (coarse + 1) / 2, taps, maps)

    def feature_hole(self, hole: Tensor) -> Tensor:
        """The hole (N, 1, H, W) at the attention's resolution."""
        return feature_hole(hole, self.steps, self.threshold)

    def _attention_layer(self) -> CoherentAttention | ContextualAttention | None:
        """The attention layer, if there is one that can show its maps."""
        layer = self.refinement.attention
        layer = layer.layer if isinstance(layer, ContextualInHole) else layer
        return layer if isinstance(layer, (CoherentAttention, ContextualAttention)) else None

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """Both released networks in one state dict, as `merge_released` makes it; the weights show no options."""
        return Released(weights, {"follows": "authors"}, authors_name)


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


def merge_released(rough: Mapping[str, Tensor], refinement: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One state dict for `checkpoint.from_released` from the two that the authors' code saves, `net_P` and `net_G`."""
    pair = {"P": rough, "G": refinement}
    return {f"{network}.{name}": weight for network, weights in pair.items() for name, weight in weights.items()}
