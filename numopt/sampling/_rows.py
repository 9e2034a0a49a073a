"""A tall matrix, read in blocks of rows: all that the algorithms here do with one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._kernels.sampling import projected_gram, row_quadform, weighted_gram
from .._namespace import Array, array_namespace, device_of


class Rows:
    """A matrix A (n, d), or [A b] where a response is joined; counts its passes.

    `blocks` are the matrices (n_k, d) that A consists of, in order, each an array; they may be
    anything that can be iterated over again, so that no more than one has to be in memory. With
    `scale` other than 1 every entry is multiplied by it, block by block.
    """

    def __init__(
        self,
        blocks: Any,
        *,
        scale: float = 1.0,
        b: Array | None = None,
        basis: Array | None = None,
    ) -> None:
        self._blocks, self._scale, self._b, self._basis = blocks, scale, b, basis
        first = next(iter(blocks))
        self.xp, self.dtype, self.device = array_namespace(first), first.dtype, device_of(first)
        self.n = blocks[0].shape[0] if len(blocks) == 1 else sum(x.shape[0] for x in blocks)
        columns = int(first.shape[1]) if basis is None else int(basis.shape[1])
        self.d = columns + (b is not None)
        self.n_passes = 0

    @property
    def array(self) -> Array | None:
        """The matrix itself where it is one array as it was given."""
        changed = self._scale != 1.0 or self._b is not None or self._basis is not None
        plain = not changed and len(self._blocks) == 1
        return self._blocks[0] if plain else None

    def joined(self, b: Array) -> Rows:
        """Return the rows of [A b]."""
        return Rows(self._blocks, scale=self._scale, b=b)

    def mapped(self, basis: Array) -> Rows:
        """Return the rows of ``A basis``, which are computed block by block in every pass."""
        return Rows(self._blocks, scale=self._scale, basis=basis)

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows, each with its block: one pass."""
        self.n_passes += 1
        start = 0
        for block in self._blocks:
            rows = slice(start, start + block.shape[0])
            start = rows.stop
            block = block if self._scale == 1.0 else block * self._scale
            if self._basis is not None:
                block = self.xp.matmul(block, self._basis)
            if self._b is not None:
                block = self.xp.concat([block, self._b[rows][:, None] * self._scale], axis=1)
            yield rows, block

    def gram(self, weights: Array, P: Array | None = None) -> Array:
        """Return ``A' diag(weights) A`` (d, d); with P (d, k) that of the rows of ``A P``."""
        total: Any = 0
        for rows, block in self.blocks():
            w = weights[rows]
            part = weighted_gram(block, w) if P is None else projected_gram(block, w, P)
            total = part + total
        return total

    def quadform(self, P: Array) -> Array:
        """Return the squared norms (n,) of the rows of ``A P``, P (d, k)."""
        return self._each(lambda block: row_quadform(block, P))

    def times(self, X: Array) -> Array:
        """Return ``A X`` (n,) or (n, k)."""
        return self._each(lambda block: self.xp.matmul(block, X))

    def squared_norms(self) -> Array:
        """Return the squared norms (n,) of the rows."""
        return self._each(lambda block: self.xp.vecdot(block, block))

    def _each(self, function: Any) -> Array:
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
        parts = []
        for rows, block in self.blocks():
            if len(self._blocks) == 1:
                return self.xp.take(block, index, axis=0)
            inside = index[(index >= rows.start) & (index < rows.stop)]
            parts.append(self.xp.take(block, inside - rows.start, axis=0))
        return self.xp.concat(parts)

    def ones(self) -> Array:
        """Return a vector (n,) of ones."""
        return self.xp.ones((self.n,), dtype=self.dtype, device=self.device)
