"""Contextual attention equals the released codes in all recorded cases, in both implementations.

Tolerances are relative to the largest absolute value: 1e-6 for logits, 2e-5 for outputs, 1e-4 for gradients and for
attention weights (an error of 1e-7 in a logit of several hundred changes a weight by that much). Offsets and their
colours are equal.
"""

from __future__ import annotations

import pytest
import torch
from reference.recorded import FOLDER, Case, case
from torch import Tensor

from inpaintlab.layers.contextual import ContextualAttention, Deviations, plain, resize_nearest
from inpaintlab.layers.contextual.flow import flow_picture
from inpaintlab.layers.contextual.rules import usable_patches

LOGITS, OUTPUT, WEIGHTS, GRADIENT = 1e-6, 2e-5, 1e-4, 1e-4
NAMES = sorted(path.stem for path in (FOLDER / "deepfillv1").glob("attn_*.json"))
IMPLEMENTATIONS = ["plain", "fast"]


def run(c: Case, layer: ContextualAttention) -> tuple[Tensor, Tensor, Tensor | None]:
    """Run forward and backward. Return foreground, output and background (None if it is the foreground)."""
    foreground = c.inputs["f" if "f" in c.inputs else "x"].requires_grad_()
    background = c.inputs["b"].requires_grad_() if "b" in c.inputs else None
    size = (foreground if background is None else background).shape[-2:]
    hole = c.inputs.get("mask")
    if hole is not None:
        hole = resize_nearest(hole, size, layer.setting.rules.sampling)  # the port takes masks of the picture's size
    layer.keep_attention = True
    output = layer(foreground, hole, background)
    (output * c.inputs["w"]).sum().backward()
    return foreground, output, background


def layer_of(c: Case, implementation: str) -> ContextualAttention:
    s = c.settings
    deviations: Deviations = {"mask": "per_sample"} if s.get("per_sample_masks") else {}
    fuse = s.get("fuse_k", s.get("fuse_kernel_size")) if s.get("fuse", True) else 1
    return ContextualAttention(
        follows=c.follows,
        kernel=s["ksize"],
        rate=s["rate"],
        scale=s["softmax_scale"],
        fuse=fuse,
        implementation=implementation,
        **deviations,
    )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_deepfill_v1(name: str, implementation: str) -> None:
    c = case(f"deepfillv1/{name}")
    layer = layer_of(c, implementation)
    height, width = layer.setting.small(c.inputs["f"].shape[-2:])
    middles = [((y + 0.5) / height, (x + 0.5) / width) for y in range(height) for x in range(width)]
    layer.points = middles if "score" in c.outputs else None
    foreground, output, background = run(c, layer)
    c.check_peak("y", output, OUTPUT)
    c.check_peak("grad_f", foreground.grad, GRADIENT)
    if background is not None:
        c.check_peak("grad_b", background.grad, GRADIENT)
    assert layer.kept is not None
    if "score" in c.outputs:
        c.check_peak("score", layer.kept.heat.flatten(2).transpose(1, 2), WEIGHTS)
    if "offsets" in c.outputs:
        offsets = layer.kept.offsets
        if background is not None:
            offsets = as_the_port_counts(offsets, background.shape[-1] // 2, background[0, 0].numel() // 4)
        assert torch.equal(offsets, c.outputs["offsets"].long())


def as_the_port_counts(offsets: Tensor, columns: int, positions: int) -> Tensor:
    """Convert offsets into a background of another size to the port's: its flat index, rescaled to the foreground."""
    height, width = offsets.shape[-2:]
    own = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    attended = offsets + own
    flat = attended[:, 0] * columns + attended[:, 1]
    flat = ((flat + 1).float() * (height * width / positions) - 1).long()
    return torch.stack([flat // width, flat % width], 1) - own


@pytest.mark.parametrize("name", [name for name in NAMES if "mmagic" not in name])
def test_logits(name: str) -> None:
    c = case(f"deepfillv1/{name}")
    layer, foreground, hole = layer_of(c, "plain"), c.inputs["f"], c.inputs.get("mask")
    background = c.inputs.get("b", foreground)
    logits = plain.logits(foreground, background, layer.setting)
    if hole is not None:
        hole = resize_nearest(hole, background.shape[-2:], layer.setting.rules.sampling)
        logits = logits * usable_patches(hole, layer.setting)[:, None]
    c.check_peak("logits", logits, LOGITS)


@pytest.mark.parametrize("name", [name for name in NAMES if "mmagic" not in name])
def test_flow_picture(name: str) -> None:
    c = case(f"deepfillv1/{name}")
    batches = [c.outputs["offsets"]]
    if c.settings.get("per_sample_masks"):  # recorded one by one, so each has its own scale
        batches = list(batches[0].split(1))
    picture = torch.cat([flow_picture(offsets) for offsets in batches])
    if c.follows == "authors":
        picture = 2 * picture - 1
    torch.testing.assert_close(picture, c.outputs["flow"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", ["tf_attention", "tf_attention_no_fuse", "mmagic_attention"])
def test_deepfill_v2(name: str, implementation: str) -> None:
    c = case(f"gconv/{name}")
    layer = ContextualAttention(
        follows="mmagic" if name.startswith("mmagic") else "authors",
        fuse=3 if c.settings.get("fuse", True) else 1,
        implementation=implementation,
    )
    layer.points = [((y + 0.5) / 8, (x + 0.5) / 8) for y in range(8) for x in range(8)]
    foreground, output, background = run(c, layer)
    c.check_peak("output", output, OUTPUT)
    if "score" in c.outputs:
        assert layer.kept is not None
        c.check_peak("score", layer.kept.heat.permute(0, 2, 3, 1).reshape(c.outputs["score"].shape), WEIGHTS)
    c.check_peak("grad_f" if "grad_f" in c.outputs else "grad_x", foreground.grad, GRADIENT)
    if background is not None:
        c.check_peak("grad_b", background.grad, GRADIENT)
