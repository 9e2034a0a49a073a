"""Factors of symmetric indefinite matrices that tell the inertia."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import array_api_compat

from ..._core.namespace import Array, array_namespace

# Pivots this small relative to the largest are rounding errors of zero.
_ZERO_PIVOT = 4.0
_BLOCK = 64


class Factor(NamedTuple):
    """A factored matrix: solves with it, and numbers of negative and of zero eigenvalues.

    `negative` is None where the factorization does not tell.
    """

    solve: Callable[[Array], Array]
    negative: int | None
    zero: int


def symmetric_factor(K: Array) -> Factor:
    """Return a factor of a dense symmetric matrix; O(N^3)."""
    if array_api_compat.is_numpy_array(K):
        return _lapack_factor(K)
    return _spectral_factor(K)


def _lapack_factor(K: Array) -> Factor:
    """Factor by Bunch and Kaufman's method, whose pivots have the inertia of the matrix."""
    from scipy.linalg import lapack

    double = K.dtype == "float64"
    trf, trs = (lapack.dsytrf, lapack.dsytrs) if double else (lapack.ssytrf, lapack.ssytrs)
    # The transpose of a matrix in C order is one in Fortran order, which is overwritten in place.
    factors, pivots, info = trf(K.T, lower=0, lwork=_BLOCK * K.shape[0], overwrite_a=1)
    xp = array_namespace(K)
    diagonal, single = factors.diagonal(), pivots > 0
    size = float(xp.max(xp.abs(diagonal)))
    tiny = _ZERO_PIVOT * float(xp.finfo(K.dtype).eps) * size
    # Every 2-by-2 pivot has one eigenvalue of either sign.
    pairs = (K.shape[0] - int(single.sum())) // 2
    zero = int((single & (abs(diagonal) <= tiny)).sum()) if info == 0 else 1
    negative = pairs + int((single & (diagonal < -tiny)).sum())

    def solve(b: Array) -> Array:
        return trs(factors, pivots, b, lower=0)[0]

    return Factor(solve, negative, zero)


def _spectral_factor(K: Array) -> Factor:
    """Factor by eigenvectors, which every array library has."""
    xp = array_namespace(K)
    values, vectors = xp.linalg.eigh(K)
    size = xp.max(xp.abs(values))
    tiny = _ZERO_PIVOT * K.shape[0] * xp.finfo(K.dtype).eps * size
    small = xp.abs(values) <= tiny
    inverse = xp.where(
        small, xp.zeros_like(values), 1 / xp.where(small, xp.ones_like(values), values)
    )

    def solve(b: Array) -> Array:
        return vectors @ (inverse * (vectors.T @ b))

    return Factor(solve, _count(values < -tiny, values), _count(small, values))


def _count(mask: Array, like: Array) -> int:
    """Return how many entries of a mask are true, without integers, which a device may lack."""
    xp = array_namespace(like)
    return int(xp.sum(xp.astype(mask, like.dtype)))


def sparse_factor(K: Any) -> Factor | None:
    """Return a factor of a sparse symmetric CSC matrix, None if it is exactly singular.

    SuperLU keeps to the diagonal where it can. As long as it has, its factors are those of a
    congruence, and the signs of the pivots are the inertia.
    """
    from scipy.sparse.linalg import splu

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lu = splu(
                K,
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
    except RuntimeError:
        return None
    if not bool((lu.perm_r == lu.perm_c).all()):
        return Factor(lu.solve, None, 0)
    pivots = lu.U.diagonal()
    return Factor(lu.solve, int((pivots < 0).sum()), 0)
