"""A chunk of rows, dense or compressed, with the few operations that a summary needs."""

from __future__ import annotations

from typing import Any

import array_api_compat

from .._core.namespace import Array, array_namespace, device_of, widest_float
from .._kernels.streaming import (
    adaoja_pass,
    csr_adaoja_pass,
    csr_gram_product,
    csr_merge_truncate,
    gram_product,
    merge_truncate,
)


class DenseRows:
    """Rows of an array (n, d)."""

    sparse = False

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.n, self.d = int(rows.shape[0]), int(rows.shape[1])
        self.like = rows

    def part(self, start: int, stop: int) -> DenseRows:
        """Return the rows from `start` to `stop`."""
        return self if (start, stop) == (0, self.n) else DenseRows(self.rows[start:stop, :])

    def dense(self) -> Array:
        """Return the rows as an array."""
        return self.rows

    def norms2(self) -> Array:
        """Return the squared norms (n,)."""
        return array_namespace(self.rows).vecdot(self.rows, self.rows)

    def finite_peak(self, row: int) -> float:
        """Return the largest absolute value; raise if a number is not finite.

        `row` is the number of the first row in the stream.
        """
        xp = array_namespace(self.rows)
        peaks = xp.max(xp.abs(self.rows), axis=1)
        _finite(xp.isfinite(peaks) & xp.all(xp.isfinite(self.rows), axis=1), row)
        return float(xp.max(peaks))

    def times(self, factor: float | Array) -> DenseRows:
        """Return the rows, scaled by a number or by one for each row."""
        column = factor if isinstance(factor, float) else factor[:, None]
        return DenseRows(self.rows * column)

    def product(self, V: Array) -> tuple[Array, Array]:
        """Return ``X' X V`` (d, k) and ``X V`` (n, k)."""
        return gram_product(self.rows, V)

    def images(self, V: Array) -> Array:
        """Return ``X V`` (n, k)."""
        return array_namespace(self.rows).matmul(self.rows, V)

    def merged_into(self, B: Array, panel: int, shrink: bool) -> tuple[Array, Array]:
        """Return what `merge_truncate` does with a factor B and these rows."""
        return merge_truncate(B, self.rows, panel, shrink)

    def stepped(self, v: Array, s: Array) -> tuple[Array, Array]:
        """Return what `adaoja_pass` does with these rows."""
        return adaoja_pass(self.rows, v, s)

    def replaced(self, changes: dict[int, Array | None]) -> DenseRows:
        """Return the rows with some left out (None) or replaced by others (1, d)."""
        parts, start = [], 0
        for index, row in changes.items():
            parts.append(self.rows[start:index, :])
            if row is not None:
                parts.append(row)
            start = index + 1
        parts.append(self.rows[start:, :])
        return DenseRows(array_namespace(self.rows).concat(parts))


class SparseRows:
    """Rows of a compressed sparse matrix (n, d)."""

    sparse = True

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        self.n, self.d = matrix.shape
        self.like = matrix.data

    def part(self, start: int, stop: int) -> SparseRows:
        """Return the rows from `start` to `stop`."""
        return self if (start, stop) == (0, self.n) else SparseRows(self.matrix[start:stop])

    def dense(self) -> Array:
        """Return the rows as an array."""
        return self.matrix.toarray()

    def norms2(self) -> Array:
        """Return the squared norms (n,)."""
        xp = array_namespace(self.like)
        dtype = widest_float(self.like)
        parts = xp.astype(self.like, dtype) ** 2, self.matrix.indices, self.matrix.indptr
        squares = self.matrix.__class__(parts, shape=self.matrix.shape)
        return squares @ xp.ones(self.d, dtype=dtype, device=device_of(self.like))

    def finite_peak(self, row: int) -> float:
        """Return the largest absolute value; raise if a number is not finite."""
        xp = array_namespace(self.like)
        if not self.like.shape[0]:
            return 0.0
        if not bool(xp.all(xp.isfinite(self.like))):
            place = int(xp.argmax(xp.astype(~xp.isfinite(self.like), xp.int8)))
            index = xp.searchsorted(
                self.matrix.indptr, self.matrix.indptr[:1] + place, side="right"
            )
            _refuse(row + int(index[0]) - 1)
        return float(xp.max(xp.abs(self.like)))

    def times(self, factor: float | Array) -> SparseRows:
        """Return the rows, scaled by a number or by one for each row."""
        scaled = self.matrix.copy()
        if not isinstance(factor, float):
            xp, lengths = array_namespace(self.like), self.matrix.indptr
            factor = xp.repeat(factor, lengths[1:] - lengths[:-1])
        scaled.data = self.like * factor
        return SparseRows(scaled)

    def product(self, V: Array) -> tuple[Array, Array]:
        """Return ``X' X V`` (d, k) and ``X V`` (n, k)."""
        if self._compiled:
            return csr_gram_product(*self._parts(), V)
        images = self.matrix @ V
        return self.matrix.T @ images, images

    def images(self, V: Array) -> Array:
        """Return ``X V`` (n, k)."""
        return self.matrix @ V

    @property
    def _compiled(self) -> bool:
        """Whether the arrays are of NumPy, which the kernels for them are for."""
        return bool(array_api_compat.is_numpy_array(self.like))

    def merged_into(self, B: Array, panel: int, shrink: bool) -> tuple[Array, Array]:
        """Return what `merge_truncate` does with a factor B and these rows."""
        if shrink or not self._compiled:
            return merge_truncate(B, self.dense(), panel, shrink)
        return csr_merge_truncate(*self._parts(), B, panel)

    def stepped(self, v: Array, s: Array) -> tuple[Array, Array]:
        """Return what `adaoja_pass` does with these rows."""
        if not self._compiled:
            return adaoja_pass(self.dense(), v, s)
        return csr_adaoja_pass(*self._parts(), v, s)

    def _parts(self) -> tuple[Array, Array, Array]:
        return self.matrix.data, self.matrix.indices, self.matrix.indptr

    def replaced(self, changes: dict[int, Array | None]) -> SparseRows:
        """Return the rows with some left out (None) or replaced by others (1, d)."""
        from scipy.sparse import csr_array, vstack

        parts, start = [], 0
        for index, row in changes.items():
            parts.append(self.matrix[start:index])
            if row is not None:
                parts.append(csr_array(row))
            start = index + 1
        parts.append(self.matrix[start:])
        return SparseRows(vstack(parts, format="csr"))


Rows = DenseRows | SparseRows


def _finite(rows: Array, first: int) -> None:
    """Raise unless all rows (n,) of a stream are finite."""
    xp = array_namespace(rows)
    if not bool(xp.all(rows)):
        _refuse(first + int(xp.argmin(xp.astype(rows, xp.int8))))


def _refuse(row: int) -> None:
    raise ValueError(f"`chunk` must be finite, got nan or infinity in row {row} of the stream.")


def wide(x: Array) -> Array:
    """Return an array in the widest real dtype of its device."""
    return array_namespace(x).astype(x, widest_float(x), copy=False)


def place_like(numbers: list[float], like: Array) -> Array:
    """Return numbers as a vector of the library, device and dtype of an array."""
    return array_namespace(like).asarray(numbers, dtype=like.dtype, device=device_of(like))
