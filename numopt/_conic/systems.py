"""Linear systems behind the directions of interior-point methods."""

from __future__ import annotations

from collections.abc import Callable

from .._core.namespace import Array, array_namespace, device_of
from .._linalg import cholesky, cholesky_solve


def inverse_factors(H: Array) -> Array | None:
    """Return the inverses of the Cholesky factors of blocks (..., d, d), None without factors."""
    xp, d = array_namespace(H), H.shape[-1]
    identity = xp.eye(d, dtype=H.dtype, device=device_of(H))
    unit = 1 / xp.sqrt(xp.sum(H * identity, axis=-1))
    scaled = H * unit[..., None, :] * unit[..., :, None]
    L = cholesky(scaled + 4 * d * float(xp.finfo(H.dtype).eps) * identity)
    return None if L is None else xp.linalg.inv(L) * unit[..., None, :]


def diagonal_plus_gram(h: Array, R: Array, by_columns: bool) -> Callable[[Array], Array] | None:
    """Return what solves ``(diag(h) + R' R) g = rhs`` for R (k, n), None where there is no factor.

    `by_columns` factors that matrix, otherwise one with k rows.
    """
    xp = array_namespace(R)
    matrix = xp.matmul(R.T, R) if by_columns else xp.matmul(R / h[None, :], R.T)
    diagonal = h if by_columns else xp.ones_like(R[:, 0])
    eye = xp.eye(matrix.shape[0], dtype=R.dtype, device=device_of(R))
    L = cholesky(matrix + eye * diagonal[None, :])
    if L is None:
        return None

    def solve(rhs: Array) -> Array:
        if by_columns:
            return cholesky_solve(L, rhs)
        return (rhs - xp.matmul(R.T, cholesky_solve(L, xp.matmul(R, rhs / h)))) / h

    return solve
