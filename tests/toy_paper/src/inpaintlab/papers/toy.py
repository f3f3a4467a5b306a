"""The toy's training: the mean absolute error, once over the whole picture and once over the hole."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.losses.reconstruction import distance, masked_l1
from inpaintlab.training.module import InpaintingModule


class Toy(InpaintingModule):
    """L = l1 + 5 hole, the weights standing in `conf/model/toy.yaml`."""

    terms: ClassVar[tuple[str, ...]] = ("l1", "hole")

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        return {
            "l1": distance(output.image, batch.image, "l1"),
            "hole": masked_l1(output.image, batch.image, batch.hole),
        }
