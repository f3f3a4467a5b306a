"""A torchmetrics metric that gathers one tensor per picture from all processes, each picture exactly once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class PerPicture(Metric):
    """Keeps a tensor per picture. Nothing is averaged, so that any statistic can be computed later."""

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
            number: index of the picture among all pictures.
            values: of the same shape and dtype for all pictures.
        """
        self.number.append(torch.tensor([number], device=self.device))
        self.values.append(values.detach().to(self.device)[None])

    def compute(self) -> dict[int, Tensor]:
        """Return the tensors by picture number, in order and on the CPU. A picture that was added twice counts once."""
        if isinstance(self.number, list) and not self.number:
            return {}
        numbers, values = dim_zero_cat(self.number).tolist(), dim_zero_cat(self.values).cpu()
        return dict(sorted(zip(numbers, values, strict=True), key=lambda row: row[0]))
