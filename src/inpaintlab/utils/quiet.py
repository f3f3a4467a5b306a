"""Suppress messages of Lightning that do not apply to this suite."""

from __future__ import annotations

import logging
import warnings


def lightning() -> None:
    """Suppress device tips and advice that contradicts how the suite works; other warnings stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # the embedded photographs need no worker processes
        ".*logging interval.*",
        ".*in eval mode at the start of training.*",  # batch norm is frozen on purpose
        ".*isinstance.*LeafSpec.*",
        ".*Total length of.*is zero.*",  # a run that was stopped after its last batch and continues
        ".*Checkpoint directory.*exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", message)
