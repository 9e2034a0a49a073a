"""Products of a tall matrix that is read in blocks of rows, scaled or in other coordinates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .._core.namespace import Array, array_namespace, device_of
from .._kernels.least_squares import gram
from .._kernels.sampling import row_quadform, weighted_gram
from .passes import Passes
from .tall_matrix import RowBlocks

# Columns up to which the library's own product of a block with itself beats BLAS.
NARROW = 24


def in_memory(matrix: Array) -> Rows:
    """Return the rows of an array."""
    return Rows(RowBlocks("A", matrix))


class Rows:
    """A matrix (n, d) that is read in blocks, and the passes over it.

    `source` yields ranges of rows with their matrices, as often as asked, so that no more than
    one of them has to be in memory. As a block is read, it is multiplied by `scale`, then by the
    matrix `basis`; columns `b` (n,) or (n, k) are joined, and each row multiplied by its entry of
    `factors` (n,).
    """

    def __init__(
        self,
        source: Passes,
        *,
        scale: float = 1.0,
        basis: Array | None = None,
        b: Array | None = None,
        factors: Array | None = None,
    ) -> None:
        self._source, self._scale = source, scale
        self._basis, self._b, self._factors = basis, b, factors
        self.n, columns = source.shape
        self.xp, self.dtype = array_namespace(source.like), source.dtype
        self.like = source.like
        self.device = device_of(source.like)
        joined = 0 if b is None else 1 if b.ndim == 1 else int(b.shape[1])
        self.d = (columns if basis is None else int(basis.shape[1])) + joined

    def joined(self, b: Array) -> Rows:
        """Return the rows of [A b]."""
        return Rows(self._source, scale=self._scale, basis=self._basis, b=b)

    def mapped(self, basis: Array) -> Rows:
        """Return the rows of ``A basis``."""
        return Rows(self._source, scale=self._scale, basis=basis)

    def scaled(self, factors: Array | None) -> Rows:
        """Return the rows multiplied by factors (n,) each."""
        return Rows(self._source, scale=self._scale, basis=self._basis, b=self._b, factors=factors)

    @property
    def in_memory(self) -> bool:
        """Whether the matrix is one array, and not one mapped from a file."""
        return bool(self._source.in_memory and not self._source.mapped)

    @property
    def cluster(self) -> Any:
        """What goes through the chunks of a Dask array, None for any other matrix."""
        return self._source.cluster

    def counts(self) -> dict[str, int]:
        """Return the passes over the matrix so far, its chunks, and how often a pass was repeated.

        They are those of the matrix: rows that are joined, mapped or scaled count for it, too.
        """
        return self._source.counts()

    def beside(self, name: str, x: Any) -> Any:
        """Return numbers (n,) that lie beside the rows, checked, in their dtype."""
        return self._source.beside(name, x, self.dtype)

    def fold(self, function: Callable[..., Any], *beside: Array | None) -> Any:
        """Return the sum of ``function(block, rows, *parts)`` over the blocks: one pass."""
        work = partial(_on_changed, function, self._scale, self._basis)
        return self._source.fold(work, self._b, self._factors, *beside)

    def each(self, function: Callable[..., Any], width: int = 1) -> Any:
        """Return ``function(block, rows)``, (n,) or (n, width), for all rows: one pass."""
        self._check_size(self.n * width)
        work = partial(_on_changed, function, self._scale, self._basis)
        return self._source.each(work, self._b, self._factors)

    def _check_size(self, entries: int) -> None:
        """Raise where so many numbers are too many to bring here from a cluster."""
        if self.cluster is not None:
            self.cluster.check_size(entries * 8)

    def gram(self, weights: Array | None, P: Array | None = None) -> Array:
        """Return ``A' diag(weights) A`` (d, d), None for ones; with P (d, k) that of ``A P``."""
        return self.fold(partial(_gram, P), weights)

    def quadform(self, P: Array) -> Array:
        """Return the squared norms (n,) of the rows of ``A P``, P (d, k)."""
        return self.each(partial(_quadform, P))

    def times(self, X: Array) -> Array:
        """Return ``A X`` (n,) or (n, k)."""
        return self.each(partial(_times, X), 1 if X.ndim == 1 else int(X.shape[1]))

    def largest(self) -> Array:
        """Return the largest absolute entry (n,) of each row."""
        return self.each(_largest)

    def transposed_times(self, Y: Array) -> Array:
        """Return ``A' Y`` (d,) or (d, k)."""
        return self.fold(_transposed_times, Y)

    def lazily(self, function: Callable[..., Any]) -> Any:
        """Return ``function(block, rows)`` (n,) where the blocks are: here, or on the cluster."""
        work = partial(_on_changed, function, self._scale, self._basis)
        return self._source.rowwise(work, self._b, self._factors)

    def as_given(self, x: Array | None) -> Any:
        """Return numbers (n,) as the matrix came: from a Dask array in its chunks."""
        chunked = x is not None and self.cluster is not None and x.shape[0] == self.n
        return self.cluster.chunked(x) if chunked else x

    def take(self, index: Array) -> Array:
        """Return the rows of a sorted index array, as a matrix."""
        self._check_size(int(index.shape[0]) * self.d)
        taken = (
            self._taken(index)
            if self.cluster is None
            else self._source.picked(partial(_taken, index))
        )
        return _changed(taken, self._scale, self._basis, *(_at(x, index) for x in self._beside()))

    def _taken(self, index: Array) -> Array:
        """Return the rows of a source of blocks, put where they are to be one by one."""
        xp, m = self.xp, int(index.shape[0])
        out, first = None, 0
        for rows, block in self._source.blocks():
            part = _taken(index, block, rows)
            if part.shape[0] == m:
                return part
            if out is None:
                out = xp.empty((m, block.shape[1]), dtype=self.dtype, device=self.device)
            out[first : first + part.shape[0], :] = part
            first += part.shape[0]
        return out

    def _beside(self) -> tuple[Array | None, Array | None]:
        return self._b, self._factors

    def ones(self) -> Array:
        """Return a vector (n,) of ones."""
        return self.xp.ones((self.n,), dtype=self.dtype, device=self.device)


