"""The design of a least squares problem: what the solvers may do with A, W and the ridge."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Protocol

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of, widest_float
from .._core.settings import is_sparse
from .._kernels import least_squares as kernels
from .._linalg import upper_factor
from .._rows import Cluster, RowBlocks, below, is_dask
from ..sketching import Sketch, SparseSign

# Entries of a matrix from which a triangle is made at a time, unless 8 rows a column are more.
TRIANGLE_ENTRIES = 1 << 20


class Design(Protocol):
    """Passes over the rows of ``[sqrt(W) A; sqrt(ridge) I]``, the matrix of the augmented problem.

    Everything is computed in `dtype`, the widest of the device. `n_passes` counts reads of A.
    """

    shape: tuple[int, int]
    like: Array
    dtype: Any
    ridge: float
    dense: bool
    in_memory: bool
    n_passes: int
    cluster: Cluster | None
    n_blocks: int

    def gradient(self, b: Array | None, x: Array) -> tuple[Array, Array]:
        """Return ``A' W (b - A x) - ridge x`` (d, k) and the sums of squares (k,), b None for 0."""

    def gram(self, factor: Array | None = None) -> Array:
        """Return ``F' (A' W A + ridge I) F``, None for the identity."""

    def sketch(self, S: Sketch, b: Array) -> Array:
        """Return ``[S sqrt(W) A, S sqrt(W) b; sqrt(ridge) I, 0]``."""

    def reduced(self, b: Array) -> Array:
        """Return ``sqrt(W) [A b]``, or the triangle of its QR decomposition if not in memory."""

    def norms(self, b: Array) -> Array:
        """Return the norms of the columns of ``sqrt(W) b``."""

    def largest_entry(self) -> float:
        """Return the largest absolute entry of A; raise ValueError if one is not finite."""


