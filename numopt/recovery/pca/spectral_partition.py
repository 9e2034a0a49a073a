"""Whether entries that agree with a matrix of low rank hold it together.

Two parts of a matrix that share too few entries can each be right, or wrong, on their own: the
factors of one may be multiplied by any invertible matrix of size r without those of the other. It
takes r^2 entries between them to rule that out, and a fit may meet that many by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..._core.namespace import Array, array_namespace, device_of

# Power steps towards the cut, and the square of the second singular value that they must reach: it
# is 1 for a graph of two pieces, and far below where entries are spread at random.
STEPS, CLOSE = 16, 0.5


class Graph(NamedTuple):
    """Rows and columns, joined where an entry agrees."""

    agree: Array  # (n, w), as a layout by rows has the entries
    columns: Array  # (n, w) where they are; (0, 0) for a full matrix
    agree_transposed: Array  # (d, w)
    rows: Array


def ties_needed(graph: Graph, rank: int) -> float:
    """Return the agreeing entries that two parts need between them, over those they have.

    Above one the parts fall apart: it takes more than ``2 r^2 + 1``. Parts are those of the second
    singular vectors of the normalized adjacency matrix (Dhillon 2001), and count if each has r rows
    and r columns or more; where there are none, nothing is needed.
    """
    xp = array_namespace(graph.agree)
    by_rows, by_columns = _degrees(graph.agree), _degrees(graph.agree_transposed)
    left = _side(graph.agree, graph.columns, by_rows, by_columns)
    right = _side(graph.agree_transposed, graph.rows, by_columns, by_rows)
    top = xp.sqrt(by_columns)
    top = top / xp.linalg.vector_norm(top)
    places = xp.arange(top.shape[0], dtype=top.dtype, device=device_of(top))
    v = xp.sin(1.7 * places + 0.3)
    for _ in range(STEPS):
        v = v - xp.vecdot(top, v) * top
        length = xp.linalg.vector_norm(v)
        v = right(left(v / xp.where(length > 0, length, xp.ones_like(length))))
    if not float(xp.linalg.vector_norm(v)) >= CLOSE:
        return 0.0
    u = left(v)
    across = _crossing(graph, u > 0, v > 0)
    sizes = [
        min(int(xp.count_nonzero((u > 0) == part)), int(xp.count_nonzero((v > 0) == part)))
        for part in (True, False)
    ]
    return (2 * rank**2 + 2) / (across or 1) if min(sizes) >= rank else 0.0


def _degrees(agree: Array) -> Array:
    """Return the number of agreeing entries of each row, one where there are none."""
    xp = array_namespace(agree)
    return xp.clip(xp.sum(agree, axis=1), 1.0, None)


def _side(agree: Array, columns: Array, own: Array, others: Array) -> Callable[[Array], Array]:
    """Return the product with the normalized adjacency matrix, as a function."""
    xp = array_namespace(agree)

    def product(v: Array) -> Array:
        v = v / xp.sqrt(others)
        if columns.shape[0] == 0:
            image = xp.matmul(agree, v)
        else:
            taken = xp.take(v, xp.reshape(columns, (-1,)))
            image = xp.sum(agree * xp.reshape(taken, agree.shape), axis=1)
        return image / xp.sqrt(own)

    return product


def _crossing(graph: Graph, rows: Array, columns: Array) -> int:
    """Return how many agreeing entries join different parts."""
    xp = array_namespace(graph.agree)
    if graph.columns.shape[0] == 0:
        other = xp.broadcast_to(columns[None, :], graph.agree.shape)
    else:
        flat = xp.take(columns, xp.reshape(graph.columns, (-1,)))
        other = xp.reshape(flat, graph.agree.shape)
    return int(xp.count_nonzero((graph.agree > 0) & (rows[:, None] != other)))
