"""DeepFill v1: generative image inpainting with contextual attention (Yu et al., CVPR 2018).

Two stages of plain convolutions with ELU and base width 32, results clipped to [-1, 1] (see `coarse_to_fine`). The
paper describes mirror padding; the authors' TensorFlow code pads with zeros, and so does the default here. Three codes
differ, and weights trained with one of them are correct only with the same `follows`:

- "authors": the authors' TensorFlow branch v1.0.0;
- "port": the PyTorch port daa233/generative-inpainting-pytorch, with symmetric zero padding, other sampling and norms
  in the attention, and PyTorch's initialisation;
- "mmagic": mirror padding, and mmagic's attention.

The attention uses the hole of each picture; the TensorFlow code expects one hole per batch, and the port uses the
first one.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from inpaintlab.errors import check_choice
from inpaintlab.layers.weight_init import glorot
from inpaintlab.networks.authors_weights import AuthorsWeights, Released, width_of
from inpaintlab.networks.coarse_to_fine import ATTENTIONS, CoarseToFine
from inpaintlab.networks.coarse_to_fine_stages import OneBranch, Stage, Style, TwoBranches, base_width
from inpaintlab.networks.tensorflow_weights import (
    authors_layer,
    from_tensorflow,
    is_tensorflow,
    layer_of,
    tensorflow_name,
)

STYLES = {
    "authors": Style(rule="same", sampling="align_corners"),
    "port": Style(rule="symmetric", sampling="floor"),
    "mmagic": Style(rule="mirror", sampling="floor"),
}


def clip(x: Tensor) -> Tensor:
    """Clamp to [-1, 1]."""
    return x.clamp(-1, 1)


class Generator(CoarseToFine, AuthorsWeights):
    """The network of DeepFill v1; the defaults are the paper's full model (3,601,542 parameters).

    Args:
        follows: whose code, "authors", "port" or "mmagic", see above.
        refinement: "attention", the full network; "convolution", without the attention branch (2,758,118 parameters);
            "copy", the coarse network a second time (2,896,454 parameters). No code contains the paper's "baseline",
            the two-stage network without attention; its size suggests "copy".
        attention: layer of the attention branch, "contextual", "csa" or "none".
        width: factor on all numbers of channels, for small trials.
    """

    swaps_colours = True

    def __init__(
        self,
        *,
        follows: str = "authors",
        refinement: str = "attention",
        attention: str = "contextual",
        width: float = 1.0,
    ) -> None:
        check_choice("follows", follows, STYLES)
        check_choice("refinement", refinement, ("attention", "convolution", "copy"))
        check_choice("attention", attention, ATTENTIONS)
        style, c = STYLES[follows], base_width(32, width)
        second: Stage
        if refinement == "attention":
            second = TwoBranches(style, 5, c, ATTENTIONS[attention](follows))
        else:
            second = OneBranch(style, 5, c, narrow=refinement == "convolution")
        super().__init__(OneBranch(style, 5, c), second, clip)
        if follows == "authors":
            glorot(self)

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """Map the authors' TensorFlow variables (see `from_tensorflow`) or a state dict under the port's names.

        The latter is taken for weights of the port; for TensorFlow weights under the port's names pass
        `follows="authors"` to `from_released`.
        """
        if is_tensorflow(weights):
            weights, ignored = from_tensorflow(weights, swap_colours)
            width = width_of(weights, "inpaint_net/conv1/kernel", 32)
            return Released(weights, {"follows": "authors", "width": width}, tensorflow_name, ignored)
        width = width_of(weights, "coarse_generator.conv1.conv.weight", 32)
        return Released(weights, {"follows": "port", "width": width}, port_name)


def port_name(name: str) -> str:
    """Return the name of a weight of `Generator` in the PyTorch port."""
    stage, part, number, entry = layer_of(name)
    network = {"coarse": "coarse_generator", "refinement": "fine_generator"}[stage]
    return f"{network}.{authors_layer(stage, part, number)}.conv.{entry}"
