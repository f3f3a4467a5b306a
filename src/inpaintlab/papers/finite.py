"""Stops a training whose loss is no longer a number, before anything good is overwritten."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inpaintlab.errors import UserError


class LossNotFinite(UserError):
    """A loss term became NaN or infinite."""


class FiniteGuard:
    """Remembers, without waiting for the device, the first batch at which each term was not finite.

    Asking a GPU after every step whether the loss is finite would make it wait for the host. The guard keeps the
    answer in one small tensor instead; `check` reads it, every few batches and before every save.
    """

    def __init__(self) -> None:
        self._first: dict[str, Tensor] = {}

    def watch(self, batch: int, values: dict[str, Tensor]) -> None:
        """Note the terms (scalars) of batch number `batch`."""
        for name, value in values.items():
            bad = ~torch.isfinite(value.detach())
            first = self._first.get(name)
            if first is None:
                first = torch.full((), math.inf, device=value.device)
            self._first[name] = torch.minimum(first, torch.where(bad, float(batch), math.inf))

    def check(self) -> None:
        """Raise LossNotFinite if any watched value was not finite."""
        if not self._first:
            return
        first = dict(zip(self._first, torch.stack(list(self._first.values())).tolist(), strict=True))
        batch = min(first.values())
        if batch < math.inf:
            names = ", ".join(f"`{name}`" for name, at in first.items() if at == batch)
            raise LossNotFinite(
                f"the loss term {names} became NaN or infinite in batch {int(batch)}. Nothing was saved after it; the "
                "last checkpoint is good. Lower the learning rate or the weight of that term, or train with "
                "trainer.precision=32, and start the same command again: it continues from the last checkpoint."
            )
