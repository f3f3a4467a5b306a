"""What every source of pictures has in common: the interface, the names of the splits, the marks of `data prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from inpaintlab.data.files.items import Item
from inpaintlab.errors import UserError

SPLITS = ("train", "val", "test")
PREPARED, STARTED = "prepared.json", "preparing.json"  # written by `inpaintlab data prepare`, last and first
PREVIEWS = 64  # training pictures that stand in for a missing validation split


@runtime_checkable
class PictureSource(Protocol):
    """The interface of a source of pictures, as the data module uses it."""

    def split(self, name: str, size: int) -> Sequence[Item]:
        """Return the items of "train", "val" or "test"; `size` is the side of the crops that will be cut."""
        ...


def refuse_half_prepared(root: Path) -> None:
    """Raise UserError if `inpaintlab data prepare` was stopped while it wrote `root`."""
    if (root / STARTED).exists() and not (root / PREPARED).exists():
        raise UserError(
            f"{root.absolute()} is incomplete: `inpaintlab data prepare` was stopped there; start it again to continue"
        )
