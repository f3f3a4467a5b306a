"""LBAM: image inpainting with learnable bidirectional attention maps (Xie et al., ICCV 2019).

A U-Net of 14 layers with 4x4 filters, stride 2 and no biases. Forward attention maps, computed from the known pixels,
multiply the features of the encoder (Eqs. 8-11); reverse attention maps, computed from the hole, multiply those of the
decoder (Eqs. 12, 13). The text adds the two products of Eq. 12; the figure, Table 4 of the supplement and the released
code concatenate them, and so does this file.

In January 2020 the released code dropped batch norm and replaced the output |tanh| by (tanh + 1) / 2. The defaults here
are the paper's batch norm with (tanh + 1) / 2, which is the paper's tanh for pictures in [-1, 1] and is smooth at 0.
`checkpoints.authors.from_released` reads files of both dates.

Convention of the paper, kept inside this file: mask 1 = known, zeros in the hole, pictures in [0, 1], the mask as a
fourth channel. The mask branch of the authors sees three equal channels; here one represents them (see
`LearnableMaskUpdate`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.errors import check_choice
from inpaintlab.image import empty_hole
from inpaintlab.layers import fast_strided_conv, mask_activation
from inpaintlab.layers.attention_map_blocks import DecoderBlock, EncoderBlock, Maps, follow
from inpaintlab.layers.mask_update import LearnableMaskUpdate, MaxPoolMaskUpdate, PartialMaskUpdate, ResizedMask
from inpaintlab.networks.authors_weights import AuthorsWeights, Released
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.networks.widths import scale_channels

MASK_UPDATES = ("learnable", "partial", "max_pool", "resized")
OUTPUTS = ("tanh", "abs_tanh")
# Constructor options by whose network is followed; the authors' code of 2019 differs from that of 2020.
FOLLOWS: dict[str, dict[str, Any]] = {
    "paper": {},
    "authors": {"batch_norm": False},
    "authors_2019": {"output": "abs_tanh"},
}
# Initial values of reverse paths in the released code; the paper gives those of the forward path only.
REVERSE_START = {"a": 1.1, "mu": 1.0, "gamma_left": 0.5, "gamma_right": 0.5}


class Generator(InpaintingGenerator, AuthorsWeights):
    """The network of LBAM; the defaults are the paper's full model (68,317,748 parameters).

    Args:
        mask_update: mask update of the forward path: "learnable", or "partial" (fixed means and binary updates, the
            paper's "unlearned"); also those of MSA-Net, "max_pool" and "resized".
        reverse: the same for the reverse path, or None to omit it ("forward" in Table 2). Without reverse path, the
            decoder's half of the features is not multiplied; this is inferred. The paper does not say whether
            "unlearned" means both paths.
        activation: g_A of learnable paths: "gaussian", "sigmoid", "leaky_relu" or "relu".
        update_activation: g_M of learnable paths: "power", "sigmoid", "leaky_relu" or "relu". We read the rows of
            Table 2 with these names as replacing both functions.
        mask_kernel: size of the mask filters, 4, or 3 for the row "3x3"; the filters of the features stay 4x4.
        batch_norm: False in the released code since 2020; deep features then start near zero.
        output: "tanh" for (tanh + 1) / 2, or "abs_tanh" as released in 2019.
        width: factor on all numbers of channels, for small trials.
    """

    multiple = 128
    shows_attention = True

    def __init__(
        self,
        *,
        mask_update: str = "learnable",
        reverse: str | None = "learnable",
        activation: str = "gaussian",
        update_activation: str = "power",
        mask_kernel: int = 4,
        batch_norm: bool = True,
        output: str = "tanh",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        check_choice("mask_update", mask_update, MASK_UPDATES)
        check_choice("reverse", reverse, (*MASK_UPDATES, None))
        check_choice("mask_kernel", mask_kernel, (3, 4))
        check_choice("output", output, OUTPUTS)
        self.output_activation = output
        channels = scale_channels((64, 128, 256, 512, 512, 512, 512), width)
        path = partial(_mask_path, kernel=mask_kernel, activation=activation, update_activation=update_activation)
        self.forward_masks = path(mask_update, channels)
        self.reverse_masks = path(reverse, channels[:6], initial=REVERSE_START) if reverse else nn.ModuleList()
        # The first layer and the output have no batch norm.
        self.encoder = nn.ModuleList(
            EncoderBlock(inputs, outputs, norm=batch_norm and i > 0)
            for i, (inputs, outputs) in enumerate(zip([4, *channels[:-1]], channels, strict=True))
        )
        self.decoder, inputs = nn.ModuleList(), channels[-1]
        for outputs in channels[5::-1]:  # as many as the skip connection has
            self.decoder.append(DecoderBlock(inputs, outputs, outputs, norm=batch_norm))
            inputs = 2 * outputs
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, std=0.02)
        # As in the released code, the last convolution keeps PyTorch's initialisation.
        self.output = fast_strided_conv.ConvTranspose(inputs, 3)

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict whole pictures; see `InpaintingGenerator.forward`.

        Training with batch norm needs at least 256 x 256 pixels or two pictures, because the bottleneck has 1/128 of
        the resolution. If one hole is expanded over the batch, `hole.expand(n, -1, -1, -1)`, its attention maps are
        computed once.
        """
        shared = len(hole) > 1 and hole.stride(0) == 0
        return self.paint(image, hole, self.attend(hole[:1] if shared else hole))

    def attend(self, hole: Tensor) -> Maps:
        """Return the attention maps of holes (N, 1, H, W).

        They depend on the holes alone and take 40 % of the network's arithmetic.
        """
        self.require_size(hole)
        return Maps(follow(self.forward_masks, 1 - hole), follow(self.reverse_masks, hole))

    def paint(self, image: Tensor, hole: Tensor, maps: Maps) -> Output:
        """Predict with given attention maps, those of `hole` or of the one hole that all N pictures share."""
        x = torch.cat([empty_hole(image, hole), 1 - hole], 1)  # (N, 4, H, W)
        skips = []
        for block, (gate, _) in zip(self.encoder, maps.encoder, strict=True):
            x, product = block(x, gate)
            skips.append(product)
        for i, block in enumerate(self.decoder, 1):
            x = block(x, skips[6 - i], maps.decoder[6 - i][0] if maps.decoder else None)
        x = self.output(x)
        x = torch.tanh(x.to(torch.promote_types(x.dtype, torch.float32)))
        x = x.abs() if self.output_activation == "abs_tanh" else (x + 1) / 2
        return Output(image=x, attention=maps.named() if self.keep_attention else {})

    def constrain(self) -> None:
        """Clamp the parameters of the attention activations into their ranges."""
        mask_activation.constrain(self)

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """Map the released state dicts of 2019 (with batch norm) and of 2020 (without)."""
        normed = any(re.match(r"(ec|dc)\d\.bn\.", name) for name in weights)
        return Released(weights, dict(FOLLOWS["authors_2019" if normed else "authors"]), authors_name)


def _mask_path(
    kind: str,
    channels: Sequence[int],
    *,
    kernel: int,
    activation: str,
    update_activation: str,
    initial: Mapping[str, float] | None = None,
) -> nn.ModuleList:
    """Build the mask updates of one path, a layer for each of `channels`.

    Args:
        kind: one of `MASK_UPDATES`.
        kernel: size of the mask filters.
        activation, update_activation: g_A and g_M of learnable updates.
        initial: initial values of g_A that differ from its defaults.
    """
    fixed: dict[str, Callable[[], nn.Module]] = {
        "partial": lambda: PartialMaskUpdate((1,), kernel, 2, 1),
        "max_pool": lambda: MaxPoolMaskUpdate(kernel, 2, 1),
        "resized": ResizedMask,
    }
    if kind in fixed:
        return nn.ModuleList(fixed[kind]() for _ in channels)
    updates = nn.ModuleList()
    for inputs, outputs in pairwise([3, *channels]):
        g_a = mask_activation.attention(activation, **(initial or {}))
        g_m = mask_activation.update(update_activation)
        updates.append(LearnableMaskUpdate(inputs, outputs, g_a, g_m, kernel=kernel))
    return updates


def _column(channels: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise([3, *channels])):
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
        layers += [nn.BatchNorm2d(outputs)] if i else []
        layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers)


