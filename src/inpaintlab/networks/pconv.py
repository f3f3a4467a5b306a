"""PConv: image inpainting for irregular holes using partial convolutions (Liu et al., ECCV 2018).

A U-Net of partial convolutions: 7x7 and 5x5 first, 3x3 afterwards, stride 2 on the way in, nearest-neighbour
upsampling and concatenation [upsampled, skip] of features and of masks on the way out. The authors released the layer,
not the network; kernels, widths and batch norm follow the paper and public re-implementations, a bias in the last
layer only is inferred. The paper has 8 + 8 layers for 512 x 512; 7 + 7 is the usual choice for 256 x 256.

Convention, kept inside this file: mask 1 = known, zeros in the hole, pictures with ImageNet's mean and deviation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.image import empty_hole
from inpaintlab.layers.imagenet_scale import ImagenetScale
from inpaintlab.layers.partial_conv import PartialConv2d
from inpaintlab.networks.generator import InpaintingGenerator


class Layer(nn.Module):
    """Partial convolution, batch norm, activation; called with features and mask, returns both."""

    def __init__(self, conv: PartialConv2d, *, norm: bool, act: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels) if norm else nn.Identity()
        self.act = act

    def forward(self, features: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        features, valid = self.conv(features, valid)
        return self.act(self.norm(features)), valid


class UNet(nn.Module):
    """Partial convolutions in the shape of a U, from 3 channels to 3.

    Args:
        maps: channels after each encoder layer.
        kernels: their kernel sizes.
    """

    def __init__(self, maps: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        inputs = [3, *maps[:-1]]
        for i, (before, after, kernel) in enumerate(zip(inputs, maps, kernels, strict=True)):
            conv = PartialConv2d(before, after, kernel, stride=2, padding=kernel // 2)
            self.encoder.append(Layer(conv, norm=i > 0, act=nn.ReLU()))
        above = maps[-1]
        for i, skip in reversed(list(enumerate(inputs))):
            conv = PartialConv2d(above + skip, skip, 3, padding=1, bias=i == 0, planes=(above, skip))
            self.decoder.append(Layer(conv, norm=i > 0, act=nn.LeakyReLU(0.2) if i else nn.Identity()))
            above = skip

    def forward(self, image: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """From pictures (N, 3, H, W), zeros in the hole, and masks (N, 1, H, W), 1 = known, to new ones."""
        skips = [(image, valid)]
        for layer in self.encoder:
            skips.append(layer(*skips[-1]))
        features, valid = skips.pop()
        for layer in self.decoder:
            before, valid_before = skips.pop()
            features = torch.cat([F.interpolate(features, scale_factor=2.0), before.to(features.dtype)], 1)
            # One plane for each half, although each stands for all channels of its source.
            valid = torch.cat([F.interpolate(valid, scale_factor=2.0), valid_before], 1)
            features, valid = layer(features, valid)
        return features, valid


class Generator(InpaintingGenerator):
    """PConv's network; the defaults are its usual form for 256 x 256 (25,779,796 parameters).

    Args:
        levels: encoder layers; 8 as in the paper, for 512 x 512 (32,859,732 parameters).
        freeze_encoder_norm: the encoder's batch norm keeps its statistics and scales, as in the paper's second phase:
            while training with holes, the statistics of the encoder include the empty places.
        width: factor on all numbers of maps, for small trials.
    """

    def __init__(self, *, levels: int = 7, freeze_encoder_norm: bool = False, width: float = 1.0) -> None:
        super().__init__()
        if not 3 <= levels <= 8:
            raise ValueError(f"levels={levels} must be 3 to 8")
        self.multiple = 2**levels
        self.freeze_encoder_norm = freeze_encoder_norm
        maps = [max(4, round(n * width / 4) * 4) for n in (64, 128, 256, *[512] * 5)][:levels]
        self.scale = ImagenetScale()
        self.net = UNet(maps, (7, 5, 5, *[3] * 5)[:levels])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if freeze_encoder_norm:
            for norm in self._encoder_norms():
                norm.requires_grad_(False).eval()

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict the whole picture.

        Args:
            image: (N, 3, H, W) in [0, 1], H and W multiples of `self.multiple`; the hole's content is ignored.
            hole: (N, 1, H, W), 1 = missing.
        """
        self.require_size(hole)
        features, _ = self.net(empty_hole(self.scale(image), hole), 1 - hole)
        return Output(image=self.scale.back(features))

    def train(self, mode: bool = True) -> Generator:
        super().train(mode)
        if self.freeze_encoder_norm:
            for norm in self._encoder_norms():
                norm.eval()
        return self

    def _encoder_norms(self) -> list[nn.Module]:
        return [module for module in self.net.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
