"""What systems with terms on VGG-16's features share: the network may be absent, trained or not, and is run once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from inpaintlab.networks.vgg import Vgg16

TERMS = ("perceptual", "style")


def require(vgg: Vgg16 | None, loss_weights: Mapping[str, float]) -> None:
    """Raise ValueError if a term that needs VGG-16 has a weight, and there is none."""
    if vgg is None and any(loss_weights[name] for name in TERMS):
        raise ValueError(f"the terms {' and '.join(TERMS)} need VGG-16; without it their weights must be 0")


def remarks(vgg: Vgg16 | None) -> list[str]:
    """What results must say about it."""
    if vgg is None:
        return ["trained without VGG-16: the perceptual and style terms have weight 0"]
    return ["trained with an untrained VGG-16 (random weights)"] if vgg.untrained else []


def compare(vgg: Vgg16, truth: Tensor, pictures: Sequence[Tensor]) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Features of the truth, without a graph, and of each batch of pictures, in one pass for all of these."""
    with torch.no_grad():
        targets = vgg(truth)
    together = vgg(torch.cat(list(pictures)))
    parts = zip(*(features.chunk(len(pictures)) for features in together), strict=True)
    return targets, [list(part) for part in parts]
