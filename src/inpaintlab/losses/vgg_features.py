"""What systems with terms on VGG-16's features share: the network may be absent, trained or not, and is run once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from inpaintlab.networks.extractors.vgg import Vgg16

TERMS = ("perceptual", "style")


def require(vgg: Vgg16 | None, loss_weights: Mapping[str, float], terms: Sequence[str] = TERMS) -> None:
    """Raise ValueError if a term that needs VGG-16 has a weight, and there is none."""
    if vgg is None and any(loss_weights[name] for name in terms):
        raise ValueError(f"the terms {' and '.join(terms)} need VGG-16; without it their weights must be 0")


def remarks(vgg: Vgg16 | None, without: str = "the perceptual and style terms have weight 0") -> list[str]:
    """What results must say about it; `without` says what its absence means."""
    if vgg is None:
        return [f"trained without VGG-16: {without}"]
    return ["trained with an untrained VGG-16 (random weights)"] if vgg.untrained else []


def compare(vgg: Vgg16, truth: Tensor, pictures: Sequence[Tensor]) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Features of the truth, without a graph, and of each batch of pictures, in one pass for all of these."""
    with torch.no_grad():
        targets = vgg(truth)
    together = vgg(torch.cat(list(pictures)))
    parts = zip(*(features.chunk(len(pictures)) for features in together), strict=True)
    return targets, [list(part) for part in parts]
