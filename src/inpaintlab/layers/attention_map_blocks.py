"""Blocks of a U-Net whose encoder and decoder features are multiplied by attention maps (LBAM, Xie et al. 2019).

The maps depend on the hole alone. `follow` computes them for all layers before the blocks run, so that several pictures
with the same hole share them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inpaintlab.layers import fast_strided_conv


@dataclass(frozen=True)
class Maps:
    """The attention maps (gates) and updated masks of a hole, each (N, C, H, W) at its layer's resolution.

    Args:
        encoder: (gate, updated mask) of the seven encoder layers; known pixels grow into the hole.
        decoder: (gate, updated mask) of the six reverse layers; the hole grows into the known pixels. Empty without a
            reverse path.
    """

    encoder: tuple[tuple[Tensor, Tensor], ...]
    decoder: tuple[tuple[Tensor, Tensor], ...]

    def named(self) -> dict[str, Tensor]:
        """Name the maps: `forward_1`, `forward_1_mask`, ..., `reverse_1`, `reverse_1_mask`, ... (Fig. 7, 8)."""
        return dict(_name_pairs("forward", self.encoder)) | dict(_name_pairs("reverse", self.decoder))


def _name_pairs(path: str, pairs: tuple[tuple[Tensor, Tensor], ...]) -> Iterator[tuple[str, Tensor]]:
    for i, (gate, valid) in enumerate(pairs, 1):
        yield f"{path}_{i}", gate
        yield f"{path}_{i}_mask", valid


class EncoderBlock(nn.Module):
    """Return h = act(norm(conv(x) * gate)) and the product conv(x) * gate for the skip connection."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = fast_strided_conv.Conv(inputs, outputs)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        product = self.conv(x) * gate  # the gate is float32, so the product is too under mixed precision
        return self.act(self.norm(product)), product


class DecoderBlock(nn.Module):
    """Return h = act(norm([skip, deconv(x) * gate])); with gate None the features are not multiplied."""

    def __init__(self, inputs: int, outputs: int, skip: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = fast_strided_conv.ConvTranspose(inputs, outputs)
        self.norm = nn.BatchNorm2d(skip + outputs) if norm else nn.Identity()
        self.act = nn.LeakyReLU(0.2, inplace=True)  # its input is used nowhere else

    def forward(self, x: Tensor, skip: Tensor, gate: Tensor | None) -> Tensor:
        x = self.conv(x)
        if gate is not None:
            x = x * gate
        return self.act(self.norm(torch.cat([skip, x.to(skip.dtype)], 1)))


def follow(updates: Iterable[nn.Module], valid: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    """Apply mask updates one after another, beginning with a mask (N, C, H, W); return each (gate, updated mask)."""
    pairs = []
    for update in updates:
        gate, valid = update(valid)
        pairs.append((gate, valid))
    return tuple(pairs)
