"""Holes from the raw training masks of Liu et al. 2018, augmented as the authors describe.

The 55 116 files of irregular_mask/disocclusion_img_mask are thin occlusion masks with black holes; read with white
holes they are almost all hole. The authors binarise at 0.6, dilate the holes by 9 to 49 pixels, then shift and rotate
them. They do not state the shift; at most a quarter of the side is our choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from inpaintlab.data.files import lists
from inpaintlab.data.files.lists import Names
from inpaintlab.data.holes import bins as hole_bins
from inpaintlab.data.holes.mask_files import check_reading, fit, read_hole, refuse_inverted
from inpaintlab.data.holes.source import Hole, HoleSource
from inpaintlab.errors import UserError

ATTEMPTS = 500  # to hit a bin
LOOKED_AT = 64  # files that are checked before training


class RawMasks(HoleSource):
    """Augmented masks. A hole is drawn again until its share, measured at the final size, lies in the bin.

    Args:
        root: the folder, searched with its sub-folders.
        polarity, threshold: see `mask_files.read_hole`.
        dilation: smallest and largest diameter of the round brush that dilates the holes, in pixels of the file.
        rotate: rotate by a random angle.
        shift: largest shift in each direction, as a share of the side.
        bins: hole sizes, or None for a single bin "all" of any hole that leaves some pixels known.
        check_polarity: refuse masks if most of them are nearly all hole.

    Raises:
        UserError: if `root` is None, or `polarity` is unknown.
        FileNotFoundError: if the folder does not exist or holds no pictures.
    """

    def __init__(
        self,
        root: str | Path | None,
        *,
        polarity: str = "black_hole",
        threshold: float = 0.6,
        dilation: tuple[int, int] = (9, 49),
        rotate: bool = True,
        shift: float = 0.25,
        bins: Sequence[str] | None = None,
        check_polarity: bool = True,
    ) -> None:
        if root is None:
            raise UserError("masks.train_root is not set: give the folder of the masks as masks.train_root=FOLDER")
        check_reading(polarity, threshold)
        self.root = Path(root).expanduser()
        self.names: Names = lists.scan(self.root, "masks")
        self.polarity, self.threshold, self.check_polarity = polarity, threshold, check_polarity
        self.dilation, self.rotate, self.shift = tuple(dilation), rotate, shift
        self.bins = tuple(bins) if bins is not None else ("all",)
        self._limits = {name: hole_bins.limits(name) for name in bins or ()}

    def mask_files(self) -> Iterable[Path]:
        return (self.root / name for name in self.names)

    def prepare(self, height: int, width: int) -> None:
        """Check a sample of the files.

        Raises:
            BadPicture: if a file does not decode or its aspect ratio differs.
            UserError: if the masks look inverted.
        """
        shares = []
        for name in self.names.spread(LOOKED_AT):
            hole = read_hole(self.root / name, self.polarity, self.threshold)
            fit(hole, height, width, self.root / name)
            shares.append(float(hole.mean()))
        if self.check_polarity:
            refuse_inverted(shares, self.polarity, "training masks", "masks.train_polarity")

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        low, high = self._limits.get(bin, (0.0, 1.0))
        for _ in range(ATTEMPTS):
            path = self.root / self.names[int(rng.integers(len(self.names)))]
            raw = read_hole(path, self.polarity, self.threshold)
            hole = fit(self._augment(raw, rng), height, width, path)
            share = cv2.countNonZero(hole) / hole.size
            if low < share <= high and share < 1:
                return hole
        raise UserError(
            f"none of {ATTEMPTS} attempts with {len(self.names)} training masks gave a hole in the bin {bin}; remove "
            "it from masks.train_bins"
        )

    def _augment(self, raw: Hole, rng: np.random.Generator) -> Hole:
        """Return a mask dilated, rotated and shifted; pixels from outside the mask are known."""
        height, width = raw.shape
        brush = rng.uniform(*self.dilation)
        angle = float(rng.uniform(0, 360)) if self.rotate else 0.0
        dx, dy = rng.uniform(-self.shift, self.shift, 2) * (width, height)
        # Dilation by a round brush, as a distance transform: its time does not depend on the brush.
        grown = (cv2.distanceTransform(1 - raw, cv2.DIST_L2, 5) <= brush / 2).astype(np.uint8)
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
        turn[:, 2] += dx, dy
        return cv2.warpAffine(grown, turn, (width, height), flags=cv2.INTER_NEAREST, borderValue=0).astype(np.uint8)
