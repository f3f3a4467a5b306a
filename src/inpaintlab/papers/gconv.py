"""GConv's training (Yu et al., ICCV 2019, section 3.4): L1 on both stages and the hinge loss of SN-PatchGAN.

The discriminator judges the composite together with the hole. The authors' code ("authors") takes the L1 over the whole
picture, gives it and the generator's adversarial term the same weight, and halves the discriminator's loss (`Hinge`).
mmagic ("mmagic") adds the mean over the hole to the mean over the known pixels, so that small holes count more, weighs
the adversarial term with 0.1 and does not halve the discriminator's loss.

The refinement's losses train the coarse network too. As in the code, L1 holds for pictures in [-1, 1]. Distances
between pictures in [0, 1] are half as large and are doubled here.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.errors import check_choice
from inpaintlab.losses.adversarial import Scores
from inpaintlab.losses.reconstruction import distance, masked_l1
from inpaintlab.training.module import InpaintingModule

FOLLOWS = ("authors", "mmagic")


class GConv(InpaintingModule):
    """L = l1 + adversarial; the weights stand in `conf/model/gconv.yaml`. The generator must have two stages.

    Args:
        follows: whose L1 term, "authors" or "mmagic", see above.
        options: see `InpaintingModule`.
    """

    terms: ClassVar[tuple[str, ...]] = ("l1",)

    def __init__(self, *, follows: str = "authors", **options: Any) -> None:
        super().__init__(**options)
        check_choice("follows", follows, FOLLOWS)
        self.follows = follows

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        assert output.coarse is not None
        return {"l1": 2 * torch.stack([self._l1(stage, batch) for stage in (output.coarse, output.image)]).sum()}

    def _l1(self, stage: Tensor, batch: Batch) -> Tensor:
        if self.follows == "authors":
            return distance(stage, batch.image, "l1")
        # The constant prevents 0 / 0 in batches without a hole or without a known pixel.
        means = [masked_l1(stage, batch.image, part) / (part.mean() + 1e-12) for part in (batch.hole, 1 - batch.hole)]
        return torch.stack(means).sum()

    def judge(self, image: Tensor, batch: Batch) -> Scores:
        assert self.discriminator is not None
        return [self.discriminator(image, batch.hole)]
