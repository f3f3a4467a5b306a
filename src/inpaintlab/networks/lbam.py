"""LBAM: image inpainting with learnable bidirectional attention maps (Xie et al., ICCV 2019).

A U-Net of 14 layers, 4x4, stride 2, without biases. Forward maps, grown from the known pixels, multiply the encoder's
features (Eqs. 8-11); reverse maps, grown from the hole, multiply the decoder's (Eqs. 12, 13). The text adds the two
products of Eq. 12; the figure, the supplement's Table 4 and the released code concatenate them, which is done here.

The released code changed in January 2020: batch norm off, output (tanh + 1) / 2 instead of |tanh|. The defaults here
are the paper's batch norm with (tanh + 1) / 2, which is its tanh for pictures in [-1, 1] and has no kink at 0;
`checkpoint.from_released` reads files of both dates.

Convention of the paper, kept inside this file: mask 1 = known, zeros in the hole, pictures in [0, 1], the mask joined
as a fourth channel. The mask branch sees three equal channels; one stands for them (see `LearnableMaskUpdate`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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

MASK_UPDATES = ("learnable", "partial", "max_pool", "resized")
OUTPUTS = ("tanh", "abs_tanh")
# Constructor options by whose network is followed; the authors' code of 2019 differs from that of 2020.
FOLLOWS: dict[str, dict[str, Any]] = {
    "paper": {},
    "authors": {"batch_norm": False},
    "authors_2019": {"output": "abs_tanh"},
}
# The paper gives one set of initial values, the forward one; the released code starts the reverse maps here.
REVERSE_START = {"a": 1.1, "mu": 1.0, "gamma_left": 0.5, "gamma_right": 0.5}


class Generator(InpaintingGenerator, AuthorsWeights):
    """LBAM's network; the defaults are the paper's full model (68,317,748 parameters).

    Args:
        mask_update: of the forward path, "learnable" or "partial" (fixed means and binary updates, "unlearned");
            also those of MSA-Net, "max_pool" and "resized".
        reverse: the same for the reverse path, or None to leave it out ("forward" in Table 2: the decoder's half of
            the features is then not multiplied, inferred). Whether "unlearned" concerns both paths is not said.
        activation: g_A of learnable paths: "gaussian", "sigmoid", "leaky_relu", "relu".
        update_activation: g_M of learnable paths: "power", "sigmoid", "leaky_relu", "relu". Table 2's rows of these
            names are read as both functions replaced.
        mask_kernel: size of the mask filters, 4, or 3 for the row "3x3"; the features keep 4x4.
        batch_norm: False as released since 2020; deep features then start out near zero.
        output: "tanh", that is (tanh + 1) / 2, or "abs_tanh" as released in 2019.
        width: factor on all numbers of maps, for small trials.
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
        maps = [max(4, round(n * width / 4) * 4) for n in (64, 128, 256, 512, 512, 512, 512)]

        def path(kind: str, layers: int, **initial: float) -> nn.ModuleList:
            fixed: dict[str, Callable[[], nn.Module]] = {
                "partial": lambda: PartialMaskUpdate((1,), mask_kernel, 2, 1),
                "max_pool": lambda: MaxPoolMaskUpdate(mask_kernel, 2, 1),
                "resized": ResizedMask,
            }
            if kind in fixed:
                return nn.ModuleList(fixed[kind]() for _ in range(layers))
            updates, inputs = nn.ModuleList(), 3
            for outputs in maps[:layers]:
                g_a = mask_activation.attention(activation, **initial)
                g_m = mask_activation.update(update_activation)
                updates.append(LearnableMaskUpdate(inputs, outputs, g_a, g_m, kernel=mask_kernel))
                inputs = outputs
            return updates

        self.forward_masks = path(mask_update, 7)
        self.reverse_masks = path(reverse, 6, **REVERSE_START) if reverse else nn.ModuleList()
        # Batch norm begins at the second layer and ends before the output.
        self.encoder = nn.ModuleList(
            EncoderBlock(inputs, outputs, norm=batch_norm and i > 0)
            for i, (inputs, outputs) in enumerate(zip([4, *maps[:-1]], maps, strict=True))
        )
        self.decoder, inputs = nn.ModuleList(), maps[-1]
        for outputs in maps[5::-1]:  # as many as the skip connection brings
            self.decoder.append(DecoderBlock(inputs, outputs, outputs, norm=batch_norm))
            inputs = 2 * outputs
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, std=0.02)
        # As released, the last convolution keeps the framework's initialisation.
        self.output = fast_strided_conv.ConvTranspose(inputs, 3)

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict the whole picture.

        Args:
            image: (N, 3, H, W) in [0, 1], H and W multiples of 128; the hole's content is ignored. In training with
                batch norm 256 x 256 or more than one picture, since the bottleneck has 1/128 of the resolution.
            hole: (N, 1, H, W), 1 = missing. The maps of one hole expanded over the batch, `hole.expand(n, -1, -1, -1)`,
                are computed once.
        """
        shared = len(hole) > 1 and hole.stride(0) == 0
        return self.paint(image, hole, self.attend(hole[:1] if shared else hole))

    def attend(self, hole: Tensor) -> Maps:
        """The maps of holes (N, 1, H, W). They depend on nothing else, and are 40 % of the network's arithmetic."""
        self.require_size(hole)
        return Maps(follow(self.forward_masks, 1 - hole), follow(self.reverse_masks, hole))

    def paint(self, image: Tensor, hole: Tensor, maps: Maps) -> Output:
        """`forward` with the maps given: those of `hole`, or of the one hole that all N pictures share."""
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
        """Clamp the attention activations into their ranges; for after an optimiser's step."""
        mask_activation.constrain(self)

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """The state dicts of 2019 (with batch norm) and of 2020 (without)."""
        normed = any(re.match(r"(ec|dc)\d\.bn\.", name) for name in weights)
        return Released(weights, dict(FOLLOWS["authors_2019" if normed else "authors"]), authors_name)


