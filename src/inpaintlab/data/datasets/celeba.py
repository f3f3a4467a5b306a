"""CelebA (Liu et al. 2015): the aligned faces, 178 x 218 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from inpaintlab.data.datasets.named import NamedSet
from inpaintlab.data.datasets.source import SPLITS
from inpaintlab.data.files.lists import Names
from inpaintlab.errors import UserError, check_choice

PARTITION = "list_eval_partition.txt"
# The innermost folder comes first: an outer folder of the same name holds no picture.
FOLDERS = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba", "celeba/img_align_celeba")


def read_partition(path: Path) -> dict[str, list[str]]:
    """Return the files of each split. A line of the official list is "000001.jpg 0", with 0, 1, 2 = train, val, test.

    Raises:
        UserError: if a line has another form.
    """
    parts: dict[str, list[str]] = {name: [] for name in SPLITS}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        file, _, part = line.strip().partition(" ")
        if part.strip() not in ("0", "1", "2"):
            raise UserError(f"{path}, line {number}: expected `000001.jpg 0` with a 0, 1 or 2, got {line!r}")
        parts[SPLITS[int(part)]].append(file)
    return parts


class CelebA(NamedSet):
    """CelebA, split by the official partition: 162 770 / 19 867 / 19 962 pictures.

    Args:
        root: folder with img_align_celeba/ and list_eval_partition.txt, in CelebA's own folders or side by side.
        test: the official split to test on: "test", or "val" as in CSA.
    """

    title = "CelebA"

    def __init__(self, root: str | Path | None, *, test: str = "test") -> None:
        check_choice("data.pictures.test", test, ("val", "test"))
        super().__init__(root, test=test)
        self.test = test

    def original(self, split: str) -> Names:
        partition = self.need_file(PARTITION, needed_for="CelebA")
        folder = self.need_folder(*FOLDERS)
        wanted = self.test if split == "test" else split
        return Names(f"{folder}/{file}" for file in read_partition(partition)[wanted])

    def canonical(self, path: str) -> str:
        return path.rpartition("/")[2]

    def folders(self) -> list[str]:
        return [folder] if (folder := self.find_folder(*FOLDERS)) else []

    def archives(self) -> Mapping[str, Mapping[str, str]]:
        return {"img_align_celeba.zip": {}}

    def expected(self) -> Mapping[str, int]:
        counts = {"train": 162_770, "val": 19_867, "test": 19_962}
        return counts | {"test": counts[self.test]}
