"""A tall matrix, read in blocks of rows: all that the algorithms here do with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .._blocks import RowBlocks
from .._kernels.least_squares import gram
from .._kernels.sampling import row_quadform, weighted_gram
from .._namespace import Array, array_namespace, device_of

# Columns up to which the library's own product of a block with itself beats BLAS.
NARROW = 24
# Entries of a block of a sparse matrix once it is dense.
BLOCK_ENTRIES = 1 << 20


class SparseBlocks:
    """A sparse matrix as a source of dense blocks of rows."""

    def __init__(self, matrix: Any, dtype: Any) -> None:
        self._matrix, self.dtype = matrix.tocsr(), dtype
        self.shape = int(matrix.shape[0]), int(matrix.shape[1])
        self.like = self._matrix.data

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows with the dense matrices they are."""
        n, d = self.shape
        xp = array_namespace(self.like)
        height = max(1, BLOCK_ENTRIES // d)
        for start in range(0, n, height):
            rows = slice(start, min(n, start + height))
            yield rows, xp.astype(self._matrix[rows].toarray(), self.dtype, copy=False)


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
        source: Any,
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
        self.device = device_of(source.like)
        joined = 0 if b is None else 1 if b.ndim == 1 else int(b.shape[1])
        self.d = (columns if basis is None else int(basis.shape[1])) + joined
        self.n_passes = 0

    def joined(self, b: Array) -> Rows:
        """Return the rows of [A b]."""
        return Rows(self._source, scale=self._scale, basis=self._basis, b=b)

    def mapped(self, basis: Array) -> Rows:
        """Return the rows of ``A basis``."""
        return Rows(self._source, scale=self._scale, basis=basis)

    def scaled(self, factors: Array | None) -> Rows:
        """Return the rows multiplied by factors (n,) each."""
        return Rows(self._source, scale=self._scale, basis=self._basis, b=self._b, factors=factors)

    def _changed(self, block: Array, which: Any) -> Array:
        """Return rows as they are to be read; `which` is their range or their indices."""
        xp = self.xp
        block = block if self._scale == 1.0 else block * self._scale
        block = block if self._basis is None else xp.matmul(block, self._basis)
        if self._b is not None:
            b = _part(self._b, which)
            block = xp.concat([block, b[:, None] if b.ndim == 1 else b], axis=1)
        if self._factors is not None:
            block = block * _part(self._factors, which)[:, None]
        return block

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows, each with its block: one pass."""
        self.n_passes += 1
        for rows, block in self._source.blocks():
            yield rows, self._changed(block, rows)

    def gram(self, weights: Array | None, P: Array | None = None) -> Array:
        """Return ``A' diag(weights) A`` (d, d), None for ones; with P (d, k) that of ``A P``."""
        total: Any = 0
        for rows, block in self.blocks():
            w = None if weights is None else weights[rows]
            narrow = P is None and self.d <= NARROW
            part = gram(block, w, P) if w is None or not narrow else weighted_gram(block, w)
            total = part + total
        return total

    def quadform(self, P: Array) -> Array:
        """Return the squared norms (n,) of the rows of ``A P``, P (d, k)."""
        return self._each(lambda block: row_quadform(block, P))

    def times(self, X: Array) -> Array:
        """Return ``A X`` (n,) or (n, k)."""
        return self._each(lambda block: self.xp.matmul(block, X))

    def largest(self) -> Array:
        """Return the largest absolute entry (n,) of each row."""
        xp = self.xp
        return self._each(lambda block: xp.maximum(xp.max(block, axis=1), -xp.min(block, axis=1)))

    def _each(self, function: Callable[[Array], Array]) -> Array:
        parts = [function(block) for _, block in self.blocks()]
        return self.xp.concat(parts) if len(parts) > 1 else parts[0]

    def transposed_times(self, Y: Array) -> Array:
        """Return ``A' Y`` (d,) or (d, k)."""
        total: Any = 0
        for rows, block in self.blocks():
            y = Y[rows] if Y.ndim == 1 else Y[rows, :]
            total = self.xp.matmul(block.T, y) + total
        return total

    def take(self, index: Array) -> Array:
        """Return the rows of a sorted index array, as a matrix."""
        xp, parts = self.xp, []
        for rows, block in self._source.blocks():
            if rows.stop - rows.start == self.n:
                return self._changed(xp.take(block, index, axis=0), index)
            first, last = (int(xp.count_nonzero(index < end)) for end in (rows.start, rows.stop))
            here = index[first:last]
            parts.append(self._changed(xp.take(block, here - rows.start, axis=0), here))
        return xp.concat(parts)

    def ones(self) -> Array:
        """Return a vector (n,) of ones."""
        return self.xp.ones((self.n,), dtype=self.dtype, device=self.device)


def _part(values: Array, which: Any) -> Array:
    """Return the entries of a range or of an index array."""
    if isinstance(which, slice):
        return values[which, ...]
    return array_namespace(values).take(values, which, axis=0)
