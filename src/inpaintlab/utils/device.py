"""Choose the device that a program runs on."""

from __future__ import annotations

import torch

from inpaintlab.errors import UserError


def resolve_device(name: str) -> str:
    """The torch device for `name`. As a side effect, the CPU treats subnormal numbers as 0 from now on.

    In GAN trainings features and gradients fill with subnormal numbers (below 1e-38), which most processors multiply a
    hundred times slower than others: without them, DeepFill v1 at demo scale trains four times as fast.

    Args:
        name: "auto" (a GPU if there is one), "gpu", "cpu", or a torch device such as "cuda:1".

    Raises:
        UserError: if a GPU is asked for and there is none.
    """
    torch.set_flush_denormal(True)
    if name in ("auto", "cpu"):
        return "cuda" if name == "auto" and torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available():
        raise UserError(f"{name} was asked for, but torch finds no GPU here; use cpu or auto")
    return "cuda" if name == "gpu" else name
