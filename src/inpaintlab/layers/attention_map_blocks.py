"""Blocks of a U-Net whose encoder and decoder features are multiplied by attention maps (LBAM, Xie et al. 2019).

The maps depend on the hole alone. They are followed through all layers first (`follow`) and handed to the blocks, so
they can be computed once for several pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inpaintlab.layers import fast_strided_conv


@dataclass(frozen=True)
class Maps:
    """What the network needs to know of a hole: the gates and masks of each layer, (N, C, H, W) at its resolution.

    Args:
        encoder: (gate, updated mask) of the seven encoder layers, from the known pixels inwards.
        decoder: the same of the six reverse layers, from the hole outwards; none without a reverse path.
    """

    encoder: tuple[tuple[Tensor, Tensor], ...]
    decoder: tuple[tuple[Tensor, Tensor], ...]

    def named(self) -> dict[str, Tensor]:
        """By layer: `forward_1`, `forward_1_mask`, ..., `reverse_1`, `reverse_1_mask`, ... (Figures 7 and 8)."""
        return dict(_name_pairs("forward", self.encoder)) | dict(_name_pairs("reverse", self.decoder))


def _name_pairs(path: str, pairs: tuple[tuple[Tensor, Tensor], ...]) -> Iterator[tuple[str, Tensor]]:
    for i, (gate, valid) in enumerate(pairs, 1):
        yield f"{path}_{i}", gate
        yield f"{path}_{i}_mask", valid


class EncoderBlock(nn.Module):
    """h = act(norm(conv(x) . gate)); also returns the product, which the skip connection carries."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = fast_strided_conv.Conv(inputs, outputs)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        product = self.conv(x) * gate  # float32 by the gate, also under mixed precision
        return self.act(self.norm(product)), product


class DecoderBlock(nn.Module):
    """h = act(norm([skip, deconv(x) . gate])), the encoder's product first; no gate leaves the features as they are."""

    def __init__(self, inputs: int, outputs: int, skip: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = fast_strided_conv.ConvTranspose(inputs, outputs)
        self.norm = nn.BatchNorm2d(skip + outputs) if norm else nn.Identity()
        self.act = nn.LeakyReLU(0.2, inplace=True)  # on the concatenation, or what batch norm made of it

    def forward(self, x: Tensor, skip: Tensor, gate: Tensor | None) -> Tensor:
        x = self.conv(x)
        if gate is not None:
            x = x * gate
        return self.act(self.norm(torch.cat([skip, x.to(skip.dtype)], 1)))


def follow(updates: Iterable[nn.Module], valid: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    """The (gate, mask) of each mask update when a mask (N, C, H, W) goes through all of them in turn."""
    pairs = []
    for update in updates:
        gate, valid = update(valid)
        pairs.append((gate, valid))
    return tuple(pairs)
