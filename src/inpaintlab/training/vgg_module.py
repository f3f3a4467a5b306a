"""Base class of the systems with loss terms on VGG-16's features: when VGG-16 is needed, and what its absence means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.training.module import InpaintingModule


class VggModule(InpaintingModule):
    """An `InpaintingModule` with loss terms on VGG-16's features.

    Without VGG-16 the terms in `vgg_terms` are not computed, so their weights must be 0.

    Args:
        vgg: the frozen feature extractor; None only if all `vgg_terms` have weight 0.
        options: see `InpaintingModule`.

    Attributes:
        vgg_terms: the loss terms that need VGG-16.
        without_vgg: what a training without VGG-16 lacks, for `remarks`.

    Raises:
        ValueError: if `vgg` is None although one of `vgg_terms` has a weight.
    """

    vgg_terms: ClassVar[tuple[str, ...]] = ("perceptual", "style")
    without_vgg: ClassVar[str] = "the perceptual and style terms have weight 0"

    def __init__(self, *, vgg: Vgg16 | None = None, **options: Any) -> None:
        super().__init__(**options)
        weighed = [f"{name}={self.loss_weights[name]}" for name in self.vgg_terms if self.loss_weights[name]]
        if vgg is None and weighed:
            raise ValueError(
                f"loss weights {', '.join(weighed)} need VGG-16, but vgg is null; set vgg, or these weights to 0"
            )
        self.vgg = vgg

    def remarks(self) -> list[str]:
        """Return the remarks of the base class, and one if VGG-16 is missing or untrained."""
        if self.vgg is None:
            return [*super().remarks(), f"trained without VGG-16: {self.without_vgg}"]
        untrained = ["trained with an untrained VGG-16 (random weights)"] if self.vgg.untrained else []
        return [*super().remarks(), *untrained]

    def vgg_features(self, truth: Tensor, pictures: Sequence[Tensor]) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return VGG-16's features of the truth and of several batches of pictures.

        The features of the truth carry no gradient. All pictures go through VGG-16 in one pass.

        Args:
            truth: (N, 3, H, W) in [0, 1].
            pictures: batches of the same shape.

        Returns:
            The features of the truth, one tensor per layer, and a list of the same kind for each batch of pictures.
        """
        assert self.vgg is not None
        with torch.no_grad():
            targets = self.vgg(truth)
        together = self.vgg(torch.cat(list(pictures)))
        parts = zip(*(features.chunk(len(pictures)) for features in together), strict=True)
        return targets, [list(part) for part in parts]
