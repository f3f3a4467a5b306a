"""The matrices of contextual attention for a few foreground rows at a time, forward and backward (see `shifts`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.layers.contextual.rules import Setting
from inpaintlab.layers.contextual.shifts import add_shifted, column_sum, diagonal, opposite, overlap, shifted_sum

# Weights that are smaller, relative to a position's largest, become 0: without effect on the output, but numbers below
# 1e-38 are many times slower on CPUs.
SMALLEST = 1e-30


@dataclass(frozen=True)
class Layout:
    """Sizes that all steps share.

    Args:
        setting: the layer's definition.
        size: rows and columns of the foreground's positions.
        size_b: the same of the background.
    """

    setting: Setting
    size: tuple[int, int]
    size_b: tuple[int, int]

    @property
    def pad(self) -> int:
        """Columns of zeros at the end of padded rows."""
        return max(1, self.setting.kernel // 2)

    @property
    def stride(self) -> int:
        """From a row of the padded foreground to the next."""
        return self.size[1] + self.pad

    @property
    def stride_b(self) -> int:
        """The same of the background."""
        return self.size_b[1] + self.pad

    def inner(self, padded: Tensor) -> Tensor:
        """A padded matrix as (N, rows, width, height, width) without its columns of zeros."""
        rows = padded.view(len(padded), -1, self.stride, self.size_b[0], self.stride_b)
        return rows[:, :, : self.size[1], :, : self.size_b[1]]

    def unpadded(self, matrix: Tensor) -> Tensor:
        """A matrix without padding in the same shape."""
        return matrix.view(len(matrix), -1, self.size[1], *self.size_b)

    def vector(self, numbers: Tensor) -> Tensor:
        """Numbers per background position, to be multiplied with matrices of that shape."""
        return numbers.view(-1, 1, 1, *self.size_b)

    def sides(self) -> list[tuple[int, range]]:
        """The neighbour (-1 or 1) whose patch reaches a pixel too, and the pixel's places in a position for which."""
        rate = self.setting.rate
        before = rate - rate // 2
        return [(-1, range(before)), (1, range(before, rate))][: min(rate, 2)]


