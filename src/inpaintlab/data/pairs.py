"""Evaluation pairs: pictures with fixed holes, the same for all systems and rows of a table."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from inpaintlab.data import pairing, seeds
from inpaintlab.data.files.images import Picture
from inpaintlab.data.files.items import Item
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes import bins as hole_bins
from inpaintlab.data.holes.source import Hole, HoleSource
from inpaintlab.data.stream import Sample, make_sample
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing

OTHER = "other"  # the bin of a hole in no bin, where holes are not chosen by bin
ENCODING_ERRORS = "surrogateescape"  # keeps file names that are not UTF-8
PIXELS = ("picture", "bin", "picture_sha256", "hole_sha256")  # fields that equal pairs share


@dataclass(frozen=True)
class Pair:
    """One line of a manifest.

    Args:
        picture: its name.
        bin: the bin of the hole.
        hole_share: share of missing pixels, in [0, 1].
        picture_sha256, hole_sha256: first 16 digits of the hashes of the pixels as the network sees them.
        hole: the mask file; "" for drawn holes.
    """

    picture: str
    bin: str
    hole_share: float
    picture_sha256: str
    hole_sha256: str
    hole: str = ""


REQUIRED = [field.name for field in fields(Pair) if field.name != "hole"]  # the columns that every manifest has


class PairSample(Sample):
    """A sample of an evaluation, with the bin of its hole."""

    bin: str


class PairSet(Dataset[PairSample]):
    """Pairs of picture and hole. The hole of a pair depends on (seed, index of the picture, bin) only.

    Args:
        items: the pictures.
        geometry: their fixed test view.
        holes: the source of holes.
        seed: of the holes; independent of the training seed.
        protocol: see `pairing.PROTOCOLS`.
        expected: a manifest that these pairs must equal, line by line.

    Raises:
        UserError: at once, if the manifest has another number of pairs; when a pair is loaded, if it differs.
    """

    def __init__(
        self,
        items: Sequence[Item],
        geometry: Geometry,
        holes: HoleSource,
        seed: int,
        protocol: str = "every_bin",
        expected: Sequence[Pair] | None = None,
    ) -> None:
        self.items, self.geometry, self.holes, self.seed = items, geometry, holes, seed
        self.bins, self.protocol = holes.bins, protocol
        self.numbers = pairing.numbers(protocol, len(items), len(self.bins), seed)
        self.expected = dict(zip(self.numbers, expected, strict=False)) if expected is not None else None
        if expected is not None and len(expected) != len(self.numbers):
            raise UserError(
                f"the manifest lists {len(expected)} pairs, the pictures and holes give {len(self.numbers)}"
            )

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> PairSample:
        picture, hole, name, bin = self.load(number)
        return {**make_sample(picture, hole, name), "bin": bin}

    def chosen(self, numbers: Sequence[int]) -> PairSet:
        """Return the set of these pairs only."""
        some = copy(self)
        some.numbers = [self.numbers[number] for number in numbers]
        return some

    def spread(self, count: int) -> list[int]:
        """Return up to `count` numbers, spread evenly over the pairs."""
        return sorted({int(n) for n in np.linspace(0, len(self) - 1, min(count, len(self))).round()})

    def load(self, number: int) -> tuple[Picture, Hole, str, str]:
        """Return picture (H, W, 3), hole (H, W), the picture's name and the bin.

        Raises:
            UserError: if the pair differs from the expected one.
        """
        index, bin = self._of(number)
        item = self.items[index]
        whole = item.load()
        picture = self.geometry.test(whole)
        if self.protocol == "same_name":
            hole = self._fitted(self.holes.named(Path(item.name).stem)[1], whole, picture)
            bin = hole_bins.find(float(hole.mean()), hole_bins.IRREGULAR) or OTHER
        elif self.protocol == "fixed_lists":
            hole = self.holes.fixed(index, bin, *picture.shape[:2])
        else:
            hole = self.holes.draw(self._rng(index, bin), bin, *picture.shape[:2])
        if self.expected is not None:
            self._compare(self.expected[self.numbers[number]], describe(picture, hole, item.name, bin))
        return picture, hole, item.name, bin

    def describe(self, number: int) -> Pair:
        """Return the manifest line of a pair, with its mask file."""
        index, bin = self._of(number)
        if self.protocol == "same_name":
            file = self.holes.named(Path(self.items[index].name).stem)[0]
        else:
            rng = None if self.protocol == "fixed_lists" else self._rng(index, bin)
            file = self.holes.file_of(rng, index, bin, self.geometry.size, self.geometry.size)
        return replace(describe(*self.load(number)), hole=file)

    def _fitted(self, hole: Hole, whole: Picture, picture: Picture) -> Hole:
        """Return the hole at the size of the view `picture`.

        A mask of the whole picture's size is cropped and resized like the picture; any other mask is resized to the
        view.
        """
        if hole.shape != whole.shape[:2]:
            return cv2.resize(hole, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(np.uint8)
        view = self.geometry.test(cv2.cvtColor(hole * np.uint8(255), cv2.COLOR_GRAY2RGB).astype(np.uint8))
        return (view[..., 0] >= 128).astype(np.uint8)

    def _of(self, number: int) -> tuple[int, str]:
        """Return the picture's index and the bin of a pair."""
        index, place = divmod(self.numbers[number], len(self.bins))
        return index, self.bins[place]

    def _rng(self, index: int, bin: str) -> np.random.Generator:
        return seeds.generator("pair", self.seed, index, bin)

    def _compare(self, expected: Pair, pair: Pair) -> None:
        different = differences(expected, pair, PIXELS)
        if different:
            key, (then, now) = next(iter(different.items()))
            raise UserError(
                f"the pair of {pair.picture} and {pair.bin} differs from the manifest: {key} is {now}, not {then}"
            )


