"""Partial convolutions equal the released layer in all recorded cases: relative 2-norm 1e-5, networks 1e-4."""

from __future__ import annotations

import pytest
import torch
from reference.recorded import LAYER, NETWORK, Case, case
from torch import Tensor

from inpaintlab.layers.partial_conv import PartialConv2d
from inpaintlab.networks.pconv import UNet


def layer(c: Case, planes: tuple[int, ...]) -> PartialConv2d:
    s = c.settings
    built = PartialConv2d(
        s["in_channels"],
        s["out_channels"],
        s["kernel"],
        stride=s["stride"],
        padding=s["padding"],
        dilation=s["dilation"],
        bias=s["bias"],
        planes=planes,
    ).to(c.dtype)
    gain = {"weight": 1, "bias": s["bias_gain"]}
    built.load_state_dict({k: v * gain[k] for k, v in c.weights.items()})
    return built


def check(c: Case, built: PartialConv2d, valid: Tensor | None) -> None:
    x = c.inputs["x"].clone().requires_grad_()
    y, updated = built(x, valid)
    (y * c.inputs["w"]).sum().backward()
    c.check("y", y, LAYER)
    c.check("mask", updated.expand_as(c.outputs["mask"]), 0.0)
    c.check("holes_left", (updated == 0).float().mean(), LAYER)
    c.check("grad_x", x.grad, LAYER)
    c.check("grad_weight", built.weight.grad, LAYER)
    if built.bias is not None:
        c.check("grad_bias", built.bias.grad, LAYER)


@pytest.mark.parametrize("name", ["layer_single_nobias", "layer_single_bias"])
def test_one_mask_for_all_channels(name: str) -> None:
    c = case(f"pconv/{name}")
    check(c, layer(c, (1,)), 1 - c.inputs["hole_a"])


@pytest.mark.parametrize("name", ["layer_multi_nobias", "layer_multi_bias"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_a_mask_per_channel_and_a_plane_per_source(name: str, shortcut: bool) -> None:
    c = case(f"pconv/{name}")
    split, inputs = c.settings["split"], c.settings["in_channels"]
    planes = (split, inputs - split)
    valid = torch.cat([1 - c.inputs["hole_a"], 1 - c.inputs["hole_b"]], 1)
    if not shortcut:
        valid, planes = valid.repeat_interleave(torch.tensor(planes), 1), (1,) * inputs
    check(c, layer(c, planes), valid)


def test_without_a_mask_only_the_border_is_corrected() -> None:
    c = case("pconv/layer_nomask_bias")
    check(c, layer(c, (1,)), None)


@pytest.mark.parametrize("name", ["mini_unet_train", "mini_unet_eval"])
def test_small_u_net(name: str) -> None:
    c = case(f"pconv/{name}")
    net = UNet(c.settings["channels"], (7, 5, 3)).to(c.dtype)
    weights = {}
    for key, value in c.weights.items():
        part, level, entry = key.removeprefix("bn_").replace(".", "_").split("_", 2)
        place = f"encoder.{int(level) - 1}" if part == "enc" else f"decoder.{3 - int(level)}"
        weights[f"{place}.{'norm' if key.startswith('bn_') else 'conv'}.{entry}"] = value
    net.load_state_dict(weights)
    net.train(c.settings["train"])
    seen: dict[str, Tensor] = {}
    for key, module in {"enc_2": net.encoder[1], "enc_3": net.encoder[2], "dec_3": net.decoder[0]}.items():
        module.register_forward_hook(
            lambda _m, _i, result, key=key: seen.update({key: result[0], f"{key}_mask": result[1]})
        )
    valid = 1 - c.inputs["hole"]
    x = (c.inputs["image"] * valid).requires_grad_()
    y, updated = net(x, valid)
    (y * c.inputs["w"]).sum().backward()
    c.check("y", y, NETWORK)
    c.check("mask", updated.expand_as(c.outputs["mask"]), 0.0)
    for key in ("enc_3", "enc_2_mask", "enc_3_mask", "dec_3", "dec_3_mask"):
        c.check(key, seen[key], NETWORK)
    c.check("grad_x", x.grad, NETWORK)
    c.check("grad_enc_1_weight", net.encoder[0].conv.weight.grad, NETWORK)
    c.check("grad_dec_3_weight", net.decoder[0].conv.weight.grad, NETWORK)
