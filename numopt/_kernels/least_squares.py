"""Least squares: passes over the rows of a tall matrix, each of which reads it once.

Throughout, `A` is (n, d) and `weights` (n,) non-negative, or None for ones; they are the weights of
the squared residuals, W = diag(weights). Temporaries hold a few thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, device_of

BLOCK_ENTRIES = 1 << 18


def row_ranges(n: int, d: int, entries: int = BLOCK_ENTRIES) -> Iterator[slice]:
    """Yield consecutive ranges of rows of about `entries` entries each."""
    height = max(1, entries // max(1, d))
    for start in range(0, n, height):
        yield slice(start, min(n, start + height))


@kernel(min_size=1 << 17)
def gram(A: Array, weights: Array | None, factor: Array | None) -> Array:
    """Compute the Gram matrix ``F' A' W A F`` of a factor `factor` F (d, k), None for the identity.

    Returns (k, k), symmetric. n d^2 multiplications, and 2 n d k more with a factor.
    """
    xp = array_namespace(A)
    n, d = A.shape
    k = d if factor is None else factor.shape[1]
    total = xp.zeros((k, k), dtype=A.dtype, device=device_of(A))
    for rows in row_ranges(n, d):
        block = A[rows, :] if factor is None else xp.matmul(A[rows, :], factor)
        if weights is not None:
            block = block * xp.sqrt(weights[rows])[:, None]
        total = total + xp.matmul(block.T, block)
    return total


@kernel(min_size=1 << 13)
def residual_gradient(
    A: Array, b: Array | None, x: Array, weights: Array | None
) -> tuple[Array, Array]:
    """Compute the gradient ``A' W r`` at the residual r = b - A x, and the sums ``r' W r``.

    `x` (d, k) and `b` (n, k), or None for zero: then the gradient is ``-A' W A x``. Returns (d, k)
    and (k,). 4 n d k flops, one read of A.
    """
    xp = array_namespace(A)
    n, d = A.shape
    gradient = xp.zeros(x.shape, dtype=A.dtype, device=device_of(A))
    squares = xp.zeros(x.shape[1:], dtype=A.dtype, device=device_of(A))
    for rows in row_ranges(n, d + x.shape[1]):
        block = A[rows, :]
        residual = -xp.matmul(block, x)
        if b is not None:
            residual = b[rows, :] + residual
        weighted = residual if weights is None else residual * weights[rows][:, None]
        gradient = gradient + xp.matmul(block.T, weighted)
        squares = squares + xp.sum(residual * weighted, axis=0)
    return gradient, squares


@kernel(min_size=1 << 62)  # only the reference: for small problems, where accuracy is all
def residual_gradient_extended(
    A: Array, b: Array | None, x: Array, weights: Array | None
) -> tuple[Array, Array]:
    """Compute `residual_gradient` as if in twice the working precision, and round the results.

    By error-free transformations (Ogita, Rump and Oishi 2005), in about 40 times the operations.
    """
    xp = array_namespace(A)
    n, d = A.shape
    columns = []
    for k in range(x.shape[1]):
        totals = [
            _block_totals(
                A[rows, :],
                None if b is None else b[rows, k],
                x[:, k],
                None if weights is None else weights[rows],
            )
            for rows in row_ranges(n, d, entries=1 << 14)
        ]
        high, low = _sum_rows(*(xp.stack(parts) for parts in zip(*totals, strict=True)))
        columns.append(high + low)
    rounded = xp.stack(columns, axis=1)
    return rounded[:d, :], rounded[d, :]


def _block_totals(
    A: Array, b: Array | None, x: Array, weights: Array | None
) -> tuple[Array, Array]:
    """Return gradient and sum of squares of a block, one after the other, as high and low parts."""
    xp = array_namespace(A)
    high, low = _two_product(A, x[None, :])
    if b is not None:
        high = xp.concat((high, -b[:, None]), axis=1)
        low = xp.concat((low, xp.zeros_like(b)[:, None]), axis=1)
    high, low = _sum_rows(high.T, low.T)
    residual = -high, -low
    weighted = residual
    if weights is not None:
        product, error = _two_product(residual[0], weights)
        weighted = _two_sum(product, error + residual[1] * weights)
    columns = xp.concat((A, residual[0][:, None]), axis=1)
    high, low = _two_product(columns, weighted[0][:, None])
    low = low + columns * weighted[1][:, None]
    # The low part of the residual meets the weighted one in the sum of squares only.
    correction = (residual[1] * weighted[0])[:, None]
    low = xp.concat((low[:, :-1], low[:, -1:] + correction), axis=1)
    return _sum_rows(high, low)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return a + b and its rounding error, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Return a * b and its rounding error, exactly (Dekker 1971)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _split(a: Array) -> tuple[Array, Array]:
    """Return two halves of the significand of a, whose products are exact."""
    xp = array_namespace(a)
    shifted = a * (2.0 ** (27 if a.dtype != xp.float32 else 12) + 1)
    high = shifted - (shifted - a)
    return high, a - high


def _sum_rows(high: Array, low: Array) -> tuple[Array, Array]:
    """Return the sums of ``high + low`` over the first axis, as high and low parts."""
    xp = array_namespace(high)
    while high.shape[0] > 1:
        half = (high.shape[0] + 1) // 2
        rest = high.shape[0] - half
        total, error = _two_sum(high[:rest, ...], high[half:, ...])
        low = xp.concat((low[:rest, ...] + low[half:, ...] + error, low[rest:half, ...]), axis=0)
        high = xp.concat((total, high[rest:half, ...]), axis=0)
    return _two_sum(high[0, ...], low[0, ...])
