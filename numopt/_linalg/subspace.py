"""Leading singular values and vectors of matrices that only products are taken with."""

from __future__ import annotations

import math
from collections.abc import Callable

from .._core.namespace import Array, array_namespace, device_of
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
