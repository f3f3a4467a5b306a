"""From a picture of any size to the square that a network sees. The only file that knows albumentations.

Its own random numbers repeat across workers and epochs (version 2.0.8), so the transform is seeded anew for every
picture by the caller.
"""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaintlab.errors import check_choice

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else its import asks the network for a newer version

Picture = NDArray[np.uint8]
KINDS = ("random_crop", "short_side_then_random_crop", "center_crop_square", "resize_square")


class Geometry:
    """How pictures become `size` x `size`.

    Args:
        size: pixels.
        kind: "random_crop" cuts from the picture as it is (DeepFill; pictures smaller than `size` are enlarged);
            "short_side_then_random_crop" first brings the shorter side to `short_side` (LBAM: 350);
            "center_crop_square" cuts the largest central square and resizes it (EdgeConnect, RN);
            "resize_square" resizes without regard to the aspect ratio.
        short_side: for the second kind; `size` if None.
        flip: probability of a horizontal flip in training.

    For test pictures random crops become central ones and nothing is flipped. Sizes shrink by area averaging and
    grow bicubically. Training pictures are cut before they are resized, and shrink to a half at most bilinearly, which
    is as good there and several times faster.
    """

    def __init__(self, size: int, kind: str = "random_crop", short_side: int | None = None, flip: float = 0.5) -> None:
        check_choice("geometry kind", kind, KINDS)
        if short_side is not None and short_side < size:
            raise ValueError(f"short_side={short_side} is smaller than the crop, size={size}")
        if short_side is not None and kind != "short_side_then_random_crop":
            raise ValueError(f"short_side={short_side} has no meaning with kind={kind!r}")
        self.size, self.kind, self.short_side = size, kind, short_side or size
        self._train = self._compose(random=True, flip=flip)
        self._test = self._compose(random=False, flip=0.0)

    @property
    def at_least(self) -> int | None:
        """How many pixels the shorter side of a training picture needs; None if it is cut as it is."""
        return None if self.kind == "random_crop" else self.short_side

    def train(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """A random view (size, size, 3) of `picture` (H, W, 3), the same for the same generator state."""
        if self.kind == "short_side_then_random_crop":
            side = max(1, round(min(picture.shape[:2]) * self.size / self.short_side))
            top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
            picture = picture[top : top + side, left : left + side]
        elif self.kind == "center_crop_square":
            picture = _central_square(picture)
        if self.kind != "random_crop":
            picture = _resize(picture, self.size)
        self._train.set_random_seed(int(rng.integers(2**31)))
        return self._apply(self._train, picture)

    def test(self, picture: Picture) -> Picture:
        """The fixed view (size, size, 3) of `picture`."""
        return self._apply(self._test, _central_square(picture) if self.kind == "center_crop_square" else picture)

    def _apply(self, transform: Any, picture: Picture) -> Picture:
        if self.kind == "random_crop" and min(picture.shape[:2]) < self.size:
            picture = self._enlarge(image=picture)["image"]
        return transform(image=picture)["image"]

    def _compose(self, *, random: bool, flip: float) -> Any:
        import albumentations as A

        resize: dict[str, Any] = {"interpolation": cv2.INTER_CUBIC, "area_for_downscale": "image"}
        self._enlarge = A.SmallestMaxSize(self.size, **resize)
        steps = [A.RandomCrop(self.size, self.size)] if self.kind == "random_crop" else []
        if not random:
            steps = [A.CenterCrop(self.size, self.size)]
            if self.kind in ("center_crop_square", "resize_square"):
                steps = [A.Resize(self.size, self.size, **resize)]
            elif self.kind == "short_side_then_random_crop":
                steps = [A.SmallestMaxSize(self.short_side, **resize), *steps]
        return A.Compose([*steps, A.HorizontalFlip(p=flip)])


def _central_square(picture: Picture) -> Picture:
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return picture[top : top + side, left : left + side]


def _resize(picture: Picture, size: int) -> Picture:
    height, width = picture.shape[:2]
    how = cv2.INTER_LINEAR
    if min(height, width) < size:
        how = cv2.INTER_CUBIC
    elif max(height, width) > 2 * size:
        how = cv2.INTER_AREA
    return cv2.resize(picture, (size, size), interpolation=how).astype(np.uint8, copy=False)
