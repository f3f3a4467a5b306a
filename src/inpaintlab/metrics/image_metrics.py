"""Metrics of one picture against the truth, on RGB arrays (H, W, 3) of 0 to 255, 8-bit or float.

Plain functions in OpenCV and numpy: on a processor SSIM takes about 3 ms for 256x256, an eighth of the usual
convolutions, and equals scikit-image's reference (see the tests). Where a `hole` (H, W) is given, nothing else counts.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaintlab.errors import UserError

Picture = NDArray[np.uint8]
Levels = NDArray[np.uint8] | NDArray[np.float32]
Float = NDArray[np.floating]
Hole = NDArray[np.uint8]
PSNR_CAP = 100.0  # dB, for identical pictures
BAND = 64  # rows of SSIM's maps that are computed at once: they stay in the cache


def decibel(mse: float) -> float:
    """PSNR of a mean squared error of values in [0, 1]; capped at 100 dB, where the error is 0."""
    return PSNR_CAP if mse == 0 else min(PSNR_CAP, -10 * float(np.log10(mse)))


def psnr(result: Levels, truth: Picture, hole: Hole | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and colours; capped at 100 dB."""
    return decibel(_mean(cv2.NORM_L2SQR, result, truth, hole) / 255**2)


def l1_percent(result: Levels, truth: Picture, hole: Hole | None = None) -> float:
    """Mean absolute error, values in [0, 1], times 100."""
    return 100 * _mean(cv2.NORM_L1, result, truth, hole) / 255


def l2_percent(result: Levels, truth: Picture, hole: Hole | None = None) -> float:
    """Mean squared error, values in [0, 1], times 100."""
    return 100 * _mean(cv2.NORM_L2SQR, result, truth, hole) / 255**2


def _mean(norm: int, result: Levels, truth: Picture, hole: Hole | None) -> float:
    if result.shape != truth.shape:
        raise ValueError(f"pictures of different sizes: {result.shape} and {truth.shape}")
    height, width, colours = truth.shape
    pixels = height * width if hole is None else int(np.count_nonzero(hole))
    if not pixels:
        raise ValueError("an error over the hole needs a hole, and this one has no pixel")
    return cv2.norm(result, truth.astype(result.dtype, copy=False), norm, hole) / (pixels * colours)


def total_variation_percent(picture: Levels) -> float:
    """Absolute differences of neighbours, across and down, summed over the colours, per pixel, times 100.

    Values in [0, 1]. Photographs of 256x256 have about 23.
    """
    across = cv2.norm(picture[:, 1:], picture[:, :-1], cv2.NORM_L1)
    down = cv2.norm(picture[1:], picture[:-1], cv2.NORM_L1)
    return 100 * (across + down) / 255 / (picture.shape[0] * picture.shape[1])


def ssim(result: Levels, truth: Picture) -> float:
    """Structural similarity (Wang et al. 2004), the mean over positions and colours.

    Gaussian window of 11x11, sigma 1.5, per colour, constants 0.01 and 0.03, population covariance, only positions
    whose window lies inside the picture: the original rule, and scikit-image with `gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False`.
    """
    require(result, truth, 11)
    height, width, colours = truth.shape
    total = 0.0
    for top in range(0, height - 10, BAND):
        rows = slice(top, top + BAND + 10)
        # Centred values keep the differences of squares accurate in float32.
        x, y = (picture[rows].astype(np.float32) / np.float32(255) - np.float32(0.5) for picture in (result, truth))
        total += float(similarity(x, y, _gaussian, 0.01**2, 0.03**2, centre=0.5).sum(dtype=np.float64))
    return total / ((height - 10) * (width - 10) * colours)


def similarity(
    x: Float,
    y: Float,
    blur: Callable[[Float], Float],
    c1: float,
    c2: float,
    *,
    centre: float = 0.0,
    unbias: float = 1.0,
) -> Float:
    """The map whose mean is SSIM.

    Written with d = x - y: 2 cov(x, y) = var x + var y - var d, and 2 m_x m_y = m_x^2 + m_y^2 - m_d^2. Both factors are
    then 1 less something small that is computed from the small d, so float32 is enough, also where a picture is flat.

    Args:
        x, y: pictures, less `centre`.
        blur: the weighted mean over the window.
        c1, c2: constants of brightness and of contrast.
        unbias: factor of variances and covariance; n / (n - 1) for those of a sample of n.
    """
    d = x - y
    mean_x, mean_d = blur(x), blur(d)
    mean_y, square_d = mean_x - mean_d, mean_d * mean_d
    squares = mean_x * mean_x + mean_y * mean_y
    variances = (blur(x * x + y * y) - squares) * unbias
    contrast = 1 - (blur(d * d) - square_d) * unbias / (variances + c2)
    # Brightness is that of the pictures as they were.
    return np.asarray(contrast * (1 - square_d / (squares + (2 * centre * (mean_x + mean_y) + 2 * centre**2 + c1))))


def require(result: Levels, truth: Picture, least: int) -> None:
    """Refuse pictures of different sizes, and those that are smaller than the window."""
    if min(truth.shape[:2]) < least or result.shape != truth.shape:
        raise UserError(
            f"pictures of equal size, {least}x{least} or larger, are needed, not {result.shape} and {truth.shape}"
        )


def _gaussian(array: Float) -> Float:
    return np.asarray(cv2.GaussianBlur(array, (11, 11), 1.5), array.dtype)[5:-5, 5:-5]
