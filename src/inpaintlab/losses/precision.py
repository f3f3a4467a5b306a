"""Compute losses in float32, whatever the precision of the networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def in_float32(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Decorate a loss: cast its tensors, also those in lists and tuples, to float32 and switch autocast off inside.

    float64 tensors stay as they are. Squared differences and Gram matrices of bfloat16 features have only three correct
    digits, too few for a difference of means that is weighed with 250. Gradients go back through the cast, so the
    networks keep their precision.
    """

    def cast(value: object) -> object:
        if isinstance(value, Tensor):
            return value if value.dtype == torch.float64 else value.float()
        if isinstance(value, (list, tuple)):
            return [cast(item) for item in value]
        return value

    @wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        devices = {value.device.type for value in (*args, *kwargs.values()) if isinstance(value, Tensor)}
        with torch.autocast(devices.pop() if devices else "cpu", enabled=False):
            return loss(*(cast(a) for a in args), **{k: cast(v) for k, v in kwargs.items()})  # type: ignore[arg-type]

    return wrapped
