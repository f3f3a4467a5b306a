"""Sums of a matrix of scores over equal shifts of both its indices: the whole arithmetic of contextual attention.

Let M[i, j] belong to position i of the foreground and j of the background. Then products of patches are sums of
products of pixels over shifts in two dimensions, fusion is a sum over shifts in row order and one over shifts in column
order, and laying pasted patches over each other is a sum over shifts as well. No patch is ever built.

A map is stored in row order. A *padded* one has columns of zeros at the end of its rows: a shift in two dimensions then
is a shift of the index, since what leaves a row on either side meets zeros. Sums leave other values than zeros in these
columns; whoever uses a sum looks at the other columns only.

Matrices are (N, foreground, background), and may be a few rows of a map; outside of them is 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

Step = tuple[int, int]


def overlap(count: int, length: int, step: int) -> slice:
    """Those i of `count` for which i + step is one of `length`."""
    start = min(max(0, -step), count)
    return slice(start, max(min(count, length - step), start))


def moved(part: slice, step: int) -> slice:
    """The slice `step` further on."""
    return slice(part.start + step, part.stop + step)


def add_shifted(total: Tensor, matrix: Tensor, step: Step) -> Tensor:
    """total[i, j] += matrix[i + step[0], j + step[1]], in place."""
    rows, columns = (overlap(total.shape[k + 1], matrix.shape[k + 1], step[k]) for k in (0, 1))
    if rows.start < rows.stop and columns.start < columns.stop:
        total[:, rows, columns].add_(matrix[:, moved(rows, step[0]), moved(columns, step[1])])
    return total


def shifted_sum(total: Tensor, matrix: Tensor, *steps: Step) -> Tensor:
    """total[i, j] = sum of matrix[i + step[0], j + step[1]] over the steps.

    The adjoint has the opposite steps, and the two matrices' places exchanged.
    """
    if len(steps) == 1:
        return add_shifted(total.zero_(), matrix, steps[0])
    rows, columns = ([overlap(total.shape[k + 1], matrix.shape[k + 1], step[k]) for step in steps[:2]] for k in (0, 1))
    top, left = max(part.start for part in rows), max(part.start for part in columns)
    bottom, right = max(top, min(part.stop for part in rows)), max(left, min(part.stop for part in columns))
    terms = [matrix[:, top + down : bottom + down, left + aside : right + aside] for down, aside in steps[:2]]
    torch.add(*terms, out=total[:, top:bottom, left:right])
    # The frame, where only one of the two exists.
    for part, row, column in (
        (total[:, :top], 0, 0),
        (total[:, bottom:], bottom, 0),
        (total[:, top:bottom, :left], top, 0),
        (total[:, top:bottom, right:], top, right),
    ):
        if part.numel():
            part.zero_()
            for down, aside in steps[:2]:
                add_shifted(part, matrix, (down + row, aside + column))
    for step in steps[2:]:
        add_shifted(total, matrix, step)
    return total


def diagonal(reach: int, start: int, down: int = 1, aside: int = 1) -> list[Step]:
    """Steps from row `start`: none, and up to `reach` times (down, aside) forwards and back."""
    return [(start + d * down, d * aside) for d in sorted(range(-reach, reach + 1), key=abs)]


def opposite(steps: list[Step]) -> list[Step]:
    """The steps back."""
    return [(-down, -aside) for down, aside in steps]


def column_sum(total: Tensor, matrix: Tensor, reach: int, start: int) -> Tensor:
    """Sum over steps d = -reach ... reach in column order, as far as the foreground's rows start + y + d exist.

    Both matrices are (N, rows, width, height, width): the background continues at the top of the next column below its
    last row; the foreground does not, whoever calls provides rows for that. The adjoint is the same sum from -start.
    """
    rows = overlap(total.shape[1], matrix.shape[1], start)
    total[:, : rows.start] = 0
    total[:, rows] = matrix[:, moved(rows, start)]
    total[:, rows.stop :] = 0
    height, width = total.shape[3:]
    for d in (*range(-reach, 0), *range(1, reach + 1)):
        rows = overlap(total.shape[1], matrix.shape[1], start + d)
        source = matrix[:, moved(rows, start + d)]
        for (ys, xs), (from_ys, from_xs) in column_pieces(height, width, d):
            total[:, rows, :, ys, xs].add_(source[:, :, :, from_ys, from_xs])
    return total


def column_pieces(height: int, width: int, step: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """A step in column order as pieces of a map: rows and columns of a piece, and of where the step leads from it.

    Below the last row of a column the next column begins.
    """
    for turn in range(step // height, (height - 1 + step) // height + 1):
        down = step - turn * height
        rows, columns = overlap(height, height, down), overlap(width, width, turn)
        yield (rows, columns), (moved(rows, down), moved(columns, turn))
