"""Options and helpers of an optimiser step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from inpaintlab.batch import Batch
from inpaintlab.errors import UserError


@dataclass(frozen=True)
class StepOptions:
    """How the optimisers step; these options come from `conf/trainer`, not from a paper.

    Args:
        accumulate: number of parts of each batch that are run one after another; their gradients are summed before
            the step.
        clip_norm: largest gradient norm of a step, or None for no limit.
        health: what to do about an unhealthy training; see `Health`.
        warn: called with each warning.
    """

    accumulate: int = 1
    clip_norm: float | None = None
    health: str = "stop"
    warn: Callable[[str], object] = print


def split(batch: Batch, count: int) -> list[Batch]:
    """Split the batch into `count` equal parts.

    Raises:
        UserError: if `count` does not divide the number of pictures.
    """
    size, rest = divmod(len(batch), count)
    if rest:
        raise UserError(
            f"trainer.accumulate={count} must divide the {len(batch)} pictures that a process has per batch"
        )
    cuts = [slice(i * size, (i + 1) * size) for i in range(count)]
    return [batch] if count == 1 else [Batch(batch.image[c], batch.hole[c], batch.name[c]) for c in cuts]


@contextmanager
def frozen(module: nn.Module | None) -> Iterator[None]:
    """Compute no gradients for the weights of `module`; gradients still flow to its input."""
    parameters = [p for p in module.parameters() if p.requires_grad] if module is not None else []
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
