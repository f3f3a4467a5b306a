"""PConv: image inpainting for irregular holes using partial convolutions (Liu et al., ECCV 2018).

A U-Net of partial convolutions. The encoder has kernels of 7x7, 5x5, 5x5 and then 3x3, all with stride 2; the decoder
upsamples to the nearest neighbour and concatenates [upsampled, skip], of features and of masks. The authors published
the layer but not the network: kernels, widths and batch norm follow the paper and public re-implementations; that only
the last layer has a bias is inferred. The paper has 8 + 8 layers for 512 x 512; 7 + 7 is the usual choice for
256 x 256.

Convention, kept inside this file: mask 1 = known, zeros in the hole, pictures standardised with ImageNet's mean and
standard deviation.
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
from inpaintlab.networks.widths import scale_channels


class Layer(nn.Module):
    """Partial convolution, batch norm and activation; maps features and mask to new ones."""

    def __init__(self, conv: PartialConv2d, *, norm: bool, act: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels) if norm else nn.Identity()
        self.act = act

    def forward(self, features: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        features, valid = self.conv(features, valid)
        return self.act(self.norm(features)), valid


class UNet(nn.Module):
    """U-Net of partial convolutions, from 3 channels to 3.

    Args:
        channels: output channels of each encoder layer.
        kernels: kernel size of each encoder layer.
    """

    def __init__(self, channels: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        inputs = [3, *channels[:-1]]
        for i, (before, after, kernel) in enumerate(zip(inputs, channels, kernels, strict=True)):
            conv = PartialConv2d(before, after, kernel, stride=2, padding=kernel // 2)
            self.encoder.append(Layer(conv, norm=i > 0, act=nn.ReLU()))
        above = channels[-1]
        for i, skip in reversed(list(enumerate(inputs))):
            conv = PartialConv2d(above + skip, skip, 3, padding=1, bias=i == 0, planes=(above, skip))
            self.decoder.append(Layer(conv, norm=i > 0, act=nn.LeakyReLU(0.2) if i else nn.Identity()))
            above = skip

    def forward(self, image: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Map pictures (N, 3, H, W), 0 in the hole, and masks (N, 1, H, W), 1 = known, to new ones."""
        skips = [(image, valid)]
        for layer in self.encoder:
            skips.append(layer(*skips[-1]))
        features, valid = skips.pop()
        for layer in self.decoder:
            before, valid_before = skips.pop()
            features = torch.cat([F.interpolate(features, scale_factor=2.0), before.to(features.dtype)], 1)
            # One plane of mask for each half; each stands for all channels of its half.
            valid = torch.cat([F.interpolate(valid, scale_factor=2.0), valid_before], 1)
            features, valid = layer(features, valid)
        return features, valid


class Generator(InpaintingGenerator):
    """The network of PConv; the defaults are its usual form for 256 x 256 (25,779,796 parameters).

    Args:
        levels: number of encoder layers, 3 to 8; 8 as in the paper, for 512 x 512 (32,859,732 parameters).
        freeze_encoder_norm: keep the statistics and scales of the encoder's batch norm, as in the paper's second
            phase. While training with holes, the statistics include the empty positions, which makes them wrong.
        width: factor on all numbers of channels, for small trials.
    """

    def __init__(self, *, levels: int = 7, freeze_encoder_norm: bool = False, width: float = 1.0) -> None:
        super().__init__()
        if not 3 <= levels <= 8:
            raise ValueError(f"levels must be 3 to 8, got {levels}")
        self.multiple = 2**levels
        self.freeze_encoder_norm = freeze_encoder_norm
        channels = scale_channels((64, 128, 256, *[512] * 5)[:levels], width)
        self.scale = ImagenetScale()
        self.net = UNet(channels, (7, 5, 5, *[3] * 5)[:levels])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if freeze_encoder_norm:
            for norm in self._encoder_norms():
                norm.requires_grad_(False).eval()

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict whole pictures; see `InpaintingGenerator.forward`."""
        self.require_size(hole)
        features, _ = self.net(empty_hole(self.scale(image), hole), 1 - hole)
        return Output(image=self.scale.back(features))

    def train(self, mode: bool = True) -> Generator:
        """Set training or eval mode; a frozen batch norm of the encoder stays in eval mode."""
        super().train(mode)
        if self.freeze_encoder_norm:
            for norm in self._encoder_norms():
                norm.eval()
        return self

    def _encoder_norms(self) -> list[nn.Module]:
        return [module for module in self.net.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
