"""LBAM equals the authors' released code in all recorded cases.

Tolerances: relative 2-norm of 1e-5 for layers and losses, 1e-4 for whole networks and for gradients through them.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from reference.recorded import LAYER, NETWORK, Case, case, rounded
from torch import Tensor, nn

from inpaintlab.checkpoints.authors import from_released
from inpaintlab.checkpoints.checkpoint import load_exactly
from inpaintlab.layers.attention_map_blocks import DecoderBlock, EncoderBlock
from inpaintlab.layers.mask_activation import GaussianAttention, PowerUpdate
from inpaintlab.layers.mask_update import LearnableMaskUpdate
from inpaintlab.losses.adversarial import Wasserstein, gradient_penalty
from inpaintlab.losses.feature import gram, perceptual, style
from inpaintlab.losses.reconstruction import distance, masked_l1, total_variation
from inpaintlab.networks.lbam import REVERSE_START, Discriminator, discriminator_authors_name

GAUSSIAN = {"a": "a", "mu": "mu", "sigma1": "gamma_left", "sigma2": "gamma_right"}


def gaussian_of(weights: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    return {ours: weights[prefix + theirs] for theirs, ours in GAUSSIAN.items()}


def gaussian_grads(module: GaussianAttention) -> Tensor:
    return torch.stack([getattr(module, name).grad for name in GAUSSIAN.values()])


def mask_layer(weight: Tensor, gaussian: dict[str, Tensor], kernel: int = 4) -> LearnableMaskUpdate:
    layer = LearnableMaskUpdate(
        weight.shape[1], weight.shape[0], GaussianAttention(), PowerUpdate(), kernel=kernel, padding=1
    ).to(weight.dtype)
    layer.load_state_dict({"conv.weight": weight, **{f"attention.{k}": v for k, v in gaussian.items()}})
    return layer


@pytest.mark.parametrize("name", ["gauss_activation", "gauss_activation_clamped"])
def test_gaussian_activation(name: str) -> None:
    c = case(f"lbam/{name}")
    attention = GaussianAttention().to(c.dtype)
    attention.load_state_dict(gaussian_of(c.weights))  # clamps, as the recorded call does
    x = (c.settings["x_scale"] * c.inputs["x"] + c.settings["x_shift"]).requires_grad_()
    y = attention(x)
    (y * c.inputs["w"]).sum().backward()
    c.check("y", y, LAYER)
    c.check("params_after", torch.stack([getattr(attention, n) for n in GAUSSIAN.values()]), LAYER)
    c.check("grad_x", x.grad, LAYER)
    c.check("grad_params", gaussian_grads(attention), LAYER)


def test_power_update_with_exact_zeros() -> None:
    c = case("lbam/mask_update")
    x = (c.inputs["x"] * (1 - c.inputs["m"])).requires_grad_()
    y = PowerUpdate(c.settings["alpha"])(x)
    (y * c.inputs["w"]).sum().backward()
    c.check("y", y, LAYER)
    c.check("grad_x", x.grad, LAYER)
    assert (x.grad[x == 0] == 0).all()


@pytest.mark.parametrize("planes", [3, 1])
def test_first_layer(planes: int) -> None:
    """With a mask of three equal channels, and with one channel in their place."""
    c = case("lbam/forward_layer_first")
    known = 1 - c.inputs["hole"]
    x = torch.cat([c.inputs["image"] * known, known], 1).requires_grad_()
    mask = known.repeat(1, planes, 1, 1).requires_grad_()
    update = mask_layer(c.weights["maskConv.weight"], gaussian_of(c.weights, "activationFuncG_A."))
    block = EncoderBlock(4, 12, norm=False).to(c.dtype)
    block.conv.load_state_dict({"weight": c.weights["conv.weight"]})
    gate, updated = update(mask)
    _, product = block(x, gate)
    ((product * c.inputs["w"]).sum() + (updated * c.inputs["w_mask"]).sum()).backward()
    c.check("features", product, LAYER)
    c.check("mask", updated, LAYER)
    c.check("pre", block.conv(x), LAYER)
    c.check("attention", gate, LAYER)
    c.check("grad_x", x.grad, LAYER)
    if planes == 3:
        c.check("grad_mask", mask.grad, LAYER)
    else:
        total = c.outputs["grad_mask"].to(c.dtype).sum(1, keepdim=True)
        torch.testing.assert_close(mask.grad, total, rtol=1e-4, atol=1e-5 * total.abs().max().item())
    c.check("grad_conv_weight", block.conv.weight.grad, LAYER)
    c.check("grad_mask_conv_weight", update.conv.weight.grad, LAYER)
    c.check("grad_gauss", gaussian_grads(update.attention), LAYER)


@pytest.mark.parametrize(
    "name", ["forward_attention_hidden", "forward_attention_bn_train", "forward_attention_bn_eval_3x3"]
)
def test_encoder_block(name: str) -> None:
    c = case(f"lbam/{name}")
    outputs, inputs, kernel, _ = c.weights["conv.conv.weight"].shape
    update = mask_layer(
        c.weights["conv.maskConv.weight"], gaussian_of(c.weights, "conv.activationFuncG_A."), kernel=kernel
    )
    block = EncoderBlock(inputs, outputs, norm=c.settings["bn"])
    if kernel == 3:  # the released layer has a variant of 3x3 and ReLU, which no network of the paper uses
        block.conv, block.act = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.ReLU()
    block.to(c.dtype)
    weights = {"conv.weight": c.weights["conv.conv.weight"]}
    weights |= {k.replace("bn.", "norm."): v for k, v in c.weights.items() if k.startswith("bn.")}
    block.load_state_dict(weights)
    block.train(c.settings["train"])
    x = c.inputs["x"].requires_grad_()
    mask = (c.inputs["mask_raw"].abs() * (1 - c.inputs["hole"])).requires_grad_()
    gate, updated = update(mask)
    features, _ = block(x, gate)
    (features * c.inputs["w"]).sum().backward()
    c.check("features", features, LAYER)
    c.check("mask", updated, LAYER)
    c.check("pre", block.conv(x), LAYER)
    c.check("attention", gate, LAYER)
    c.check("grad_x", x.grad, LAYER)
    c.check("grad_mask", mask.grad, LAYER)
    c.check("grad_mask_conv_weight", update.conv.weight.grad, LAYER)
    if c.settings["train"]:
        c.check("running_mean", block.norm.running_mean, LAYER)
        c.check("running_var", block.norm.running_var, LAYER)


@pytest.mark.parametrize("name", ["reverse_mask_conv", "reverse_mask_conv_hidden"])
def test_reverse_mask(name: str) -> None:
    c = case(f"lbam/{name}")
    hole = c.inputs["hole"]
    mask = c.inputs["mask_raw"].abs() * hole if "mask_raw" in c.inputs else hole.repeat(1, 3, 1, 1)
    mask.requires_grad_()
    update = mask_layer(c.weights["reverseMaskConv.weight"], gaussian_of(c.weights, "activationFuncG_A."))
    start = {k: float(v) for k, v in gaussian_of(c.weights, "activationFuncG_A.").items()}
    assert start == pytest.approx(REVERSE_START)
    gate, updated = update(mask)
    ((gate * c.inputs["w"]).sum() + (updated * c.inputs["w_mask"]).sum()).backward()
    c.check("attention", gate, LAYER)
    c.check("mask", updated, LAYER)
    c.check("grad_mask", mask.grad, LAYER)
    c.check("grad_weight", update.conv.weight.grad, LAYER)
    c.check("grad_gauss", gaussian_grads(update.attention), LAYER)


@pytest.mark.parametrize("name", ["reverse_attention", "reverse_attention_bn_train"])
def test_decoder_block(name: str) -> None:
    c = case(f"lbam/{name}")
    skips, norm = c.settings["skip_channels"], c.settings["bn"]
    block = DecoderBlock(c.settings["in_channels"], c.settings["out_channels"], skips, norm=norm).to(c.dtype)
    block.load_state_dict({k.replace("bn.", "norm."): v for k, v in c.weights.items()})
    block.train(c.settings["train"])
    skip, x, gates = (c.inputs[k].requires_grad_() for k in ("skip", "x", "map"))
    y = block(x, skip * gates[:, :skips], gates[:, skips:])
    (y * c.inputs["w"]).sum().backward()
    c.check("y", y, LAYER)
    for key, tensor in {"skip": skip, "x": x, "map": gates, "weight": block.conv.weight}.items():
        c.check(f"grad_{key}", tensor.grad, LAYER)
    if c.settings["train"]:
        c.check("running_mean", block.norm.running_mean, LAYER)
        c.check("running_var", block.norm.running_var, LAYER)


def traced_generator(c: Case) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return the generator of a case, and a dictionary that its next call fills with the outputs of its blocks."""
    generator = from_released("lbam", c.weights).to(c.dtype).train(c.settings["train"])
    generator.keep_attention = True
    seen: dict[str, Tensor] = {}

    def watch(name: str, module: nn.Module) -> None:
        def keep(_module: nn.Module, _inputs: object, result: Tensor) -> None:
            seen[name] = result

        module.register_forward_hook(keep)

    for i, block in enumerate(generator.encoder, 1):
        watch(f"ec{i}_skip", block.conv)
        watch(f"ec{i}_features", block.act)
    for i, block in enumerate(generator.decoder, 1):
        watch(f"dc{i}_features", block)
    watch("logits", generator.output)
    return generator, seen


