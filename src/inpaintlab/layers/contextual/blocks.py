"""The matrices of contextual attention for a few foreground rows at a time, forward and backward (see `shifts`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.layers.contextual.rules import Setting
from inpaintlab.layers.contextual.shifts import add_shifted, column_sum, diagonal_sum, overlap

# Smaller weights become 0: without effect on the output, but numbers below 1e-38 are many times slower on CPUs.
SMALLEST = 1e-30


@dataclass(frozen=True)
class Layout:
    """Sizes that all steps share.

    Args:
        setting: the layer's definition.
        channels: C.
        size: rows and columns of the foreground's positions.
        size_b: the same of the background.
    """

    setting: Setting
    channels: int
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

    def sides(self) -> list[tuple[int, range]]:
        """The neighbour (-1 or 1) whose patch reaches a pixel too, and the pixel's places in a position for which."""
        rate = self.setting.rate
        before = rate - rate // 2
        return [(-1, range(before)), (1, range(before, rate))][: min(rate, 2)]

    def places(self) -> list[tuple[int, int]]:
        """The rate^2 places of pixels in a position, in the order in which they are stored: as `corners` has them."""
        return [(a, b) for _, rows in self.sides() for _, columns in self.sides() for a in rows for b in columns]

    def corners(self) -> list[tuple[int, list[tuple[int, slice]]]]:
        """For each neighbour above or below those to the left or right, and the channels of their common pixels."""
        found, start = [], 0
        for s, rows in self.sides():
            neighbours = []
            for t, columns in self.sides():
                stop = start + len(rows) * len(columns) * self.channels
                neighbours.append((t, slice(start, stop)))
                start = stop
            found.append((s, neighbours))
        return found


@dataclass
class Maps:
    """What the matrices are made of, for some samples, or the gradients of all that.

    Args:
        pixels, pixels_b: (n, padded positions, C), the maps at the matching resolution.
        raw: (n, padded background positions, rate^2 C), the background's pixels by their places in a position.
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


class Strip:
    """Scores of the rows first ... last - 1, and `turn` steps to the right of them, each row by itself.

    They are summed in row order over neighbours, as the first half of the fusion wants it.
    """

    def __init__(self, layout: Layout, maps: Maps, first: int, last: int, turn: int = 0) -> None:
        height, self.width = layout.size
        self.layout, self.maps, self.first, self.last, self.turn = layout, maps, first, last, turn
        self.fuse, self.reach = layout.setting.fuse // 2, layout.setting.kernel // 2
        margin = -(-self.fuse // self.width)  # rows that sums in row order reach into
        self.low, self.high = max(0, first - margin), min(height, last + margin)
        self.top, self.bottom = max(0, self.low - self.reach), min(height, self.high + self.reach)
        self.start = (first - self.low) * self.width + turn
        self.products = self._patch_products()

    def _pixels(self, of: Maps) -> Tensor:
        return of.pixels[:, self.top * self.layout.stride : self.bottom * self.layout.stride]

    def _patch_products(self) -> Tensor:
        """Products of matching patches, (n, padded rows low ... high - 1, padded background)."""
        stride, stride_b = self.layout.stride, self.layout.stride_b
        products = self._pixels(self.maps) @ self.maps.pixels_b.transpose(1, 2)
        vertical = products.new_empty(len(products), (self.high - self.low) * stride, products.shape[2])
        diagonal_sum(vertical, products, self.reach, (self.low - self.top) * stride, stride, stride_b)
        del products
        return diagonal_sum(torch.empty_like(vertical), vertical, self.reach, 0)

    def _matrix(self) -> Tensor:
        """Empty, for the scores."""
        rows = (self.high - self.low) * self.width
        return self.products.new_empty(len(self.products), rows, self.maps.inverse_b.shape[1])

    def _inverse_f(self, of: Maps) -> Tensor | None:
        return None if of.inverse_f is None else of.inverse_f[:, self.low * self.width : self.high * self.width]

    def _inverse_b(self) -> Tensor:
        return self.maps.inverse_b.view(-1, 1, 1, *self.layout.size_b)

    def _clear_outside(self, part: Tensor) -> None:
        """Zeros where `turn` steps to the right leave the map."""
        columns, _ = overlap(self.width, self.width, self.turn)
        rows = part.unflatten(1, (-1, self.width))  # type: ignore[no-untyped-call]
        rows[:, :, : columns.start] = 0
        rows[:, :, columns.stop :] = 0

    def forward(self, part: Tensor) -> None:
        """Write the sums to `part`, (n, positions, background)."""
        scores = self._matrix()
        torch.mul(self.layout.inner(self.products), self._inverse_b(), out=self.layout.unpadded(scores))
        inverse_f = self._inverse_f(self.maps)
        if inverse_f is not None:
            scores *= inverse_f[..., None]
        diagonal_sum(part, scores, self.fuse, self.start)
        self._clear_outside(part)

    def backward(self, part: Tensor, gradients: Maps) -> None:
        """Add to the maps' gradients what follows from the gradient `part` of the sums, which is used up."""
        layout = self.layout
        stride, stride_b = layout.stride, layout.stride_b
        self._clear_outside(part)
        scores = diagonal_sum(self._matrix(), part, self.fuse, -self.start)
        inverse_f, inverse_f_gradient = self._inverse_f(self.maps), self._inverse_f(gradients)
        weighted = torch.mul(layout.inner(self.products), layout.unpadded(scores)).view_as(scores)
        if inverse_f is None or inverse_f_gradient is None:
            gradients.inverse_b += weighted.sum(1)
        else:
            gradients.inverse_b += (inverse_f[:, None] @ weighted)[:, 0]
            inverse_f_gradient += (weighted @ self.maps.inverse_b[..., None])[..., 0]
            scores *= inverse_f[..., None]
        del weighted
        padded = torch.zeros_like(self.products)
        torch.mul(layout.unpadded(scores), self._inverse_b(), out=layout.inner(padded))
        del scores
        vertical = diagonal_sum(torch.empty_like(padded), padded, self.reach, 0)
        del padded
        pixels, slope = self._pixels(self.maps), self._pixels(gradients)
        products = vertical.new_empty(len(vertical), pixels.shape[1], vertical.shape[2])
        diagonal_sum(products, vertical, self.reach, (self.top - self.low) * stride, stride, stride_b)
        slope.baddbmm_(products, self.maps.pixels_b)
        gradients.pixels_b.baddbmm_(products.transpose(1, 2), pixels)


