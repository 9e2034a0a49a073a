"""The Newton system of entropic optimal transport."""

from __future__ import annotations

from collections.abc import Callable

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, device_of, widest_float
from .._linalg import conjugate_gradients

# Conjugate gradient steps between two looks at the residual, each of which waits for the device.
_CHECK_EVERY = 8


def segment_sums(values: Array, starts: Array) -> Array:
    """Sum consecutive segments, which begin at all but the last of `starts`.

    Differences of a running sum lose digits relative to the sum of everything, not of the
    segment; in float64 that leaves far more than a Newton direction needs.
    """
    xp = array_namespace(values)
    running = xp.cumulative_sum(values, include_initial=True)
    return xp.take(running, starts[1:]) - xp.take(running, starts[:-1])


class CsrMatrix:
    """A CSR matrix P (n, m) with a column-wise copy: the two products conjugate gradients take."""

    def __init__(self, data: Array, indices: Array, indptr: Array, m: int) -> None:
        xp = array_namespace(data)
        device = device_of(data)
        self.data, self.indptr = data, indptr
        self.columns = xp.astype(indices, indptr.dtype)
        position = xp.arange(data.shape[0], dtype=indptr.dtype, device=device)
        rows = xp.searchsorted(indptr, position, side="right") - 1
        order = xp.argsort(self.columns, stable=True)
        self.rows_by_column = xp.take(rows, order)
        self.data_by_column = xp.take(data, order)
        bounds = xp.arange(m + 1, dtype=indptr.dtype, device=device)
        self.column_starts = xp.searchsorted(xp.take(self.columns, order), bounds)

    def times(self, x: Array) -> Array:
        """Return P x (n,)."""
        xp = array_namespace(x)
        return segment_sums(self.data * xp.take(x, self.columns), self.indptr)

    def transposed_times(self, y: Array) -> Array:
        """Return P' y (m,)."""
        xp = array_namespace(y)
        terms = self.data_by_column * xp.take(y, self.rows_by_column)
        return segment_sums(terms, self.column_starts)

    def squared_transposed_times(self, y: Array) -> Array:
        """Return (P * P)' y (m,)."""
        xp = array_namespace(y)
        terms = self.data_by_column**2 * xp.take(y, self.rows_by_column)
        return segment_sums(terms, self.column_starts)


@kernel(min_size=256)
def schur_cg(
    data: Array,
    indices: Array,
    indptr: Array,
    a: Array,
    c: Array,
    shift: float,
    rhs: Array,
    rtol: float,
    maxiter: int,
) -> tuple[Array, int, float]:
    """Solve ``(S + shift * diag(c)) x = rhs`` by conjugate gradients with a Jacobi preconditioner.

    S = diag(c) - P' diag(1/a) P is the Hessian of the semi-dual, P the CSR matrix (n, m) of
    `data`, `indices`, `indptr`; `a` (n,), `c` and `rhs` (m,); S is never formed. Stops when the
    l1 norm of the residual is at most `rtol` times that of `rhs`. Works in float64 where the
    device has it. Returns x (m,), the iterations and the l1 norm of the final residual. Each
    iteration costs 4 nnz multiplications.
    """
    xp = array_namespace(data, a, c, rhs)
    wide = widest_float(data)
    inverse_a = 1 / xp.astype(a, wide)
    scale, residual = xp.astype(c, wide), xp.astype(rhs, wide)
    matrix = CsrMatrix(xp.astype(data, wide), indices, indptr, c.shape[0])
    diagonal = scale - matrix.squared_transposed_times(inverse_a)
    preconditioner = 1 / (xp.maximum(diagonal, 1e-14 * scale) + shift * scale)

    def product(p: Array) -> Array:
        schur = matrix.transposed_times(inverse_a * matrix.times(p))
        return (1 + shift) * scale * p - schur

    x, iterations, error = _solved(product, preconditioner, residual, rtol, maxiter)
    return xp.astype(x, c.dtype), iterations, error


@kernel(min_size=4096)
def dense_schur_cg(
    plan: Array, a: Array, c: Array, shift: float, rhs: Array, rtol: float, maxiter: int
) -> tuple[Array, int, float]:
    """Solve the system of `schur_cg` with the whole plan (n, m), for plans that are not sparse.

    Each iteration costs 2 nm multiplications and reads the plan once.
    """
    xp = array_namespace(plan, a, c, rhs)
    wide = widest_float(plan)
    inverse_a = 1 / xp.astype(a, wide)
    scale, matrix = xp.astype(c, wide), xp.astype(plan, wide)
    diagonal = scale - xp.matmul(inverse_a, matrix * matrix)
    preconditioner = 1 / (xp.maximum(diagonal, 1e-14 * scale) + shift * scale)

    def product(p: Array) -> Array:
        schur = xp.matmul(inverse_a * xp.matmul(matrix, p), matrix)
        return (1 + shift) * scale * p - schur

    residual = xp.astype(rhs, wide)
    x, iterations, error = _solved(product, preconditioner, residual, rtol, maxiter)
    return xp.astype(x, c.dtype), iterations, error


def _solved(
    product: Callable[[Array], Array], preconditioner: Array, rhs: Array, rtol: float, maxiter: int
) -> tuple[Array, int, float]:
    """Return the solution, the iterations and the l1 norm of the residual."""
    solved = conjugate_gradients(
        product,
        rhs,
        rtol=rtol,
        maxiter=maxiter,
        precondition=preconditioner,
        stop="l1",
        check_every=_CHECK_EVERY,
    )
    xp = array_namespace(rhs)
    return solved.x, int(solved.steps), float(xp.sum(xp.abs(solved.residual)))
