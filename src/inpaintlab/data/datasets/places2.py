"""Places365 ("Places2"): large, small and easy layout, Standard and Challenge lists, subsets of its categories.

Zhou et al. 2018. The archives and what they unpack to:
train_large_places365standard.tar -> data_large/, val_large.tar -> val_large/, test_large.tar -> test_large/; the same
with 256 for the small variant, whose pictures were squashed to 256 x 256 without regard to their aspect ratio;
places365standard_easyformat.tar -> places365_standard/{train,val}/<category>/. `data_large` may be renamed to
`data_large_standard` or `data_large_challenge`, as torchvision does. The lists come in
filelist_places365-standard.tar and filelist_places365-challenge.tar.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from inpaintlab.data.datasets.named import NamedSet, looked_at, require
from inpaintlab.data.files.lists import Names, read_list
from inpaintlab.errors import UserError

VARIANTS = {"large": "large", "small": "256", "easy": "easy"}
LISTS = ("standard", "challenge")
COUNTS = {"standard": 1_803_460, "challenge": 8_026_628, "val": 36_500, "test": 328_500}
LBAM = (  # Xie et al. 2019 name none; their supplement does
    "apartment_building/outdoor", "beach", "house", "ocean", "sky", "throne_room", "tower", "tundra", "valley",
    "wheat_field",
)  # fmt: skip


def category(name: str) -> str:
    """One spelling, "apartment_building-outdoor", for "/a/apartment_building/outdoor" and what else is usual."""
    parts = [part for part in name.strip("/").split("/") if part]
    if len(parts) > 1 and len(parts[0]) == 1:
        parts = parts[1:]
    return "-".join(parts)


class Places2(NamedSet):
    """Places365.

    Args:
        root: the folder that the archives were unpacked into.
        variant: "large" (as photographed, shorter side up to 512), "small" (256 x 256) or "easy" (256 x 256, a folder
            per category).
        train_list: "standard" or "challenge", which has more pictures of the same categories.
        categories: some of the 365, as "apartment_building/outdoor", or None for all; "lbam" for the ten of LBAM.
        halves: cut the official validation pictures of every category in two: the first, third, ... by file name are
            the validation split, the others the test split (LBAM has 50 + 50 per category but does not say which). If
            not, all of them are the test split, and validation looks at training pictures.
        test: which official pictures "test" means: "val", as in nearly all papers, or "test", which has no labels.
    """

    title = "Places2"

    def __init__(
        self,
        root: str | Path | None,
        *,
        variant: str = "small",
        train_list: str = "standard",
        categories: Sequence[str] | str | None = None,
        halves: bool = False,
        test: str = "val",
    ) -> None:
        require("variant", variant, VARIANTS)
        require("train_list", train_list, LISTS)
        require("test", test, ("val", "test"))
        if variant == "easy" and (train_list == "challenge" or test == "test"):
            raise ValueError("the easy layout has neither the Challenge list nor the test pictures")
        if test == "test" and (halves or categories):
            raise ValueError("the official test pictures have no labels: no categories and no halves of them")
        if isinstance(categories, str):
            if categories != "lbam":
                raise ValueError(f"categories={categories!r} is unknown; give a list of categories, or lbam")
            categories = LBAM
        self.categories = tuple(category(name) for name in categories) if categories else None
        super().__init__(
            root, variant=variant, train_list=train_list, categories=list(self.categories) if self.categories else None,
            halves=halves, test=test,
        )  # fmt: skip
        self.variant, self.train_list, self.halves, self.test = variant, train_list, halves, test

    def original(self, split: str) -> Names:
        if split == "train":
            return self._train()
        if split == "val" and not self.halves:
            return looked_at(self.names("train"))
        if self.test == "test":
            return self.scan(self._folder("test"))
        official = self._validation()
        if not self.halves:
            return Names(path for paths in official.values() for path in paths)
        first = 0 if split == "val" else 1
        return Names(path for paths in official.values() for path in sorted(paths)[first::2])

    def canonical(self, path: str) -> str:
        """ "beach/00000001.jpg" for training, "Places365_val_00000001.jpg" for the others."""
        folder, _, file = path.rpartition("/")
        if file.startswith("Places365_"):
            return file
        root = next(name for name in self._candidates("train") if folder.startswith(f"{name}/"))
        return f"{category(folder[len(root) :])}/{file}"

    def folders(self) -> list[str]:
        return [folder for split in ("train", self.test) if (folder := self.find_folder(*self._candidates(split)))]

    def archives(self) -> Mapping[str, Mapping[str, str]]:
        if self.variant == "easy":
            return {"places365standard_easyformat.tar": {}}
        number = VARIANTS[self.variant]
        # The archives of both lists unpack to a folder of one name.
        renamed = {f"data_{number}": f"data_{number}_{self.train_list}"}
        return {
            f"train_{number}_places365{self.train_list}.tar": renamed,
            f"val_{number}.tar": {},
            f"filelist_places365-{self.train_list}.tar": {},
            "filelist_places365-standard.tar": {},  # has the list of validation pictures
        } | ({f"test_{number}.tar": {}} if self.test == "test" else {})

    def expected(self) -> Mapping[str, int]:
        if self.categories is None:
            # Half a category's 100 validation pictures each, if they are halved.
            whole = {"train": COUNTS[self.train_list], "test": COUNTS[self.test]}
            return whole | ({"val": 18_250, "test": 18_250} if self.halves else {})
        count = 100 * len(self.categories)
        return {"val": count // 2, "test": count // 2} if self.halves else {"test": count}

    def list_file(self, split: str) -> Path | None:
        """The official list that a split follows, if it is there."""
        if self.variant == "easy":
            return None
        return self.find_file(
            f"places365_train_{self.train_list}.txt" if split == "train" else f"places365_{split}.txt"
        )

    # ------------------------------------------------------------------ where things are
    def _candidates(self, split: str) -> tuple[str, ...]:
        if self.variant == "easy":
            return (f"places365_standard/{split}", split)
        number = VARIANTS[self.variant]
        if split == "train":
            return (f"data_{number}_{self.train_list}", f"data_{number}")
        return (f"{split}_{number}",)

    def _folder(self, split: str) -> str:
        return self.need_folder(*self._candidates(split))

    def _train(self) -> Names:
        folder, listing = self._folder("train"), self.list_file("train")
        if listing is not None:
            paths = Names(f"{folder}/{name}" for name in read_list(listing))
        else:
            paths = self.scan(folder)
        if self.categories is None:
            return paths
        by_category: dict[str, list[int]] = defaultdict(list)
        for number, path in enumerate(paths):
            by_category[category(path[len(folder) :].rpartition("/")[0])].append(number)
        self._check_categories(by_category)
        return paths.take(number for name in self.categories for number in by_category[name])

    def _validation(self) -> dict[str, list[str]]:
        """The official validation pictures by category; all in one heap if nothing depends on their categories."""
        folder, listing = self._folder("val"), self.list_file("val")
        if self.categories is None and not self.halves:
            return {"": [f"{folder}/{name}" for name in read_list(listing)] if listing else list(self.scan(folder))}
        by_category: dict[str, list[str]] = defaultdict(list)
        if self.variant == "easy":
            for path in self.scan(folder):
                by_category[path[len(folder) + 1 :].partition("/")[0]].append(path)
        else:
            needed = "a choice of categories, or halves of them,"
            listing = self.find_file("places365_val.txt", needed_for=needed)
            names = self._category_names(needed)
            assert listing is not None
            for line in filter(None, map(str.strip, listing.read_text().splitlines())):
                file, _, number = line.lstrip("/").partition(" ")
                by_category[names.get(number, number)].append(f"{folder}/{file}")
        if self.categories is None:
            return dict(sorted(by_category.items()))
        self._check_categories(by_category)
        return {name: by_category[name] for name in self.categories}

    def _category_names(self, needed_for: str) -> dict[str, str]:
        """From the number behind a validation picture's name to its category."""
        file = self.find_file("categories_places365.txt", needed_for=needed_for)
        assert file is not None
        pairs = (line.rsplit(" ", 1) for line in file.read_text().splitlines() if line.strip())
        return {number: category(name) for name, number in pairs}

    def _check_categories(self, found: Mapping[str, object]) -> None:
        for name in self.categories or ():
            if name not in found:
                near = difflib.get_close_matches(name, list(found), 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise UserError(f"Places2: no picture of the category {name!r} in {self.root.absolute()}{hint}")
