"""Coherent semantic attention with one matrix product and one scan; equal to `plain` up to rounding.

Matches are found without gradient, as in the definition, and the similarities are recomputed from the matched patches.
Known patches are normalised before the product. Dividing the scores afterwards would be equivalent, but its rounding
resolves near ties differently from the definition.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from inpaintlab.layers.coherent.hole import Table
from inpaintlab.layers.coherent.rules import EPSILON, Rules, Trace
from inpaintlab.layers.coherent.scan import scan


def attend(features: Tensor, table: Table, rules: Rules) -> tuple[Tensor, Trace]:
    """Generate the missing positions of features (N, C, H, W); return the features and a record of the generation."""
    filled, match, dmax, dad, weight = _Fill.apply(features, table, rules)
    return filled, Trace(table.holes, table.valid(), match, dmax, dad, weight, (features.shape[2], features.shape[3]))


class _Fill(torch.autograd.Function):
    """Replace the n missing positions in whole maps; autograd records only the computations on these positions."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, table: Table, rules: Rules) -> tuple[Tensor, ...]:
        columns = features.flatten(2)
        hole = _take(columns, table.holes)  # (N, C, n)
        match = _search(columns, hole, table)
        wanted = ctx.needs_input_grad[0]
        ends = _rows(hole).requires_grad_(wanted), _rows(_take(columns, match)).requires_grad_(wanted)
        with torch.set_grad_enabled(wanted):
            generated, dmax, dad, weight = _generate(ends[0], ends[1], table, rules)
        ctx.ends, ctx.generated, ctx.table, ctx.match = ends, generated, table, match
        filled = columns.clone().scatter_(2, _spread(table.holes, columns), generated.detach().transpose(1, 2))
        notes = (match, dmax.detach(), dad, weight)
        ctx.mark_non_differentiable(*notes)
        return filled.view_as(features), *notes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
        columns = gradient.flatten(2)
        arriving = _rows(_take(columns, ctx.table.holes))
        with torch.autocast(gradient.device.type, enabled=False):  # backward may be called inside autocast
            hole, patch = torch.autograd.grad(ctx.generated, ctx.ends, arriving, retain_graph=True)
        result = columns.clone().scatter_(2, _spread(ctx.table.holes, columns), hole.transpose(1, 2))
        result.scatter_add_(2, _spread(ctx.match, columns), patch.transpose(1, 2))
        return result.view_as(gradient), None, None


def _search(columns: Tensor, hole: Tensor, table: Table) -> Tensor:
    """Return the raster index (N, n) of the first most similar known column for each column of `hole` (N, C, n)."""
    if columns.device.type != "cpu":
        return table.known.gather(1, _scores(_take(columns, table.known), hole).max(2).indices)
    # On a CPU a single sample fits into the cache, and NumPy's argmax is several times faster than PyTorch's.
    best = []
    for of_sample, holes, known in zip(columns, hole, table.known, strict=True):
        scores = _scores(of_sample.index_select(1, known)[None], holes[None])[0]
        best.append(torch.from_numpy(scores.numpy().argmax(1)))
    return table.known.gather(1, torch.stack(best))


def _scores(known: Tensor, hole: Tensor) -> Tensor:
    """Return products (N, n, m) of `hole` (N, C, n) with `known` (N, C, m), whose columns are normalised in place."""
    known /= known.square().sum(1, keepdim=True).sqrt_().add_(EPSILON)
    return hole.transpose(1, 2) @ known


def _generate(hole: Tensor, patch: Tensor, table: Table, rules: Rules) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return generated patches (N, n, C), Dmax, Dad and weights (N, n), given hole features and matches (N, n, C)."""
    hole_norm, patch_norm = (x.norm(dim=2, keepdim=True) + EPSILON for x in (hole, patch))
    unit = hole / hole_norm
    dmax = ((unit if rules.cosine else hole) * patch).sum(2) / patch_norm.squeeze(2)
    dmax = dmax.relu() if rules.cosine else dmax
    reference = unit if rules.dad_reference == "original" else patch / patch_norm
    generated, weight, dad = scan(reference, dmax, patch, table.counts, rules.cosine)
    if min(table.counts) < hole.shape[1]:
        generated = torch.where(table.valid().unsqueeze(2), generated, hole)
    return generated, dmax, dad, weight


def _spread(indices: Tensor, columns: Tensor) -> Tensor:
    """Expand indices (N, k) to all channels of (N, C, H W)."""
    return indices.unsqueeze(1).expand(-1, columns.shape[1], -1)


def _take(columns: Tensor, indices: Tensor) -> Tensor:
    """Return the columns (N, C, k) of (N, C, H W) at the given indices (N, k)."""
    return columns.gather(2, _spread(indices, columns))


def _rows(columns: Tensor) -> Tensor:
    """Transpose (N, C, k) to contiguous (N, k, C)."""
    return columns.transpose(1, 2).contiguous()
