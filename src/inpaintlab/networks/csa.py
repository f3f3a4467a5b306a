"""CSA: coherent semantic attention for image inpainting (Liu, Jiang, Xiao, Yang, ICCV 2019).

Two U-Nets. The rough network, as in pix2pix, predicts the picture. The refinement network gets the picture with that
prediction inside the hole, and the emptied picture as further channels; its attention layer follows the fourth 3x3
convolution. Neither network gets the hole as a channel. The paper states no output activation of the refinement
network; as in the released code, it has none.

The released code differs in the similarity and gradient of the attention (see `layers.coherent`), and the second copy
of the picture has grey in the hole, where the input of the first stage has a colour (`follows`).

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
from inpaintlab.networks.patch_views import PatchAttention, PatchAttentionGenerator

ATTENTIONS = ("csa", "contextual", "conv", "none")
POSITIONS = {
    64: 2,
    32: 3,
    16: 4,
}  # side of the features for pictures of 256 pixels -> number of halvings before the layer
# Colour of the hole, RGB in 0..255: ImageNet's mean with green and blue swapped, as in the released code.
COLOUR = (123, 104, 117)
SECOND_INPUT_OF = {"paper": "colour", "authors": "grey"}  # by whose network is followed


class ContextualInHole(nn.Module):
    """Contextual attention in place of CSA's layer (Fig. 8 c); features at known positions stay unchanged."""

    def __init__(self, follows: str, rate: int) -> None:
        super().__init__()
        self.layer = ContextualAttention(follows=follows, rate=rate)

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        return torch.where(hole > 0.5, self.layer(features, hole), features)


class Plain(nn.Module):
    """A 3x3 convolution in place of CSA's layer (Fig. 8 b), or nothing."""

    def __init__(self, channels: int | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1) if channels else nn.Identity()

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        result: Tensor = self.conv(features)
        return result


class Generator(PatchAttentionGenerator, AuthorsWeights):
    """Both networks; the defaults are the paper's full model (54,419,459 + 77,692,291 parameters).

    Args:
        follows: "paper", or "authors" for their released code. Sets `similarity`, `gradient` and `second_input` where
            these are None.
        attention: attention layer, "csa", "contextual", "conv" (a 3x3 convolution) or "none" (Fig. 8).
        attention_position: side of the layer's features for pictures of 256 pixels, 64, 32 or 16 (Fig. 9).
        similarity, dad_reference, gradient: see `layers.coherent.CoherentAttention`.
        contextual_follows, rate: `follows` and `rate` of `ContextualAttention`.
        threshold: share of missing pixels above which a position of the features counts as missing.
        second_input: content of the hole in the second copy of the picture: the "colour" of the first stage (paper) or
            "grey" (authors).
        joint: let the gradient of the refinement reach the rough network; the released code does not.
        levels: number of halvings of the resolution, 8 for pictures of 256 pixels. Fewer omit the innermost levels.
        width: factor on all numbers of channels, for small trials.
    """

    colour: Tensor

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
            raise ValueError(
                f"levels must be {self.steps + 1} to 8 for attention at {attention_position}, got {levels}"
            )

        def build(channels: int) -> nn.Module:
            if attention == "csa":
                return CoherentAttention(
                    follows=follows, similarity=similarity, dad_reference=dad_reference, gradient=gradient
                )
            if attention == "contextual":
                return ContextualInHole(contextual_follows, rate)
            return Plain(channels if attention == "conv" else None)

        self.multiple = 2**levels
        self.threshold, self.second_input, self.joint = threshold, second_input or SECOND_INPUT_OF[follows], joint
        self.rough = Rough(levels, width)
        self.refinement = Refinement(build, self.steps, levels, width)
        self.register_buffer("colour", (torch.tensor(COLOUR) / 127.5 - 1).view(1, 3, 1, 1), persistent=False)
        self.detect_attention()
        initialise(self)

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict whole pictures; see `InpaintingGenerator.forward`.

        Returns:
            Both predictions; `features` are those after the attention layer and those of the decoder at the same
            resolution.
        """
        self.require_size(hole)
        missing, x = hole > 0.5, 2 * image - 1
        emptied = torch.where(missing, self.colour, x)
        coarse = self.rough(emptied)
        coarse = coarse.to(torch.promote_types(coarse.dtype, torch.float32))
        joined = torch.where(missing, coarse if self.joint else coarse.detach(), emptied)
        second = emptied if self.second_input == "colour" else torch.where(missing, 0.0, x)
        self.request_maps()
        refined, taps = self.refinement(torch.cat([joined, second], 1), self.feature_hole(hole))
        return Output((refined.to(coarse.dtype) + 1) / 2, (coarse + 1) / 2, taps, self.kept_maps(image.dtype))

    def feature_hole(self, hole: Tensor) -> Tensor:
        """Return the hole (N, 1, H, W) at the resolution of the attention layer."""
        return feature_hole(hole, self.steps, self.threshold)

    def attention_layer(self) -> PatchAttention | None:
        """Return the patch attention layer, if there is one."""
        layer = self.refinement.attention
        layer = layer.layer if isinstance(layer, ContextualInHole) else layer
        return layer if isinstance(layer, (CoherentAttention, ContextualAttention)) else None

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """Map both released networks in one state dict, as `merge_released` builds it; the weights show no options."""
        return Released(weights, {"follows": "authors"}, authors_name)


def authors_name(name: str) -> str:
    """Return the name of a weight of the full `Generator` in the released state dicts, with the prefix "P." or "G.".

    The released networks are nested: each level of the U-Net is a child of the one above it.
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
    moved = 2 if level == POSITIONS[32] else 0  # the attention and the first tap are modules of this level
    if part == "norms":
        index = 5 + moved
    elif part == "encoder":
        index = int(rest[1])
    else:
        index = int(rest[1]) + (2 if level == inner + 1 else 7 + moved + moved // 2)  # the second tap, too
    return _nested("G", ["1", "6", "6", "8", "6", "6", "6", "6"][:level], index, entry)


def _nested(network: str, inside: list[str], index: int, entry: str) -> str:
    return f"{network}.model." + "".join(f"model.{i}." for i in inside) + f"model.{index}.{entry}"


def merge_released(rough: Mapping[str, Tensor], refinement: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Merge the two state dicts that the authors' code saves, `net_P` and `net_G`, into one for `from_released`."""
    pair = {"P": rough, "G": refinement}
    return {f"{network}.{name}": weight for network, weights in pair.items() for name, weight in weights.items()}
