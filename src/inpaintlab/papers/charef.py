"""Training of Charef & Ouqour's system (2024): a specification, because the paper states no loss.

The losses are those of GConv, so that the two systems differ only in what the paper adds: L1 of both stages on pictures
in [-1, 1] and the hinge loss of SN-PatchGAN. Two other readings of the paper are options that are off by default: more
weight on the hole, and perceptual and style terms on VGG-16's features of the composite.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.losses.adversarial import Scores
from inpaintlab.losses.feature import perceptual, style
from inpaintlab.losses.reconstruction import masked_l1
from inpaintlab.training.vgg_module import VggModule


class Charef(VggModule):
    """L = l1 + adversarial; the weights stand in `conf/model/charef.yaml`.

    Args:
        hole_weight: weight of a missing pixel in the L1 term, relative to 1 for a known one; 6 is a common choice.
        options: see `VggModule`; `vgg` sees pictures in [0, 1].
    """

    terms: ClassVar[tuple[str, ...]] = ("l1", "perceptual", "style")

    def __init__(self, *, hole_weight: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        if hole_weight <= 0:
            raise ValueError(f"hole_weight must be greater than 0, got {hole_weight}")
        self.hole_weight = hole_weight

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        weights = 1 + (self.hole_weight - 1) * batch.hole
        stages = [output.image] if output.coarse is None else [output.coarse, output.image]
        terms = {"l1": 2 * torch.stack([masked_l1(stage, batch.image, weights) for stage in stages]).sum()}
        if self.vgg is not None:
            targets, (features,) = self.vgg_features(batch.image, [self.composite(batch, output)])
            terms["perceptual"] = perceptual(features, targets, "l1")
            terms["style"] = style(features, targets, "gram_l1")
        return terms

    def judge(self, image: Tensor, batch: Batch) -> Scores:
        assert self.discriminator is not None
        return [self.discriminator(image, batch.hole)]