def _changed(
    block: Array, scale: float, basis: Array | None, b: Array | None, factors: Array | None
) -> Array:
    """Return rows as they are to be read, with what lies beside them."""
    xp = array_namespace(block)
    block = block if scale == 1.0 else block * scale
    block = block if basis is None else xp.matmul(block, basis)
    if b is not None:
        block = xp.concat([block, b[:, None] if b.ndim == 1 else b], axis=1)
    return block if factors is None else block * factors[:, None]


def _on_changed(
    function: Callable[..., Any],
    scale: float,
    basis: Array | None,
    block: Array,
    rows: slice,
    b: Array | None,
    factors: Array | None,
    *parts: Array | None,
) -> Any:
    return function(_changed(block, scale, basis, b, factors), rows, *parts)


def _gram(P: Array | None, block: Array, _rows: slice, weights: Array | None) -> Array:
    narrow = P is None and block.shape[1] <= NARROW
    return (
        gram(block, weights, P) if weights is None or not narrow else weighted_gram(block, weights)
    )


def _quadform(P: Array, block: Array, _rows: slice) -> Array:
    return row_quadform(block, P)


def _times(X: Array, block: Array, _rows: slice) -> Array:
    return array_namespace(block).matmul(block, X)


def _transposed_times(block: Array, _rows: slice, Y: Array) -> Array:
    return array_namespace(block).matmul(block.T, Y)


def _largest(block: Array, _rows: slice) -> Array:
    xp = array_namespace(block)
    return xp.maximum(xp.max(block, axis=1), -xp.min(block, axis=1))


def _taken(index: Array, block: Array, rows: slice) -> Array:
    """Return the rows of a block that a sorted index array of the whole matrix names."""
    xp = array_namespace(block)
    first, last = (int(xp.count_nonzero(index < end)) for end in (rows.start, rows.stop))
    return xp.take(block, index[first:last] - rows.start, axis=0)


def _at(values: Array | None, index: Array) -> Array | None:
    return None if values is None else array_namespace(values).take(values, index, axis=0)
