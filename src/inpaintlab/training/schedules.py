"""Learning-rate schedules: the rate of a batch as a function of its number and the length of the training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inpaintlab.errors import UserError, check_choice

KINDS = ("constant", "linear", "cosine", "multistep")


class Schedule:
    """The factor on the optimisers' learning rates, batch by batch.

    All lengths are shares of the training, so that a schedule fits a training of any length. The factor depends on the
    batch only, so a resumed training continues exactly.

    Args:
        kind: "constant"; "linear" and "cosine", which fall from 1 to `last` at the end of the training; "multistep",
            which multiplies by `gamma` at each of `milestones`.
        warm_up: share of the training in which the factor first rises linearly to 1; 0 for none.
        hold: share of the training, warm-up included, that ends before "linear" and "cosine" begin to fall.
        last: factor at the end of "linear" and "cosine".
        milestones: for "multistep": shares of the training.
        gamma: for "multistep".

    Raises:
        UserError: if the kind is unknown or a share is out of range.
    """

    def __init__(
        self,
        kind: str = "constant",
        *,
        warm_up: float = 0.0,
        hold: float = 0.0,
        last: float = 0.0,
        milestones: Sequence[float] = (),
        gamma: float = 1.0,
    ) -> None:
        check_choice("schedule.kind", kind, KINDS)
        for name, share in (("warm_up", warm_up), ("hold", hold)):
            if not 0 <= share < 1:
                raise UserError(f"schedule.{name}={share} must be a share of the training, in [0, 1)")
        if not 0 <= last <= 1:
            raise UserError(f"schedule.last={last} must be in [0, 1]")
        if any(not 0 < share < 1 for share in milestones):
            raise UserError(f"schedule.milestones={list(milestones)} must be shares of the training, in (0, 1)")
        self.kind, self.warm_up, self.start = kind, warm_up, max(warm_up, hold)
        self.last, self.milestones, self.gamma = last, tuple(milestones), gamma

    def factor(self, batch: int, total: int) -> float:
        """Return the factor for batch number `batch`, counted from 0, of `total`."""
        rise = self.warm_up * total
        warm = (batch + 1) / rise if batch + 1 < rise else 1.0
        return warm * self._shape(min(1.0, batch / total))

    def _shape(self, progress: float) -> float:
        """Return the factor without warm-up after the share `progress` of the training."""
        if self.kind == "constant":
            return 1.0
        if self.kind == "multistep":
            return float(self.gamma ** sum(progress >= milestone for milestone in self.milestones))
        fallen = max(0.0, progress - self.start) / (1 - self.start)
        shape = 1 - fallen if self.kind == "linear" else (1 + math.cos(math.pi * fallen)) / 2
        return self.last + (1 - self.last) * shape
