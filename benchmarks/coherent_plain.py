"""Coherent semantic attention as the released code works through it, for comparison; own code, same arithmetic.

One sample after another. Patches are normalised one by one, once over all positions and once over the known ones; a
loop visits every position of the map, asks whether it is missing, reads scores back to the host, makes a convolution
for each missing one, and keeps the attention as dense rows over all positions, which a transposed convolution applies.
The backward pass copies the rows one by one into a matrix. It is the released one, which is not the derivative.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-8


def _normalised(patches: Tensor, positions: list[int]) -> Tensor:
    """Patches (k, C, 1, 1) at some positions, each divided by its norm."""
    filters = patches[positions].clone()
    for k in range(len(positions)):
        filters[k] = filters[k] * (1 / (filters[k].norm(2) + EPSILON))
    return filters


class _Walk(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, tables: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        n, _, height, width = features.shape
        missing, known, offsets = tables
        everywhere, known_list = list(range(height * width)), known.tolist()
        out, ctx.shares = torch.empty_like(features), []
        for b in range(n):
            sample = features[b : b + 1]
            patches = sample.flatten(2)[0].t().clone().view(height * width, -1, 1, 1)
            _normalised(patches, everywhere)
            scores = F.conv2d(sample, _normalised(patches, known_list))[0].flatten(1)  # (known, H W)
            best, index = scores.max(0)
            dmax, own, candidates = best[missing], patches[missing], patches[known]
            made, rows = torch.zeros_like(own), torch.zeros(len(missing), height * width)
            shares = torch.zeros(1, height * width, height, width)
            done = 0
            for i in range(height):
                for j in range(width):
                    is_missing = torch.eq(missing, i * width + j).sum() >= 1
                    nearest = index[i * width + j]
                    match = int(nearest + offsets[nearest])
                    if not is_missing:
                        shares[:, match, i, j] = 1
                        continue
                    if done == 0:
                        made[0] = candidates[nearest]
                        rows[0, match] = 1
                    else:
                        before = made[done - 1].clone().unsqueeze(0)
                        query = own[done].clone()
                        query = (query * (1 / (query.norm(2) + EPSILON))).unsqueeze(0)
                        conv = nn.Conv2d(before.shape[1], 1, 1, bias=False)
                        conv.weight.data = before
                        dad = conv(query).data.squeeze()
                        of_before, of_match = dad / (dad + dmax[done]), dmax[done] / (dad + dmax[done])
                        made[done] = of_before * made[done - 1] + of_match * candidates[nearest]
                        rows[done] = rows[done - 1] * of_before.item()
                        rows[done, match] = rows[done, match] + of_match.item()
                    shares[:, :, i, j] = rows[done].unsqueeze(0)
                    done += 1
            out[b] = F.conv_transpose2d(shares, patches)[0]
            ctx.shares.append(shares[0].int())
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        n, channels, height, width = gradient.shape
        result = gradient.clone()
        for b in range(n):
            matrix = torch.zeros(height * width, height * width)
            for i in range(height):
                for j in range(width):
                    matrix[i * width + j] = ctx.shares[b][:, i, j]
            rows = gradient[b].flatten(1).t()
            result[b] += (matrix.t() @ rows).t().reshape(channels, height, width)
        return result, None


class Plain(nn.Module):
    """Called as the layer of the suite, with one hole (1, 1, H, W) for all samples, whose index tables are kept."""

    def __init__(self, hole: Tensor) -> None:
        super().__init__()
        self.missing, self.known = hole.flatten().nonzero()[:, 0], (1 - hole).flatten().nonzero()[:, 0]
        self.offsets = self.known - torch.arange(len(self.known))  # missing positions in front of each known one

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        tables = (self.missing, self.known, self.offsets)
        result: Tensor = _Walk.apply(features, tables)
        return result