@pytest.mark.parametrize("name", ["generator_head_128", "generator_bn_eval_128", "generator_bn_train_256"])
def test_generator(name: str) -> None:
    c = case(f"lbam/{name}")
    generator, seen = traced_generator(c)
    with torch.no_grad():
        result = generator(c.inputs["image"], c.inputs["hole"])
    seen |= result.attention | {"output": result.image}
    step = 2 if name.endswith("256") else 1  # larger cases are recorded on a coarser grid

    def grid(key: str, channels: slice, every: int) -> Tensor:
        return seen[key][:, channels, ::every, ::every]

    few = slice(0, 4)
    c.check("output", grid("output", slice(None), step), NETWORK)
    c.check("logits", grid("logits", slice(None), step), NETWORK)
    c.check("ec1_attention", grid("forward_1", few, 4 * step), NETWORK)
    c.check("ec3_features", grid("ec3_features", few, step), NETWORK)
    c.check("ec3_mask", grid("forward_3_mask", few, step), NETWORK)
    c.check("ec5_attention", grid("forward_5", slice(0, 32), 1), NETWORK)
    c.check("ec6_skip", grid("ec6_skip", slice(0, 64), 1), NETWORK)
    c.check("ec7_features", seen["ec7_features"], NETWORK)
    c.check("reverse2_attention", grid("reverse_2", few, 2 * step), NETWORK)
    c.check("reverse6_attention", grid("reverse_6", slice(0, 64), 1), NETWORK)
    c.check("dc1_features", grid("dc1_features", slice(480, 544), 1), NETWORK)
    c.check("dc4_features", grid("dc4_features", slice(252, 260), step), NETWORK)
    if c.settings["train"]:
        for key, norm in {"ec4": generator.encoder[3].norm, "dc3": generator.decoder[2].norm}.items():
            c.check(f"{key}_running_mean", norm.running_mean, NETWORK)
            c.check(f"{key}_running_var", norm.running_var, NETWORK)