class Discriminator(nn.Module, AuthorsWeights):
    """Two columns of six layers, for the known pixels and for the hole, fused by a 4x4 convolution (Table 5).

    As in the released code, it judges the raw output of the generator, not the composite.

    Args:
        sigmoid: end with a sigmoid, as in the paper; without it the scores are unbounded, as usual for WGAN.
        layers: number of layers of each column, 2 to 6. The last convolution needs pictures of at least 4 x 2^layers
            pixels per side, 256 for 6 layers.
        width: factor on all numbers of channels, for small trials.
    """

    def __init__(self, *, sigmoid: bool = True, layers: int = 6, width: float = 1.0) -> None:
        super().__init__()
        if not 2 <= layers <= 6:
            raise ValueError(f"layers must be 2 to 6, got {layers}")
        channels = scale_channels((64, 128, 256, 512, 512, 512)[:layers], width)
        self.known, self.missing = _column(channels), _column(channels)
        self.fuse = nn.Conv2d(2 * channels[-1], 1, 4)
        self.sigmoid = nn.Sigmoid() if sigmoid else nn.Identity()

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Return scores (N, 1), or (N, k) for larger pictures.

        Args:
            image: (N, 3, 256, 256) in [0, 1]; see `layers` for other sizes.
            hole: (N, 1, 256, 256), 1 = missing.
        """
        known, missing = self.known(empty_hole(image, hole)), self.missing(empty_hole(image, 1 - hole))
        return self.sigmoid(self.fuse(torch.cat([known, missing], 1))).flatten(1)

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """Map the released discriminator, which has the default options."""
        return Released(weights, {}, discriminator_authors_name)


# Our names of entries and the authors', who count layers from 1.
_THEIRS = {
    ("encoder", "conv"): "ec{}.conv.conv",
    ("encoder", "norm"): "ec{}.bn",
    ("forward_masks", "conv"): "ec{}.conv.maskConv",
    ("forward_masks", "attention"): "ec{}.conv.activationFuncG_A",
    ("reverse_masks", "conv"): "reverseConv{}.reverseMaskConv",
    ("reverse_masks", "attention"): "reverseConv{}.activationFuncG_A",
    ("decoder", "conv"): "dc{}.conv",
    ("decoder", "norm"): "dc{}.bn",
}


def authors_name(name: str) -> str:
    """Return the name of a weight of `Generator` in the released state dicts of 2019 (with batch norm) and 2020."""
    if name == "output.weight":
        return "dc7.weight"
    path, layer, part, entry = name.split(".")
    entry = {"gamma_left": "sigma1", "gamma_right": "sigma2"}.get(entry, entry)
    return f"{_THEIRS[path, part].format(int(layer) + 1)}.{entry}"


def discriminator_authors_name(name: str) -> str:
    """Return the name of a weight of `Discriminator` in the released state dict."""
    part, rest = name.split(".", 1)
    return {"known": "globalConv.", "missing": "localConv.", "fuse": "fusionLayer.0."}[part] + rest
