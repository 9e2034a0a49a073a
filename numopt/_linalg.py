"""Triangular solves and factors that are used again, which the Array API standard lacks."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import array_api_compat

from ._namespace import Array, array_namespace, device_of


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
        import numpy as np

        return np.linalg.qr(A, mode="r")
    if array_api_compat.is_cupy_array(A):
        import cupy

        return cupy.linalg.qr(A, mode="r")
    return array_namespace(A).linalg.qr(A)[1]


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


def one_blas_thread(like: Array) -> AbstractContextManager[Any]:
    """Return a context in which BLAS runs on one thread, where it is what serves the array.

    For work on matrices of a few hundred columns between compiled passes: threads of BLAS bring
    nothing there, and go on waiting in a busy loop that takes the cores from the passes.
    """
    if not array_api_compat.is_numpy_array(like):
        return nullcontext()
    return _blas().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]


@cache
def _blas() -> Any:
    """Return a handle on the BLAS libraries of the process; finding them takes milliseconds."""
    import scipy.linalg.blas  # noqa: F401  (SciPy's own library is to be found, too)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
