"""The sequential part of coherent semantic attention and its exact derivative, each one pass over the positions.

    m_1 = p_1;  w_i = d_i / (d_i + v_i);  m_i = p_i + w_i (m_(i-1) - p_i)

with d_i = <u_i, m_(i-1)>, or for cosines its positive part divided by |m_(i-1)|. The weight is a ratio that depends on
the previous patch, so there is no parallel prefix form. The derivative is linear and runs backwards. With the gradient
g_i of m_i,

    l_n = g_n;  o_i = <l_i, m_(i-1) - p_i>;  l_(i-1) = g_(i-1) + w_i l_i + o_i e_i,

where e_i is the derivative of w_i with respect to m_(i-1). On a GPU one Triton kernel with a program per sample loops
over the positions. On a CPU, or without Triton, NumPy does; its small operations take a third of PyTorch's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from inpaintlab.layers.coherent.rules import EPSILON


@cache
def _kernels() -> ModuleType | None:
    """Return the Triton kernels, or None without Triton, which PyTorch installs on Linux only."""
    try:
        return import_module("inpaintlab.layers.coherent.kernels")
    except ImportError:
        return None


def scan(u: Tensor, v: Tensor, p: Tensor, counts: Sequence[int], cosine: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Generate the patches.

    Args:
        u: (N, n, C), the vectors of length 1 that Dad compares with the previous patch.
        v: (N, n), Dmax.
        p: (N, n, C), the best matches.
        counts: number of positions of each sample; later entries of the results are 0.
        cosine: whether Dad is a clamped cosine.

    Returns:
        The patches (N, n, C); weights and Dad (N, n) without gradient.
    """
    patches, weight, dad = _Scan.apply(u, v, p, tuple(counts), cosine)
    return patches, weight, dad


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u: Tensor, v: Tensor, p: Tensor, counts: tuple[int, ...], cosine: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        kernels = _kernels() if u.is_cuda else None
        patches, weight, dad = (kernels.forward if kernels else _forward)(u, v, p, counts, cosine)
        ctx.save_for_backward(u, v, p, patches, weight, dad)
        ctx.counts, ctx.cosine, ctx.kernels = counts, cosine, kernels
        ctx.mark_non_differentiable(weight, dad)
        return patches, weight, dad

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        u, v, p, patches, weight, dad = ctx.saved_tensors
        before = torch.cat([torch.zeros_like(p[:, :1]), patches[:, :-1]], 1)
        step = before - p
        total = dad + v
        inverse = torch.where(total != 0, 1 / total.square(), 0.0)
        by_dad, by_dmax = v * inverse, -dad * inverse  # derivatives of the weight
        if ctx.cosine:
            norm = before.norm(dim=2).clamp_min(EPSILON).unsqueeze(2)
            before = before / norm
            by_dad = by_dad * (dad > 0)
            into_before = by_dad.unsqueeze(2) * (u - dad.unsqueeze(2) * before) / norm
        else:
            into_before = by_dad.unsqueeze(2) * u
        walk = ctx.kernels.backward if ctx.kernels else _backward
        reached, omega = walk(gradient.contiguous(), weight, step, into_before, ctx.counts)
        grad_u = (by_dad * omega).unsqueeze(2) * before
        return grad_u, by_dmax * omega, (1 - weight).unsqueeze(2) * reached, None, None


def _forward(u: Tensor, v: Tensor, p: Tensor, counts: tuple[int, ...], cosine: bool) -> tuple[Tensor, Tensor, Tensor]:
    n, length, channels = p.shape
    references, matches, dmaxes = u.cpu().numpy(), p.cpu().numpy(), v.tolist()
    # The previous patch and the match lie side by side, so that one product with (w, 1 - w) mixes them. All samples
    # reuse the same memory, because allocating new pages costs as much as the copies.
    pairs = np.empty((length + 1, 2, channels), matches.dtype)
    patches, mix = list(pairs[1:, 0]), np.empty(2, matches.dtype)
    found = np.zeros_like(matches)
    weights, dads = np.zeros((2, n, length), matches.dtype)
    for sample, (count, dmax) in enumerate(zip(counts, dmaxes, strict=True)):
        weight, dad = [0.0] * count, [0.0] * count
        pairs[:-1, 1] = matches[sample]
        patches[0][:] = matches[sample, 0]
        for i, reference, pair in zip(range(1, count), references[sample, 1:], pairs[1:], strict=False):
            before = patches[i - 1]
            d = float(reference.dot(before))
            if cosine:
                d = max(d, 0.0) / max(float(before.dot(before)) ** 0.5, EPSILON)
            total = d + dmax[i]
            w = d / total if total else 0.0
            mix[0], mix[1] = w, 1 - w
            mix.dot(pair, patches[i])
            weight[i], dad[i] = w, d
        found[sample, :count] = pairs[1 : count + 1, 0]
        weights[sample, :count], dads[sample, :count] = weight, dad
    return tuple(torch.from_numpy(a).to(u.device) for a in (found, weights, dads))  # type: ignore[return-value]


def _backward(
    gradient: Tensor, weight: Tensor, step: Tensor, into_before: Tensor, counts: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Return l (N, n, C) and o (N, n) of the module's docstring."""
    moves, weights = step.cpu().numpy(), weight.tolist()
    # l_i, e_i and g_(i-1) lie side by side, so that one product with (w_i, o_i, 1) gives l_(i-1).
    parts = torch.stack([gradient, into_before, gradient.roll(1, 1)], 2).cpu().numpy()
    omegas = np.zeros(moves.shape[:2], moves.dtype)
    mix = np.ones(3, moves.dtype)
    for sample, (count, weight_of) in enumerate(zip(counts, weights, strict=True)):
        parts[sample, count:, 0] = 0
        reached, omega = list(parts[sample, :, 0]), [0.0] * count
        for i in range(count - 1, 0, -1):
            omega[i] = o = float(reached[i].dot(moves[sample, i]))
            mix[0], mix[1] = weight_of[i], o
            mix.dot(parts[sample, i], reached[i - 1])
        omegas[sample, :count] = omega
    return torch.from_numpy(parts[:, :, 0]).to(gradient.device), torch.from_numpy(omegas).to(gradient.device)
