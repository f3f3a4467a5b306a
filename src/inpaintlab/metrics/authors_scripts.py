"""Metrics as the authors' released scripts compute them, on RGB arrays (H, W, 3) with values from 0 to 255.

Their conventions change the numbers by more than methods differ from each other, so numbers that were printed from
these scripts can only be compared with metrics computed in the same way. Sources: knazeri/edge-connect
(scripts/metrics.py, with scikit-image 0.14), geekyutao/RN (eval.py), Vious/LBAM_Pytorch (test_random_batch.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inpaintlab.metrics.image_metrics import Float, Levels, Picture, decibel, require, similarity

LUMA = np.array([0.2125, 0.7154, 0.0721])  # scikit-image's weights of red, green and blue
LBAM_BATCH = 16


# ---------------------------------------------------------------------- EdgeConnect: on gray pictures
def _gray(picture: Levels) -> NDArray[np.float64]:
    return picture.astype(np.float64) @ LUMA / 255


def edgeconnect_psnr(result: Levels, truth: Picture) -> float:
    """Return the PSNR of the gray pictures in dB."""
    return decibel(float(np.square(_gray(result) - _gray(truth)).mean()))


def edgeconnect_ssim(result: Levels, truth: Picture) -> float:
    """Return the SSIM of the gray pictures, with a uniform window of 51x51."""
    require(result, truth, 51)
    return _uniform_ssim(_gray(result), _gray(truth), 51, 1.0)


def edgeconnect_l1_percent(result: Levels, truth: Picture) -> float:
    """Return 100 sum |x - y| / sum (x + y) of the gray pictures: about half of the relative error in per cent."""
    x, y = _gray(result), _gray(truth)
    return 100 * float(np.abs(x - y).sum() / max((x + y).sum(), 1e-12))


# ---------------------------------------------------------------------- RN: on truncated levels
def rn_ssim(result: Levels, truth: Picture) -> float:
    """Return the SSIM with a uniform window of 11x11, averaged over the colours."""
    require(result, truth, 11)
    return _uniform_ssim(result.astype(np.float64), truth.astype(np.float64), 11, 255.0)


def rn_l1_percent(result: Levels, truth: Picture) -> float:
    """Return 100 times the mean absolute difference of the pictures averaged over the colours, values in [0, 1].

    Differences of opposite sign in two colours cancel, so the value is at most that of `image_metrics.l1_percent`.
    """
    return 100 * float(np.abs((result.astype(np.int16) - truth).sum(2)).mean()) / (3 * 255)


def _uniform_ssim(x: Float, y: Float, window: int, peak: float) -> float:
    half, pixels = window // 2, window**2

    def blur(array: Float) -> Float:
        return np.asarray(cv2.blur(array, (window, window)), array.dtype)[half:-half, half:-half]

    unbias = pixels / (pixels - 1)  # the sample covariance, scikit-image's default
    return float(similarity(x, y, blur, (0.01 * peak) ** 2, (0.03 * peak) ** 2, unbias=unbias).mean())


# ---------------------------------------------------------------------- LBAM: on unrounded composites
def lbam_ssim(result: Levels, truth: Picture, scale: float = 255.0) -> float:
    """Return the SSIM with an 11x11 Gaussian window of sigma 1.5 and zero padding, averaged over positions and colours.

    The released script uses values from 0 to 255 together with the constants 0.01^2 and 0.03^2 of the range [0, 1].
    The computation is in float64: float32 has too few digits for squares of such values beside such small constants
    where a picture is flat.

    Args:
        result, truth: (H, W, 3), values from 0 to 255.
        scale: the largest value after rescaling. The released script uses 255; 1 matches the constants.
    """
    x, y = (picture.astype(np.float64) * (scale / 255) for picture in (result, truth))

    def blur(array: Float) -> Float:
        return np.asarray(cv2.GaussianBlur(array, (11, 11), 1.5, borderType=cv2.BORDER_CONSTANT), array.dtype)

    return float(similarity(x, y, blur, 0.01**2, 0.03**2).mean())


def lbam_pooled_psnr(values: Sequence[float]) -> float:
    """Return the mean over batches of 16 pictures of the PSNR of each batch's mean squared error, in dB.

    Args:
        values: PSNR of each picture in dB, in the order of the pictures. The last batch may be smaller.
    """
    mse = np.power(10, -np.asarray(values) / 10)
    return float(np.mean([decibel(mse[i : i + LBAM_BATCH].mean()) for i in range(0, len(mse), LBAM_BATCH)]))
