"""The two U-Nets of CSA (Liu et al. 2019, Fig. 2) with the channels, kernels and norms of the released code.

Instance norms are affine; all convolutions have biases, even before a norm.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from inpaintlab.networks.widths import scale_channels


def _norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True)


def _channels(levels: int, width: float) -> list[int]:
    """Return the output channels of each level of the encoder."""
    return scale_channels((64, 128, 256, *[512] * 5)[:levels], width)


class Rough(nn.Module):
    """The U-Net of pix2pix with instance norm; predicts the picture from the emptied picture.

    Args:
        levels: number of times that the encoder halves the resolution.
        width: factor on all numbers of channels.
    """

    def __init__(self, levels: int = 8, width: float = 1.0) -> None:
        super().__init__()
        channels = _channels(levels, width)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip([3, *channels[:-1]], channels, strict=True)):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if i else []
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            layers += [_norm(outputs)] if 0 < i < levels - 1 else []
            self.encoder.append(nn.Sequential(*layers))
            above = outputs if i == levels - 1 else 2 * outputs  # concatenated with the skip connection
            layers = [nn.ReLU(), nn.ConvTranspose2d(above, inputs, 4, stride=2, padding=1)]
            layers += [_norm(inputs)] if i else [nn.Tanh()]
            self.decoder.append(nn.Sequential(*layers))  # in the order of the encoder, outermost first

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (N, 3, H, W) in [-1, 1], with a constant colour in the hole, to predictions in [-1, 1]."""
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in reversed(self.decoder):
            x = block(x)
            x = torch.cat([x, skips.pop().to(x.dtype)], 1) if skips else x
        return x


class Refinement(nn.Module):
    """The second U-Net, 6 channels to 3.

    In the encoder, 4x4 convolutions with dilation 2 halve the resolution and 3x3 convolutions change the channels.

    Args:
        attention: builds the attention layer from its number of channels; called as `layer(features, hole)`.
        level: number of halvings before the attention layer.
        levels, width: see `Rough`.
    """

    def __init__(
        self, attention: Callable[[int], nn.Module], level: int = 3, levels: int = 8, width: float = 1.0
    ) -> None:
        super().__init__()
        channels = _channels(levels, width)
        self.level = level
        self.attention = attention(channels[level])
        self.first = nn.Conv2d(6, channels[0], 3, padding=1)
        self.encoder, self.norms, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for inputs, outputs in pairwise(channels):
            halve = nn.Conv2d(inputs, inputs, 4, stride=2, padding=3, dilation=2)
            widen = nn.Conv2d(inputs, outputs, 3, padding=1)
            self.encoder.append(nn.Sequential(nn.LeakyReLU(0.2), halve, _norm(inputs), nn.LeakyReLU(0.2, True), widen))
            self.norms.append(_norm(outputs))  # after the attention layer, at its level
            narrow = nn.ConvTranspose2d(2 * outputs, inputs, 3, padding=1)
            grow = nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1)
            self.decoder.append(nn.Sequential(nn.ReLU(True), narrow, _norm(inputs), nn.ReLU(True), grow, _norm(inputs)))
        inner = channels[-1]
        self.encoder.append(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(inner, inner, 4, stride=2, padding=3, dilation=2))
        )
        self.decoder.append(
            nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(inner, inner, 4, stride=2, padding=1), _norm(inner))
        )
        self.last = nn.Sequential(nn.ReLU(True), nn.ConvTranspose2d(2 * channels[0], 3, 3, padding=1))

    def forward(self, x: Tensor, hole: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Predict pictures.

        Args:
            x: (N, 6, H, W), the filled and the emptied picture in [-1, 1].
            hole: (N, 1, h, w) at the resolution of the attention layer.

        Returns:
            The picture (N, 3, H, W), and the two features that the consistency loss compares: those of the attention
            layer and those of the decoder at the same level.
        """
        x = self.first(x)
        skips, taps = [x], []
        for level, (block, norm) in enumerate(zip(self.encoder, self.norms, strict=False), 1):
            x = block(x)
            if level == self.level:
                x = self.attention(x, hole)
                taps.append(x)
            x = norm(x)
            skips.append(x)
        x = self.encoder[-1](x)
        for block in reversed(self.decoder):
            x = block(x)
            if len(skips) - 1 == self.level:
                taps.append(x)
            x = torch.cat([x, skips.pop().to(x.dtype)], 1)
        return self.last(x), (taps[0], taps[1])


def initialise(network: nn.Module) -> None:
    """Initialise as the released code: weights normal with standard deviation 0.02, biases 0, norms 1 and 0."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
