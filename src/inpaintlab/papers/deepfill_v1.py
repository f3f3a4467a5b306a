"""DeepFill v1's training (Yu et al., CVPR 2018, sections 3.2, 3.3, 4.2): discounted L1, auto-encoder and WGAN-GP terms.

The paper does not state its whole loss; the authors' TensorFlow code ("authors") does. The PyTorch port ("port")
compares the composites in the box, does not divide by the known share, and takes the penalty on the whole gradient.

The refinement's losses train the coarse network too. As in the code, losses and penalty hold for pictures in [-1, 1].
Distances between pictures in [0, 1] are half as large and are doubled here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.errors import check_choice
from inpaintlab.image import composite
from inpaintlab.layers.local_crop import crop, local_box
from inpaintlab.losses.adversarial import Scores, gradient_penalty
from inpaintlab.losses.reconstruction import discount, masked_l1
from inpaintlab.networks.deepfill_v1_critics import Critics
from inpaintlab.training.module import InpaintingModule

FOLLOWS = ("authors", "port")


class DeepFillV1(InpaintingModule):
    """L = 1.2 l1 + 1.2 ae + 0.001 adversarial; the weights stand in `conf/model/deepfill_v1.yaml`.

    The generator must have two stages, and the discriminator must be `Critics`, whose own loss has no weight. In the
    authors' code five updates of the critics, each on new pictures, precede one of the generator: generator_every=6
    with take_turns. The port updates the critics on every batch and the generator on every fifth: generator_every=5.

    Args:
        follows: whose loss, "authors" or "port", see above.
        gamma: base of the discounted weights, see `losses.reconstruction.discount`. The paper says 0.99; both codes
            use 0.9.
        coarse_weight: weight of the coarse stage within l1 and ae, relative to 1 for the refinement.
        local_size: side of the square around the hole in which l1 is taken, in pixels; must equal that of the critics.
        gp_weight: weight of the gradient penalties.
        options: see `InpaintingModule`.
    """

    terms: ClassVar[tuple[str, ...]] = ("l1", "ae")

    def __init__(
        self,
        *,
        follows: str = "authors",
        gamma: float = 0.9,
        coarse_weight: float = 1.2,
        local_size: int = 128,
        gp_weight: float = 10.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_choice("follows", follows, FOLLOWS)
        if isinstance(self.discriminator, Critics) and self.discriminator.local_size != local_size:
            raise ValueError(
                f"local_size must be that of the critics, {self.discriminator.local_size}; got {local_size}"
            )
        self.follows, self.gamma, self.coarse_weight = follows, gamma, coarse_weight
        self.local_size, self.gp_weight = local_size, gp_weight

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        assert output.coarse is not None
        place = local_box(batch.hole, self.local_size)
        weights = discount(self.local_size, self.local_size, self.gamma, batch.image.device)
        truth, known = crop(batch.image, *place, self.local_size), 1 - batch.hole
        l1, ae = [], []
        for share, stage in ((self.coarse_weight, output.coarse), (1.0, output.image)):
            # In the raw output the ring of known pixels between hole and box counts as well.
            boxed = stage if self.follows == "authors" else composite(batch.image, stage, batch.hole)
            l1.append(2 * share * masked_l1(crop(boxed, *place, self.local_size), truth, weights))
            ae.append(2 * share * masked_l1(stage, batch.image, known))
        terms = {"l1": torch.stack(l1).sum(), "ae": torch.stack(ae).sum()}
        if self.follows == "authors":
            terms["ae"] = terms["ae"] / known.mean()
        return terms

    def judge(self, image: Tensor, batch: Batch) -> Scores:
        assert self.discriminator is not None
        scores: Scores = self.discriminator(image, batch.hole)
        return scores

    def discriminator_loss(self, batch: Batch, output: Output) -> Tensor:
        penalty = self.penalty(batch, output)
        self.note("gradient_penalty", penalty)
        return super().discriminator_loss(batch, output) + self.gp_weight * penalty

    def penalty(self, batch: Batch, output: Output, alphas: Sequence[Tensor | None] = (None, None)) -> Tensor:
        """Return the sum of both critics' gradient penalties; each critic has its own interpolates.

        Args:
            alphas: for the local and the global critic, the share of the real pictures in the interpolates, or None
                to draw it (see `gradient_penalty`).
        """
        critics, hole = self.discriminator, batch.hole
        assert isinstance(critics, Critics)
        real_local, real = critics.views(batch.image, hole)
        fake_local, fake = critics.views(self.fake(batch, output).detach(), hole)
        mask_local, mask = (critics.square(hole, hole), hole) if self.follows == "authors" else (None, None)
        local = gradient_penalty(lambda x: [critics.local(x)], real_local, fake_local, alphas[0], mask_local)
        return local + gradient_penalty(lambda x: [critics.whole(x)], real, fake, alphas[1], mask)