class Rows:
    """A dense matrix, in memory or by blocks."""

    def __init__(
        self, blocks: RowBlocks, weights: Array | None, ridge: float, extended: bool
    ) -> None:
        self.shape, self.like, self.dtype = blocks.shape, blocks.like, blocks.dtype
        self.ridge, self.dense, self.in_memory, self.n_passes = ridge, True, blocks.in_memory, 0
        self._blocks, self._weights, self.cluster = blocks, weights, blocks.cluster
        self.n_blocks = blocks.n_blocks
        self._gradient = (
            kernels.residual_gradient_extended if extended else kernels.residual_gradient
        )

    def gradient(self, b: Array | None, x: Array) -> tuple[Array, Array]:
        """Return ``A' W (b - A x) - ridge x`` (d, k) and the sums of squares (k,), b None for 0."""
        self.n_passes += 1
        gradient, squares = self._blocks.fold(
            partial(_gradient, self._gradient, x), b, self._weights
        )
        return with_ridge(gradient, squares, self.ridge, x)

    def gram(self, factor: Array | None = None) -> Array:
        """Return ``F' (A' W A + ridge I) F``, None for the identity."""
        xp = array_namespace(self.like)
        self.n_passes += 1
        total = self._blocks.fold(partial(_gram, factor), self._weights)
        if self.ridge:
            d = self.shape[1]
            identity = xp.eye(d, dtype=self.dtype, device=device_of(self.like))
            total = total + self.ridge * (identity if factor is None else factor.T @ factor)
        return total

    def sketch(self, S: Sketch, b: Array) -> Array:
        """Return ``[S sqrt(W) A, S sqrt(W) b; sqrt(ridge) I, 0]``."""
        self.n_passes += 1
        total = self._blocks.fold(partial(_sketch, S), b, self._weights)
        return with_ridge_rows(total, self.ridge, self.shape[1])

    def sample(self, size: int) -> tuple[Array, Array | None]:
        """Return about `size` evenly spaced rows of A in memory, and their weights."""
        step = max(1, self.shape[0] // size)
        sample = self._blocks.sample(size)
        return sample, None if self._weights is None else self._weights[::step]

    def reduced(self, b: Array) -> Array:
        """Return ``sqrt(W) [A b]``, or the triangle of its QR decomposition if not in memory."""
        self.n_passes += 1
        merge = below if self.in_memory else _stacked
        rows: Array = self._blocks.fold(
            weighted_rows if self.in_memory else _triangle, b, self._weights, merge=merge
        )
        return rows

    def norms(self, b: Array) -> Array:
        """Return the norms of the columns of ``sqrt(W) b``."""
        if self.cluster is not None and (is_dask(b) or is_dask(self._weights)):
            return self.cluster.norms(b, self._weights)
        return weighted_norms(b, self._weights)

    def largest_entry(self) -> float:
        """Return the largest absolute entry of A; raise ValueError if one is not finite."""
        return float(self._blocks.fold(partial(_largest, self.shape[0]), merge=max))


def _gradient(
    kernel: Any, x: Array, block: Array, _rows: slice, b: Array | None, weights: Array | None
) -> Any:
    return kernel(block, b, x, weights)


def _gram(factor: Array | None, block: Array, _rows: slice, weights: Array | None) -> Array:
    return kernels.gram(block, weights, factor)


def _sketch(S: Sketch, block: Array, rows: slice, b: Array, weights: Array | None) -> Array:
    scale = None if weights is None else array_namespace(block).sqrt(weights)
    return S.partial(block, b, scale, rows.start)


def _triangle(block: Array, rows: slice, b: Array, weights: Array | None) -> Array:
    """Return the triangle of ``sqrt(W) [A b]`` of a block, some rows at a time.

    Reflections of a piece stay in the cache: twice as fast as of 20000 rows of 256 columns, and
    without a copy of the block.
    """
    columns, triangle = block.shape[1] + b.shape[1], None
    for part in kernels.row_ranges(
        block.shape[0], 1, max(8 * columns, TRIANGLE_ENTRIES // columns)
    ):
        w = None if weights is None else weights[part]
        piece = weighted_rows(block[part, :], rows, b[part, :], w)
        triangle = upper_factor(piece if triangle is None else below(triangle, piece))
    return triangle


def _stacked(R: Array, S: Array) -> Array:
    """Return the triangle of two triangles, one below the other."""
    return upper_factor(below(R, S))


def _largest(n: int, block: Array, rows: slice) -> float:
    """Return the largest absolute entry of a block of A, having checked that all are finite."""
    xp = array_namespace(block)
    name = "A" if block.shape[0] == n else f"A[{rows.start}:{rows.stop}]"
    return float(xp.max(xp.abs(validate.finite(name, block))))


def weighted_rows(A: Array, _rows: slice, b: Array, weights: Array | None) -> Array:
    """Return ``sqrt(W) [A b]``, a copy."""
    xp = array_namespace(A)
    whole = xp.concat((A, b), axis=1)
    return whole if weights is None else whole * xp.sqrt(weights)[:, None]


class Products:
    """A sparse matrix or a linear operator: known by its products with columns."""

    def __init__(self, A: Any, like: Array, weights: Array | None, ridge: float) -> None:
        self.shape = (int(A.shape[0]), int(A.shape[1]))
        self.like, self.dtype = like, widest_float(like)
        self.ridge, self.dense, self.in_memory, self.n_passes = ridge, False, False, 0
        self.cluster: Cluster | None = None
        self.n_blocks = 1
        self._A, self._adjoint, self._weights = A, A.T, weights

    def gradient(self, b: Array | None, x: Array) -> tuple[Array, Array]:
        """Return ``A' W (b - A x) - ridge x`` (d, k) and the sums of squares (k,), b None for 0."""
        xp = array_namespace(x)
        self.n_passes += 1
        residual = -(self._A @ x)
        if b is not None:
            residual = residual + b
        weighted = residual if self._weights is None else residual * self._weights[:, None]
        gradient, squares = self._adjoint @ weighted, xp.sum(residual * weighted, axis=0)
        return with_ridge(gradient, squares, self.ridge, x)

    def gram(self, factor: Array | None = None) -> Array:
        """Return ``F' (A' W A + ridge I) F``, None for the identity."""
        xp = array_namespace(self.like)
        self.n_passes += 1
        if factor is None:
            factor = xp.eye(self.shape[1], dtype=self.dtype, device=device_of(self.like))
        image = self._A @ factor
        if self._weights is not None:
            image = image * xp.sqrt(self._weights)[:, None]
        return image.T @ image + self.ridge * (factor.T @ factor)

    def sketch(self, S: Sketch, b: Array) -> Array:
        """Return ``[S sqrt(W) A, S sqrt(W) b; sqrt(ridge) I, 0]``."""
        xp = array_namespace(b)
        self.n_passes += 1
        scale = None if self._weights is None else xp.sqrt(self._weights)[:, None]
        if is_sparse(self._A) and isinstance(S, SparseSign):
            image = S.apply(self._A if scale is None else self._A.multiply(scale).tocsr())
        else:
            image = self._adjoint_sketch(S, scale)
        if b.shape[1]:
            image = xp.concat((image, S.apply(b if scale is None else b * scale)), axis=1)
        return with_ridge_rows(image, self.ridge, self.shape[1])

    def _adjoint_sketch(self, S: Sketch, scale: Array | None) -> Array:
        """Return ``S sqrt(W) A`` as the transpose of ``A' sqrt(W) S'``, some columns at a time."""
        xp = array_namespace(self.like)
        m, n = S.shape
        identity = xp.eye(m, dtype=self.dtype, device=device_of(self.like))
        parts = []
        for columns in kernels.row_ranges(m, n):
            image = S.adjoint(validate.contiguous(identity[:, columns]))
            parts.append((self._adjoint @ (image if scale is None else image * scale)).T)
        return xp.concat(parts, axis=0)

    def reduced(self, b: Array) -> Array:
        """Return ``sqrt(W) [A b]``."""
        return weighted_rows(self._dense(), slice(0, self.shape[0]), b, self._weights)

    def _dense(self) -> Array:
        xp = array_namespace(self.like)
        self.n_passes += 1
        return self._A @ xp.eye(self.shape[1], dtype=self.dtype, device=device_of(self.like))

    def norms(self, b: Array) -> Array:
        """Return the norms of the columns of ``sqrt(W) b``."""
        return weighted_norms(b, self._weights)

    def largest_entry(self) -> float:
        """Return the largest absolute entry of A; raise ValueError if one is not finite."""
        xp = array_namespace(self.like)
        entries = self._A.data if is_sparse(self._A) else self._dense()
        return float(xp.max(xp.abs(validate.finite("A", entries)))) if entries.size else 0.0


def weighted_norms(b: Array, weights: Array | None) -> Array:
    """Return the norms (k,) of the columns of ``sqrt(W) b``."""
    xp = array_namespace(b)
    weighted = b if weights is None else b * xp.sqrt(weights)[:, None]
    return xp.linalg.vector_norm(weighted, axis=0)


def with_ridge(gradient: Any, squares: Any, ridge: float, x: Array) -> tuple[Array, Array]:
    """Return gradient and sums of squares with the part of the penalty at x (d, k)."""
    if not ridge:
        return gradient, squares
    return gradient - ridge * x, squares + ridge * array_namespace(x).sum(x * x, axis=0)


def with_ridge_rows(sketch: Array, ridge: float, d: int) -> Array:
    """Return a sketch (m, d + k) with the rows ``[sqrt(ridge) I, 0]`` below it."""
    if not ridge:
        return sketch
    xp = array_namespace(sketch)
    below = xp.eye(d, sketch.shape[1], dtype=sketch.dtype, device=device_of(sketch))
    return xp.concat((sketch, ridge**0.5 * below), axis=0)


def smallest_norm(like: Array, dtype: Any) -> float:
    """Return the size below which squares of numbers next to rounding errors vanish."""
    info = array_namespace(like).finfo(dtype)
    return math.sqrt(float(info.smallest_normal) / float(info.eps))
