"""Per-picture values as a torchmetrics metric: gathered from all processes, every picture exactly once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class PerPicture(Metric):
    """A table with one row of numbers per picture; nothing is averaged, so any mean can be taken later.

    Args:
        columns: names of the numbers.
    """

    full_state_update = False
    number: list[Tensor]
    values: list[Tensor]

    def __init__(self, columns: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self.columns = columns
        self.add_state("number", default=[], dist_reduce_fx="cat")
        self.add_state("values", default=[], dist_reduce_fx="cat")

    def update(self, number: int, values: dict[str, float]) -> None:
        """Add a picture.

        Args:
            number: its place among all pictures.
            values: one per column.
        """
        self.number.append(torch.tensor([number], device=self.device))
        row = [values[name] for name in self.columns]
        self.values.append(torch.tensor([row], dtype=torch.float64, device=self.device))

    def compute(self) -> dict[int, dict[str, float]]:
        """Rows by picture number, in order; a picture that was added twice counts once."""
        if isinstance(self.number, list) and not self.number:
            return {}
        numbers, values = dim_zero_cat(self.number).tolist(), dim_zero_cat(self.values).tolist()
        rows = {n: dict(zip(self.columns, row, strict=True)) for n, row in zip(numbers, values, strict=True)}
        return dict(sorted(rows.items()))
