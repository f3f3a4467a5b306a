"""What all networks with pretrained weights say of weights that are not there."""

from __future__ import annotations

RANDOM = "random"
UNTRAINED = "untrained (random weights)"


def require_random(weights: str) -> None:
    """Refuse any other word than "random" in the place of a state dict: untrained weights must be asked for."""
    if weights != RANDOM:
        raise ValueError(f"weights={weights!r}: give a state dict, or {RANDOM!r} for untrained weights")