@dataclass
class Maps:
    """What the matrices are made of, for some samples, or the gradients of all that.

    Args:
        pixels, pixels_b: (n, C, padded positions), the maps at the matching resolution.
        raw: (n, rate, rate, C, padded positions), the background's pixels by their row and column in a position.
        inverse_b: (n, background positions), scale over norm of the patches.
        inverse_f: (n, foreground positions), one over norm; None for 1.
    """

    pixels: Tensor
    pixels_b: Tensor
    raw: Tensor
    inverse_b: Tensor
    inverse_f: Tensor | None

    def fields(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """All of them in order."""
        return self.pixels, self.pixels_b, self.raw, self.inverse_b, self.inverse_f

    def of(self, samples: slice) -> Maps:
        """Views of some samples only."""
        return Maps(*(None if field is None else field[samples] for field in self.fields()))  # type: ignore[arg-type]


class Scratch:
    """Memory that one block takes over from the other: to be given fresh pages costs more than what is done in them."""

    def __init__(self, like: Tensor) -> None:
        self.like = like
        self.buffers: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """The buffer of that name, with anything in it; what was taken under the name before is lost."""
        size = math.prod(shape)
        if name not in self.buffers or self.buffers[name].numel() < size:
            self.buffers[name] = self.like.new_empty(size)
        return self.buffers[name][:size].view(shape)


class Strip:
    """Scores of the rows first ... last - 1, each row moved to the left by `turn`, summed over neighbours in row order.

    This is the first half of the fusion.
    """

    def __init__(self, layout: Layout, maps: Maps, scratch: Scratch, first: int, last: int, turn: int) -> None:
        height, width = layout.size
        self.layout, self.maps, self.scratch, self.turn, self.rows = layout, maps, scratch, turn, last - first
        fuse, self.reach = layout.setting.fuse // 2, layout.setting.kernel // 2
        margin = -(-fuse // width)  # rows that sums in row order reach into
        self.low, self.high = max(0, first - margin), min(height, last + margin)
        self.top, self.bottom = max(0, self.low - self.reach), min(height, self.high + self.reach)
        self.in_rows = diagonal(fuse, (first - self.low) * width + turn)
        self.vertical = diagonal(self.reach, (self.low - self.top) * layout.stride, layout.stride, layout.stride_b)
        self.horizontal = diagonal(self.reach, 0)
        self.products = self._patch_products()

    def _padded(self, name: str, rows: int) -> Tensor:
        count, _, places = self.maps.pixels_b.shape
        return self.scratch.take(name, count, rows * self.layout.stride, places)

    def _matrix(self, name: str) -> Tensor:
        count, positions = self.maps.inverse_b.shape
        return self.scratch.take(name, count, (self.high - self.low) * self.layout.size[1], positions)

    def _pixels(self, of: Maps) -> Tensor:
        return of.pixels[..., self.top * self.layout.stride : self.bottom * self.layout.stride]

    def _inverse_f(self, of: Maps) -> Tensor | None:
        width = self.layout.size[1]
        return None if of.inverse_f is None else of.inverse_f[:, self.low * width : self.high * width, None]

    def _patch_products(self) -> Tensor:
        """Products of matching patches, (n, padded rows low ... high - 1, padded background)."""
        name = f"products {self.turn}"
        products = self._padded(name, self.bottom - self.top)
        torch.bmm(self._pixels(self.maps).transpose(1, 2), self.maps.pixels_b, out=products)
        rows = self.high - self.low
        vertical = shifted_sum(self._padded("a", rows), products, *self.vertical)
        return shifted_sum(self._padded(name, rows), vertical, *self.horizontal)

    def _clear_outside(self, sums: Tensor) -> None:
        """Zeros where the move by `turn` brings nothing."""
        width = self.layout.size[1]
        columns = overlap(width, width, self.turn)
        rows = sums.view(len(sums), self.rows, width, -1)
        rows[:, :, : columns.start] = 0
        rows[:, :, columns.stop :] = 0

    def forward(self, sums: Tensor) -> None:
        """Write the sums, (n, positions, background)."""
        scores = self._matrix("a")
        inverse_b, inverse_f = self.layout.vector(self.maps.inverse_b), self._inverse_f(self.maps)
        torch.mul(self.layout.inner(self.products), inverse_b, out=self.layout.unpadded(scores))
        if inverse_f is not None:
            scores *= inverse_f
        shifted_sum(sums, scores, *self.in_rows)
        self._clear_outside(sums)

    def backward(self, sums: Tensor, gradients: Maps) -> None:
        """Add to the maps' gradients what follows from the gradient of the sums, which is used up."""
        layout, products = self.layout, self.products
        inner, inverse_b = layout.inner(products), layout.vector(self.maps.inverse_b)
        inverse_f, inverse_f_gradient = self._inverse_f(self.maps), self._inverse_f(gradients)
        self._clear_outside(sums)
        scores = shifted_sum(self._matrix("a"), sums, *opposite(self.in_rows))
        weighted = self._matrix("b")
        torch.mul(inner, layout.unpadded(scores), out=layout.unpadded(weighted))
        if inverse_f is None or inverse_f_gradient is None:
            gradients.inverse_b += weighted.sum(1)
        else:
            gradients.inverse_b += (inverse_f.transpose(1, 2) @ weighted)[:, 0]
            inverse_f_gradient += weighted @ self.maps.inverse_b[..., None]
            scores *= inverse_f
        products.zero_()
        torch.mul(layout.unpadded(scores), inverse_b, out=inner)
        vertical = shifted_sum(self._padded("a", self.high - self.low), products, *opposite(self.horizontal))
        pixels = self._pixels(self.maps)
        slope = shifted_sum(self._padded("b", self.bottom - self.top), vertical, *opposite(self.vertical))
        self._pixels(gradients).baddbmm_(self.maps.pixels_b, slope.transpose(1, 2))
        gradients.pixels_b.baddbmm_(pixels, slope)


class Block:
    """Attention of the foreground rows first ... last - 1.

    Args:
        layout, maps: of all rows.
        usable: (n or 1, background positions), 1 or 0.
        scratch: shared by all blocks of one pass.
    """

    def __init__(self, layout: Layout, maps: Maps, usable: Tensor, first: int, last: int, scratch: Scratch) -> None:
        self.layout, self.maps, self.first, self.last, self.scratch = layout, maps, first, last, scratch
        self.fuse, self.rows = layout.setting.fuse // 2, last - first
        self.strips = [
            (place, Strip(layout, maps, scratch, low, high, turn)) for place, low, high, turn in self._pieces()
        ]
        self.weights = self._weights(usable)

    def _pieces(self) -> Iterator[tuple[int, int, int, int]]:
        """Rows that the sum in column order needs: place among them, first and last row in the map, steps to the right.

        Above the first row of the map stands its last one, each column continuing the one to its left, and so on.
        """
        height = self.layout.size[0]
        start, stop = self.first - self.fuse, self.last + self.fuse
        for turn in range(start // height, (stop - 1) // height + 1):
            low, high = max(start, turn * height), min(stop, (turn + 1) * height)
            yield low - start, low - turn * height, high - turn * height, turn

    def _matrix(self, name: str, rows: int) -> Tensor:
        count, positions = self.maps.inverse_b.shape
        return self.scratch.take(name, count, rows * self.layout.size[1], positions)

    def _padded(self, name: str, rows: int) -> Tensor:
        count, _, places = self.maps.pixels_b.shape
        return self.scratch.take(name, count, rows * self.layout.stride, places)

    def _strips_of(self, extended: Tensor) -> Iterator[tuple[Strip, Tensor]]:
        """Each strip with its rows of a matrix."""
        width = self.layout.size[1]
        for place, strip in self.strips:
            yield strip, extended[:, place * width : (place + strip.rows) * width]

    def own_rows(self, framed: Tensor) -> Tensor:
        """The block's own rows of a matrix like `weights`, (n, rows, width, height, width)."""
        return self.layout.inner(framed)[:, 1:-1]

    def _weights(self, usable: Tensor) -> Tensor:
        """Padded, with a row above and one below, into which the rows' patches reach."""
        extended = self._matrix("b", self.rows + 2 * self.fuse)
        for strip, sums in self._strips_of(extended):
            strip.forward(sums)
        logits = self._matrix("a", self.rows)
        column_sum(self.layout.unpadded(logits), self.layout.unpadded(extended), self.fuse, self.fuse)
        return self._softmax(logits, usable)

    def _softmax(self, logits: Tensor, usable: Tensor) -> Tensor:
        """Softmax over usable patches; by "zero_score" the removed ones count in the denominator, exp(0) each."""
        removed = (1 - usable).sum(1).view(-1, 1, 1)
        if self.layout.setting.rules.removed == "minus_infinity":
            removed = torch.zeros_like(removed)
        logits += torch.where(usable > 0, 0.0, -torch.inf)[:, None]
        lowest = torch.zeros_like(removed).masked_fill(removed == 0, torch.finfo(logits.dtype).min)
        largest = torch.maximum(logits.amax(-1, keepdim=True), lowest)
        # The exponential of very small numbers is slow, too.
        F.threshold(logits.sub_(largest), math.log(SMALLEST), math.log(SMALLEST) - 1, inplace=True)
        F.threshold(logits.exp_(), SMALLEST, 0.0, inplace=True)
        total = logits.sum(-1, keepdim=True) + removed * (-largest).clamp_max(0).exp()
        inverse = total.clamp_min(SMALLEST).reciprocal()
        framed = self._framed_matrix()
        own = self.own_rows(framed)
        torch.mul(self.layout.unpadded(logits), inverse.view(*own.shape[:3], 1, 1), out=own)
        return framed

    def _framed_matrix(self) -> Tensor:
        """For the weights: padded, zeros in the padding and in a row above and one below."""
        layout = self.layout
        framed = self._padded("weights", self.rows + 2)
        framed[:, : layout.stride] = 0
        framed[:, -layout.stride :] = 0
        rows = framed.view(len(framed), -1, layout.stride, layout.size_b[0], layout.stride_b)
        rows[:, :, layout.size[1] :] = 0
        rows[..., layout.size_b[1] :] = 0
        return framed

    def _weights_backward(self, slope: Tensor, gradients: Maps) -> None:
        """Go on from the gradient of `weights`."""
        weights, slope = self.own_rows(self.weights), self.own_rows(slope)
        logits = self.layout.unpadded(self._matrix("a", self.rows))
        torch.mul(weights, slope, out=logits)
        logits.addcmul_(weights, logits.sum((3, 4), keepdim=True), value=-1)
        extended = self._matrix("c", self.rows + 2 * self.fuse)
        column_sum(self.layout.unpadded(extended), logits, self.fuse, -self.fuse)
        for strip, sums in self._strips_of(extended):
            strip.backward(sums, gradients)

    def _start(self, s: int) -> int:
        """The first position of `weights`, counted from the row above the block, that patches `s` rows away add to."""
        return self.layout.stride if s < 0 else 0

    def _spread(self, s: int) -> Tensor:
        """Weights plus those of the patches `s` rows away that cover the same pixels; a row more than the block."""
        stride, start = self.layout.stride, self._start(s)
        steps = (start, 0), (start + s * stride, s * self.layout.stride_b)
        return shifted_sum(self._padded("a", self.rows + 1), self.weights, *steps)

    def _framed(self, output: Tensor, s: int) -> Tensor:
        """Their rows of the output."""
        start = self.first * self.layout.stride + self._start(s)
        return output[..., start : start + (self.rows + 1) * self.layout.stride]

    def paste(self, output: Tensor) -> None:
        """Add the weighted sums to `output`, which is like `raw`, but with a row above and one below the map."""
        for s, rows in self.layout.sides():
            summed, target = self._spread(s), self._framed(output, s)
            for t, columns in self.layout.sides():
                both = shifted_sum(self._padded("b", self.rows + 1), summed, (0, 0), (t, t)).transpose(1, 2)
                for a, b in product(rows, columns):
                    target[:, a, b].baddbmm_(self.maps.raw[:, a, b], both)

    def backward(self, output_gradient: Tensor, gradients: Maps) -> None:
        """Add what follows from the gradient of `paste`'s output to the maps' gradients."""
        stride, stride_b = self.layout.stride, self.layout.stride_b
        slope = self._padded("d", self.rows + 2).zero_()
        for s, rows in self.layout.sides():
            summed, pixels = self._spread(s), self._framed(output_gradient, s)
            summed_slope = self._padded("c", self.rows + 1).zero_()
            for t, columns in self.layout.sides():
                both = shifted_sum(self._padded("b", self.rows + 1), summed, (0, 0), (t, t))
                for a, b in product(rows, columns):
                    gradients.raw[:, a, b].baddbmm_(pixels[:, a, b], both)
                both.zero_()
                for a, b in product(rows, columns):
                    both.baddbmm_(pixels[:, a, b].transpose(1, 2), self.maps.raw[:, a, b])
                for step in (0, 0), (-t, -t):
                    add_shifted(summed_slope, both, step)
            for down, aside in (0, 0), (s * stride, s * stride_b):
                add_shifted(slope, summed_slope, (-self._start(s) - down, -aside))
        self._weights_backward(slope, gradients)
