"""PConv's training (Liu et al. 2018, section 3.3): valid, hole, perceptual, style and total variation terms.

The paper's second phase, with the encoder's batch norm frozen, is a separate experiment that starts from the first by
`init_from`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.losses.feature import perceptual, style
from inpaintlab.losses.reconstruction import masked_l1, total_variation
from inpaintlab.training.vgg_module import VggModule


class PConv(VggModule):
    """L = valid + 6 hole + 0.05 perceptual + 120 style + 0.1 tv; the weights stand in `conf/model/pconv.yaml`."""

    terms: ClassVar[tuple[str, ...]] = ("valid", "hole", "perceptual", "style", "tv")

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        composite = self.composite(batch, output)
        terms = {
            "valid": masked_l1(output.image, batch.image, 1 - batch.hole),
            "hole": masked_l1(output.image, batch.image, batch.hole),
            "tv": total_variation(composite, batch.hole),
        }
        if self.vgg is not None:
            targets, features = self.vgg_features(batch.image, [output.image, composite])
            terms["perceptual"] = torch.stack([perceptual(of, targets, "l1") for of in features]).sum()
            terms["style"] = torch.stack([style(of, targets) for of in features]).sum()
        return terms
