"""Frechet Inception distance (Heusel et al., NeurIPS 2017) of two sets of pictures.

The caller provides the feature network. The features of all pictures are kept, and the distance is computed at the
end, in float64 and in the order of the pictures, so the number of processes does not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaintlab.errors import UserError

ENOUGH = 2048  # pictures, as many as features; with fewer, the covariances are singular and the bias is large
CHUNK = 4096  # rows converted to float64 at a time


class Features:
    """Compute the features of truths and results. Those of a truth are computed once and kept for its other holes.

    Args:
        network: maps 8-bit pictures (N, 3, H, W) to features (N, D).
    """

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self.network = network
        self.truths: dict[str, Tensor] = {}

    def __call__(self, names: Sequence[str], truths: Tensor, results: Tensor) -> Tensor:
        """Return features (N, 2, D): of the truth at index 0, of the result at index 1.

        Args:
            names: N names of the pictures; equal names stand for equal truths.
            truths, results: (N, 3, H, W), 8 bit.
        """
        new = {name: place for place, name in enumerate(names) if name not in self.truths}
        found = self.network(torch.cat([results, truths[list(new.values())]]))
        self.truths.update(zip(new, found[len(results) :], strict=True))
        return torch.stack([torch.stack([self.truths[name] for name in names]), found[: len(results)]], 1)


def frechet(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the squared Frechet distance of two normal distributions, fitted to two sets of features.

    The distance is |m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a C_b)^(1/2). With C = R^T R the last trace is the sum of
    the singular values of R_a R_b^T. This avoids the product C_a C_b, whose matrix square root or eigenvalues lose
    digits where the covariances are singular.

    Args:
        a, b: features (n, D) of at least two pictures each; n may differ.

    Raises:
        UserError: if a set has fewer than two pictures.
    """
    if min(len(a), len(b)) < 2:
        raise UserError(f"FID needs at least 2 pictures in each bin, got {len(a)} and {len(b)}; evaluate more pictures")
    means = [features.mean(0, dtype=np.float64) for features in (a, b)]
    roots = [_root(features, mean) for features, mean in zip((a, b), means, strict=True)]
    cross = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    distance = np.square(means[0] - means[1]).sum() + sum(np.square(root).sum() for root in roots) - 2 * cross
    return max(0.0, float(distance))  # rounding can give -1e-12 for equal sets


def _root(features: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R with R^T R = covariance; its number of rows is the smaller of n and D."""
    root: NDArray[np.float64] = np.empty((0, features.shape[1]))
    for start in range(0, len(features), CHUNK):
        root = np.concatenate([root, features[start : start + CHUNK] - mean])
        if len(root) > features.shape[1]:
            root = np.asarray(np.linalg.qr(root, mode="r"))
    return np.asarray(root / np.sqrt(len(features) - 1))
