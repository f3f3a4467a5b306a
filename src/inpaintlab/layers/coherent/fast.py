"""Coherent semantic attention by one matrix product and one scan; the same function as `plain`, up to rounding.

The matches are found without gradient, as in the definition, and the similarities recomputed from the matched patches.
Known patches are normalised before the product: to divide the scores is the same function, but near ties then fall
differently.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inpaintlab.layers.coherent.hole import Table
from inpaintlab.layers.coherent.rules import EPSILON, Rules, Trace
from inpaintlab.layers.coherent.scan import scan


def attend(features: Tensor, table: Table, rules: Rules) -> tuple[Tensor, Trace]:
    """Features (N, C, H, W) with the missing positions generated anew, and the record of how."""
    n, channels, height, width = features.shape
    count = table.holes.shape[1]
    rows = features.flatten(2).transpose(1, 2).reshape(-1, channels)  # (N H W, C)
    first = torch.arange(0, n * height * width, height * width, device=features.device).unsqueeze(1)
    with torch.no_grad():
        known = _take(rows, table.known + first)
        known /= known.norm(dim=2, keepdim=True) + EPSILON
        scores = _take(rows, table.holes + first) @ known.transpose(1, 2)  # (N, n, m)
        match = table.known.gather(1, scores.argmax(2))
    hole, patch = _take(rows, torch.cat([table.holes, match], 1) + first).split(count, 1)
    hole_norm, patch_norm = (x.norm(dim=2, keepdim=True) + EPSILON for x in (hole, patch))
    unit = hole / hole_norm
    dmax = ((unit if rules.cosine else hole) * patch).sum(2) / patch_norm.squeeze(2)
    dmax = dmax.relu() if rules.cosine else dmax
    reference = unit if rules.dad_reference == "original" else patch / patch_norm
    generated, weight, dad = scan(reference, dmax, patch, table.counts, rules.cosine)
    valid = table.valid()
    if min(table.counts) < count:
        generated = torch.where(valid.unsqueeze(2), generated, hole)
    places = table.holes.unsqueeze(1).expand(-1, channels, -1)
    filled = features.flatten(2).scatter(2, places, generated.transpose(1, 2)).view_as(features)
    return filled, Trace(table.holes, valid, match, dmax.detach(), dad, weight, (height, width))


def _take(rows: Tensor, indices: Tensor) -> Tensor:
    """Rows (R, C) by indices (N, k), (N, k, C); its gradient adds rows up instead of single elements."""
    return rows.index_select(0, indices.flatten()).view(*indices.shape, -1)
