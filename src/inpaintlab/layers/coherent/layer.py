"""Coherent semantic attention (Liu et al., ICCV 2019, Section 3.2, Eqs. 1-3, Algorithm 1).

Each missing position becomes a mix of its most similar known patch and the patch generated just before it, in raster
order over all missing positions of the picture. Patches are 1x1.

The authors' released code differs in the similarities (`Rules`) and in the gradient: its hand-written backward pass
truncates the attention to integers, doubles the gradient at known positions, and lets hole positions keep theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from inpaintlab.errors import check_choice
from inpaintlab.layers.coherent import fast, plain
from inpaintlab.layers.coherent.hole import table
from inpaintlab.layers.coherent.rules import GRADIENT_OF, SIMILARITY_OF, Kept, Rules, Trace

IMPLEMENTATIONS = {"fast": fast.attend, "plain": plain.attend}


class CoherentAttention(nn.Module):
    """Attention without weights, called as `layer(features, hole)`.

    Args:
        follows: "paper", or "authors", their released code. It decides `similarity` and `gradient` where these are
            None.
        similarity: "cosine" (paper) or "inner_product" (authors), see `Rules`.
        dad_reference: "original" or "initialised", see `Rules`.
        gradient: "exact" (paper), the derivative with matches held fixed, or "truncated" (authors), that of the
            authors' backward pass.
        implementation: "fast", or "plain", which follows the definition and loops over the positions in Python.

    Attributes:
        keep_attention: set to True to store `kept` in each forward pass.
        points: positions whose attention is kept, (y, x) in [0, 1] relative to the picture; none by default.
        kept: attention of the last forward pass with `keep_attention`; None if there was no hole.

    Raises:
        ValueError: if an option has an unknown value.
    """

    def __init__(
        self,
        *,
        follows: str = "paper",
        similarity: str | None = None,
        dad_reference: str = "original",
        gradient: str | None = None,
        implementation: str = "fast",
    ) -> None:
        super().__init__()
        check_choice("follows", follows, SIMILARITY_OF)
        check_choice("gradient", gradient, (*GRADIENT_OF.values(), None))
        check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.rules = Rules(SIMILARITY_OF[follows] if similarity is None else similarity, dad_reference)
        self.gradient = GRADIENT_OF[follows] if gradient is None else gradient
        self.implementation = implementation
        self.keep_attention = False
        self.points: Sequence[tuple[float, float]] | None = None
        self.kept: Kept | None = None

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        """Generate the missing positions; known positions do not change.

        Args:
            features: (N, C, H, W). Computed in float32 (or float64), also under mixed precision.
            hole: (N, 1, H, W), or (1, 1, H, W) for all samples, at the features' resolution, 1 = missing
                (see `feature_hole`). A sample without any known position is returned unchanged.

        Raises:
            ValueError: if the hole does not have the features' resolution and batch size.
        """
        n, _, height, width = features.shape
        if hole.shape not in ((n, 1, height, width), (1, 1, height, width)):
            raise ValueError(
                f"for features {tuple(features.shape)} the hole must be ({n}, 1, {height}, {width}) or "
                f"(1, 1, {height}, {width}), got {tuple(hole.shape)}; downsample it with `feature_hole`"
            )
        self.kept = None
        places = table(hole.expand(n, -1, -1, -1))
        if not max(places.counts):
            return features
        with torch.autocast(features.device.type, enabled=False):
            wide = features if features.dtype == torch.float64 else features.float()
            attend = IMPLEMENTATIONS[self.implementation]
            if self.gradient == "exact":
                filled, trace = attend(wide, places, self.rules)
            else:
                filled, trace = attend(wide.detach(), places, self.rules)
                filled = _TruncatedGradient.apply(wide, filled, trace)
        if self.keep_attention:
            self.kept = self._keep(trace)
        return filled.to(features.dtype)

    def _keep(self, trace: Trace) -> Kept:
        points = tuple(self.points or ())
        return Kept(trace.offsets(), trace.heat(points), points, trace)


class _TruncatedGradient(torch.autograd.Function):
    """Return `filled`; the gradient of the features is g + trunc(A)^T g, with A the attention of all positions."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, filled: Tensor, trace: Trace) -> Tensor:
        ctx.trace = trace
        return filled.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        trace: Trace = ctx.trace
        rows = gradient.flatten(2).transpose(1, 2)  # (N, H W, C)
        places = trace.holes.unsqueeze(2).expand(-1, -1, rows.shape[2])
        at_holes = rows.gather(1, places) * trace.valid.unsqueeze(2)
        known = rows.scatter_add(1, places, -at_holes)  # known positions have one-hot rows in A
        with torch.autocast(gradient.device.type, enabled=False):  # backward may be called inside autocast
            added = known + trace.attention().trunc().transpose(1, 2) @ at_holes
        return gradient + added.transpose(1, 2).reshape(gradient.shape), None, None
