"""Holes from a folder of mask files, such as the irregular masks of Liu et al. 2018."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from inpaintlab.data import bins as hole_bins
from inpaintlab.data.files import BadPicture, list_pictures, read_grey
from inpaintlab.data.holes import Hole, HoleSource
from inpaintlab.errors import UserError

POLARITIES = ("white_hole", "black_hole")


def read_hole(path: str | Path, polarity: str = "white_hole", threshold: float = 0.5) -> Hole:
    """A mask file as a hole (H, W), uint8, 1 = missing.

    Args:
        polarity: "white_hole" (test masks of Liu et al.) or "black_hole" (their raw training masks).
        threshold: grey levels of at least this share of 255 are white; just above 0 for masks that were resized
            with interpolation and whose fringe belongs to the hole.
    """
    if polarity not in POLARITIES:
        raise ValueError(f"polarity={polarity!r} is unknown; known are {', '.join(POLARITIES)}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold={threshold} must lie in (0, 1]")
    white = read_grey(path) >= threshold * 255
    return (white if polarity == "white_hole" else ~white).astype(np.uint8)


class MaskFolder(HoleSource):
    """Mask files, drawn at random from those that fall into a bin.

    Files of another size than the picture are resized (nearest neighbour, after binarisation); the share of
    missing pixels is measured after that. Files that fall into no bin are not used.

    Args:
        root: the folder, searched with its sub-folders.
        polarity, threshold: see `read_hole`.
        bins: hole sizes, or None for a single bin "all" of every file that has a hole.
        check_polarity: refuse masks most of which are nearly all hole; turn off for sets that are meant so.
    """

    def __init__(
        self,
        root: str | Path | None,
        *,
        polarity: str = "white_hole",
        threshold: float = 0.5,
        bins: Sequence[str] | None = hole_bins.IRREGULAR,
        check_polarity: bool = True,
    ) -> None:
        if root is None:
            raise UserError("masks.root is not set: say where the mask files are, masks.root=FOLDER")
        self.files = list_pictures(root, "masks")
        self.polarity, self.threshold, self.check_polarity = polarity, threshold, check_polarity
        self.bins = tuple(bins) if bins is not None else ("all",)
        self._by_size: dict[tuple[int, int], dict[str, list[Path]]] = {}

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        files = self._measured(height, width)[bin]
        if not files:
            raise UserError(
                f"none of the {len(self.files)} masks has a hole in the bin {bin} at {height}x{width}; take other "
                "masks or leave the bin out (masks.bins)"
            )
        return self._read(files[int(rng.integers(len(files)))], height, width)

    def prepare(self, height: int, width: int) -> None:
        """Measure all files at this size.

        Raises:
            BadPicture: for a file that does not decode or has another aspect ratio.
            UserError: if the masks look inverted.
        """
        self._measured(height, width)

    def _measured(self, height: int, width: int) -> dict[str, list[Path]]:
        if (height, width) not in self._by_size:
            with ThreadPoolExecutor(8) as pool:
                shares = list(pool.map(lambda path: float(self._read(path, height, width).mean()), self.files))
            if self.check_polarity:
                self._refuse_inverted(shares)
            by_bin: dict[str, list[Path]] = {name: [] for name in self.bins}
            for path, share in zip(self.files, shares, strict=True):
                name = hole_bins.find(share, self.bins) if self.bins != ("all",) else "all" if share > 0 else None
                if name is not None:
                    by_bin[name].append(path)
            self._by_size[height, width] = by_bin
        return self._by_size[height, width]

    def _read(self, path: Path, height: int, width: int) -> Hole:
        hole = read_hole(path, self.polarity, self.threshold)
        h, w = hole.shape
        if (h, w) == (height, width):
            return hole
        if h * width != w * height:
            raise BadPicture(
                f"{path}: a mask of {h}x{w} does not fit pictures of {height}x{width} (other aspect ratio)"
            )
        return cv2.resize(hole, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)

    def _refuse_inverted(self, shares: list[float]) -> None:
        large = sum(share > 0.6 for share in shares)
        if 2 * large > len(shares):
            other = POLARITIES[1 - POLARITIES.index(self.polarity)]
            raise UserError(
                f"with polarity={self.polarity} {large} of {len(shares)} masks are more than 60 % hole (mean "
                f"{np.mean(shares):.0%}): the polarity looks wrong. Take masks.polarity={other}, or "
                "masks.check_polarity=false if the holes are really that large."
            )
