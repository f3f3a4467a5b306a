"""Holes from a folder of mask files, such as the irregular test masks of Liu et al. 2018."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inpaintlab.data.files import lists
from inpaintlab.data.files.lists import Names
from inpaintlab.data.holes import bins as hole_bins
from inpaintlab.data.holes.mask_files import check_reading, fit, read_hole, refuse_inverted, touches_border
from inpaintlab.data.holes.source import Hole, HoleSource
from inpaintlab.errors import UserError, check_choice

BINNINGS = ("measured", "native", "index")
BORDERS = ("touching", "clear")
KEPT = 256 * 2**20  # bytes of decoded masks to keep in memory, one bit per pixel; larger sets are read again each time


@dataclass(frozen=True)
class Measured:
    """All masks of a folder at one size.

    Args:
        native: (masks,), share of missing pixels in the file.
        share: (masks,), share of missing pixels at this size.
        touching: (masks,), whether the hole has pixels in the border zone.
        by_bin: positions of the masks in each bin.
        bank: (masks, bytes), the holes with one bit per pixel; None if they are too many.
    """

    native: NDArray[np.float64]
    share: NDArray[np.float64]
    touching: NDArray[np.bool_]
    by_bin: dict[str, NDArray[np.int64]]
    bank: NDArray[np.uint8] | None


class MaskFolder(HoleSource):
    """Mask files, drawn at random from the files of a bin.

    Files whose size differs from the picture's are resized (nearest neighbour, after binarisation). Files in no bin are
    not used.

    Args:
        root: the folder, searched with its sub-folders.
        polarity, threshold: see `read_hole`.
        bins: hole sizes, or None for a single bin "all" of all files that have a hole.
        binning: how masks are assigned to bins: by the share of missing pixels "measured" at the final size; by the
            "native" share of the file; or by the "index" of the file, since the test masks of Liu et al. 2018 come in
            six equal blocks, one for each bin. Resizing moves some masks near a limit into another bin.
        border: use only masks whose holes are "touching" the border zone, or "clear" of it, as measured; None for all.
        check_polarity: refuse masks if most of them are nearly all hole; turn it off if that is intended.

    Raises:
        UserError: if `root` or `polarity` is None, or an option has an unknown value.
        FileNotFoundError: if the folder does not exist or holds no pictures.
    """

    def __init__(
        self,
        root: str | Path | None,
        *,
        polarity: str | None = "white_hole",
        threshold: float = 0.5,
        bins: Sequence[str] | None = hole_bins.IRREGULAR,
        binning: str = "measured",
        border: str | None = None,
        check_polarity: bool = True,
    ) -> None:
        if root is None:
            raise UserError("masks.root is not set: give the folder of the mask files as masks.root=FOLDER")
        if polarity is None:
            raise UserError(
                f"masks.polarity is not set: look at a mask in {root} and set masks.polarity=white_hole or black_hole"
            )
        check_reading(polarity, threshold)
        check_choice("masks.binning", binning, BINNINGS)
        check_choice("masks.border", border, (*BORDERS, None))
        self.root = Path(root).expanduser()
        self.names: Names = lists.scan(self.root, "masks")
        self.polarity, self.threshold, self.check_polarity = polarity, threshold, check_polarity
        self.binning, self.border = binning, border
        self.bins = tuple(bins) if bins is not None else ("all",)
        self._by_size: dict[tuple[int, int], Measured] = {}

    def mask_files(self) -> Iterable[Path]:
        return (self.root / name for name in self.names)

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        return self._hole(self._number(rng, 0, bin, height, width), height, width)

    def fixed(self, number: int, bin: str, height: int, width: int) -> Hole:
        """Return mask `number` of a bin, in the order of the names; the first one follows the last."""
        return self._hole(self._number(None, number, bin, height, width), height, width)

    def file_of(self, rng: np.random.Generator | None, number: int, bin: str, height: int, width: int) -> str:
        return self.names[self._number(rng, number, bin, height, width)]

    def _number(self, rng: np.random.Generator | None, number: int, bin: str, height: int, width: int) -> int:
        """Return the position of the mask that `draw` takes with `rng`, or `fixed` with `number` if `rng` is None."""
        chosen = self._in_bin(bin, height, width)
        return int(chosen[number % len(chosen) if rng is None else int(rng.integers(len(chosen)))])

    def named(self, stem: str) -> tuple[str, Hole]:
        found = [self.names[number] for number in self._by_stem.get(stem, ())]
        if len(found) != 1:
            raise UserError(f"expected one mask named {stem!r} in {self.root.absolute()}, found {len(found)}")
        return found[0], read_hole(self.root / found[0], self.polarity, self.threshold)

    @cached_property
    def _by_stem(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(self.names):
            found[Path(name).stem].append(number)
        return found

    def prepare(self, height: int, width: int) -> None:
        """Measure all files at this size.

        Raises:
            BadPicture: if a file does not decode or its aspect ratio differs.
            UserError: if the masks look inverted, or a bin is empty.
        """
        self._refuse_empty(self.bins, height, width)

    def measured(self, height: int, width: int) -> Measured:
        """Return the shares, bins and border conditions of all files at a size; measured once."""
        if (height, width) not in self._by_size:
            self._by_size[height, width] = self._measure(height, width)
        return self._by_size[height, width]

    # ------------------------------------------------------------------ measuring
    def _in_bin(self, bin: str, height: int, width: int) -> NDArray[np.int64]:
        self._refuse_empty([bin], height, width)
        return self.measured(height, width).by_bin[bin]

    def _refuse_empty(self, bins: Sequence[str], height: int, width: int) -> None:
        by_bin = self.measured(height, width).by_bin
        empty = [bin for bin in bins if not len(by_bin[bin])]
        if not empty:
            return
        kind = f" {self.border}{' of' if self.border == 'clear' else ''} the border" if self.border else ""
        others = ", ".join(f"{bin} has {len(found)}" for bin, found in by_bin.items() if len(found))
        raise UserError(
            f"none of the {len(self.names)} masks{kind} has a hole in the bin{'s' if len(empty) > 1 else ''} "
            f"{' or '.join(empty)} at {height}x{width}{f' ({others})' if others else ''}; use other masks or remove "
            f"{'the bin' if len(empty) == 1 else 'these bins'} from masks.bins"
        )

    def _hole(self, number: int, height: int, width: int) -> Hole:
        bank = self.measured(height, width).bank
        if bank is not None:
            return np.unpackbits(bank[number], count=height * width).reshape(height, width)
        return self._read(number, height, width)[1]

    def _read(self, number: int, height: int, width: int) -> tuple[float, Hole]:
        path = self.root / self.names[number]
        hole = read_hole(path, self.polarity, self.threshold)
        return float(hole.mean()), fit(hole, height, width, path)

    def _measure(self, height: int, width: int) -> Measured:
        count, packed = len(self.names), -(-height * width // 8)
        native, share = np.empty(count), np.empty(count)
        touching = np.empty(count, bool)
        bank = np.empty((count, packed), np.uint8) if count * packed <= KEPT else None

        def look(number: int) -> None:
            native[number], hole = self._read(number, height, width)
            share[number], touching[number] = hole.mean(), touches_border(hole)
            if bank is not None:
                bank[number] = np.packbits(hole)

        with ThreadPoolExecutor(8) as pool:  # decoding releases the interpreter lock
            for _ in pool.map(look, range(count)):
                pass
        if self.check_polarity:
            otherwise = ", or masks.check_polarity=false if the holes are really that large"
            refuse_inverted(native.tolist(), self.polarity, "masks", "masks.polarity", otherwise)
        binned = self._bins_of(native, share)
        wanted = touching == (self.border == "touching") if self.border else np.ones(count, bool)
        by_bin = {name: np.flatnonzero((binned == name) & wanted) for name in self.bins}
        return Measured(native, share, touching, by_bin, bank)

    def _bins_of(self, native: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.str_]:
        if self.bins == ("all",):
            return np.where(share > 0, "all", "")
        if self.binning == "index":
            return index_bins(self.names)
        shares = share if self.binning == "measured" else native
        return np.array([hole_bins.find(value, self.bins) or "" for value in shares])


def index_bins(names: Names) -> NDArray[np.str_]:
    """Return the bin of every mask by its place in the order of Liu et al. 2018.

    Their set has six blocks, one for each bin, and each block has one half for each of two border conditions.

    Raises:
        UserError: if the files are not numbered from 0 without a gap, or cannot be cut into twelve equal parts.
    """
    numbers = [int(found[0]) if (found := re.fullmatch(r"\d+", Path(name).stem)) else -1 for name in names]
    blocks = 2 * len(hole_bins.IRREGULAR)
    if sorted(numbers) != list(range(len(names))) or len(names) % blocks:
        raise UserError(
            f"masks.binning=index needs masks numbered from 0 without a gap, and a multiple of {blocks} of them (the "
            f"published set has 12000), not these {len(names)}; set masks.binning=measured"
        )
    return np.array([hole_bins.IRREGULAR[number * len(hole_bins.IRREGULAR) // len(names)] for number in numbers])
