"""CSA's training (Liu et al. 2019, Sections 3.3-3.5; Eqs. 4-8): L1 of both stages, consistency, two discriminators.

The rough network is trained by its own L1 term alone, as in the released code and unlike the text. The released code
loses two gradients that the text has: it only adds the value of the consistency loss to the sum, and the feature
discriminator judges features without a graph. Both gradients are kept here by default.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from inpaintlab.batch import Batch, Output
from inpaintlab.errors import check_choice
from inpaintlab.losses.adversarial import Scores
from inpaintlab.losses.feature import consistency
from inpaintlab.losses.reconstruction import distance
from inpaintlab.networks.csa import Generator
from inpaintlab.networks.csa_critics import Discriminator
from inpaintlab.training.vgg_module import VggModule

FOLLOWS = ("paper", "authors")


class CSA(VggModule):
    """L = L1 + 0.01 consistency + 0.002 adversarial; the weights stand in `conf/model/csa.yaml`.

    Args:
        follows: "paper", or "authors", their released code, where the two gradients above are lost and the consistency
            loss compares with the target of the whole picture.
        options: see `VggModule`. `vgg` has two layers: pool3 for the feature discriminator and the layer that the
            consistency loss compares, in this order. Without ImageNet's normalisation it sees pictures in [-1, 1], as
            released. It may be None only if the consistency weight is 0 and no features are judged.
    """

    terms: ClassVar[tuple[str, ...]] = ("l1", "consistency")
    vgg_terms: ClassVar[tuple[str, ...]] = ("consistency",)
    without_vgg: ClassVar[str] = "the consistency term has weight 0 and no features are judged"

    def __init__(self, *, follows: str = "paper", **options: Any) -> None:
        super().__init__(**options)
        check_choice("follows", follows, FOLLOWS)
        critics = self.discriminator
        self.judges_features = isinstance(critics, Discriminator) and critics.feature is not None
        if self.vgg is None and self.judges_features:
            raise ValueError("the feature discriminator needs VGG-16; set vgg, or discriminator.feature to null")
        if self.vgg is not None and len(self.vgg.layers) != 2:
            raise ValueError(
                f"vgg.layers must be pool3 and the layer of the consistency loss, got {list(self.vgg.layers)}"
            )
        self.follows = follows
        self._truth: tuple[Tensor, list[Tensor]] | None = None

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        assert output.coarse is not None
        # The paper's loss weights hold for pictures in [-1, 1].
        terms = {"l1": 2 * sum_l1(batch.image, output.coarse, output.image)}
        if self.loss_weights["consistency"]:
            assert isinstance(self.generator, Generator)
            target = self.features(batch.image, batch)[1]
            hole = self.generator.feature_hole(batch.hole)
            term = consistency(output.features, target, hole, mask_target=self.follows == "paper")
            terms["consistency"] = term if self.follows == "paper" else term.detach()
        return terms

    def fake(self, batch: Batch, output: Output) -> Tensor:
        return output.image

    def judge(self, image: Tensor, batch: Batch) -> Scores:
        assert self.discriminator is not None
        if not self.judges_features:
            return self.discriminator(image)
        features = self.features(image, batch)[0]
        return self.discriminator(image, features if self.follows == "paper" else features.detach())

    def discriminator_loss(self, batch: Batch, output: Output) -> Tensor:
        return 0.5 * super().discriminator_loss(batch, output)

    def features(self, image: Tensor, batch: Batch) -> list[Tensor]:
        """Return VGG-16's features of pictures; those of `batch.image` are computed once and carry no gradient."""
        if image is not batch.image:
            return self._look(image)
        if self._truth is None or self._truth[0] is not image:
            with torch.no_grad():
                self._truth = (image, self._look(image))
        return self._truth[1]

    def _look(self, image: Tensor) -> list[Tensor]:
        assert self.vgg is not None
        return self.vgg(2 * image - 1 if isinstance(self.vgg.scale, nn.Identity) else image)


def sum_l1(truth: Tensor, *pictures: Tensor) -> Tensor:
    """Return the sum of the pictures' mean absolute differences from the truth."""
    return torch.stack([distance(picture, truth, "l1") for picture in pictures]).sum()
