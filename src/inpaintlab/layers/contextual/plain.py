"""Contextual attention as it is defined, with all patches and whole matrices: slow, and the reference for `fast`.

It follows section 3.1 of Yu et al. (CVPR 2018). As in the released codes, the scores are fused before the softmax.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.layers.contextual.rules import EPSILON, Setting, paste_divisor, resize_nearest


def logits(foreground: Tensor, background: Tensor, setting: Setting) -> Tensor:
    """Return the scaled scores (N, foreground, background) of all pairs of positions, before patches are removed."""
    patches, norms = [], []
    for map in (foreground, background):
        small = resize_nearest(map, setting.small(map.shape[-2:]), setting.rules.sampling)
        patch = F.unfold(small, setting.kernel, padding=setting.kernel // 2)  # (N, 9C, positions)
        patches.append(patch)
        norms.append(patch_norm(patch.square().sum(1), patch.shape[1], setting))
    scores = patches[0].transpose(1, 2) @ patches[1] / norms[1][:, None]
    if setting.rules.foreground_norm:
        scores = scores / norms[0][:, :, None]
    sizes = [setting.small(map.shape[-2:]) for map in (foreground, background)]
    for by in ("rows", "columns"):
        order_f, order_b = (_order(*size, by, scores.device) for size in sizes)
        scores = _diagonal_sums(scores, order_f, order_b, setting.fuse)
    return scores * setting.scale


def patch_norm(squares: Tensor, elements: int, setting: Setting) -> Tensor:
    """Return norms of patches from the sums of their `elements` squares; never 0, with gradient 0 where clamped."""
    if setting.rules.norm == "added":
        return (squares + elements * EPSILON).sqrt()
    return squares.clamp_min(EPSILON**2).sqrt()


def _order(height: int, width: int, by: str, device: torch.device) -> Tensor:
    """Return the indices of all positions, row by row or column by column."""
    index = torch.arange(height * width, device=device).view(height, width)
    return (index if by == "rows" else index.T).flatten()


def _diagonal_sums(matrix: Tensor, order_f: Tensor, order_b: Tensor, length: int) -> Tensor:
    """Return sum_d M[i + d, j + d], with i and j counted in the given orders and zeros outside the matrix."""
    sorted = matrix[:, order_f][:, :, order_b]
    reach, (rows, columns) = length // 2, sorted.shape[1:]
    padded = F.pad(sorted, (reach,) * 4)
    total = torch.stack([padded[:, d : d + rows, d : d + columns] for d in range(length)]).sum(0)
    return total[:, order_f.argsort()][:, :, order_b.argsort()]


def attention(foreground: Tensor, background: Tensor, usable: Tensor, setting: Setting) -> Tensor:
    """Return weights (N, foreground, background); rows sum to at most 1, and to 0 if no patch is usable."""
    scores, kept = logits(foreground, background, setting), usable[:, None] > 0
    filler = 0.0 if setting.rules.removed == "zero_score" else torch.finfo(scores.dtype).min
    return torch.where(kept, scores, filler).softmax(-1) * kept


def paste(weights: Tensor, background: Tensor, size: tuple[int, int], setting: Setting) -> Tensor:
    """Paste weighted sums of background patches where they overlap; return (N, C, *size)."""
    rate, side = setting.rate, 2 * setting.rate
    before, after = rate // 2, rate - rate // 2
    patches = F.unfold(F.pad(background, (before, after) * 2), side, stride=rate)  # (N, C side^2, positions)
    pasted = patches @ weights.transpose(1, 2)
    whole = F.fold(pasted, (size[0] + rate, size[1] + rate), side, stride=rate)
    return whole[..., before : before + size[0], before : before + size[1]] / paste_divisor(size, setting, whole)


def attend(
    foreground: Tensor, background: Tensor, usable: Tensor, setting: Setting, watched: Sequence[int] | None = None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Reconstruct the foreground from background patches.

    Args:
        foreground: (N, C, H, W).
        background: (N, C, Hb, Wb).
        usable: (N or 1, hb wb), 1 for patches that may be copied, from `usable_patches`.
        setting: the options of the layer.
        watched: foreground positions whose weights are returned; None to return the output only.

    Returns:
        The output (N, C, H, W); for each position the background position with the largest weight, (N, h w); and the
        weights of the watched positions, (N, K, hb wb). The last two are None if `watched` is None.
    """
    weights = attention(foreground, background, usable, setting)
    output = paste(weights, background, (foreground.shape[-2], foreground.shape[-1]), setting)
    if watched is None:
        return output, None, None
    return output, weights.detach().argmax(-1), weights.detach()[:, list(watched)]
