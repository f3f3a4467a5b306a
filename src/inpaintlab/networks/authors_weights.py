"""What the network files know of weights that others released: their names, layouts and channel order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

TENSORFLOW = "inpaint_net/"  # the scope of both stages in the authors' TensorFlow checkpoints of DeepFill
_UPSAMPLING = (13, 15)
_SUFFIX = {2: "_downsample", 4: "_downsample", 7: "_atrous", 8: "_atrous", 9: "_atrous", 10: "_atrous"}
_BRANCH = {"convolution": "", "matching": "pm", "after": "pm", "decoder": "all"}


@dataclass(frozen=True)
class Released:
    """Weights ready to be loaded.

    Args:
        weights: by the names of whoever released them.
        options: constructor options of the generator that they fit.
        called: what an entry of our generator is called in `weights`.
        ignored: entries of the file that belong to something else (critics, optimisers).
        source: where the weights come from, for messages.
    """

    weights: Mapping[str, Tensor]
    options: dict[str, Any]
    called: Callable[[str], str]
    ignored: Sequence[str] = ()
    source: str = "the given state dict"


class AuthorsWeights(ABC):
    """Mixin for a network, generator or discriminator, whose authors published weights.

    Attributes:
        swaps_colours: whether published weights may expect BGR pictures, so that `swap_colours` has a meaning.
    """

    swaps_colours: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """Describe how published weights map onto this network.

        Args:
            weights: a state dict under the authors' names.
            swap_colours: reverse the channels of inputs and outputs, or leave them; None decides by the layout of the
                filters. Used only with `swaps_colours`.
        """


def layer_of(name: str) -> tuple[str, str, int, str]:
    """Stage, part, number and entry of a weight of `coarse_to_fine`: ("coarse", "encoder", 1, "bias")."""
    stage, part, layer, entry = name.split(".")
    return stage, part, int(layer.removeprefix("conv")), entry


def authors_layer(stage: str, part: str, number: int) -> str:
    """The authors' name of a layer within its stage; the layers after the attention are not dilated."""
    branch = "" if stage == "coarse" else _BRANCH.get(part, "")
    return f"{branch}conv{number}{'' if part == 'after' else _SUFFIX.get(number, '')}"


def tensorflow_name(name: str) -> str:
    """What a weight of our generator is called in the authors' checkpoints of DeepFill v1 and v2."""
    stage, part, number, entry = layer_of(name)
    layer = authors_layer(stage, part, number)
    if stage == "refinement" and layer.startswith("conv"):
        layer = f"x{layer}"
    if number in _UPSAMPLING:
        layer = f"{layer}_upsample/{layer}_upsample_conv"
    return f"{TENSORFLOW}{layer}/{'kernel' if entry == 'weight' else entry}"


def width_of(weights: Mapping[str, Tensor], first: str, full: int) -> float:
    """The `width` factor of a generator whose first layer, of the name `first`, has `full` maps by default."""
    return len(weights[first]) / full if first in weights else 1.0


def is_tensorflow(names: Mapping[str, Any]) -> bool:
    return any(name.startswith(TENSORFLOW) for name in names)


def from_tensorflow(
    weights: Mapping[str, Tensor], swap_colours: bool | None = None
) -> tuple[dict[str, Tensor], list[str]]:
    """Both stages' variables with filters as (out, in, h, w), for RGB; and the names of all other variables.

    The authors' networks see and paint BGR, as OpenCV reads pictures. Where the filters are stored as (h, w, in, out),
    as TensorFlow has them, the three picture channels of the inputs and the three outputs are reversed. Filters stored
    as (out, in, h, w) under the same names were converted by somebody before: their channels are left as they are.

    Args:
        swap_colours: reverse, or leave, the channels whatever the layout.
    """
    ours = {n: w for n, w in weights.items() if n.startswith(TENSORFLOW) and n.endswith(("/kernel", "/bias"))}
    first = ours.get(f"{TENSORFLOW}conv1/kernel")
    transposed = first is not None and tuple(first.shape[:2]) == (5, 5)  # (5, 5, 5, maps), else (maps, 5, 5, 5)
    if transposed:
        ours = {n: w.permute(3, 2, 0, 1) if n.endswith("/kernel") else w for n, w in ours.items()}
    if transposed if swap_colours is None else swap_colours:
        ours = reverse_colours(ours)
    return ours, sorted(set(weights) - set(ours))


def reverse_colours(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under TensorFlow's names with the picture channels of the inputs and of the outputs reversed."""
    turned = dict(weights)
    for name, weight in weights.items():
        layer, entry = name.removeprefix(TENSORFLOW).rsplit("/", 1)
        if layer in ("conv1", "xconv1", "pmconv1") and entry == "kernel":
            turned[name] = weight[:, [2, 1, 0, *range(3, weight.shape[1])]]
        elif layer in ("conv17", "allconv17"):
            turned[name] = weight.flip(0)
    return turned
