r"""Sums over the rows of a matrix of a loss of each: value, gradient and Hessian.

Throughout, `A` is (n, d), `x` (d,), `b` (n,), and `weights` (n,) non-negative, or None for ones.
The sum is ``f(x) = sum_i weights[i] phi(a_i' x, b[i])`` with one of these losses phi(m, y):

==== ======== ==========================================
code name     phi
==== ======== ==========================================
0    squared  (m - y)^2 / 2
1    logistic log(1 + exp(-y m)), y = +-1
2    poisson  exp(m) - y m
3    huber    r^2 / 2 for \|r\| <= t, else t (\|r\| - t/2), r = m - y
==== ======== ==========================================

where t is `threshold`, which the others do not look at.
"""

from __future__ import annotations

from typing import Any

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, csr_matrix, device_of
from .._losses.pointwise import Huber, Logistic, Poisson, Smooth, Squared
from .least_squares import row_ranges

LOSSES = ("squared", "logistic", "poisson", "huber")
SQUARED, LOGISTIC, POISSON, HUBER = range(4)
_SMOOTH: tuple[Smooth, ...] = (Squared(), Logistic(), Poisson())
# Rows of a sparse matrix that are made dense at a time.
SPARSE_ROWS = 256


@kernel(min_size=1 << 13)
def loss_gradient(
    A: Array, b: Array, weights: Array | None, x: Array, loss: int, threshold: float
) -> tuple[Array, Array]:
    """Compute f(x) (1,) and its gradient (d,), in one read of A and 4 n d flops."""
    return summed(pointwise(loss, threshold), A, b, weights, x)


@kernel(min_size=1 << 16)
def loss_hessian(
    A: Array, b: Array, weights: Array | None, x: Array, loss: int, threshold: float
) -> Array:
    """Compute the Hessian (d, d) of f at x, in one read of A and n d^2 multiplications."""
    xp = array_namespace(A)
    d = A.shape[1]
    total = xp.zeros((d, d), dtype=A.dtype, device=device_of(A))
    for rows in row_ranges(*A.shape):
        block = A[rows, :]
        curvatures = pointwise(loss, threshold).curvatures(xp.matmul(block, x), b[rows])
        if weights is not None:
            curvatures = curvatures * weights[rows]
        block = block * xp.sqrt(curvatures)[:, None]
        total = total + xp.matmul(block.T, block)
    return total


@kernel(min_size=1 << 10)
def csr_weighted_gram(data: Array, indices: Array, indptr: Array, weights: Array, d: int) -> Array:
    """Compute ``A' diag(weights) A`` (d, d) of a sparse A (n, d) with sorted indices.

    Weights of any sign. The sum of the squared entries of each row, in multiplications.
    """
    A = csr_matrix(data, indices, indptr, (weights.shape[0], d))
    if not isinstance(A, tuple):  # the library has sparse matrices
        return (A.T @ A.multiply(weights[:, None])).toarray()
    xp, device = array_namespace(data), device_of(data)
    columns = xp.arange(d, dtype=indices.dtype, device=device)
    total = xp.zeros((d, d), dtype=data.dtype, device=device)
    for rows in row_ranges(weights.shape[0], 1, entries=SPARSE_ROWS):
        ends = indptr[rows.start : rows.stop + 1]
        here = slice(int(ends[0]), int(ends[-1]))
        entry = xp.arange(here.start, here.stop, dtype=indptr.dtype, device=device)
        inside = (entry >= ends[:-1][:, None]) & (entry < ends[1:][:, None])
        chosen = xp.astype(indices[here][:, None] == columns[None, :], data.dtype)
        dense = xp.matmul(xp.astype(inside, data.dtype) * data[here][None, :], chosen)
        total = total + xp.matmul(dense.T, weights[rows][:, None] * dense)
    return total


def pointwise(loss: int, threshold: float) -> Smooth:
    """Return the loss of a code."""
    return Huber(threshold) if loss == HUBER else _SMOOTH[loss]


def summed(
    phi: Any, A: Array, b: Array | None, weights: Array | None, x: Array
) -> tuple[Array, Array]:
    """Return the sum (1,) of a loss given by its values and slopes, and its gradient (d,)."""
    xp = array_namespace(A)
    gradient = xp.zeros(A.shape[1], dtype=A.dtype, device=device_of(A))
    total = xp.zeros(1, dtype=A.dtype, device=device_of(A))
    for rows in row_ranges(*A.shape):
        margins = xp.matmul(A[rows, :], x)
        here = None if b is None else b[rows]
        values, slopes = phi.values(margins, here), phi.slopes(margins, here)
        if weights is not None:
            values, slopes = values * weights[rows], slopes * weights[rows]
        total = total + xp.sum(values)
        gradient = gradient + xp.matmul(A[rows, :].T, slopes)
    return total, gradient