def _column(maps: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(zip([3, *maps[:-1]], maps, strict=True)):
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
        layers += [nn.BatchNorm2d(outputs)] if i else []
        layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers)


class Discriminator(nn.Module, AuthorsWeights):
    """Two columns of six layers, one for the known pixels, one for the hole's, joined by a 4x4 convolution (Table 5).

    As released, it judges the raw output of the generator, not the composite.

    Args:
        sigmoid: at the end, as in the paper; without it the scores are unbounded, as usual for WGAN.
        layers: of each column, 2 to 6; the joining convolution needs pictures of 4 x 2^layers pixels, 256 for 6.
        width: factor on all numbers of maps, for small trials.
    """

    def __init__(self, *, sigmoid: bool = True, layers: int = 6, width: float = 1.0) -> None:
        super().__init__()
        if not 2 <= layers <= 6:
            raise ValueError(f"layers={layers} must be 2 to 6")
        maps = [max(4, round(n * width / 4) * 4) for n in (64, 128, 256, 512, 512, 512)][:layers]
        self.known, self.missing = _column(maps), _column(maps)
        self.fuse = nn.Conv2d(2 * maps[-1], 1, 4)
        self.sigmoid = nn.Sigmoid() if sigmoid else nn.Identity()

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Scores (N, 1) of pictures (N, 3, 256, 256) in [0, 1] with holes (N, 1, 256, 256); (N, k) of larger ones."""
        known, missing = self.known(empty_hole(image, hole)), self.missing(empty_hole(image, 1 - hole))
        return self.sigmoid(self.fuse(torch.cat([known, missing], 1))).flatten(1)

    @classmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """The released discriminator; its weights fit the default options."""
        return Released(weights, {}, discriminator_authors_name)


# Entries of layer i, which the authors count from 1, under our names and under theirs.
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
    """What a weight of `Generator` is called in the released state dicts of 2019 (with batch norm) and 2020."""
    if name == "output.weight":
        return "dc7.weight"
    path, layer, part, entry = name.split(".")
    entry = {"gamma_left": "sigma1", "gamma_right": "sigma2"}.get(entry, entry)
    return f"{_THEIRS[path, part].format(int(layer) + 1)}.{entry}"


def discriminator_authors_name(name: str) -> str:
    """What a weight of `Discriminator` is called in the released state dict."""
    part, rest = name.split(".", 1)
    return {"known": "globalConv.", "missing": "localConv.", "fuse": "fusionLayer.0."}[part] + rest
