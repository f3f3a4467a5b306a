"""The scan of coherent semantic attention as Triton kernels: one program per sample loops over its positions.

The carried vector stays in registers, and there is no synchronisation with the host. See `scan` for the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from inpaintlab.layers.coherent.rules import EPSILON


@triton.jit  # type: ignore[untyped-decorator]
def _forward(u, v, p, patches, weight, dad, counts, n, channels, epsilon, cosine: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]
    sample = tl.program_id(0)
    count = tl.load(counts + sample)
    channel = tl.arange(0, block)
    inside = channel < channels
    base = sample.to(tl.int64) * n
    at = base * channels + channel
    before = tl.load(p + at, mask=inside, other=0.0)
    if count > 0:
        tl.store(patches + at, before, mask=inside)
    for i in range(1, count):
        at += channels
        reference = tl.load(u + at, mask=inside, other=0.0)
        match = tl.load(p + at, mask=inside, other=0.0)
        d = tl.sum(reference * before, axis=0)
        if cosine:
            norm = tl.sqrt(tl.sum(before * before, axis=0))
            d = tl.maximum(d, 0.0) / tl.maximum(norm, epsilon)
        total = d + tl.load(v + base + i)
        w = tl.where(total == 0, 0.0, d / tl.where(total == 0, 1.0, total))
        before = match + w * (before - match)
        tl.store(patches + at, before, mask=inside)
        tl.store(weight + base + i, w)
        tl.store(dad + base + i, d)


@triton.jit  # type: ignore[untyped-decorator]
def _backward(reached, omega, weight, step, into, counts, n, channels, block: tl.constexpr):  # type: ignore[no-untyped-def]
    sample = tl.program_id(0)
    count = tl.load(counts + sample)
    channel = tl.arange(0, block)
    inside = channel < channels
    base = sample.to(tl.int64) * n
    at = (base + tl.maximum(count, 1) - 1) * channels + channel
    late = tl.load(reached + at, mask=inside, other=0.0)
    for back in range(1, count):
        i = count - back
        o = tl.sum(late * tl.load(step + at, mask=inside, other=0.0), axis=0)
        pull = tl.load(into + at, mask=inside, other=0.0)
        tl.store(omega + base + i, o)
        at -= channels
        late = tl.load(reached + at, mask=inside, other=0.0) + tl.load(weight + base + i) * late + o * pull
        tl.store(reached + at, late, mask=inside)


def _layout(like: Tensor) -> dict[str, Any]:
    block = triton.next_power_of_2(like.shape[2])
    return {"block": block, "num_warps": min(8, max(1, block // 128))}


def forward(u: Tensor, v: Tensor, p: Tensor, counts: Sequence[int], cosine: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return patches (N, n, C), weights and Dad (N, n)."""
    samples, n, channels = p.shape
    u, v, p = u.contiguous(), v.contiguous(), p.contiguous()
    patches, weight, dad = torch.zeros_like(p), torch.zeros_like(v), torch.zeros_like(v)
    lengths = torch.tensor(counts, device=p.device)
    _forward[(samples,)](u, v, p, patches, weight, dad, lengths, n, channels, EPSILON, cosine, **_layout(p))
    return patches, weight, dad


def backward(
    gradient: Tensor, weight: Tensor, step: Tensor, into_before: Tensor, counts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the gradient that reaches each patch (N, n, C), and its product with each step (N, n)."""
    samples, n, channels = gradient.shape
    lengths = torch.tensor(counts, device=gradient.device)
    alive = torch.arange(n, device=gradient.device) < lengths.unsqueeze(1)
    reached, omega = gradient * alive.unsqueeze(2), torch.zeros_like(weight)
    step, into_before = step.contiguous(), into_before.contiguous()
    _backward[(samples,)](reached, omega, weight, step, into_before, lengths, n, channels, **_layout(reached))
    return reached, omega
