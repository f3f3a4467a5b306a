"""GConv, or DeepFill v2: free-form image inpainting with gated convolution (Yu et al., ICCV 2019).

The two stages of DeepFill v1 with gated convolutions, base width 24 (after gating) instead of 32, and tanh at the end
of each stage (see `coarse_to_fine`). Two codes exist, and the weights of one do not fit the other:

- "authors": the authors' TensorFlow branch v2.0.0, with zero padding, no gate in the last layer of a stage, and a
  second stage that sees the picture only;
- "mmagic": mirror padding, a gated last layer, no ReLU before the attention, a second stage that also sees ones and
  hole and has a wider decoder (base width 32), and mmagic's attention.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from inpaintlab.errors import check_choice
from inpaintlab.layers.weight_init import glorot
from inpaintlab.networks.authors_weights import AuthorsWeights, Released, width_of
from inpaintlab.networks.coarse_to_fine import ATTENTIONS, CoarseToFine
from inpaintlab.networks.coarse_to_fine_stages import OneBranch, Style, TwoBranches, base_width, preserving
from inpaintlab.networks.tensorflow_weights import from_tensorflow, is_tensorflow, layer_of, tensorflow_name

STYLES = {
    "authors": Style(rule="same", gated=True, sampling="align_corners"),
    "mmagic": Style(rule="mirror", gated=True, gated_output=True, matching="elu", sampling="floor"),
}
INITIAL = {"authors": glorot, "preserving": preserving}


class Generator(CoarseToFine, AuthorsWeights):
    """The network of GConv; the defaults are the authors' (4,052,478 parameters; 4,414,908 in mmagic).

    Args:
        follows: whose code, "authors" or "mmagic", see above; the latter needs pictures of at least 72 x 72.
        attention: layer of the attention branch, "contextual", "csa" or "none".
        initial: "authors", the initialisation of the followed code (for mmagic, PyTorch's default), or "preserving",
            which keeps the size of features and speeds up short trials.
        width: factor on all numbers of channels, for small trials.
    """

    swaps_colours = True

    def __init__(
        self, *, follows: str = "authors", attention: str = "contextual", initial: str = "authors", width: float = 1.0
    ) -> None:
        check_choice("follows", follows, STYLES)
        check_choice("attention", attention, ATTENTIONS)
        check_choice("initial", initial, INITIAL)
        authors, style, c = follows == "authors", STYLES[follows], base_width(24, width)
        super().__init__(
            OneBranch(style, 5, c),
            TwoBranches(
                style,
                3 if authors else 5,
                c,
                ATTENTIONS[attention](follows),
                decoder_width=c if authors else base_width(32, width),
            ),
            torch.tanh,
            refinement_input="image" if authors else "image_ones_hole",
        )
        if authors or initial != "authors":
            INITIAL[initial](self)

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """Map the authors' TensorFlow variables (see `from_tensorflow`) or mmagic's state dict.

        mmagic's may be that of the generator alone or of the whole model, whose other entries are ignored.
        """
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
    """Return the name of a weight of `Generator` in mmagic."""
    stage, part, number, entry = layer_of(name)
    patterns = _MMAGIC[stage, part]
    if number in (7, 8, 9, 10) and part != "after":
        layer = patterns[1].format(number - 7)
    else:
        layer = patterns[0].format(number - {"decoder": 10, "after": 8}.get(part, 0))
    return f"{layer}.conv.conv.{entry}"
