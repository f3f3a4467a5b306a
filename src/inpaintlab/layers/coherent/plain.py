"""Coherent semantic attention as it is defined, position by position, with gradients by autograd.

It is slow, and the reference for `fast`: `CoherentAttention(implementation="plain")`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inpaintlab.layers.coherent.hole import Table
from inpaintlab.layers.coherent.rules import EPSILON, Rules, Trace


def attend(features: Tensor, table: Table, rules: Rules) -> tuple[Tensor, Trace]:
    """Generate the missing positions of features (N, C, H, W); return the features and a record of the generation."""
    filled, found = [], []
    for sample, holes, known, count in zip(features, table.holes, table.known, table.counts, strict=True):
        rows = sample.flatten(1).t()  # (H W, C)
        generated, steps = _walk(rows, holes[:count].tolist(), known, rules)
        filled.append(torch.stack([generated.get(i, rows[i]) for i in range(len(rows))]).t().view_as(sample))
        found.append(torch.stack([*steps, *[rows.new_zeros(4)] * (len(holes) - count)]))
    match, dmax, dad, weight = torch.stack(found).unbind(2)
    trace = Trace(table.holes, table.valid(), match.long(), dmax, dad, weight, (features.shape[2], features.shape[3]))
    return torch.stack(filled), trace


def _walk(rows: Tensor, holes: list[int], known: Tensor, rules: Rules) -> tuple[dict[int, Tensor], list[Tensor]]:
    """Return the generated patches by position, and (match, Dmax, Dad, weight) of each step."""
    generated: dict[int, Tensor] = {}
    steps, before = [], None
    candidates = _unit(rows[known])
    for position in holes:
        original = rows[position]
        # The search (Section 3.2.1): the first of the most similar known patches.
        match = known[(candidates @ original).argmax()]
        patch = rows[match]
        dmax = _unit(patch) @ (_unit(original) if rules.cosine else original)
        # The generation (Eqs. 1-3).
        reference = _unit(original if rules.dad_reference == "original" else patch)
        if before is None:
            dad = torch.zeros_like(dmax)
        elif rules.cosine:
            dad = reference @ (before / before.norm().clamp_min(EPSILON))
        else:
            dad = reference @ before
        if rules.cosine:
            dmax, dad = dmax.relu(), dad.relu()
        total = dad + dmax
        weight = dad / total if total != 0 else torch.zeros_like(dad)
        generated[position] = patch if before is None else weight * before + (1 - weight) * patch
        before = generated[position]
        steps.append(torch.stack([match.to(dmax), dmax, dad, weight]).detach())
    return generated, steps


def _unit(vectors: Tensor) -> Tensor:
    return vectors / (vectors.norm(dim=-1, keepdim=True) + EPSILON)
