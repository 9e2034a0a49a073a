"""Leading singular values and vectors of matrices that only products are taken with."""

from __future__ import annotations

import math
from collections.abc import Callable

from .._core.namespace import Array, array_namespace, device_of
from .._core.settings import non_negative
from .lowrank import Frame


def largest_singular_value(M: Array, *, steps: int = 24) -> float:
    """Return an estimate from below of the spectral norm, by the power method.

    It is off by more than a factor of three with a probability of about ``exp(-steps)``; where the
    largest singular values are apart it is exact. The start is a fixed vector without symmetries.
    Up to 32 columns the singular values themselves cost less.
    """
    xp = array_namespace(M)
    k = M.shape[1]
    if k <= 32:
        return float(xp.max(xp.linalg.svdvals(M)))
    angles = xp.arange(1, k + 1, dtype=M.dtype, device=device_of(M))
    x = xp.cos(angles * angles)[:, None]
    for _ in range(steps):
        x = xp.matmul(M.T, xp.matmul(M, x / xp.linalg.vector_norm(x)))
    return math.sqrt(float(xp.linalg.vector_norm(x)))


def subspaces(
    times: Callable[[Array], Array],
    transposed_times: Callable[[Array], Array],
    start: Array,
    steps: int,
) -> tuple[Array, Array]:
    """Return orthonormal bases (m, k) and (n, k) next to the leading singular vectors of A (m, n).

    The block power method from the columns of `start` (n, k): `times` returns ``A Q``,
    `transposed_times` ``A' P``. Errors fall by the squared ratio of the singular values k + 1 and
    wanted in each of the steps, two products and two QR decompositions each.
    """
    xp = array_namespace(start)
    P = Q = xp.linalg.qr(start)[0]
    for _ in range(steps):
        P = xp.linalg.qr(times(Q))[0]
        Q = xp.linalg.qr(transposed_times(P))[0]
    return P, Q


def leading_singular(
    times: Callable[[Array], Array],
    transposed_times: Callable[[Array], Array],
    start: Array,
    steps: int,
    rank: int,
) -> Frame:
    """Return the leading singular triplets, at most `rank`, found in a block power method."""
    xp = array_namespace(start)
    _, Q = subspaces(times, transposed_times, start, steps)
    U, s, Vh = xp.linalg.svd(times(Q), full_matrices=False)
    return Frame(U[:, :rank], s[:rank], xp.matmul(Q, Vh.T[:, :rank]))


def lanczos_norm(
    times: Callable[[Array], Array],
    transposed_times: Callable[[Array], Array],
    start: Array,
    *,
    steps: int,
    rtol: float,
) -> float:
    """Return the largest singular value of A (m, n), by Lanczos bidiagonalization.

    From a column `start` (n, 1), with full orthogonalization on both sides (Golub, Kahan); `times`
    and `transposed_times` are those of `subspaces`, once each a step. Ends when the value changes
    by no more than `rtol` in three steps in a row, after min(m, n) steps at the latest.
    """
    xp = array_namespace(start)
    V = start / xp.linalg.vector_norm(start)
    U = V[:0, :]
    largest, settled = 0.0, 0
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(steps):
        u = times(V[:, -1:] + 0)
        if step:
            u = _orthogonal(u, U)
        alpha = float(xp.linalg.vector_norm(u))
        diagonal.append(alpha)
        if alpha == 0:
            break
        U = u / alpha if step == 0 else xp.concat([U, u / alpha], axis=1)
        v = _orthogonal(transposed_times(U[:, -1:] + 0), V)
        beta = float(xp.linalg.vector_norm(v))
        beside.append(beta)
        found = _bidiagonal_norm(diagonal, beside, start)
        settled = settled + 1 if found - largest <= rtol * found else 0
        if settled == 3 or beta <= rtol * found:
            return found
        largest = found
        V = xp.concat([V, v / beta], axis=1)
    return max(largest, _bidiagonal_norm(diagonal, beside, start))


def _orthogonal(x: Array, Q: Array) -> Array:
    """Return what is left of a column beside others, orthogonalized twice."""
    xp = array_namespace(x)
    for _ in range(2):
        x = x - xp.matmul(Q, xp.matmul(xp.matrix_transpose(Q), x))
    return x


def _bidiagonal_norm(diagonal: list[float], beside: list[float], like: Array) -> float:
    """Return the largest singular value of an upper bidiagonal matrix, by its tridiagonal square.

    With one more column than rows: ``B B'`` has ``alpha^2 + beta^2`` on its diagonal.
    """
    xp, count = array_namespace(like), len(diagonal)
    beside = beside[:count] + [0.0] * (count - len(beside))
    rows = [
        [
            diagonal[i] ** 2 + beside[i] ** 2
            if i == j
            else diagonal[max(i, j)] * beside[min(i, j)]
            if abs(i - j) == 1
            else 0.0
            for j in range(count)
        ]
        for i in range(count)
    ]
    T = xp.asarray(rows, dtype=like.dtype, device=device_of(like))
    return math.sqrt(non_negative(float(xp.linalg.eigvalsh(T)[-1])))
