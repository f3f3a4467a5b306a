"""LBAM's networks as plainly as they were released, for `lbam_step.py` to be measured against; written from the paper.

Three equal mask channels, both branches of the Gaussian in full with comparisons and fills, clamps inside the forward
pass, the attention products of the encoder computed a second time in the decoder.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from inpaintlab.layers.mask_activation import RANGES


class PlainGaussian(nn.Module):
    """g_A with both branches evaluated everywhere, and the clamps of its numbers in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.mu = nn.Parameter(torch.tensor(1.1)), nn.Parameter(torch.tensor(2.0))
        self.gamma_left, self.gamma_right = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        for name, (low, high) in RANGES.items():
            weight = getattr(self, name)
            weight.data = torch.clamp(weight.data, low, high)
        below, above = x < self.mu, x >= self.mu
        left = self.a * torch.exp(-self.gamma_left * (x - self.mu) ** 2)
        left.masked_fill_(above, 0.0)
        right = 1 + (self.a - 1) * torch.exp(-self.gamma_right * (x - self.mu) ** 2)
        right.masked_fill_(below, 0.0)
        return left + right


class PlainMasks(nn.Module):
    """A dense mask convolution with its gate and its update."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        self.attention, self.relu = PlainGaussian(), nn.ReLU(inplace=True)

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        response = self.conv(mask)
        gate = self.attention(response)
        return gate, torch.pow(self.relu(response), 0.8)


class PlainConv(nn.Module):
    """A convolution without bias, under the name that our blocks give it."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv: Any = conv
        self.act = nn.LeakyReLU(0.2, inplace=True)


class Plain(nn.Module):
    """The network of 2020 (no batch norm), with the state dict of our own."""

    def __init__(self) -> None:
        super().__init__()
        maps = [64, 128, 256, 512, 512, 512, 512]
        self.forward_masks = nn.ModuleList(PlainMasks(i, o) for i, o in zip([3, *maps[:-1]], maps, strict=True))
        self.reverse_masks = nn.ModuleList(PlainMasks(i, o) for i, o in zip([3, *maps[:5]], maps[:6], strict=True))
        self.encoder = nn.ModuleList(
            PlainConv(nn.Conv2d(i, o, 4, 2, 1, bias=False)) for i, o in zip([4, *maps[:-1]], maps, strict=True)
        )
        inputs = [512, *(2 * n for n in maps[5:0:-1])]
        self.decoder = nn.ModuleList(
            PlainConv(nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False)) for i, o in zip(inputs, maps[5::-1], strict=True)
        )
        self.output = nn.ConvTranspose2d(128, 3, 4, 2, 1, bias=False)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1] and holes (N, 1, H, W), 1 = missing, to pictures."""
        known = (1 - hole).repeat(1, 3, 1, 1)
        x = torch.cat([image * known, known[:, :1]], 1)
        mask, inverse, skips, gates, reverse_gates = known, 1 - known, [], [], []
        block: Any
        for masks, block in zip(self.forward_masks, self.encoder, strict=True):
            skips.append(block.conv(x))
            gate, mask = masks(mask)
            gates.append(gate)
            x = block.act(skips[-1] * gate)
        for masks in self.reverse_masks:
            gate, inverse = masks(inverse)
            reverse_gates.append(gate)
        for i, block in zip(range(5, -1, -1), self.decoder, strict=True):
            features = torch.cat([skips[i], block.conv(x)], 1)
            x = block.act(features * torch.cat([gates[i], reverse_gates[i]], 1))
        return (torch.tanh(self.output(x)) + 1) / 2


def plain_column() -> nn.Sequential:
    """One side of the critic, 256 pixels to 4."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for i, o in ((64, 128), (128, 256), (256, 512), (512, 512), (512, 512)):
        layers += [nn.Conv2d(i, o, 4, 2, 1), nn.BatchNorm2d(o), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers)


class PlainCritic(nn.Module):
    """The two-column critic, with the state dict of our own."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.missing, self.fuse = plain_column(), plain_column(), nn.Conv2d(1024, 1, 4)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Scores (N, 1)."""
        known = (1 - hole).repeat(1, 3, 1, 1)
        columns = [self.known(image * known), self.missing(image * (1 - known))]
        return torch.sigmoid(self.fuse(torch.cat(columns, 1))).flatten(1)
