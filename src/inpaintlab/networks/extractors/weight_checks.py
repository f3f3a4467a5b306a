"""What all networks with pretrained weights say of weights that are not there, or are another network's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from inpaintlab.errors import UserError

RANDOM = "random"
UNTRAINED = "untrained (random weights)"


def require_random(weights: str) -> None:
    """Refuse any other word than "random" in the place of a state dict: untrained weights must be asked for."""
    if weights != RANDOM:
        raise ValueError(f"weights={weights!r}: give a state dict, or {RANDOM!r} for untrained weights")


def require_entries(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Refuse weights in which an entry is missing or of another shape; further entries may be there.

    Args:
        shapes: of the entries that are needed, by name.
        what: the weights are meant to be.

    Raises:
        UserError: with the first three entries of either kind and their number.
    """
    if not isinstance(weights, Mapping):
        raise UserError(f"these are not {what}: they must be tensors by name, not {type(weights).__name__}")
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
