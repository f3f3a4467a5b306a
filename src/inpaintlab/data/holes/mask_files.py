"""Read a mask file as a hole, resize it, and check masks for a wrong polarity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from inpaintlab.data.files.images import BadPicture, Picture, read_grey
from inpaintlab.data.holes.source import Hole
from inpaintlab.errors import UserError, check_choice

POLARITIES = ("white_hole", "black_hole")
BORDER = 50 / 512  # width of the border zone, as a share of the shorter side
LARGE = 0.6  # share of missing pixels above which a mask looks inverted


def read_hole(path: str | Path, polarity: str = "white_hole", threshold: float = 0.5) -> Hole:
    """Return a mask file as a hole (H, W), uint8, 1 = missing.

    Args:
        polarity: "white_hole" (test masks of Liu et al. 2018) or "black_hole" (their raw training masks).
        threshold: grey levels of at least this share of 255 are white, in (0, 1]. Choose a value just above 0 for masks
            that were resized with interpolation and whose blurred edge belongs to the hole.

    Raises:
        UserError: if `polarity` is unknown.
        ValueError: if `threshold` is not in (0, 1].
        BadPicture, FileNotFoundError: if the file cannot be read.
    """
    check_reading(polarity, threshold)
    return to_hole(read_grey(path), polarity, threshold)


def to_hole(levels: Picture, polarity: str, threshold: float) -> Hole:
    """Return grey levels (H, W) as a hole; see `read_hole`."""
    white = levels >= threshold * 255
    return (white if polarity == "white_hole" else ~white).astype(np.uint8)


def check_reading(polarity: str, threshold: float) -> None:
    """Raise for options that `read_hole` does not accept."""
    check_choice("polarity", polarity, POLARITIES)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")


def fit(hole: Hole, height: int, width: int, path: str | Path) -> Hole:
    """Return a hole at another size. Nearest neighbour interpolation keeps it binary.

    Args:
        path: of the mask, for the error message.

    Raises:
        BadPicture: if the aspect ratio differs.
    """
    h, w = hole.shape
    if (h, w) == (height, width):
        return hole
    if h * width != w * height:
        raise BadPicture(f"{path}: a mask of {h}x{w} does not fit pictures of {height}x{width} (other aspect ratio)")
    return cv2.resize(hole, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def touches_border(hole: Hole) -> bool:
    """Whether a hole has a pixel in the border zone, which is 50 pixels wide in a mask of 512 x 512."""
    zone = round(BORDER * min(hole.shape))
    return cv2.countNonZero(hole) > cv2.countNonZero(hole[zone : hole.shape[0] - zone, zone : hole.shape[1] - zone])


def other_polarity(polarity: str) -> str:
    """Return the opposite polarity."""
    return POLARITIES[1 - POLARITIES.index(polarity)]


def refuse_inverted(shares: Sequence[float], polarity: str, what: str, option: str, otherwise: str = "") -> None:
    """Raise UserError if most masks are nearly all hole, which means that their polarity is wrong.

    Args:
        shares: share of missing pixels of each mask, in [0, 1].
        polarity: as given.
        what: the kind of masks, for the message.
        option: that sets the polarity.
        otherwise: another remedy, for the message.
    """
    large = sum(share > LARGE for share in shares)
    if 2 * large > len(shares):
        raise UserError(
            f"with {option}={polarity} {large} of {len(shares)} {what} are more than {LARGE * 100:.0f} % hole (mean "
            f"{np.mean(shares):.0%}): the polarity looks wrong. Set {option}={other_polarity(polarity)}{otherwise}"
        )
