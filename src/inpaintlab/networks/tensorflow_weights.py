"""The authors' TensorFlow weights of DeepFill v1 and v2: names, filter layout and channel order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

SCOPE = "inpaint_net/"  # of both stages in the authors' checkpoints
_UPSAMPLING = (13, 15)
_SUFFIX = {2: "_downsample", 4: "_downsample", 7: "_atrous", 8: "_atrous", 9: "_atrous", 10: "_atrous"}
_BRANCH = {"convolution": "", "matching": "pm", "after": "pm", "decoder": "all"}


def layer_of(name: str) -> tuple[str, str, int, str]:
    """Split the name of a weight of `CoarseToFine` into stage, part, number and entry.

    "coarse.encoder.conv1.bias" gives ("coarse", "encoder", 1, "bias").
    """
    stage, part, layer, entry = name.split(".")
    return stage, part, int(layer.removeprefix("conv")), entry


def authors_layer(stage: str, part: str, number: int) -> str:
    """Return the authors' name of a layer within its stage."""
    branch = "" if stage == "coarse" else _BRANCH.get(part, "")
    # The layers after the attention share their numbers with dilated ones, but are not dilated.
    return f"{branch}conv{number}{'' if part == 'after' else _SUFFIX.get(number, '')}"


def tensorflow_name(name: str) -> str:
    """Return the authors' name of a weight of our generator, in the checkpoints of DeepFill v1 and v2."""
    stage, part, number, entry = layer_of(name)
    layer = authors_layer(stage, part, number)
    if stage == "refinement" and layer.startswith("conv"):
        layer = f"x{layer}"
    if number in _UPSAMPLING:
        layer = f"{layer}_upsample/{layer}_upsample_conv"
    return f"{SCOPE}{layer}/{'kernel' if entry == 'weight' else entry}"


def is_tensorflow(names: Iterable[str]) -> bool:
    """Return whether entries with these names come from the authors' TensorFlow code."""
    return any(name.startswith(SCOPE) for name in names)


def from_tensorflow(
    weights: Mapping[str, Tensor], swap_colours: bool | None = None
) -> tuple[dict[str, Tensor], list[str]]:
    """Convert the variables of both stages to PyTorch's filter layout and to RGB pictures.

    The authors' networks read and predict BGR, as OpenCV reads pictures. Filters in TensorFlow's layout (h, w, in, out)
    come from the authors, so their picture channels are reversed. Filters stored as (out, in, h, w) under the same
    names were converted by another program, so their channels stay as they are.

    Args:
        swap_colours: whether to reverse the picture channels; None decides by the layout, as above.

    Returns:
        The variables by the authors' names, filters as (out, in, h, w), and the names of all other variables.
    """
    ours = {n: w for n, w in weights.items() if n.startswith(SCOPE) and n.endswith(("/kernel", "/bias"))}
    first = ours.get(f"{SCOPE}conv1/kernel")
    transposed = first is not None and tuple(first.shape[:2]) == (5, 5)  # (5, 5, 5, channels), not (channels, 5, 5, 5)
    if transposed:
        ours = {n: w.permute(3, 2, 0, 1) if n.endswith("/kernel") else w for n, w in ours.items()}
    if transposed if swap_colours is None else swap_colours:
        ours = reverse_colours(ours)
    return ours, sorted(set(weights) - set(ours))


def reverse_colours(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reverse the picture channels of inputs and outputs in weights under the authors' names."""
    turned = dict(weights)
    for name, weight in weights.items():
        layer, entry = name.removeprefix(SCOPE).rsplit("/", 1)
        if layer in ("conv1", "xconv1", "pmconv1") and entry == "kernel":
            turned[name] = weight[:, [2, 1, 0, *range(3, weight.shape[1])]]
        elif layer in ("conv17", "allconv17"):
            turned[name] = weight.flip(0)
    return turned