def test_generator_in_float32() -> None:
    c = case("lbam/generator_head_128", torch.float32)
    with torch.no_grad():
        c.check("output", from_released("lbam", c.weights)(c.inputs["image"], c.inputs["hole"]).image, NETWORK)


def test_generator_gradients() -> None:
    c = case("lbam/generator_head_128")
    generator, _ = traced_generator(c)
    # M^c is 5e-8 here and up to 2.3 elsewhere. The authors' float32 got 3e-7, where the slope of M^c ^ 0.8 is a third
    # smaller; that changes `grad_mask` by 3e-3.
    generator.reverse_masks[4].update.register_forward_pre_hook(lambda _m, x: rounded(*x, (1, 247, 1, 2), 3e-7))
    image, hole = c.inputs["image"].requires_grad_(), c.inputs["hole"].requires_grad_()
    (generator(image, hole).image * c.inputs["w"]).sum().backward()
    known = (1 - hole.detach())[..., ::2, ::2]
    # The case records gradients of four input channels and of three mask channels. Ours are those of the picture and of
    # the hole, on which the fourth input channel and both masks depend.
    grad_x, grad_mask = c.outputs["grad_x"], c.outputs["grad_mask"]
    c.outputs["grad_x"] = grad_x[:, :3] * known
    c.check("grad_x", image.grad[..., ::2, ::2], NETWORK)
    c.outputs["grad_mask"] = -(grad_mask.sum(1, keepdim=True) + grad_x[:, 3:])
    c.check("grad_mask", hole.grad[..., ::2, ::2], NETWORK)
    attentions = [layer.attention for path in (generator.forward_masks, generator.reverse_masks) for layer in path]
    c.check("grad_gauss", torch.cat([gaussian_grads(a) for a in attentions]), NETWORK)
    c.check("grad_dc7_weight", generator.output.weight.grad, NETWORK)
    c.check("grad_ec1_mask_conv_weight", generator.forward_masks[0].conv.weight.grad, NETWORK)


