"""Losses are computed in float32 whatever the precision of the networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def in_float32(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Decorator: tensors (also in lists and tuples) are cast to float32 and autocast is off inside.

    Squared differences and Gram matrices of bfloat16 features keep only three digits, too few for weights of
    250 on differences of means. The gradients go back through the cast, so the networks stay in their precision.
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
