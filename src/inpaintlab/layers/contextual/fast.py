"""Contextual attention by sums over shifts: exact, a fifth of the multiplications, memory linear in the positions.

Products of single pixels replace products of patches (see `shifts`). The matrix of scores is computed in blocks of
foreground rows (see `blocks`); the hand-written backward pass computes each block again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from inpaintlab.layers.contextual.blocks import Block
from inpaintlab.layers.contextual.plain import patch_norm
from inpaintlab.layers.contextual.rules import Setting, paste_divisor, resize_nearest
from inpaintlab.layers.contextual.strips import Layout, Maps, Scratch

# Elements of a block's matrix: few enough for a CPU's cache, enough to use a GPU fully. Each block also computes the
# scores of a few rows around its own, so it has at least ROWS rows.
BLOCK = {"cpu": 1 << 20, "cuda": 1 << 26}
ROWS = 4


# Tracing would unroll the loop over blocks without making it faster.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def attend(
    foreground: Tensor, background: Tensor, usable: Tensor, setting: Setting, watched: Sequence[int] | None = None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Compute `plain.attend` up to rounding; second derivatives are not supported."""
    layout = Layout(setting, setting.small(foreground.shape[-2:]), setting.small(background.shape[-2:]))
    small_b = resize_nearest(background, layout.size_b, setting.rules.sampling)
    small = small_b if foreground is background else resize_nearest(foreground, layout.size, setting.rules.sampling)
    output, best, heat = _Attend.apply(
        layout,
        watched,
        usable,
        F.pad(small, (0, layout.pad)).flatten(2),
        F.pad(small_b, (0, layout.pad)).flatten(2),
        _raw(background, layout),
        setting.scale / _norms(small_b, setting),
        1 / _norms(small, setting) if setting.rules.foreground_norm else None,
    )
    image = _image(output, layout)
    return image / paste_divisor(image.shape[-2:], setting, image), best, heat


def _norms(small: Tensor, setting: Setting) -> Tensor:
    """Return the norms of all matching patches, (N, positions)."""
    squares = small.square().sum(1, keepdim=True)
    sums = F.avg_pool2d(squares, setting.kernel, 1, setting.kernel // 2, divisor_override=1)
    return patch_norm(sums, small.shape[1] * setting.kernel**2, setting).flatten(1)


def _raw(background: Tensor, layout: Layout) -> Tensor:
    """Sort pixels by their row and column within a position: (N, rate, rate, C, padded positions)."""
    rate = layout.setting.rate
    (height, width), (samples, channels) = layout.size_b, background.shape[:2]
    places = background.reshape(samples, channels, height, rate, width, rate).permute(0, 3, 5, 1, 2, 4)
    return F.pad(places, (0, layout.pad)).flatten(4)


def _image(pixels: Tensor, layout: Layout) -> Tensor:
    """Undo `_raw` for pixels with one more row above and below the map; return (N, C, H, W)."""
    (height, width), rate = layout.size, layout.setting.rate
    inside = pixels.view(*pixels.shape[:4], height + 2, layout.stride)[..., 1:-1, :width]
    return inside.permute(0, 3, 4, 1, 5, 2).reshape(len(pixels), -1, height * rate, width * rate)


def _blocks(layout: Layout, samples: int, device: str) -> Iterator[tuple[slice, int, int]]:
    """Yield the samples, first row and end row of each block."""
    (height, width), (height_b, width_b) = layout.size, layout.size_b
    budget, row = BLOCK[device if device in BLOCK else "cuda"], width * height_b * width_b
    count = -(-height // max(ROWS, budget // row))  # number of blocks per sample
    rows, together = -(-height // count), max(1, budget // (row * height))
    for start in range(0, samples, together):
        for first in range(0, height, rows):
            yield slice(start, start + together), first, min(first + rows, height)


def _of(usable: Tensor, samples: slice) -> Tensor:
    """Return the rows of some samples, or the one row that all samples share."""
    return usable[samples] if len(usable) > 1 else usable


class _Attend(torch.autograd.Function):
    """All computations on pairs of positions."""

    @staticmethod
    def forward(
        ctx: Any, layout: Layout, watched: Sequence[int] | None, usable: Tensor, *fields: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        maps = Maps(*fields)  # type: ignore[arg-type]
        ctx.layout = layout
        ctx.save_for_backward(usable, *fields)
        (height, width), samples = layout.size, len(maps.raw)
        output = maps.raw.new_zeros(*maps.raw.shape[:-1], (height + 2) * layout.stride)
        best = heat = None
        if watched is not None:
            best = usable.new_empty(samples, height * width, dtype=torch.long)
            heat = usable.new_empty(samples, len(watched), usable.shape[1])
            ctx.mark_non_differentiable(best, heat)
        scratch = Scratch(layout, usable)
        for some, first, last in _blocks(layout, samples, output.device.type):
            block = Block(layout, maps.of(some), _of(usable, some), first, last, scratch)
            block.paste(output[some])
            if best is not None and heat is not None:
                rows = block.own_rows(block.weights).reshape(len(block.weights), -1, usable.shape[1])
                best[some, first * width : last * width] = rows.argmax(-1)
                for k, position in enumerate(watched or ()):
                    if first * width <= position < last * width:
                        heat[some, k] = rows[:, position - first * width]
        return output, best, heat

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        with torch.autocast(gradient.device.type, enabled=False):  # that of the forward pass does not reach here
            return _Attend.gradients(ctx, gradient)

    @staticmethod
    def gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        usable, *fields = ctx.saved_tensors
        maps = Maps(*fields)
        gradients = Maps(*(None if map is None else torch.zeros_like(map) for map in fields))  # type: ignore[arg-type]
        scratch = Scratch(ctx.layout, usable)
        for some, first, last in _blocks(ctx.layout, len(maps.raw), gradient.device.type):
            block = Block(ctx.layout, maps.of(some), _of(usable, some), first, last, scratch)
            block.backward(gradient[some], gradients.of(some))
        return None, None, None, *gradients.fields()
