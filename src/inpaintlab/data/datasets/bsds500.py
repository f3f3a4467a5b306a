"""The Berkeley Segmentation Data Set 500 (Arbelaez et al. 2011), photographs only: JPEG of 481 x 321 or 321 x 481.

The public repository BIDS/BSDS500 holds them in BSDS500/data/images/train (200), val (100) and test (200). They are for
non-commercial research and education.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from inpaintlab.data.datasets.named import NamedSet
from inpaintlab.data.datasets.source import SPLITS
from inpaintlab.data.files.lists import Names


class BSDS500(NamedSet):
    """BSDS500.

    Args:
        root: the clone of the repository, or a folder with the sub-folders train, val and test.
    """

    title = "BSDS500"

    def original(self, split: str) -> Names:
        return self.scan(self.need_folder(*_candidates(split)))

    def canonical(self, path: str) -> str:
        """Return the file name."""
        return PurePosixPath(path).name

    def folders(self) -> list[str]:
        return [folder for split in SPLITS if (folder := self.find_folder(*_candidates(split)))]

    def archives(self) -> Mapping[str, Mapping[str, str]]:
        return {}

    def expected(self) -> Mapping[str, int]:
        return {"train": 200, "val": 100, "test": 200}


def _candidates(split: str) -> tuple[str, ...]:
    """Return the folders that may hold a split."""
    return (f"BSDS500/data/images/{split}", f"data/images/{split}", split)
