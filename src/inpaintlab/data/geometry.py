"""Turn pictures of any size into the square that a network sees. The only file that uses albumentations.

The random numbers of albumentations 2.0.8 repeat across workers and epochs, so `Geometry.train` seeds the transform
anew for each picture.
"""

from __future__ import annotations

import os
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaintlab.errors import check_choice

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # without it, the import asks the network for a newer version

Picture = NDArray[np.uint8]
KINDS = ("random_crop", "short_side_then_random_crop", "center_crop_square", "resize_square")


class Transform(Protocol):
    """A transform of albumentations."""

    def __call__(self, *, image: Picture) -> dict[str, Picture]: ...
    def set_random_seed(self, seed: int) -> None: ...


class Geometry:
    """How pictures become `size` x `size`.

    For test pictures random crops become central ones, and nothing is flipped. Pictures are reduced by area averaging
    and enlarged bicubically. Training pictures are cropped before they are resized; down to half their size they are
    reduced bilinearly, which is as good there and several times faster.

    Args:
        size: side of the square in pixels.
        kind: "random_crop" crops the picture at its own resolution (DeepFill; pictures smaller than `size` are
            enlarged);
            "short_side_then_random_crop" first resizes the shorter side to `short_side` (LBAM: 350);
            "center_crop_square" crops the largest central square and resizes it (EdgeConnect, RN);
            "resize_square" resizes regardless of the aspect ratio.
        short_side: for the second kind, in pixels; None for `size`.
        flip: probability of a horizontal flip in training.

    Raises:
        UserError: if `kind` is unknown.
        ValueError: if `short_side` is smaller than `size`, or given for another kind.
    """

    def __init__(self, size: int, kind: str = "random_crop", short_side: int | None = None, flip: float = 0.5) -> None:
        check_choice("data.geometry.kind", kind, KINDS)
        if short_side is not None and short_side < size:
            raise ValueError(f"short_side must be at least size={size}, got {short_side}")
        if short_side is not None and kind != "short_side_then_random_crop":
            raise ValueError(f"short_side={short_side} needs kind=short_side_then_random_crop, got kind={kind}")
        self.size, self.kind, self.short_side = size, kind, short_side or size
        self._train, self._test, self._enlarge = self._transforms(flip)

    @property
    def at_least(self) -> int | None:
        """Pixels that the shorter side of a training picture needs; None if it is cropped at its own resolution."""
        return None if self.kind == "random_crop" else self.short_side

    def train(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Return a random view (size, size, 3) of `picture` (H, W, 3), the same for the same state of `rng`."""
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
        """Return the fixed view (size, size, 3) of `picture` (H, W, 3)."""
        return self._apply(self._test, _central_square(picture) if self.kind == "center_crop_square" else picture)

    def _apply(self, transform: Transform, picture: Picture) -> Picture:
        if self.kind == "random_crop" and min(picture.shape[:2]) < self.size:
            picture = self._enlarge(image=picture)["image"]
        return transform(image=picture)["image"]

    def _transforms(self, flip: float) -> tuple[Transform, Transform, Transform]:
        """Return the transforms for training and for testing, and the one that enlarges small pictures."""
        import albumentations as A

        how = {"interpolation": cv2.INTER_CUBIC, "area_for_downscale": "image"}
        random = [A.RandomCrop(self.size, self.size)] if self.kind == "random_crop" else []
        fixed = [A.CenterCrop(self.size, self.size)]
        if self.kind in ("center_crop_square", "resize_square"):
            fixed = [A.Resize(self.size, self.size, **how)]
        elif self.kind == "short_side_then_random_crop":
            fixed = [A.SmallestMaxSize(self.short_side, **how), *fixed]
        train = A.Compose([*random, A.HorizontalFlip(p=flip)])
        return train, A.Compose(fixed), A.SmallestMaxSize(self.size, **how)


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