def discriminator(c: Case, *, sigmoid: bool = True, prefix: str = "") -> Discriminator:
    weights = {k.removeprefix(prefix): v for k, v in c.weights.items() if k.startswith(prefix)}
    weights["fusionLayer.0.weight"] = weights["fusionLayer.0.weight"] * c.settings.get("fusion_weight_gain", 1)
    network = Discriminator(sigmoid=sigmoid).to(c.dtype)
    load_exactly(network, weights, "the case", discriminator_authors_name)
    return network.train(c.settings.get("train", True))


@pytest.mark.parametrize("name", ["discriminator_eval", "discriminator_train"])
def test_discriminator(name: str) -> None:
    c = case(f"lbam/{name}")
    network = discriminator(c, sigmoid=False)
    columns: dict[str, Tensor] = {}
    for key, column in {"known_features": network.known, "hole_features": network.missing}.items():
        column.register_forward_hook(lambda _m, _i, result, key=key: columns.update({key: result}))
    if c.settings["train"]:  # -3.6e-8 in float64, positive in the authors' float32
        network.missing[3].register_forward_hook(lambda _m, _x, y: rounded(y, (0, 105, 55, 32), 5e-8))
    image = c.inputs["image"].requires_grad_()
    logit = network(image, c.inputs["hole"])
    (logit * c.inputs["w"]).sum().backward()
    c.check("logit", logit, NETWORK)
    if c.settings["train"]:  # before another call changes it
        c.check("running_mean", network.missing[15].running_mean, NETWORK)
        c.check("running_var", network.missing[15].running_var, NETWORK)
    for key, features in columns.items():
        c.check(key, features[:, :64], NETWORK)
    c.check("grad_image", image.grad[..., ::2, ::2], NETWORK)
    c.check("grad_globalConv_0_weight", network.known[0].weight.grad, NETWORK)
    c.check("grad_localConv_2_weight", network.missing[2].weight.grad[:16], NETWORK)
    with torch.no_grad():
        c.check("y", discriminator(c)(image, c.inputs["hole"]), NETWORK)


@pytest.mark.parametrize("name", ["gradient_penalty_eval", "gradient_penalty_train"])
def test_gradient_penalty(name: str) -> None:
    c = case(f"lbam/{name}")
    network = discriminator(c)
    slopes: list[Tensor] = []

    def judge(image: Tensor) -> list[Tensor]:
        image.register_hook(slopes.append)
        return [network(image, c.inputs["hole"])]

    alpha = torch.sigmoid(c.inputs["alpha_raw"])
    c.check("alpha", alpha, LAYER)
    penalty = c.settings["lambda"] * gradient_penalty(judge, c.inputs["real"], c.inputs["fake"], alpha)
    c.check("penalty", penalty, NETWORK)
    c.check("grad_interpolate", slopes[0][..., ::4, ::4], NETWORK)
    c.check("grad_norm", slopes[0].flatten(1).norm(dim=1), NETWORK)
    penalty.backward()
    c.check("grad_globalConv_0_weight", network.known[0].weight.grad, NETWORK)
    c.check("grad_localConv_5_weight", network.missing[5].weight.grad[:8], NETWORK)
    c.check("grad_fusion_weight", network.fuse.weight.grad[:, :64], NETWORK)


