"""Takes away what Lightning prints that a reader of our output does not need."""

from __future__ import annotations

import logging
import warnings


def lightning() -> None:
    """No device tips, no advice that contradicts how the suite works; real warnings stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # the embedded photographs need none
        ".*logging interval.*",
        ".*in eval mode at the start of training.*",  # batch norm that is frozen on purpose
        ".*isinstance.*LeafSpec.*",
        ".*Total length of.*is zero.*",  # a run that was stopped after its last batch
        ".*Checkpoint directory.*exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", message)
