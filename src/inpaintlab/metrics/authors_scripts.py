"""Metrics as authors' released scripts compute them, on RGB arrays (H, W, 3) of 0 to 255.

They differ from the standard protocol by conventions worth more than the gaps between methods, and are needed to
compare with numbers printed from those scripts. Sources: knazeri/edge-connect (scripts/metrics.py, with the
scikit-image 0.14 of its day), geekyutao/RN (eval.py), Vious/LBAM_Pytorch (test_random_batch.py).
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
    """PSNR in dB of the gray pictures."""
    return decibel(float(np.square(_gray(result) - _gray(truth)).mean()))


def edgeconnect_ssim(result: Levels, truth: Picture) -> float:
    """SSIM of the gray pictures with a uniform window of 51x51."""
    require(result, truth, 51)
    return _uniform_ssim(_gray(result), _gray(truth), 51, 1.0)


def edgeconnect_l1_percent(result: Levels, truth: Picture) -> float:
    """Sum of absolute differences over the sum of both gray pictures, times 100: about half of a relative error."""
    x, y = _gray(result), _gray(truth)
    return 100 * float(np.abs(x - y).sum() / max((x + y).sum(), 1e-12))


# ---------------------------------------------------------------------- RN: on truncated levels
def rn_ssim(result: Levels, truth: Picture) -> float:
    """SSIM per colour with a uniform window of 11x11."""
    require(result, truth, 11)
    return _uniform_ssim(result.astype(np.float64), truth.astype(np.float64), 11, 255.0)


def rn_l1_percent(result: Levels, truth: Picture) -> float:
    """Mean absolute difference of the means over the colours, times 100; smaller than that of the colours."""
    return 100 * float(np.abs((result.astype(np.int16) - truth).sum(2)).mean()) / (3 * 255)


def _uniform_ssim(x: Float, y: Float, window: int, peak: float) -> float:
    half, pixels = window // 2, window**2

    def blur(array: Float) -> Float:
        return np.asarray(cv2.blur(array, (window, window)), array.dtype)[half:-half, half:-half]

    unbias = pixels / (pixels - 1)  # scikit-image's default: a sample's covariance
    return float(similarity(x, y, blur, (0.01 * peak) ** 2, (0.03 * peak) ** 2, unbias=unbias).mean())


# ---------------------------------------------------------------------- LBAM: on unrounded composites
def lbam_ssim(result: Levels, truth: Picture, scale: float = 255.0) -> float:
    """SSIM per colour with an 11x11 Gaussian window of sigma 1.5, zeros around the picture, mean over all positions.

    As released, the pictures run from 0 to 255 while the constants 0.01^2 and 0.03^2 stay those of the range 1;
    `scale=1` gives the same function with matching constants. In float64: squares of 0 to 255 beside such small
    constants leave nothing of float32 where a picture is flat.
    """
    x, y = (picture.astype(np.float64) * (scale / 255) for picture in (result, truth))

    def blur(array: Float) -> Float:
        return np.asarray(cv2.GaussianBlur(array, (11, 11), 1.5, borderType=cv2.BORDER_CONSTANT), array.dtype)

    return float(similarity(x, y, blur, 0.01**2, 0.03**2).mean())


def lbam_pooled_psnr(values: Sequence[float]) -> float:
    """PSNR in dB of the mean squared error of each batch of 16 pictures, then the mean over the batches.

    Args:
        values: PSNR of the single pictures, in their order; the last batch may be smaller.
    """
    mse = np.power(10, -np.asarray(values) / 10)
    return float(np.mean([decibel(mse[i : i + LBAM_BATCH].mean()) for i in range(0, len(mse), LBAM_BATCH)]))
