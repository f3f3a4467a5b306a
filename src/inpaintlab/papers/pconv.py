"""PConv's training (Liu et al. 2018, section 3.3): valid, hole, perceptual, style and total variation terms.

The paper trains a second time with the encoder's batch norm frozen: an experiment of its own, begun with `init_from`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.losses import vgg_features
from inpaintlab.losses.feature import perceptual, style
from inpaintlab.losses.reconstruction import masked_l1, total_variation
from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.training.module import InpaintingModule


class PConv(InpaintingModule):
    """L = valid + 6 hole + 0.05 perceptual + 120 style + 0.1 tv, the weights standing in `conf/model/pconv.yaml`.

    Args:
        vgg: features of pictures in [0, 1]; None only if the perceptual and style weights are 0.
    """

    terms: ClassVar[tuple[str, ...]] = ("valid", "hole", "perceptual", "style", "tv")

    def __init__(self, *, vgg: Vgg16 | None = None, **options: Any) -> None:
        super().__init__(**options)
        vgg_features.require(vgg, self.loss_weights)
        self.vgg = vgg

    def remarks(self) -> list[str]:
        return vgg_features.remarks(self.vgg)

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        composite = self.composite(batch, output)
        terms = {
            "valid": masked_l1(output.image, batch.image, 1 - batch.hole),
            "hole": masked_l1(output.image, batch.image, batch.hole),
            "tv": total_variation(composite, batch.hole),
        }
        if self.vgg is not None:
            targets, features = vgg_features.compare(self.vgg, batch.image, [output.image, composite])
            terms["perceptual"] = torch.stack([perceptual(of, targets, "l1") for of in features]).sum()
            terms["style"] = torch.stack([style(of, targets) for of in features]).sum()
        return terms