def test_gram_style_perceptual_and_total_variation() -> None:
    c = case("lbam/gram_tv")
    features, image = c.inputs["features"].requires_grad_(), c.inputs["image"].requires_grad_()
    targets = c.inputs["target"]
    c.check("gram", gram(features), LAYER)
    c.check("perceptual", perceptual([features], [targets], "l1"), LAYER)
    loss, variation = style([features], [targets]), total_variation(image)
    (loss + variation).backward()
    c.check("style", loss, LAYER)
    c.check("tv", variation, LAYER)
    c.check("grad_features", features.grad, LAYER)
    c.check("grad_image", image.grad, LAYER)


def test_released_loss() -> None:
    """The whole loss as released, with its wrong signs, and with a stub in place of VGG."""
    c = case("lbam/loss_released")
    s, truth, hole = c.settings, c.inputs["gt"], c.inputs["hole"]
    output = c.inputs["output"].requires_grad_()
    network = discriminator(c, prefix="discriminator.")
    stub = {k: v for k, v in c.weights.items() if not k.startswith("discriminator.")}
    stages = [(v, stub[k.removesuffix("weight") + "bias"]) for k, v in stub.items() if k.endswith("weight")]

    def features(x: Tensor) -> list[Tensor]:
        found = []
        for weight, bias in stages:
            activations = F.relu(F.conv2d(x, weight, bias, padding=1))
            if x is output:  # two maxima of 2x2 pixels that the authors' float32 found in the other one of two pixels
                activations = rounded(rounded(activations, (0, 4, 140, 250), 1e-7), (0, 7, 240, 22), 4.6e-7)
            x = F.max_pool2d(activations, 2)
            found.append(x)
        return found

    def judge(image: Tensor) -> list[Tensor]:
        return [network(image, hole)]

    adversarial = Wasserstein("authors")
    real = judge(truth)
    # -1.9e-6 in float64, positive in the authors' float32; values reach 12.
    turned = network.missing[3].register_forward_hook(lambda _m, _x, y: rounded(y, (1, 64, 9, 44), 2e-6))
    fake = judge(output)
    turned.remove()
    alpha = torch.sigmoid(c.inputs["alpha_raw"])
    between: list[Tensor] = []
    penalty = s["lambda"] * gradient_penalty(lambda x: between.extend(judge(x)) or between, truth, output, alpha)
    critic = adversarial.discriminator(fake, real) + penalty

    composite = torch.where(hole > 0, output, truth)
    targets = features(truth)
    terms = {
        "hole": s["hole_weight"] * masked_l1(output, truth, hole),
        "valid": s["valid_weight"] * masked_l1(output, truth, 1 - hole),
        "perceptual": s["perceptual_weight"]
        * (perceptual(features(output), targets, "l1") + perceptual(features(composite), targets, "l1")),
        "style": s["style_weight"] * (style(features(output), targets) + style(features(composite), targets)),
    }
    torch.testing.assert_close(distance(output, truth, "l1"), terms["valid"] + terms["hole"] / 6)
    total = torch.stack(list(terms.values())).sum() + s["adv_weight"] * adversarial.generator(fake)
    c.check("alpha", alpha, LAYER)
    c.check("d_outputs", torch.cat([real[0].T, fake[0].T, between[0].T]), NETWORK)
    c.check("penalty", penalty, NETWORK)
    c.check("terms", torch.stack([*terms.values(), critic]), NETWORK)
    c.check("total", total, LAYER)
    c.check("d_running_mean", network.known[3].running_mean, NETWORK)
    (slope,) = torch.autograd.grad(total, output, retain_graph=True)
    c.check("grad_output", slope[..., ::4, ::4], NETWORK)
    critic.backward()
    c.check("grad_d_globalConv_0_weight", network.known[0].weight.grad, NETWORK)
    c.check("grad_d_fusion_bias", network.fuse.bias.grad, NETWORK)