class Block:
    """Attention of the foreground rows first ... last - 1.

    Args:
        layout, maps: of all rows.
        usable: (n or 1, background positions), 1 or 0.
    """

    def __init__(self, layout: Layout, maps: Maps, usable: Tensor, first: int, last: int) -> None:
        self.layout, self.maps, self.first, self.last = layout, maps, first, last
        self.fuse, self.rows = layout.setting.fuse // 2, last - first
        self.strips = [(place, Strip(layout, maps, low, high, turn)) for place, low, high, turn in self._pieces()]
        # Padded, with a row above and a row below: the patches of a row reach into both.
        shape = ((self.rows + 2) * layout.stride, maps.pixels_b.shape[1])
        self.weights = maps.raw.new_zeros(len(maps.raw), *shape)
        weights, kept = layout.unpadded(self._softmax(usable)), usable.view(-1, 1, 1, *layout.size_b)
        torch.mul(weights, kept, out=self.own_rows(self.weights))

    def own_rows(self, framed: Tensor) -> Tensor:
        """The block's own rows of a matrix like `weights`, (n, rows, width, height, width)."""
        return self.layout.inner(framed)[:, 1:-1]

    def _pieces(self) -> Iterator[tuple[int, int, int, int]]:
        """Rows that the sum in column order needs: place among them, first and last row in the map, steps to the right.

        Above the first row of the map stands its last one, each column continuing the one to its left, and so on.
        """
        height = self.layout.size[0]
        start, stop = self.first - self.fuse, self.last + self.fuse
        for turn in range(start // height, (stop - 1) // height + 1):
            low, high = max(start, turn * height), min(stop, (turn + 1) * height)
            yield low - start, low - turn * height, high - turn * height, turn

    def _matrix(self, rows: int) -> Tensor:
        count, positions = self.maps.inverse_b.shape
        return self.maps.raw.new_empty(count, rows * self.layout.size[1], positions)

    def _parts(self, extended: Tensor) -> Iterator[tuple[Strip, Tensor]]:
        """Each strip with its rows of a matrix."""
        width = self.layout.size[1]
        for place, strip in self.strips:
            yield strip, extended[:, place * width : (place + strip.last - strip.first) * width]

    def _softmax(self, usable: Tensor) -> Tensor:
        """Weights (n, positions, background) before those of removed patches are set to 0."""
        extended, logits = self._matrix(self.rows + 2 * self.fuse), self._matrix(self.rows)
        for strip, part in self._parts(extended):
            strip.forward(part)
        column_sum(self.layout.unpadded(logits), self.layout.unpadded(extended), self.fuse, self.fuse)
        del extended
        logits *= usable[:, None]
        if self.layout.setting.rules.removed == "minus_infinity":
            logits += (1 - usable[:, None]) * torch.finfo(logits.dtype).min
        return F.threshold_(logits.softmax(-1), SMALLEST, 0.0)

    def _softmax_backward(self, slope: Tensor, gradients: Maps) -> None:
        """Go on from the gradient of `weights`."""
        weights, slope = self.own_rows(self.weights), self.own_rows(slope)
        logits = self._matrix(self.rows)
        rows = self.layout.unpadded(logits)
        torch.mul(weights, slope, out=rows)
        rows.addcmul_(weights, rows.sum((3, 4), keepdim=True), value=-1)
        extended = self._matrix(self.rows + 2 * self.fuse)
        column_sum(self.layout.unpadded(extended), rows, self.fuse, -self.fuse)
        for strip, part in self._parts(extended):
            strip.backward(part, gradients)

    def _reaches(self, s: int) -> tuple[slice, int, int]:
        """Rows of `weights` that patches shifted by `s` rows reach, and the shift of both indices."""
        stride, count = self.layout.stride, (self.rows + 1) * self.layout.stride
        start = stride if s < 0 else 0
        return slice(start, start + count), start + s * stride, s * self.layout.stride_b

    def _reach(self, s: int) -> tuple[slice, int, int]:
        """Rows of `weights` in which row s of a patch counts, and the step from there to the weight that counts."""
        stride = self.layout.stride
        start = stride if s < 0 else 0
        return slice(start, start + (self.rows + 1) * stride), start + s * stride, s * self.layout.stride_b

    def _sum_rows(self, s: int) -> Tensor:
        """Weights with those of the neighbour's patches, `s` rows away, that cover the same pixels."""
        rows, down, right = self._reach(s)
        return add_shifted(self.weights[:, rows].clone(), self.weights, down, right)

    def _framed(self, output: Tensor) -> Tensor:
        stride = self.layout.stride
        return output[:, self.first * stride : (self.last + 2) * stride]

    def paste(self, output: Tensor) -> None:
        """Add the weighted sums to `output`, (n, padded positions with a row above and one below, rate^2 C)."""
        framed, raw = self._framed(output), self.maps.raw
        for s, neighbours in self.layout.corners():
            rows, _, _ = self._reach(s)
            vertical = self._sum_rows(s)
            for t, channels in neighbours:
                both = add_shifted(vertical.clone(), vertical, t, t)
                framed[:, rows, channels].baddbmm_(both, raw[:, :, channels])

    def backward(self, output_gradient: Tensor, gradients: Maps) -> None:
        """Add what follows from the gradient of `paste`'s output to the maps' gradients."""
        framed, raw = self._framed(output_gradient), self.maps.raw
        slope = torch.zeros_like(self.weights)
        for s, neighbours in self.layout.corners():
            rows, down, right = self._reach(s)
            vertical = self._sum_rows(s)
            vertical_slope = torch.zeros_like(vertical)
            for t, channels in neighbours:
                both = add_shifted(vertical.clone(), vertical, t, t)
                gradients.raw[:, :, channels].baddbmm_(both.transpose(1, 2), framed[:, rows, channels])
                torch.bmm(framed[:, rows, channels], raw[:, :, channels].transpose(1, 2), out=both)
                vertical_slope += both
                add_shifted(vertical_slope, both, -t, -t)
            slope[:, rows] += vertical_slope
            add_shifted(slope, vertical_slope, -down, -right)
        self._softmax_backward(slope, gradients)
