"""Contextual attention for a block of foreground rows, forward and backward (see `shifts`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.layers.contextual.shifts import add_shifted, column_sum, shifted_sum
from inpaintlab.layers.contextual.strips import Layout, Maps, Scratch, Strip

# Weights below this share of a position's largest weight become 0. The output does not change, and denormal numbers
# (below 1e-38), which are many times slower on CPUs, do not occur.
SMALLEST = 1e-30


class Block:
    """Attention of the foreground rows first ... last - 1.

    Args:
        layout, maps: those of all rows.
        usable: (n or 1, background positions), 1 for patches that may be copied, else 0.
        first, last: the block's first row and the row after its last one.
        scratch: memory shared by all blocks of one pass.
    """

    def __init__(self, layout: Layout, maps: Maps, usable: Tensor, first: int, last: int, scratch: Scratch) -> None:
        self.layout, self.maps, self.first, self.last, self.scratch = layout, maps, first, last, scratch
        self.fuse, self.rows, self.samples = layout.setting.fuse // 2, last - first, len(maps.raw)
        self.strips = [
            (place, Strip(layout, maps, scratch, low, high, turn)) for place, low, high, turn in self._pieces()
        ]
        self.weights = self._weights(usable)

    def _pieces(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the pieces of the rows that the sum in column order needs.

        Each piece is (offset in the extended block, first row and end row in the map, columns to move by). In column
        order, the row above the first one is the last row, moved by one column, and so on.
        """
        height = self.layout.size[0]
        start, stop = self.first - self.fuse, self.last + self.fuse
        for turn in range(start // height, (stop - 1) // height + 1):
            low, high = max(start, turn * height), min(stop, (turn + 1) * height)
            yield low - start, low - turn * height, high - turn * height, turn

    def _strips_of(self, extended: Tensor) -> Iterator[tuple[Strip, Tensor]]:
        """Yield each strip with its rows of a matrix."""
        width = self.layout.size[1]
        for place, strip in self.strips:
            yield strip, extended[:, place * width : (place + strip.rows) * width]

    def own_rows(self, framed: Tensor) -> Tensor:
        """Return the block's own rows of a matrix like `weights`, (n, rows, width, height, width)."""
        return self.layout.inner(framed)[:, 1:-1]

    def _weights(self, usable: Tensor) -> Tensor:
        """Return the weights, padded and with one more row above and below, into which the patches reach."""
        extended = self.scratch.matrix("b", self.samples, self.rows + 2 * self.fuse)
        for strip, sums in self._strips_of(extended):
            strip.forward(sums)
        logits = self.scratch.matrix("a", self.samples, self.rows)
        column_sum(self.layout.unpadded(logits), self.layout.unpadded(extended), self.fuse, self.fuse)
        return self._softmax(logits, usable)

    def _softmax(self, logits: Tensor, usable: Tensor) -> Tensor:
        """Apply the softmax to usable patches; with "zero_score" each removed patch adds exp(0) to the denominator."""
        removed = (1 - usable).sum(1).view(-1, 1, 1)
        if self.layout.setting.rules.removed == "minus_infinity":
            removed = torch.zeros_like(removed)
        logits += torch.where(usable > 0, 0.0, -torch.inf)[:, None]
        lowest = torch.zeros_like(removed).masked_fill(removed == 0, torch.finfo(logits.dtype).min)
        largest = torch.maximum(logits.amax(-1, keepdim=True), lowest)
        # The exponential is slow where its result is denormal, so small logits are raised first and set to 0 after it.
        F.threshold(logits.sub_(largest), math.log(SMALLEST), math.log(SMALLEST) - 1, inplace=True)
        F.threshold(logits.exp_(), SMALLEST, 0.0, inplace=True)
        total = logits.sum(-1, keepdim=True) + removed * (-largest).clamp_max(0).exp()
        inverse = total.clamp_min(SMALLEST).reciprocal()
        framed = self._framed_matrix()
        own = self.own_rows(framed)
        torch.mul(self.layout.unpadded(logits), inverse.view(*own.shape[:3], 1, 1), out=own)
        return framed

    def _framed_matrix(self) -> Tensor:
        """Return memory for the weights, with zeros in the padding and in the rows above and below the block."""
        layout = self.layout
        framed = self.scratch.padded("weights", self.samples, self.rows + 2)
        framed[:, : layout.stride] = 0
        framed[:, -layout.stride :] = 0
        rows = framed.view(len(framed), -1, layout.stride, layout.size_b[0], layout.stride_b)
        rows[:, :, layout.size[1] :] = 0
        rows[..., layout.size_b[1] :] = 0
        return framed

    def _weights_backward(self, slope: Tensor, gradients: Maps) -> None:
        """Propagate the gradient of `weights` through softmax, fusion and scores to the maps' gradients."""
        weights, slope = self.own_rows(self.weights), self.own_rows(slope)
        logits = self.layout.unpadded(self.scratch.matrix("a", self.samples, self.rows))
        torch.mul(weights, slope, out=logits)
        logits.addcmul_(weights, logits.sum((3, 4), keepdim=True), value=-1)
        extended = self.scratch.matrix("c", self.samples, self.rows + 2 * self.fuse)
        column_sum(self.layout.unpadded(extended), logits, self.fuse, -self.fuse)
        for strip, sums in self._strips_of(extended):
            strip.backward(sums, gradients)

    def _start(self, s: int) -> int:
        """Return the first position of `weights`, counted from the row above the block, for patches `s` rows away."""
        return self.layout.stride if s < 0 else 0

    def _spread(self, s: int) -> Tensor:
        """Return the weights plus those of the patches `s` rows away that cover the same pixels; one row more."""
        stride, start = self.layout.stride, self._start(s)
        steps = (start, 0), (start + s * stride, s * self.layout.stride_b)
        return shifted_sum(self.scratch.padded("a", self.samples, self.rows + 1), self.weights, *steps)

    def _framed(self, output: Tensor, s: int) -> Tensor:
        """Return the rows of the output that `_spread` belongs to."""
        start = self.first * self.layout.stride + self._start(s)
        return output[..., start : start + (self.rows + 1) * self.layout.stride]

    def paste(self, output: Tensor) -> None:
        """Add the weighted sums to `output`, which has the layout of `raw` with one more row above and below."""
        for s, rows in self.layout.sides():
            summed, target = self._spread(s), self._framed(output, s)
            for t, columns in self.layout.sides():
                both = shifted_sum(
                    self.scratch.padded("b", self.samples, self.rows + 1), summed, (0, 0), (t, t)
                ).transpose(1, 2)
                for a, b in product(rows, columns):
                    target[:, a, b].baddbmm_(self.maps.raw[:, a, b], both)

    def backward(self, output_gradient: Tensor, gradients: Maps) -> None:
        """Add the block's contribution to the maps' gradients, given the gradient of `paste`'s output."""
        stride, stride_b = self.layout.stride, self.layout.stride_b
        slope = self.scratch.padded("d", self.samples, self.rows + 2).zero_()
        for s, rows in self.layout.sides():
            summed, pixels = self._spread(s), self._framed(output_gradient, s)
            summed_slope = self.scratch.padded("c", self.samples, self.rows + 1).zero_()
            for t, columns in self.layout.sides():
                both = shifted_sum(self.scratch.padded("b", self.samples, self.rows + 1), summed, (0, 0), (t, t))
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
