"""Triangular solves and factors that are used again, which the Array API standard lacks."""

from __future__ import annotations

import array_api_compat
import numpy as np

from .._core.namespace import Array, array_namespace


def solve_triangular(T: Array, b: Array, *, lower: bool = True, transposed: bool = False) -> Array:
    """Return the solution x of ``T x = b``, or of ``T' x = b`` if `transposed`.

    `T` (d, d) is triangular, its other half is not read on libraries with a triangular solver;
    elsewhere it must be zero. `b` (d,) or (d, k). A zero on the diagonal gives infinities.
    """
    if array_api_compat.is_numpy_array(T):
        return _solve_lapack(T, b, lower, transposed)
    if array_api_compat.is_cupy_array(T):
        from cupyx.scipy.linalg import solve_triangular as solve

        return solve(T, b, lower=lower, trans=int(transposed), check_finite=False)
    if array_api_compat.is_torch_array(T):
        import torch

        matrix, upper = (T.mT, lower) if transposed else (T, not lower)
        columns = b if b.ndim == 2 else b[:, None]
        x = torch.linalg.solve_triangular(matrix, columns, upper=upper)
        return x if b.ndim == 2 else x[:, 0]
    xp = array_namespace(T)
    return xp.linalg.solve(T.mT if transposed else T, b)


def _solve_lapack(T: Array, b: Array, lower: bool, transposed: bool) -> Array:
    from scipy.linalg.blas import dtrsm, strsm

    # The wrapped routine wants Fortran order: a matrix in C order is passed as its transpose, so
    # that nothing is copied but `b`.
    trsm = dtrsm if T.dtype == "float64" else strsm
    by_columns = T.flags.f_contiguous
    columns = b if b.ndim == 2 else b[:, None]
    x = trsm(
        1.0,
        T if by_columns else T.T,
        columns,
        lower=lower == by_columns,
        trans_a=transposed == by_columns,
    )
    return x if b.ndim == 2 else x[:, 0]


def cholesky(G: Array) -> Array | None:
    """Return the lower Cholesky factor of a symmetric matrix; None if it is not positive definite.

    The libraries differ in how they refuse: by an exception of their own, or with nan. The host
    waits for the device once.
    """
    xp = array_namespace(G)
    try:
        L = xp.linalg.cholesky(G)
    except (ValueError, RuntimeError):  # LinAlgError of NumPy and of PyTorch
        return None
    return L if bool(xp.all(xp.isfinite(L))) else None


def cholesky_solve(L: Array, b: Array) -> Array:
    """Return the solution of ``L L' x = b`` for a lower Cholesky factor `L`; `b` (d,) or (d, k)."""
    return solve_triangular(L, solve_triangular(L, b), transposed=True)


def upper_factor(A: Array) -> Array:
    """Return the factor R (min(n, d), d) of a QR decomposition of `A` (n, d), without Q."""
    if array_api_compat.is_torch_array(A):
        import torch

        return torch.linalg.qr(A, mode="r")[1]
    if array_api_compat.is_numpy_array(A):
        return np.linalg.qr(A, mode="r")
    if array_api_compat.is_cupy_array(A):
        import cupy

        return cupy.linalg.qr(A, mode="r")
    return array_namespace(A).linalg.qr(A)[1]
