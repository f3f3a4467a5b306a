"""DeepFill v1: generative image inpainting with contextual attention (Yu et al., CVPR 2018).

Two stages of plain convolutions with ELU and base width 32, results clipped to [-1, 1] (see `coarse_to_fine`). The
paper speaks of mirror padding; the authors' TensorFlow code pads with zeros, and so does the default here. Three codes
differ, and their weights give the right pictures only with `follows` set to that code:

- "authors", the authors' TensorFlow branch v1.0.0;
- "port", the PyTorch port daa233/generative-inpainting-pytorch: symmetric zeros, other sampling and norms in the
  attention, PyTorch's initialisation;
- "mmagic": mirrored borders, and its attention.

The attention takes every picture's own hole, where TensorFlow's code takes one for the batch and the port the first.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from inpaintlab.networks.authors_weights import (
    AuthorsWeights,
    Released,
    authors_layer,
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
    Stage,
    Style,
    TwoBranches,
    channels,
    glorot,
    one_of,
)

STYLES = {
    "authors": Style(rule="same", sampling="align_corners"),
    "port": Style(rule="symmetric", sampling="floor"),
    "mmagic": Style(rule="mirror", sampling="floor"),
}


def clip(x: Tensor) -> Tensor:
    return x.clamp(-1, 1)


class Generator(CoarseToFine, AuthorsWeights):
    """DeepFill v1's network; the defaults are the paper's full model (3,601,542 parameters).

    Args:
        follows: whose code, "authors", "port" or "mmagic", see above.
        refinement: "attention", the full network; "convolution", without the attention branch (2,758,118 parameters);
            "copy", the coarse network a second time (2,896,454 parameters). No code has the paper's "baseline", the
            two-stage network without attention; its size speaks for "copy".
        attention: "contextual"; "csa" in its place; or "none", which leaves the attention branch without any.
        width: factor on all numbers of maps, for small trials.
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
        one_of("follows", follows, STYLES)
        one_of("refinement", refinement, ("attention", "convolution", "copy"))
        one_of("attention", attention, ATTENTIONS)
        style, c = STYLES[follows], channels(32, width)
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
        """The authors' TensorFlow variables (see `from_tensorflow`), or a state dict under the port's names.

        A state dict sets `follows="port"`. For TensorFlow weights under the port's names pass `follows="authors"`.
        """
        if is_tensorflow(weights):
            weights, ignored = from_tensorflow(weights, swap_colours)
            width = width_of(weights, "inpaint_net/conv1/kernel", 32)
            return Released(weights, {"follows": "authors", "width": width}, tensorflow_name, ignored)
        width = width_of(weights, "coarse_generator.conv1.conv.weight", 32)
        return Released(weights, {"follows": "port", "width": width}, port_name)


def port_name(name: str) -> str:
    """What a weight of `Generator` is called in the PyTorch port."""
    stage, part, number, entry = layer_of(name)
    network = {"coarse": "coarse_generator", "refinement": "fine_generator"}[stage]
    return f"{network}.{authors_layer(stage, part, number)}.conv.{entry}"
