"""Charef & Ouqour's training (2024): a specification, since the paper states no loss.

As GConv's, so that the systems differ by what the paper adds: L1 of both stages on pictures in [-1, 1] and the hinge
loss of SN-PatchGAN. What else the paper may have meant are options: more weight on the hole, and perceptual and style
terms on VGG-16's features of the composite, which are off.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.losses import vgg_features
from inpaintlab.losses.adversarial import Scores
from inpaintlab.losses.feature import perceptual, style
from inpaintlab.losses.reconstruction import masked_l1
from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.training.module import InpaintingModule


class Charef(InpaintingModule):
    """L = l1 + adversarial, the weights standing in the config.

    Args:
        hole_weight: of a missing pixel in the L1, beside 1 of a known one; 6 is a usual choice.
        vgg: features of pictures in [0, 1]; None only if the perceptual and style weights are 0.
    """

    terms: ClassVar[tuple[str, ...]] = ("l1", "perceptual", "style")

    def __init__(self, *, hole_weight: float = 1.0, vgg: Vgg16 | None = None, **options: Any) -> None:
        super().__init__(**options)
        if hole_weight <= 0:
            raise ValueError(f"hole_weight={hole_weight} must be positive")
        vgg_features.require(vgg, self.loss_weights)
        self.hole_weight, self.vgg = hole_weight, vgg

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        weights = 1 + (self.hole_weight - 1) * batch.hole
        stages = [output.image] if output.coarse is None else [output.coarse, output.image]
        terms = {"l1": 2 * torch.stack([masked_l1(stage, batch.image, weights) for stage in stages]).sum()}
        if self.vgg is not None:
            targets, (features,) = vgg_features.compare(self.vgg, batch.image, [self.composite(batch, output)])
            terms["perceptual"] = perceptual(features, targets, "l1")
            terms["style"] = style(features, targets, "gram_l1")
        return terms

    def judge(self, image: Tensor, batch: Batch) -> Scores:
        assert self.discriminator is not None
        return [self.discriminator(image, batch.hole)]
