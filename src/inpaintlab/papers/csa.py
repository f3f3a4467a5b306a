"""CSA's training (Liu et al. 2019, Sections 3.3 to 3.5; Eqs. 4 to 8): L1 of both stages, consistency, two critics.

As released, and unlike the text, the rough network is trained by its own L1 alone. Two gradients that the text has and
the released code loses by accident are here: that of the consistency loss, whose value the code only adds to the sum,
and that of the feature discriminator, which judges features without a graph there.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from inpaintlab.batch import Batch, Output
from inpaintlab.errors import check_choice
from inpaintlab.losses import vgg_features
from inpaintlab.losses.adversarial import Scores
from inpaintlab.losses.feature import consistency
from inpaintlab.losses.reconstruction import distance
from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.training.module import InpaintingModule

FOLLOWS = ("paper", "authors")


class CSA(InpaintingModule):
    """L = L1 + 0.01 consistency + 0.002 adversarial, the weights standing in `conf/model/csa.yaml`.

    Args:
        vgg: features behind pool3, for the feature discriminator, and of the layer that the consistency loss compares,
            in this order. Without ImageNet's normalisation it sees pictures in [-1, 1], as released. None only if the
            consistency weight is 0 and no features are judged.
        follows: "paper", or "authors", their released code: the two gradients above are lost, and the consistency loss
            compares with the target of the whole picture.
    """

    terms: ClassVar[tuple[str, ...]] = ("l1", "consistency")

    def __init__(self, *, vgg: Vgg16 | None = None, follows: str = "paper", **options: Any) -> None:
        super().__init__(**options)
        check_choice("follows", follows, FOLLOWS)
        vgg_features.require(vgg, self.loss_weights, ("consistency",))
        self.judges_features = getattr(self.discriminator, "feature", None) is not None
        if vgg is None and self.judges_features:
            raise ValueError("a discriminator of features needs VGG-16; without it set discriminator.feature to null")
        if vgg is not None and len(vgg.layers) != 2:
            raise ValueError(f"vgg.layers={list(vgg.layers)} must be pool3 and the layer of the consistency loss")
        self.vgg, self.follows = vgg, follows
        self._truth: tuple[Tensor, list[Tensor]] | None = None

    def remarks(self) -> list[str]:
        return vgg_features.remarks(self.vgg, "the consistency term has weight 0 and no features are judged")

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        assert output.coarse is not None
        # In the paper's range [-1, 1], to which its weights belong.
        terms = {"l1": 2 * sum_l1(batch.image, output.coarse, output.image)}
        if self.loss_weights["consistency"]:
            target = self.features(batch.image, batch)[1]
            hole = self.generator.feature_hole(batch.hole)  # type: ignore[operator]
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
        """VGG-16's features; those of the batch's own pictures are computed once, without a graph."""
        assert self.vgg is not None
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
    """Sum of the mean absolute differences of pictures from the truth."""
    return torch.stack([distance(picture, truth, "l1") for picture in pictures]).sum()
