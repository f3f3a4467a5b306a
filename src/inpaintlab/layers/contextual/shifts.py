"""Sums of a matrix over equal shifts of both its indices, from which all of contextual attention is built.

Let M[i, j] belong to position i of the foreground and j of the background. Products of patches are sums of products of
pixels over two-dimensional shifts. Fusion is a sum over shifts in row order, then one over shifts in column order. The
overlap of pasted patches is a sum over shifts too. So no patch has to be built.

Maps are stored in row order. A *padded* map has columns of zeros at the end of its rows. A two-dimensional shift is
then a shift of the index, because values that leave a row meet zeros. Sums write values other than 0 into these
columns, so callers must read only the other columns.

Matrices are (N, foreground, background) and may cover only some rows of a map; values outside count as 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

Step = tuple[int, int]


def overlap(count: int, length: int, step: int) -> slice:
    """Return the slice of those i in 0 ... count - 1 for which 0 <= i + step < length."""
    start = min(max(0, -step), count)
    return slice(start, max(min(count, length - step), start))


def moved(part: slice, step: int) -> slice:
    """Return the slice moved by `step`."""
    return slice(part.start + step, part.stop + step)


def add_shifted(total: Tensor, matrix: Tensor, step: Step) -> Tensor:
    """Add in place: total[i, j] += matrix[i + step[0], j + step[1]]."""
    rows, columns = (overlap(total.shape[k + 1], matrix.shape[k + 1], step[k]) for k in (0, 1))
    if rows.start < rows.stop and columns.start < columns.stop:
        total[:, rows, columns].add_(matrix[:, moved(rows, step[0]), moved(columns, step[1])])
    return total


def shifted_sum(total: Tensor, matrix: Tensor, *steps: Step) -> Tensor:
    """Write and return total[i, j] = sum of matrix[i + step[0], j + step[1]] over the steps.

    The adjoint has the opposite steps and exchanges the two matrices.
    """
    if len(steps) == 1:
        return add_shifted(total.zero_(), matrix, steps[0])
    rows, columns = ([overlap(total.shape[k + 1], matrix.shape[k + 1], step[k]) for step in steps[:2]] for k in (0, 1))
    top, left = max(part.start for part in rows), max(part.start for part in columns)
    bottom, right = max(top, min(part.stop for part in rows)), max(left, min(part.stop for part in columns))
    terms = [matrix[:, top + down : bottom + down, left + aside : right + aside] for down, aside in steps[:2]]
    torch.add(*terms, out=total[:, top:bottom, left:right])
    # The border, where only one of the two terms exists.
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
    """Return the steps (start, 0) + d * (down, aside) for d = -reach ... reach, ordered by the size of d."""
    return [(start + d * down, d * aside) for d in sorted(range(-reach, reach + 1), key=abs)]


def opposite(steps: list[Step]) -> list[Step]:
    """Return the negative steps."""
    return [(-down, -aside) for down, aside in steps]


def column_sum(total: Tensor, matrix: Tensor, reach: int, start: int) -> Tensor:
    """Sum over steps d = -reach ... reach in column order, where the foreground's row start + y + d exists.

    Both matrices are (N, rows, width, height, width). Below its last row, the background continues at the top of the
    next column. The foreground does not continue; callers must provide the rows. The adjoint is the sum with -start.
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
    """Divide a step in column order into rectangular pieces of a map.

    The element below the last one of a column is the first of the next column.

    Yields:
        Rows and columns of a piece, and the rows and columns to which the step leads.
    """
    for turn in range(step // height, (height - 1 + step) // height + 1):
        down = step - turn * height
        rows, columns = overlap(height, height, down), overlap(width, width, turn)
        yield (rows, columns), (moved(rows, down), moved(columns, turn))
