"""Learning-rate schedules, counted in batches."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant_then_linear(optimizer: Optimizer, *, constant: int, total: int) -> LambdaLR:
    """The full rate for `constant` batches, then a linear decrease to 0 at batch `total` (pix2pix, CSA's code).

    Raises:
        ValueError: unless 0 <= constant < total.
    """
    if not 0 <= constant < total:
        raise ValueError(f"constant={constant} must be at least 0 and below total={total}")
    return LambdaLR(optimizer, lambda batch: 1 - min(1.0, max(0, batch - constant) / (total - constant)))