def describe(picture: Picture, hole: Hole, name: str, bin: str) -> Pair:
    """Return the manifest line of a pair, without a mask file."""
    digests = [hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16] for array in (picture, hole)]
    return Pair(name, bin, round(float(hole.mean()), 6), *digests)


def differences(expected: Pair, found: Pair, keys: Sequence[str]) -> dict[str, tuple[object, object]]:
    """Return the fields among `keys` that differ, each with the expected and the found value."""
    then, now = asdict(expected), asdict(found)
    return {key: (then[key], now[key]) for key in keys if then[key] != now[key]}


def digest(pairs: Sequence[Pair]) -> str:
    """Return one hash of all pairs; equal hashes mean equal pictures and holes in the same order."""
    lines = ({key: value for key, value in asdict(pair).items() if key != "hole"} for pair in pairs)
    return hashlib.sha256("\n".join(map(repr, lines)).encode()).hexdigest()[:16]


def read_manifest(path: str | Path) -> list[Pair]:
    """Return the pairs of a CSV file that `write_manifest` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if it has other columns, or a line is not a pair.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no such manifest of pairs: {path.absolute()}")
    with path.open(encoding="utf-8-sig", errors=ENCODING_ERRORS, newline="") as file:
        reader = csv.DictReader(file)
        try:
            if list(reader.fieldnames or ())[: len(REQUIRED)] != REQUIRED:
                raise UserError(
                    f"{path} is not a manifest of pairs: expected the columns {', '.join(REQUIRED)}, got "
                    f"{', '.join(reader.fieldnames or ()) or 'none'}"
                )
            return [_pair(row, f"{path}, line {reader.line_num}") for row in reader]
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.reader.line_num}: {error}; write the manifest again") from None


def _pair(row: dict[str, str], where: str) -> Pair:
    texts = {key: row.get(key) or "" for key in (*REQUIRED, "hole")}
    empty = [key for key in REQUIRED if not texts[key]]
    if empty or None in row:
        what = f"{' and '.join(empty)} missing" if empty else "more columns than the header"
        raise UserError(f"{where}: {what}; write the manifest again")
    try:
        share = float(texts["hole_share"])
    except ValueError:
        raise UserError(
            f"{where}: hole_share must be a number, got {texts['hole_share']!r}; write the manifest again"
        ) from None
    return Pair(texts["picture"], texts["bin"], share, texts["picture_sha256"], texts["hole_sha256"], texts["hole"])


def write_manifest(path: Path, pairs: Sequence[Pair]) -> None:
    """Write the pairs as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Pair)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(pair) for pair in pairs)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", errors=ENCODING_ERRORS)
