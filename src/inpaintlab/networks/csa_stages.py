"""The two U-Nets of CSA (Liu et al. 2019, Fig. 2): channels, kernels and norms as released.

Instance norm has scales and shifts; all convolutions have biases, also in front of a norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn


def _norm(maps: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(maps, affine=True)


def _widths(maps: Iterable[int], width: float) -> list[int]:
    return [max(4, round(n * width / 4) * 4) for n in maps]


class Rough(nn.Module):
    """The U-Net of pix2pix with instance norm, 3 channels to 3 in [-1, 1].

    Args:
        levels: halvings of the resolution.
        width: factor on all numbers of maps.
    """

    def __init__(self, levels: int = 8, width: float = 1.0) -> None:
        super().__init__()
        maps = _widths((64, 128, 256, *[512] * 5)[:levels], width)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip([3, *maps[:-1]], maps, strict=True)):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if i else []
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            layers += [_norm(outputs)] if 0 < i < levels - 1 else []
            self.encoder.append(nn.Sequential(*layers))
            above = outputs if i == levels - 1 else 2 * outputs  # joined with the skip connection
            layers = [nn.ReLU(), nn.ConvTranspose2d(above, inputs, 4, stride=2, padding=1)]
            layers += [_norm(inputs)] if i else [nn.Tanh()]
            self.decoder.append(nn.Sequential(*layers))  # in the encoder's order, outermost first

    def forward(self, x: Tensor) -> Tensor:
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
    """The second U-Net, 6 channels to 3; 4x4 convolutions halve, dilated by 2, and 3x3 ones widen.

    Args:
        attention: in the layer's place; called with features and their hole.
        level: halvings before that place.
        levels, width: as of `Rough`.
    """

    def __init__(
        self, attention: Callable[[int], nn.Module], level: int = 3, levels: int = 8, width: float = 1.0
    ) -> None:
        super().__init__()
        maps = _widths((64, 128, 256, *[512] * 5)[:levels], width)
        self.level = level
        self.attention = attention(maps[level])
        self.first = nn.Conv2d(6, maps[0], 3, padding=1)
        self.encoder, self.norms, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for inputs, outputs in pairwise(maps):
            halve = nn.Conv2d(inputs, inputs, 4, stride=2, padding=3, dilation=2)
            widen = nn.Conv2d(inputs, outputs, 3, padding=1)
            self.encoder.append(nn.Sequential(nn.LeakyReLU(0.2), halve, _norm(inputs), nn.LeakyReLU(0.2, True), widen))
            self.norms.append(_norm(outputs))  # behind the attention, where there is one
            narrow = nn.ConvTranspose2d(2 * outputs, inputs, 3, padding=1)
            grow = nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1)
            self.decoder.append(nn.Sequential(nn.ReLU(True), narrow, _norm(inputs), nn.ReLU(True), grow, _norm(inputs)))
        inner = maps[-1]
        self.encoder.append(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(inner, inner, 4, stride=2, padding=3, dilation=2))
        )
        self.decoder.append(
            nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(inner, inner, 4, stride=2, padding=1), _norm(inner))
        )
        self.last = nn.Sequential(nn.ReLU(True), nn.ConvTranspose2d(2 * maps[0], 3, 3, padding=1))

    def forward(self, x: Tensor, hole: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The picture, and the features that the consistency loss compares: of the attention, of the decoder there."""
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
    """As released: weights normal with deviation 0.02, biases 0; norms keep 1 and 0."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
