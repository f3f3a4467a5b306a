"""GConv, or DeepFill v2: free-form image inpainting with gated convolution (Yu et al., ICCV 2019).

DeepFill v1's two stages with gated convolutions, 24 maps after gating instead of 32, and tanh at the end of each stage
(see `coarse_to_fine`). Two codes exist, whose weights do not fit each other:

- "authors", the authors' TensorFlow branch v2.0.0: zero padding; the last layer of a stage has no gate; the second
  stage sees the picture only;
- "mmagic": mirrored borders, a gated last layer, no ReLU before the attention, ones and hole for the second stage, a
  wider decoder there (32 maps after gating), and an attention of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from inpaintlab.networks.authors_weights import (
    AuthorsWeights,
    Released,
    from_tensorflow,
    is_tensorflow,
    layer_of,
    tensorflow_name,
    width_of,
)
from inpaintlab.networks.coarse_to_fine import (
    ATTENTIONS,
    CoarseToFine,
    OneBranch,
    Style,
    TwoBranches,
    channels,
    glorot,
    one_of,
    preserving,
)

STYLES = {
    "authors": Style(rule="same", gated=True, sampling="align_corners"),
    "mmagic": Style(rule="mirror", gated=True, gated_output=True, matching="elu", sampling="floor"),
}
INITIAL = {"authors": glorot, "preserving": preserving}


class Generator(CoarseToFine, AuthorsWeights):
    """GConv's network; the defaults are the authors' (4,052,478 parameters, 4,414,908 in mmagic).

    Args:
        follows: whose code, "authors" or "mmagic", see above; the latter needs sides of 72 or more.
        attention: "contextual", "csa" or "none".
        initial: weights as the followed code initialises them ("authors"; for mmagic the framework's default), or
            "preserving" the size of features, which speeds up short trials.
        width: factor on all numbers of maps, for small trials.
    """

    swaps_colours = True

    def __init__(
        self, *, follows: str = "authors", attention: str = "contextual", initial: str = "authors", width: float = 1.0
    ) -> None:
        one_of("follows", follows, STYLES)
        one_of("attention", attention, ATTENTIONS)
        one_of("initial", initial, INITIAL)
        authors, style, c = follows == "authors", STYLES[follows], channels(24, width)
        super().__init__(
            OneBranch(style, 5, c),
            TwoBranches(
                style,
                3 if authors else 5,
                c,
                ATTENTIONS[attention](follows),
                decoder_width=c if authors else channels(32, width),
            ),
            torch.tanh,
            refinement_input="image" if authors else "image_ones_hole",
        )
        if authors or initial != "authors":
            INITIAL[initial](self)

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """The authors' TensorFlow variables (see `from_tensorflow`), or mmagic's state dict, of all networks or one."""
        if is_tensorflow(weights):
            weights, ignored = from_tensorflow(weights, swap_colours)
            width = width_of(weights, "inpaint_net/conv1/kernel", 48)
            return Released(weights, {"follows": "authors", "width": width}, tensorflow_name, ignored)
        prefix = "generator."
        if any(name.startswith(prefix) for name in weights):
            ours = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
        else:
            ours = dict(weights)
        ours = {name: w for name, w in ours.items() if not name.endswith("fuse_kernel")}  # a constant
        ignored = sorted(name for name in weights if name.removeprefix(prefix) not in ours)
        width = width_of(ours, "stage1.encoder.enc1.conv.conv.weight", 48)
        return Released(ours, {"follows": "mmagic", "width": width}, mmagic_name, ignored)


_MMAGIC = {
    ("coarse", "encoder"): ("stage1.encoder.enc{}", "stage1.dilation_neck.dilation_convs.{}"),
    ("coarse", "decoder"): ("stage1.decoder.dec{}",),
    ("refinement", "convolution"): ("stage2.encoder_conv.enc{}", "stage2.dilation_neck.dilation_convs.{}"),
    ("refinement", "matching"): ("stage2.encoder_attention.enc{}",),
    ("refinement", "after"): ("stage2.contextual_attention_neck.conv{}",),
    ("refinement", "decoder"): ("stage2.decoder.dec{}",),
}


def mmagic_name(name: str) -> str:
    """What a weight of `Generator` is called in mmagic."""
    stage, part, number, entry = layer_of(name)
    patterns = _MMAGIC[stage, part]
    if number in (7, 8, 9, 10) and part != "after":
        layer = patterns[1].format(number - 7)
    else:
        layer = patterns[0].format(number - {"decoder": 10, "after": 8}.get(part, 0))
    return f"{layer}.conv.conv.{entry}"
