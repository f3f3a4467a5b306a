"""Checks of pretrained weights, shared by all feature extractors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from inpaintlab.errors import UserError

RANDOM = "random"
UNTRAINED = "untrained (random weights)"


def require_random(weights: str) -> None:
    """Raise ValueError for any word but "random": nobody should get untrained weights by mistake."""
    if weights != RANDOM:
        raise ValueError(f"weights must be a state dict, or {RANDOM!r} for untrained weights; got {weights!r}")


def require_entries(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Check that weights contain the required entries; additional entries are allowed.

    Args:
        shapes: shapes of the required entries by name.
        what: what the weights are expected to be, for the message.

    Raises:
        UserError: if entries are missing or of another shape, with their number and the first three of each kind.
    """
    if not isinstance(weights, Mapping):
        raise UserError(f"these are not {what}: expected tensors by name, got {type(weights).__name__}")
    missing = [name for name in shapes if not isinstance(weights.get(name), Tensor)]
    other = [
        f"{name} {tuple(weights[name].shape)} for {shape}"
        for name, shape in shapes.items()
        if name not in missing and tuple(weights[name].shape) != shape
    ]
    wrong = [
        f"{len(names)} of {len(shapes)} entries {how}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for how, names in (("are missing", missing), ("have another shape", other))
        if names
    ]
    if wrong:
        raise UserError(f"these are not {what}; {'; '.join(wrong)}")
