"""Metrics as authors' released scripts compute them, on float composites (N, 3, H, W) in [0, 1].

They differ from the standard protocol by conventions worth more than the gaps between methods, and are needed to
compare with numbers printed from those scripts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def lbam_psnr(results: Tensor, truths: Tensor) -> Tensor:
    """PSNR in dB of the mean squared error over the whole batch (LBAM's random-batch test, batches of 16)."""
    return -10 * (results - truths).square().mean().log10()


def lbam_ssim(results: Tensor, truths: Tensor, scale: float = 255.0) -> Tensor:
    """SSIM with an 11x11 Gaussian window of sigma 1.5 and zero padding, the mean over everything.

    As released, the pictures are multiplied by 255 while the constants 0.01^2 and 0.03^2 stay those of the range 1;
    `scale=1` gives the same function with matching constants.
    """
    x, y = results * scale, truths * scale
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (var_x + var_y + c2)).mean()


def lbam_l1(results: Tensor, truths: Tensor) -> Tensor:
    """Mean absolute error as a fraction."""
    return (results - truths).abs().mean()


def _blur(pictures: Tensor) -> Tensor:
    positions = torch.arange(-5, 6, dtype=pictures.dtype, device=pictures.device)
    window = torch.exp(-(positions**2) / (2 * 1.5**2))
    window = (window / window.sum()).repeat(pictures.shape[1], 1, 1, 1)  # (C, 1, 1, 11)
    pictures = F.conv2d(pictures, window, padding=(0, 5), groups=pictures.shape[1])
    return F.conv2d(pictures, window.transpose(2, 3), padding=(5, 0), groups=pictures.shape[1])
