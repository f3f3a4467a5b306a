"""Holes from the raw training masks of Liu et al. 2018, augmented as the authors say.

The 55 116 files of irregular_mask/disocclusion_img_mask are thin occlusion maps, hole black; fed to a network as they
are, with white as the hole, they are almost all hole. The authors binarise at 0.6, dilate the holes by 9 to 49 pixels,
then shift and rotate them. How far they shift is not stated; a quarter of the side at most is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from inpaintlab.data.files import lists
from inpaintlab.data.files.lists import Names
from inpaintlab.data.holes import bins as hole_bins
from inpaintlab.data.holes.mask_folder import POLARITIES, check_reading, fit, read_hole
from inpaintlab.data.holes.source import Hole, HoleSource
from inpaintlab.errors import UserError

ATTEMPTS = 500
NEAREST = cv2.INTER_NEAREST


class RawMasks(HoleSource):
    """Augmented masks; a hole is drawn again until its share, measured at the final size, lies in the bin.

    Args:
        root: the folder, searched with its sub-folders.
        polarity, threshold: see `mask_folder.read_hole`.
        dilation: smallest and largest width of the round brush that widens the holes, in pixels of the file.
        rotate: by any angle.
        shift: largest share of the side, in either direction.
        bins: hole sizes, or None for a single bin "all" of whatever has a hole and known pixels.
        check_polarity: refuse masks most of which are nearly all hole.
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
            raise UserError("masks.train_root is not set: say where the training masks are, masks.train_root=FOLDER")
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
        """Look at some of the files.

        Raises:
            BadPicture: for a file that does not decode or has another aspect ratio.
            UserError: if they look inverted.
        """
        shares = []
        for name in self.names.spread(64):
            hole = read_hole(self.root / name, self.polarity, self.threshold)
            fit(hole, height, width, self.root / name)
            shares.append(float(hole.mean()))
        large = sum(share > 0.6 for share in shares)
        if self.check_polarity and 2 * large > len(shares):
            other = POLARITIES[1 - POLARITIES.index(self.polarity)]
            raise UserError(
                f"with polarity={self.polarity} {large} of {len(shares)} training masks are more than 60 % hole: the "
                f"polarity looks wrong. Take masks.train_polarity={other}."
            )

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
            f"in {ATTEMPTS} attempts none of the {len(self.names)} training masks gave a hole in the bin {bin}; leave "
            "it out (masks.train_bins)"
        )

    def _augment(self, raw: Hole, rng: np.random.Generator) -> Hole:
        """Dilated, rotated and shifted; what comes in from outside is known."""
        height, width = raw.shape
        brush = rng.uniform(*self.dilation)
        angle = float(rng.uniform(0, 360)) if self.rotate else 0.0
        dx, dy = rng.uniform(-self.shift, self.shift, 2) * (width, height)
        # Pixels nearer to a hole than half the brush: the same as a round structuring element, in constant time.
        grown = (cv2.distanceTransform(1 - raw, cv2.DIST_L2, 5) <= brush / 2).astype(np.uint8)
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
        turn[:, 2] += dx, dy
        return cv2.warpAffine(grown, turn, (width, height), flags=NEAREST, borderValue=0).astype(np.uint8)
