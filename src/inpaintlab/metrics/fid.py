"""Frechet Inception distance (Heusel et al., NeurIPS 2017) of two sets of pictures.

The features come from whatever network the caller brings. They are kept for every picture and the distance is taken
at the end, in float64 and in the order of the pictures, so that processes that share the work change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaintlab.errors import UserError

ENOUGH = 2048  # pictures; with fewer than features, the covariances have no full rank and the bias is large
CHUNK = 4096  # rows that are turned into float64 at once


class Features:
    """Features of truths and results; those of a truth are computed once, however many holes it has.

    Args:
        network: takes 8-bit pictures (N, 3, H, W), gives features (N, D).
    """

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self.network = network
        self.truths: dict[str, Tensor] = {}

    def __call__(self, names: Sequence[str], truths: Tensor, results: Tensor) -> Tensor:
        """(N, 2, D), the truth's features first.

        Args:
            names: of the pictures; equal names are equal truths.
            truths, results: (N, 3, H, W), 8 bit.
        """
        new = {name: place for place, name in enumerate(names) if name not in self.truths}
        found = self.network(torch.cat([results, truths[list(new.values())]]))
        self.truths.update(zip(new, found[len(results) :], strict=True))
        return torch.stack([torch.stack([self.truths[name] for name in names]), found[: len(results)]], 1)


def frechet(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Squared Frechet distance of the normal distributions with the means and covariances of two sets.

    |m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a C_b)^(1/2). With C = R^T R the last trace is the sum of the singular
    values of R_a R_b^T. Nothing is squared before a root is taken, so covariances without full rank lose no digits,
    as they do with the square root of a matrix or with eigenvalues of C_a C_b.

    Args:
        a, b: features (n, D), two rows or more each.
    """
    if min(len(a), len(b)) < 2:
        raise UserError(f"FID needs two pictures or more in every bin, not {len(a)} and {len(b)}")
    means = [features.mean(0, dtype=np.float64) for features in (a, b)]
    roots = [_root(features, mean) for features, mean in zip((a, b), means, strict=True)]
    cross = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    distance = np.square(means[0] - means[1]).sum() + sum(np.square(root).sum() for root in roots) - 2 * cross
    return max(0.0, float(distance))  # rounding leaves -1e-12 where the sets are the same


def _root(features: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """R with R^T R = covariance, of as many rows as there are pictures or features, whatever is less."""
    root: NDArray[np.float64] = np.empty((0, features.shape[1]))
    for start in range(0, len(features), CHUNK):
        root = np.concatenate([root, features[start : start + CHUNK] - mean])
        if len(root) > features.shape[1]:
            root = np.asarray(np.linalg.qr(root, mode="r"))
    return np.asarray(root / np.sqrt(len(features) - 1))
