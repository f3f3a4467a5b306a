"""LBAM's training (Xie et al. 2019, section 3.4; Eqs. 14-18): L1, perceptual, style and WGAN-GP terms.

The discriminator judges the raw output together with the hole. In two points the training differs from the released
code. The discriminator's loss sees a detached output: as released, its gradients also run through the generator and are
discarded. The generator's loss scores the output again with the updated discriminator: PyTorch refuses to reuse the
earlier scores since version 1.5.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.errors import check_choice
from inpaintlab.losses.adversarial import Scores, gradient_penalty
from inpaintlab.losses.feature import STYLES, perceptual, style
from inpaintlab.losses.reconstruction import distance, masked_l1
from inpaintlab.training.vgg_module import VggModule

FOLLOWS = ("paper", "authors")


class LBAM(VggModule):
    """L = L1 + 0.1 adversarial + 0.05 perceptual + 120 style; the weights stand in `conf/model/lbam.yaml`.

    Args:
        follows: "paper": L1 over the picture, squared perceptual distance, features of the output. "authors", their
            released code: 6 times the L1 of the hole plus that of the known pixels, absolute perceptual distance,
            features of output and composite.
        style_variant: see `losses.feature.style`.
        gp_weight: weight of the gradient penalty (lambda in Eq. 17).
        options: see `VggModule`; `vgg` sees pictures in [0, 1].
    """

    terms: ClassVar[tuple[str, ...]] = ("l1", "perceptual", "style")

    def __init__(
        self, *, follows: str = "paper", style_variant: str = "gram_l1", gp_weight: float = 10.0, **options: Any
    ) -> None:
        super().__init__(**options)
        check_choice("follows", follows, FOLLOWS)
        check_choice("style_variant", style_variant, STYLES)
        self.follows, self.style_variant, self.gp_weight = follows, style_variant, gp_weight

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        filled = [output.image]
        if self.follows == "paper":
            terms = {"l1": distance(output.image, batch.image, "l1")}
        else:
            known = masked_l1(output.image, batch.image, 1 - batch.hole)
            terms = {"l1": 6 * masked_l1(output.image, batch.image, batch.hole) + known}
            filled.append(self.composite(batch, output))
        if self.vgg is not None:
            targets, features = self.vgg_features(batch.image, filled)
            norm = "mse" if self.follows == "paper" else "l1"
            near = torch.stack([perceptual(of, targets, norm) for of in features]).sum()
            terms["perceptual"] = near / len(targets) if self.follows == "paper" else near
            terms["style"] = torch.stack([style(of, targets, self.style_variant) for of in features]).sum()
        return terms

    def fake(self, batch: Batch, output: Output) -> Tensor:
        return output.image

    def judge(self, image: Tensor, batch: Batch) -> Scores:
        assert self.discriminator is not None
        return [self.discriminator(image, batch.hole)]

    def discriminator_loss(self, batch: Batch, output: Output) -> Tensor:
        penalty = gradient_penalty(lambda image: self.judge(image, batch), batch.image, output.image)
        self.note("gradient_penalty", penalty)
        return super().discriminator_loss(batch, output) + self.gp_weight * penalty
