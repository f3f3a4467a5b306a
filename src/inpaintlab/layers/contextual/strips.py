"""Scores of contextual attention for some foreground rows, forward and backward (see `shifts`)."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import torch
from torch import Tensor

from inpaintlab.layers.contextual.rules import Setting
from inpaintlab.layers.contextual.shifts import diagonal, opposite, overlap, shifted_sum

KEPT = 3 << 19  # largest matrix kept for the next pass, in elements: a block of 2^20 and the rows around it
_kept = threading.local()


@dataclass(frozen=True)
class Layout:
    """Sizes that all steps share.

    Args:
        setting: the options of the layer.
        size: rows and columns of the foreground's positions.
        size_b: rows and columns of the background's positions.
    """

    setting: Setting
    size: tuple[int, int]
    size_b: tuple[int, int]

    @property
    def pad(self) -> int:
        """The number of columns of zeros at the end of padded rows."""
        return max(1, self.setting.kernel // 2)

    @property
    def stride(self) -> int:
        """The number of positions in a padded row of the foreground."""
        return self.size[1] + self.pad

    @property
    def stride_b(self) -> int:
        """The number of positions in a padded row of the background."""
        return self.size_b[1] + self.pad

    def inner(self, padded: Tensor) -> Tensor:
        """Return a view of a padded matrix as (N, rows, width, height, width), without its columns of zeros."""
        rows = padded.view(len(padded), -1, self.stride, self.size_b[0], self.stride_b)
        return rows[:, :, : self.size[1], :, : self.size_b[1]]

    def unpadded(self, matrix: Tensor) -> Tensor:
        """Return a view of a matrix without padding as (N, rows, width, height, width)."""
        return matrix.view(len(matrix), -1, self.size[1], *self.size_b)

    def vector(self, numbers: Tensor) -> Tensor:
        """Return a view of one number per background position, to multiply with (N, rows, width, height, width)."""
        return numbers.view(-1, 1, 1, *self.size_b)

    def sides(self) -> list[tuple[int, range]]:
        """Return (s, places): the patch of the neighbour s (-1 or 1) also covers these places within a position."""
        rate = self.setting.rate
        before = rate - rate // 2
        return [(-1, range(before)), (1, range(before, rate))][: min(rate, 2)]


@dataclass
class Maps:
    """The inputs of the matrices for some samples, or their gradients.

    Args:
        pixels, pixels_b: (n, C, padded positions), foreground and background at the matching resolution.
        raw: (n, rate, rate, C, padded positions), the background's pixels by row and column within a position.
        inverse_b: (n, background positions), the scale divided by the norm of the background's patches.
        inverse_f: (n, foreground positions), 1 divided by the norm of the foreground's patches; None for ones.
    """

    pixels: Tensor
    pixels_b: Tensor
    raw: Tensor
    inverse_b: Tensor
    inverse_f: Tensor | None

    def fields(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """Return all fields in order."""
        return self.pixels, self.pixels_b, self.raw, self.inverse_b, self.inverse_f

    def of(self, samples: slice) -> Maps:
        """Return views of some samples."""
        return Maps(*(None if field is None else field[samples] for field in self.fields()))  # type: ignore[arg-type]


class Scratch:
    """Memory that all blocks reuse, because allocating new pages costs more time than the computations in them.

    Tensors from `matrix` and `padded` are not initialised. A tensor is valid until the next request under its name. On
    a CPU, small tensors are kept for the next pass of the same thread, which saves a sixth of the time at 32 x 32
    positions.
    """

    def __init__(self, layout: Layout, like: Tensor) -> None:
        self.layout, self.like = layout, like
        self.buffers: dict[str, Tensor] = {}
        keep = like.device.type == "cpu"
        self.kept: dict[str, Tensor] = _kept.__dict__.setdefault(str(like.dtype), {}) if keep else self.buffers

    def matrix(self, name: str, samples: int, rows: int) -> Tensor:
        """Return memory for foreground rows without padding, (samples, positions, background positions)."""
        height, width = self.layout.size_b
        return self._take(name, samples, rows * self.layout.size[1], height * width)

    def padded(self, name: str, samples: int, rows: int) -> Tensor:
        """Return memory for foreground rows, with foreground and background padded."""
        return self._take(name, samples, rows * self.layout.stride, self.layout.size_b[0] * self.layout.stride_b)

    def _take(self, name: str, *shape: int) -> Tensor:
        size = math.prod(shape)
        buffers = self.kept if size <= KEPT else self.buffers
        if name not in buffers or buffers[name].numel() < size:
            with torch.inference_mode(False):  # an inference tensor could not be used outside that mode
                buffers[name] = torch.empty(size, dtype=self.like.dtype, device=self.like.device)
        return buffers[name][:size].view(shape)


class Strip:
    """Scores of the foreground rows first ... last - 1, summed over neighbours in row order and moved left by `turn`.

    The sum over neighbours is the first half of the fusion.
    """

    def __init__(self, layout: Layout, maps: Maps, scratch: Scratch, first: int, last: int, turn: int) -> None:
        height, width = layout.size
        self.layout, self.maps, self.scratch, self.turn, self.rows = layout, maps, scratch, turn, last - first
        fuse, self.reach = layout.setting.fuse // 2, layout.setting.kernel // 2
        margin = -(-fuse // width)  # rows above and below that the sums in row order need
        self.low, self.high = max(0, first - margin), min(height, last + margin)
        self.top, self.bottom = max(0, self.low - self.reach), min(height, self.high + self.reach)
        self.in_rows = diagonal(fuse, (first - self.low) * width + turn)
        self.vertical = diagonal(self.reach, (self.low - self.top) * layout.stride, layout.stride, layout.stride_b)
        self.horizontal = diagonal(self.reach, 0)
        self.samples, self.count = len(maps.raw), self.high - self.low  # rows for which scores are computed
        self.products = self._patch_products()

    def _pixels(self, of: Maps) -> Tensor:
        return of.pixels[..., self.top * self.layout.stride : self.bottom * self.layout.stride]

    def _inverse_f(self, of: Maps) -> Tensor | None:
        width = self.layout.size[1]
        return None if of.inverse_f is None else of.inverse_f[:, self.low * width : self.high * width, None]

    def _patch_products(self) -> Tensor:
        """Return the products of matching patches, (n, padded rows low ... high - 1, padded background)."""
        name = f"products {self.turn}"
        products = self.scratch.padded(name, self.samples, self.bottom - self.top)
        torch.bmm(self._pixels(self.maps).transpose(1, 2), self.maps.pixels_b, out=products)
        vertical = shifted_sum(self.scratch.padded("a", self.samples, self.count), products, *self.vertical)
        return shifted_sum(self.scratch.padded(name, self.samples, self.count), vertical, *self.horizontal)

    def _clear_outside(self, sums: Tensor) -> None:
        """Set to 0 the columns into which the move by `turn` brings no values."""
        width = self.layout.size[1]
        columns = overlap(width, width, self.turn)
        rows = sums.view(len(sums), self.rows, width, -1)
        rows[:, :, : columns.start] = 0
        rows[:, :, columns.stop :] = 0

    def forward(self, sums: Tensor) -> None:
        """Write the sums into `sums`, (n, positions, background)."""
        scores = self.scratch.matrix("a", self.samples, self.count)
        inverse_b, inverse_f = self.layout.vector(self.maps.inverse_b), self._inverse_f(self.maps)
        torch.mul(self.layout.inner(self.products), inverse_b, out=self.layout.unpadded(scores))
        if inverse_f is not None:
            scores *= inverse_f
        shifted_sum(sums, scores, *self.in_rows)
        self._clear_outside(sums)

    def backward(self, sums: Tensor, gradients: Maps) -> None:
        """Add the strip's contribution to the maps' gradients, given the gradient of the sums, which is overwritten."""
        layout, products = self.layout, self.products
        inner, inverse_b = layout.inner(products), layout.vector(self.maps.inverse_b)
        inverse_f, inverse_f_gradient = self._inverse_f(self.maps), self._inverse_f(gradients)
        self._clear_outside(sums)
        scores = shifted_sum(self.scratch.matrix("a", self.samples, self.count), sums, *opposite(self.in_rows))
        weighted = self.scratch.matrix("b", self.samples, self.count)
        torch.mul(inner, layout.unpadded(scores), out=layout.unpadded(weighted))
        if inverse_f is None or inverse_f_gradient is None:
            gradients.inverse_b += weighted.sum(1)
        else:
            gradients.inverse_b += (inverse_f.transpose(1, 2) @ weighted)[:, 0]
            inverse_f_gradient += weighted @ self.maps.inverse_b[..., None]
            scores *= inverse_f
        products.zero_()
        torch.mul(layout.unpadded(scores), inverse_b, out=inner)
        vertical = shifted_sum(self.scratch.padded("a", self.samples, self.count), products, *opposite(self.horizontal))
        pixels = self._pixels(self.maps)
        slope = shifted_sum(
            self.scratch.padded("b", self.samples, self.bottom - self.top), vertical, *opposite(self.vertical)
        )
        self._pixels(gradients).baddbmm_(self.maps.pixels_b, slope.transpose(1, 2))
        gradients.pixels_b.baddbmm_(pixels, slope)
