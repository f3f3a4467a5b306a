"""Sums of a matrix of scores over equal shifts of both its indices: the whole arithmetic of contextual attention.

Let M[i, j] belong to position i of the foreground and j of the background. Then products of patches are sums of
products of pixels over shifts in two dimensions, fusion is a sum over shifts in row order and one over shifts in column
order, and laying pasted patches over each other is a sum over shifts as well. No patch is ever built.

A map is stored in row order. A *padded* one has columns of zeros at the end of its rows: a shift in two dimensions then
is a shift of the index, since what leaves a row on either side meets zeros. Sums leave other values than zeros in these
columns; whoever uses a sum looks at the other columns only.

Matrices are (N, foreground, background). All sums take a range of the foreground, so that a few rows of a map can be
worked on at a time; what lies outside counts as 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor


def overlap(count: int, length: int, step: int) -> tuple[slice, slice]:
    """Those i of `count` for which i + step is one of `length`, and these i + step."""
    start = min(max(0, -step), count)
    stop = max(min(count, length - step), start)
    return slice(start, stop), slice(start + step, stop + step)


def add_shifted(total: Tensor, matrix: Tensor, down: int, right: int) -> Tensor:
    """total[i, j] += matrix[i + down, j + right], in place."""
    rows, from_rows = overlap(total.shape[1], matrix.shape[1], down)
    columns, from_columns = overlap(total.shape[2], matrix.shape[2], right)
    total[:, rows, columns] += matrix[:, from_rows, from_columns]
    return total


def diagonal_sum(total: Tensor, matrix: Tensor, reach: int, start: int, down: int = 1, right: int = 1) -> Tensor:
    """total[i, j] = sum of matrix[start + i + d down, j + d right] over d = -reach ... reach.

    The adjoint is the same sum from -start.
    """
    _copy_rows(total, matrix, start)
    for d in range(1, reach + 1):
        add_shifted(total, matrix, start + d * down, d * right)
        add_shifted(total, matrix, start - d * down, -d * right)
    return total


def column_sum(total: Tensor, matrix: Tensor, reach: int, start: int) -> Tensor:
    """Sum over steps d = -reach ... reach in column order, where the foreground's rows start + y + d exist.

    Both matrices are (N, rows, width, height, width): the background continues at the top of the next column below its
    last row; the foreground does not, whoever calls provides rows for that. The adjoint is the same sum from -start.
    """
    _copy_rows(total, matrix, start)
    height, width = total.shape[3:]
    for d in (*range(-reach, 0), *range(1, reach + 1)):
        rows, from_rows = overlap(total.shape[1], matrix.shape[1], start + d)
        for (ys, xs), (from_ys, from_xs) in column_pieces(height, width, d):
            total[:, rows, :, ys, xs] += matrix[:, from_rows, :, from_ys, from_xs]
    return total


def _copy_rows(total: Tensor, matrix: Tensor, start: int) -> None:
    """total[i] = matrix[start + i], 0 where there is none."""
    rows, from_rows = overlap(total.shape[1], matrix.shape[1], start)
    total[:, : rows.start] = 0
    total[:, rows] = matrix[:, from_rows]
    total[:, rows.stop :] = 0


def column_pieces(height: int, width: int, step: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """A step in column order as pieces of a map: rows and columns of a piece, and of where the step leads from it.

    Below the last row of a column the next column begins.
    """
    for turn in range(step // height, (height - 1 + step) // height + 1):
        rows, to_rows = overlap(height, height, step - turn * height)
        columns, to_columns = overlap(width, width, turn)
        yield (rows, columns), (to_rows, to_columns)
