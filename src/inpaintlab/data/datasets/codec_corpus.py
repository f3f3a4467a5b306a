"""CID22 and Kodak, as the public repository imazen/codec-corpus holds them: open photographs, PNG.

`git clone` gives CID22/CID22-512/training (209 photographs, 512 x 512), CID22/CID22-512/validation (41) and kodak (24,
768 x 512 or 512 x 768); the counts hold for commit 55decfe826. CID22 is licensed under CC BY-SA 4.0; the Kodak
photographs are released for unrestricted use.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import ClassVar

from inpaintlab.data.datasets.named import NamedSet
from inpaintlab.data.files.lists import Names

KODAK = 24  # pictures


class CodecCorpus(NamedSet):
    """Base of the sets in a clone of codec-corpus, which is `root`."""

    places: ClassVar[Mapping[str, str]]

    def original(self, split: str) -> Names:
        return self.scan(self.need_folder(self.places[split]))

    def canonical(self, path: str) -> str:
        """Return the file name."""
        return PurePosixPath(path).name

    def folders(self) -> list[str]:
        return [folder for place in self.places.values() if (folder := self.find_folder(place))]

    def archives(self) -> Mapping[str, Mapping[str, str]]:
        return {}


class CID22(CodecCorpus):
    """The Cloudinary Image Dataset '22 for training and validation, tested on Kodak.

    Args:
        root: the clone of codec-corpus.
    """

    title = "CID22"
    places: ClassVar[Mapping[str, str]] = {
        "train": "CID22/CID22-512/training",
        "val": "CID22/CID22-512/validation",
        "test": "kodak",
    }

    def expected(self) -> Mapping[str, int]:
        return {"train": 209, "val": 41, "test": KODAK}


class Kodak(CodecCorpus):
    """Kodak's 24 photographs, only for testing.

    Args:
        root: the clone of codec-corpus.
    """

    title = "Kodak"
    splits = ("test",)
    places: ClassVar[Mapping[str, str]] = {"test": "kodak"}

    def expected(self) -> Mapping[str, int]:
        return {"test": KODAK}
