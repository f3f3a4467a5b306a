"""CelebA-HQ (Karras et al. 2018): 30 000 faces, in either of the two file namings in use.

Zero-based: CelebA-HQ-img/0.jpg ... 29999.jpg (from CelebAMask-HQ), also imgHQ00000.png. One-based and padded:
data256x256/00001.jpg ... 30000.jpg. Lists of splits count from zero. Only the first or the last file shows which naming
a folder has, so a folder that lacks both is refused: a list applied with an offset of one would mix the splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from inpaintlab.data import seeds
from inpaintlab.data.datasets.celeba import PARTITION, read_partition
from inpaintlab.data.datasets.named import NamedSet, preview
from inpaintlab.data.files.lists import Names, read_list
from inpaintlab.errors import UserError, check_choice

MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
COUNT, TEST = 30_000, 2_000
NAMINGS = ("auto", "zero", "one")
FOLDERS = (
    "CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img",
    *(f"data{size}x{size}" for size in (1024, 512, 256, 128)), "celeba-hq", "celeba_hq",
)  # fmt: skip


def first_number(numbers: Iterable[int], naming: str, where: str, option: str) -> int:
    """Return the number that the files or names count from, 0 or 1.

    Args:
        numbers: those of all files of a folder, or of all names in the lists.
        naming: "zero" or "one" if it is known; "auto" to derive it from `numbers`.
        where: the folder or the lists, for the error message.
        option: the setting to change, for the error message.

    Raises:
        UserError: if `naming` is "auto" and `numbers` contain both or neither of 0 and 30000.
    """
    if naming != "auto":
        return NAMINGS.index(naming) - 1
    present = {0, COUNT} & set(numbers)
    if len(present) == 1:
        return 0 if 0 in present else 1
    found = "both 0 and 30000 are" if present else "neither 0 nor 30000 is"
    raise UserError(
        f"CelebA-HQ: {found} in {where}, so it is unknown whether its numbers count from zero or from one; give "
        f"{option}=zero or {option}=one"
    )


class CelebAHQ(NamedSet):
    """CelebA-HQ.

    "list" and "random" have no validation split; validation uses training pictures.

    Args:
        root: folder that holds the pictures, in a folder of a usual name or directly.
        by: how it is split: "list" (two files of 28 000 and 2 000 names, as in most papers), "mapping" (through the
            CelebA picture that each face comes from, and CelebA's partition: 24 183 / 2 993 / 2 824) or "random"
            (28 000 / 2 000 by `split_seed`).
        train_list, test_list: the files for "list", absolute or relative to `root`. They are third-party data and not
            part of this repository.
        folder: folder of the pictures, relative to `root`; needed if there are several.
        naming: "auto", or "zero" or "one" where the files do not show which number they count from.
        list_naming: the same for the lists.
        split_seed: seed for "random"; independent of the training seed.
    """

    title = "CelebA-HQ"

    def __init__(
        self,
        root: str | Path | None,
        *,
        by: str = "list",
        train_list: str | None = None,
        test_list: str | None = None,
        folder: str | None = None,
        naming: str = "auto",
        list_naming: str = "auto",
        split_seed: int = 0,
    ) -> None:
        check_choice("data.pictures.by", by, ("list", "mapping", "random"))
        check_choice("data.pictures.naming", naming, NAMINGS)
        check_choice("data.pictures.list_naming", list_naming, NAMINGS)
        super().__init__(root, by=by, split_seed=split_seed)
        self.by, self.lists, self.split_seed = by, (train_list, test_list), split_seed
        self.folder, self.naming, self.list_naming = folder, naming, list_naming
        self._paths: dict[int, str] = {}

    def original(self, split: str) -> Names:
        if split == "val" and self.by != "mapping":
            return preview(self.names("train"))
        paths = self._by_number()
        chosen = {"list": self._list, "mapping": self._mapping, "random": self._random}[self.by](split)
        return Names(paths.get(n) or self._missing_path(n) for n in chosen)

    def canonical(self, path: str) -> str:
        """Return the zero-based number with the suffix, "123.jpg"."""
        return f"{_number(path) - self._first}{Path(path).suffix.lower()}"

    def folders(self) -> list[str]:
        return [self._folder()]

    def archives(self) -> Mapping[str, Mapping[str, str]]:
        return {"CelebAMask-HQ.zip": {}, "data*x*.zip": {}, "CelebA-HQ-img.zip": {}}

    def expected(self) -> Mapping[str, int]:
        if self.by == "mapping":
            return {"train": 24_183, "val": 2_993, "test": 2_824}
        return {"train": COUNT - TEST, "test": TEST}

    # ------------------------------------------------------------------ which pictures exist
    def _folder(self) -> str:
        if self.folder is not None:
            return self.need_folder(self.folder)
        found = [name for name in FOLDERS if (self.root / name).is_dir()]
        if len(found) > 1:
            raise UserError(
                f"CelebA-HQ: {self.root.absolute()} holds {', '.join(found)}; choose one with data.pictures.folder="
            )
        return found[0] if found else "."

    def _by_number(self) -> dict[int, str]:
        """Return the path for each zero-based number."""
        if not self._paths:
            folder = self._folder()
            files = [path.removeprefix("./") for path in self.scan(folder)]
            numbers = [_number(path) for path in files]
            self._first = first_number(numbers, self.naming, folder, "data.pictures.naming")
            for number, path in zip(numbers, files, strict=True):
                other = self._paths.setdefault(number - self._first, path)
                if other != path:
                    self._paths = {}
                    raise UserError(f"CelebA-HQ: {other} and {path} have the same number; remove one of them")
        return self._paths

    def _missing_path(self, number: int) -> str:
        """Return the path that a missing picture would have, spelled like those of the other pictures."""
        paths = self._by_number()
        low, high = (Path(paths[end]) for end in (min(paths), max(paths)))
        prefix, digits = re.fullmatch(r"(\D*)(\d+)", low.stem).groups()  # type: ignore[union-attr]  # see _number
        width = len(digits) if len(low.stem) == len(high.stem) else 0
        return str(low.with_name(f"{prefix}{number + self._first:0{width}}{low.suffix}"))

    # ------------------------------------------------------------------ splits
    def _list(self, split: str) -> list[int]:
        if None in self.lists:
            raise UserError(
                "CelebA-HQ with data.pictures.by=list needs two list files (28 000 and 2 000 names): give "
                "data.pictures.train_list=FILE and data.pictures.test_list=FILE, or choose data.pictures.by=mapping or "
                "data.pictures.by=random"
            )
        numbers = [[_number(name) for name in read_list(self.root / str(file))] for file in self.lists]
        shared = set(numbers[0]) & set(numbers[1])
        if shared:
            raise UserError(f"CelebA-HQ: {len(shared)} pictures are in both lists, the first is {min(shared)}")
        where = " and ".join(map(str, self.lists))
        first = first_number([*numbers[0], *numbers[1]], self.list_naming, where, "data.pictures.list_naming")
        return [n - first for n in numbers[0 if split == "train" else 1]]

    def _mapping(self, split: str) -> list[int]:
        mapping = self.need_file(MAPPING, needed_for="data.pictures.by=mapping")
        partition = self.need_file(PARTITION, needed_for="data.pictures.by=mapping")
        wanted = {Path(file).stem for file in read_partition(partition)[split]}
        rows = [line.split() for line in mapping.read_text().splitlines()[1:] if line.strip()]
        return [int(row[0]) for row in rows if Path(row[2]).stem in wanted]

    def _random(self, split: str) -> list[int]:
        numbers = sorted(self._by_number())
        test = max(1, round(len(numbers) * TEST / COUNT))
        order = seeds.generator("celeba-hq split", self.split_seed).permutation(len(numbers))
        return [numbers[i] for i in sorted(order[:test] if split == "test" else order[test:])]


def _number(path: str) -> int:
    """Return the number in a file name."""
    stem = Path(path).stem
    found = re.fullmatch(r"(?:img|imgHQ)?(\d+)", stem)
    if found is None:
        raise UserError(f"CelebA-HQ: expected a file name such as 0.jpg, 00001.jpg or imgHQ00000.png, got {path}")
    return int(found[1])
