"""Places365 ("Places2", Zhou et al. 2018): three layouts, the Standard and Challenge lists, subsets of its categories.

The archives unpack as follows. Large: train_large_places365standard.tar to data_large/, val_large.tar to val_large/,
test_large.tar to test_large/. Small: the same names with 256; its pictures were resized to 256 x 256 regardless of
their aspect ratio. Easy: places365standard_easyformat.tar to places365_standard/{train,val}/<category>/. `data_large`
may be renamed to `data_large_standard` or `data_large_challenge`, as torchvision does. The lists are in
filelist_places365-standard.tar and filelist_places365-challenge.tar.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from inpaintlab.data.datasets.named import NamedSet, preview
from inpaintlab.data.files.lists import Names, read_list
from inpaintlab.errors import UserError, check_choice, did_you_mean

VARIANTS = {"large": "large", "small": "256", "easy": "easy"}
LISTS = ("standard", "challenge")
COUNTS = {"standard": 1_803_460, "challenge": 8_026_628, "val": 36_500, "test": 328_500}
LBAM = (  # Xie et al. 2019, supplement; the paper names none
    "apartment_building/outdoor", "beach", "house", "ocean", "sky", "throne_room", "tower", "tundra", "valley",
    "wheat_field",
)  # fmt: skip


def category(name: str) -> str:
    """Return one spelling, "apartment_building-outdoor", for "/a/apartment_building/outdoor" and similar spellings."""
    parts = [part for part in name.strip("/").split("/") if part]
    if len(parts) > 1 and len(parts[0]) == 1:
        parts = parts[1:]
    return "-".join(parts)


class Places2(NamedSet):
    """Places365.

    Args:
        root: the folder that the archives were unpacked into.
        variant: "large" (original aspect ratio, shorter side up to 512), "small" (256 x 256) or "easy" (256 x 256, one
            folder per category).
        train_list: "standard", or "challenge" with more pictures of the same categories.
        categories: some of the 365 categories, as "apartment_building/outdoor"; None for all; "lbam" for LBAM's ten.
        halves: split the official validation pictures of each category in two: the first, third, ... by file name for
            validation, the others for testing (LBAM has 50 + 50 per category but does not say which). Without it, all
            of them are the test split, and validation uses training pictures.
        test: the official pictures to test on: "val", as in nearly all papers, or "test", which has no labels.
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
        check_choice("data.pictures.variant", variant, VARIANTS)
        check_choice("data.pictures.train_list", train_list, LISTS)
        check_choice("data.pictures.test", test, ("val", "test"))
        if variant == "easy" and (train_list == "challenge" or test == "test"):
            raise ValueError("variant=easy has neither the Challenge list nor the test pictures; choose small or large")
        if test == "test" and (halves or categories):
            raise ValueError(
                "test=test cannot be combined with categories or halves: the official test pictures have no labels"
            )
        if isinstance(categories, str):
            if categories != "lbam":
                raise ValueError(f"categories must be null, lbam or a list of categories; got {categories!r}")
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
            return preview(self.names("train"))
        if self.test == "test":
            return self.scan(self._folder("test"))
        official = self._validation()
        if not self.halves:
            return Names(path for paths in official.values() for path in paths)
        first = 0 if split == "val" else 1
        return Names(path for paths in official.values() for path in sorted(paths)[first::2])

    def canonical(self, path: str) -> str:
        """Return "beach/00000001.jpg" for a training picture, "Places365_val_00000001.jpg" for the others."""
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
        # The archives of both lists unpack to a folder of the same name.
        renamed = {f"data_{number}": f"data_{number}_{self.train_list}"}
        return {
            f"train_{number}_places365{self.train_list}.tar": renamed,
            f"val_{number}.tar": {},
            f"filelist_places365-{self.train_list}.tar": {},
            "filelist_places365-standard.tar": {},  # contains the list of validation pictures
        } | ({f"test_{number}.tar": {}} if self.test == "test" else {})

    def expected(self) -> Mapping[str, int]:
        if self.categories is None:
            half = COUNTS["val"] // 2
            counts = {"train": COUNTS[self.train_list], "test": COUNTS[self.test]}
            return counts | ({"val": half, "test": half} if self.halves else {})
        count = 100 * len(self.categories)  # validation pictures
        return {"val": count // 2, "test": count // 2} if self.halves else {"test": count}

    def list_file(self, split: str) -> Path | None:
        """Return the official list of a split, or None if it does not exist."""
        if self.variant == "easy":
            return None
        return self.find_file(
            f"places365_train_{self.train_list}.txt" if split == "train" else f"places365_{split}.txt"
        )

    # ------------------------------------------------------------------ folders and lists
    def _candidates(self, split: str) -> tuple[str, ...]:
        """Return the folders that may hold an official split."""
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
        """Return the official validation pictures by category; all under "" if no option depends on categories."""
        folder, listing = self._folder("val"), self.list_file("val")
        if self.categories is None and not self.halves:
            return {"": [f"{folder}/{name}" for name in read_list(listing)] if listing else list(self.scan(folder))}
        by_category: dict[str, list[str]] = defaultdict(list)
        if self.variant == "easy":
            for path in self.scan(folder):
                by_category[path[len(folder) + 1 :].partition("/")[0]].append(path)
        else:
            needed = "a choice of categories, or halves of them,"
            listing = self.need_file("places365_val.txt", needed_for=needed)
            names = self._category_names(needed)
            for line in filter(None, map(str.strip, listing.read_text().splitlines())):
                file, _, number = line.lstrip("/").partition(" ")
                by_category[names.get(number, number)].append(f"{folder}/{file}")
        if self.categories is None:
            return dict(sorted(by_category.items()))
        self._check_categories(by_category)
        return {name: by_category[name] for name in self.categories}

    def _category_names(self, needed_for: str) -> dict[str, str]:
        """Return the category for each class number, as the list of validation pictures has it."""
        file = self.need_file("categories_places365.txt", needed_for=needed_for)
        pairs = (line.rsplit(" ", 1) for line in file.read_text().splitlines() if line.strip())
        return {number: category(name) for name, number in pairs}

    def _check_categories(self, found: Mapping[str, object]) -> None:
        for name in self.categories or ():
            if name not in found:
                raise UserError(
                    f"Places2: no picture of the category {name!r} in {self.root.absolute()}{did_you_mean(name, found)}"
                )
