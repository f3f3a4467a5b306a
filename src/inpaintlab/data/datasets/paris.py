"""Paris StreetView, as the authors of the context encoder (Pathak et al. 2016) distribute it.

paris_train_original.zip unpacks to paris_train_original/*.JPG: 14 900 pictures of 936 x 537, upper-case extension.
paris_eval.zip unpacks to paris_eval/paris_eval_gt/001_im.png ... 100_im.png. There is no official validation split;
LBAM held out 100 training pictures, and so does this class.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from inpaintlab.data import seeds
from inpaintlab.data.datasets.named import NamedSet, preview
from inpaintlab.data.datasets.source import PREVIEWS
from inpaintlab.data.files.lists import Names
from inpaintlab.errors import UserError


class ParisStreetView(NamedSet):
    """Paris StreetView.

    Args:
        root: the folder that the archives were unpacked into.
        held_out: number of training pictures held out for validation. With 0, validation uses training pictures.
        split_seed: seed that selects the held-out pictures; independent of the training seed.
    """

    title = "Paris StreetView"

    def __init__(self, root: str | Path | None, *, held_out: int = 100, split_seed: int = 0) -> None:
        super().__init__(root, held_out=held_out, split_seed=split_seed)
        self.held_out, self.split_seed = held_out, split_seed

    def original(self, split: str) -> Names:
        if split == "test":
            return self.scan(self.need_folder("paris_eval/paris_eval_gt", "paris_eval_gt"))
        files = self.scan(self.need_folder("paris_train_original"))
        if self.held_out >= len(files):
            raise UserError(
                f"Paris StreetView: {self.held_out} pictures cannot be held out of {len(files)} training pictures; "
                "lower data.pictures.held_out or complete the folder"
            )
        order = seeds.generator("paris validation", self.split_seed).permutation(len(files))
        if split == "val":
            return files.take(sorted(order[: self.held_out])) if self.held_out else preview(files)
        return files.take(sorted(order[self.held_out :]))

    def canonical(self, path: str) -> str:
        """Return the file name with a lower-case suffix."""
        file = PurePosixPath(path)
        return file.stem + file.suffix.lower()

    def folders(self) -> list[str]:
        return [
            folder
            for names in (("paris_train_original",), ("paris_eval/paris_eval_gt", "paris_eval_gt"))
            if (folder := self.find_folder(*names))
        ]

    def archives(self) -> Mapping[str, Mapping[str, str]]:
        return {"paris_train_original.zip": {}, "paris_eval*.zip": {}}

    def expected(self) -> Mapping[str, int]:
        return {"train": 14_900 - self.held_out, "val": self.held_out or PREVIEWS, "test": 100}
