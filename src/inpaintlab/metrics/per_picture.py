"""What is kept per picture, as a torchmetrics metric: gathered from all processes, every picture exactly once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class PerPicture(Metric):
    """A tensor per picture; nothing is averaged, so any mean can be taken later."""

    full_state_update = False
    number: list[Tensor]
    values: list[Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("number", default=[], dist_reduce_fx="cat")
        self.add_state("values", default=[], dist_reduce_fx="cat")

    def update(self, number: int, values: Tensor) -> None:
        """Add a picture.

        Args:
            number: its place among all pictures.
            values: of the same shape and type for all of them.
        """
        self.number.append(torch.tensor([number], device=self.device))
        self.values.append(values.detach().to(self.device)[None])

    def compute(self) -> dict[int, Tensor]:
        """By picture number, in order, on the CPU; a picture that was added twice counts once."""
        if isinstance(self.number, list) and not self.number:
            return {}
        numbers, values = dim_zero_cat(self.number).tolist(), dim_zero_cat(self.values).cpu()
        return dict(sorted(zip(numbers, values, strict=True), key=lambda row: row[0]))
