"""GConv's generators equal the authors' TensorFlow code and mmagic's in the recorded cases.

Tolerances: the cases of mmagic record how far float32 is from float64, relative to the standard deviation, as
maximum and rms; ours in float64 may differ by 1.5 times that. For TensorFlow: 1e-4 of the largest absolute value.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from reference.recorded import FOLDER, NETWORK, Case, case
from torch import Tensor

from inpaintlab.checkpoints.authors import from_released
from inpaintlab.image import composite
from inpaintlab.layers.contextual import resize_nearest
from inpaintlab.layers.same_conv import SameConv


class Mmagic:
    """A case of mmagic with its recorded differences between float32 and float64."""

    def __init__(self, name: str) -> None:
        self.case = case(f"gconv/{name}")
        self.gaps = json.loads((FOLDER / f"gconv/{name}.json").read_text())["outputs"]

    def check(self, name: str, actual: Tensor) -> None:
        expected, gap = self.case.outputs[name], self.gaps[name]
        difference = (actual.detach() - expected) / gap["std"]
        assert difference.abs().max() <= 1.5 * gap["float64_max"], (name, difference.abs().max())
        assert difference.square().mean().sqrt() <= 1.5 * gap["float64_rms"], (name, difference.square().mean().sqrt())


def traced(c: Case, *paths: str) -> tuple[dict[str, Any], Tensor, Tensor]:
    """Run the generator of a case: inputs and outputs of the layers at `paths`, result in [-1, 1], and composite."""
    network = from_released("gconv", c.weights).to(c.dtype)
    seen: dict[str, Any] = {}
    for path in paths:
        network.get_submodule(path).register_forward_hook(
            lambda module, x, y, path=path: seen.update({path: y, f"{path} in": x[0], f"{path} of": module})
        )
    images = c.inputs["images"]
    holes = c.inputs["masks"].expand(len(images), -1, -1, -1)
    with torch.no_grad():
        result = 2 * network((images + 1) / 2, holes).image - 1
        return seen, result, composite(images, result, holes)


def test_mmagic_gated_convolution() -> None:
    m = Mmagic("mmagic_gated_conv")
    s = m.case.settings
    layer = SameConv(s["in_ch"], s["out_ch"], s["k"], stride=s["stride"], rule="mirror", gated=True)
    layer.to(m.case.dtype)
    layer.load_state_dict({name.removeprefix("conv.conv."): value for name, value in m.case.weights.items()})
    x = m.case.inputs["x"].requires_grad_()
    y = layer(x)
    (y * m.case.inputs["w"]).sum().backward()
    m.check("output", y)
    m.check("grad_x", x.grad)


def test_mmagic_generator() -> None:
    m = Mmagic("mmagic_generator")
    paths = (
        "coarse.encoder",
        "coarse.decoder",
        "refinement.convolution",
        "refinement.attention",
        "refinement.decoder",
    )
    seen, result, merged = traced(m.case, *paths)
    m.check("stage1_neck_step8", seen["coarse.encoder"][:, ::8])
    m.check("pre1", seen["coarse.decoder"])
    m.check("stage2_conv_step8", seen["refinement.convolution"][:, ::8])
    m.check("attention_step8", seen["refinement.attention"][:, ::8])
    m.check("pre2", seen["refinement.decoder"])
    m.check("stage2", result)
    m.check("merged", merged)


def test_tensorflow_generator() -> None:
    c = case("gconv/tf_generator")
    raw = {"conv6": "coarse.encoder.conv6", "conv12": "coarse.decoder.conv12", "allconv12": "refinement.decoder.conv12"}
    paths = ("coarse.decoder", "refinement.attention", "refinement.decoder")
    seen, result, merged = traced(c, *raw.values(), *paths)
    for name, path in raw.items():
        c.check_peak(f"{name}_raw_step12", seen[f"{path} of"].convolve(seen[f"{path} in"])[:, ::12], NETWORK)
    c.check_peak("pre1", seen["coarse.decoder"], NETWORK)
    attended = seen["refinement.attention"]
    c.check_peak("attention_mask", resize_nearest(c.inputs["masks"], attended.shape[-2:], "align_corners"), 0)
    c.check_peak("attention_in_step8", seen["refinement.attention in"][:, ::8], NETWORK)
    c.check_peak("attention_out_step8", attended[:, ::8], NETWORK)
    c.check_peak("pre2", seen["refinement.decoder"], NETWORK)
    c.check_peak("stage2", result, NETWORK)
    c.check_peak("merged", merged, NETWORK)


def test_tensorflow_generator_in_float32() -> None:
    c = case("gconv/tf_generator", torch.float32)
    _, result, _ = traced(c)
    c.check_peak("stage2", result, NETWORK)
