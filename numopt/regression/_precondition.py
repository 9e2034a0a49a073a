"""Preconditioners of `lstsq`: matrices P with ``P' A' A P`` close to the identity."""

from __future__ import annotations

import math
from typing import NamedTuple

from .. import _linalg
from .._core.namespace import Array, array_namespace, device_of
from ..sketching import Sketch
from ._problem import Design, Rows

# Normal equations are corrected in a step or two below this condition number of the column-scaled
# matrix: the error of their Cholesky factor contracts by cond^2 times the rounding unit.
GRAM_COND = {"float64": 1e6, "float32": 5e2}


class Preconditioner(NamedTuple):
    """What the refinement needs, whichever way it was made.

    `P` (d, r) spans the row space of A, of rank r. `exact` tells whether ``P P'`` is the inverse of
    the normal matrix but for rounding, so that corrections need no inner iteration. `start` (d, k)
    is a first solution or None, `norm` the Frobenius norm of A, `cond` the condition number of A
    with its columns scaled to unit length.
    """

    P: Array
    overlap: Array
    start: Array | None
    exact: bool
    rank: int
    norm: float
    cond: float


def default_rcond(d: int, eps: float) -> float:
    """Return the relative size below which a singular value counts as zero."""
    return eps * max(30, d)


def numerical_rank(s: Array, rcond: float) -> int:
    """Return how many singular values, in descending order, exceed `rcond` times the largest."""
    xp = array_namespace(s)
    # Summed as floats, since not every device has the integers that counts are returned in.
    return int(xp.sum(xp.astype(s > rcond * s[0], s.dtype)))


def by_gram(design: Design) -> Preconditioner | None:
    """Return the preconditioner of the normal equations; None where they are not safe."""
    xp = array_namespace(design.like)
    G = design.gram()
    diagonal = xp.linalg.diagonal(G)
    if not bool(xp.all(xp.isfinite(diagonal) & (diagonal > 0))):
        return None
    limit = GRAM_COND["float32" if design.dtype == xp.float32 else "float64"]
    scaled = _unit_inverse(G, diagonal, limit)
    if scaled is None:
        return None
    P, cond = scaled
    return _made(P, None, exact=True, norm=float(xp.sum(diagonal)) ** 0.5, cond=cond)


def gram_looks_safe(design: Design) -> bool:
    """Tell from a sample of the rows whether the normal equations are worth a try."""
    xp = array_namespace(design.like)
    d = design.shape[1]
    if not (isinstance(design, Rows) and design.in_memory) or design.shape[0] < 64 * d:
        return True  # no rows to look at one by one, or too few for it to pay
    sample, weights = design.sample(16 * d)
    if weights is not None:
        sample = sample * xp.sqrt(weights)[:, None]
    G = xp.matmul(sample.T, sample)
    diagonal = xp.linalg.diagonal(G) + design.ridge
    if not bool(xp.all(diagonal > 0)):
        return True  # a column of few entries, which the sample missed
    if design.ridge:
        G = G + design.ridge * xp.eye(d, dtype=G.dtype, device=device_of(G))
    limit = GRAM_COND["float32" if design.dtype == xp.float32 else "float64"]
    return _unit_inverse(G, diagonal, limit) is not None


def _unit_inverse(G: Array, diagonal: Array, limit: float) -> tuple[Array, float] | None:
    """Return the P of a Gram matrix, and the condition number; None if that exceeds a limit."""
    xp = array_namespace(G)
    scale = xp.sqrt(diagonal)
    L = _linalg.cholesky(G / scale[:, None] / scale[None, :])
    if L is None:
        return None
    inverse = _linalg.solve_triangular(L, _identity(L))
    cond = _linalg.largest_singular_value(inverse) * _linalg.largest_singular_value(L)
    # Beyond the limit's square the factor is rounding noise, and so is its condition number.
    return (inverse.T / scale[:, None], cond) if cond <= limit else None


def by_sketch(design: Design, S: Sketch, b: Array, rcond: float) -> Preconditioner:
    """Return the preconditioner of a sketch; its start is the sketched solution."""
    xp = array_namespace(design.like)
    d = design.shape[1]
    sketch = design.sketch(S, b)
    norms = xp.linalg.vector_norm(sketch[:, :d], axis=0)
    norm = float(xp.linalg.vector_norm(norms))
    if not math.isfinite(norm):
        return _unusable(sketch[:, :d], norm)
    scale = xp.where(norms > 0, norms, xp.ones_like(norms))
    factor = _linalg.upper_factor(
        xp.concat((sketch[:, :d] / scale[None, :], sketch[:, d:]), axis=1)
    )
    return _from_triangle(factor[:d, :d], factor[:d, d:], scale, norm, rcond, exact=False)


def reorthonormalized(design: Design, sketched: Preconditioner) -> Preconditioner:
    """Return a preconditioner that is exact, by a Cholesky factor of the preconditioned Gram."""
    L = _linalg.cholesky(design.gram(sketched.P))
    if L is None:
        return sketched
    P = _linalg.solve_triangular(L, sketched.P.T).T
    return _made(P, sketched.start, exact=True, norm=sketched.norm, cond=sketched.cond)


def directly(design: Design, b: Array, rcond: float) -> Preconditioner:
    """Return the preconditioner of a QR or a singular value decomposition of the matrix itself."""
    xp = array_namespace(design.like)
    whole, d = design.reduced(b), design.shape[1]
    norm = float(xp.linalg.vector_norm(whole[:, :d]))
    if not math.isfinite(norm):
        return _unusable(whole[:, :d], norm)
    if design.ridge:
        below = xp.eye(d, whole.shape[1], dtype=whole.dtype, device=device_of(whole))
        whole = xp.concat((whole, design.ridge**0.5 * below), axis=0)
    if whole.shape[0] < d:
        return _wide(whole[:, :d], whole[:, d:], rcond)
    norms = xp.linalg.vector_norm(whole[:, :d], axis=0)
    scale = xp.where(norms > 0, norms, xp.ones_like(norms))
    Q, R = xp.linalg.qr(whole[:, :d] / scale[None, :])
    norm = float(xp.linalg.vector_norm(norms))
    return _from_triangle(R, xp.matmul(Q.T, whole[:, d:]), scale, norm, rcond, exact=True)


def _unusable(A: Array, norm: float) -> Preconditioner:
    """Return what stands for a matrix whose norm is not finite; nothing is solved with it."""
    return _made(A[:0, :].T, None, exact=True, norm=norm, cond=math.inf)


def _wide(A: Array, b: Array, rcond: float) -> Preconditioner:
    """Return the preconditioner of a matrix with fewer rows than columns."""
    xp = array_namespace(A)
    U, s, Vh = xp.linalg.svd(A, full_matrices=False)
    rank = numerical_rank(s, rcond)
    P = Vh[:rank, :].T / s[None, :rank]
    start = xp.matmul(P, xp.matmul(U[:, :rank].T, b))
    cond = float(s[0] / s[rank - 1]) if rank else 1.0
    return _made(P, start, exact=True, norm=float(xp.linalg.vector_norm(s)), cond=cond)


def _from_triangle(
    R: Array, z: Array, scale: Array, norm: float, rcond: float, *, exact: bool
) -> Preconditioner:
    """Return the preconditioner of ``A = Q R diag(scale)`` with ``z = Q' b``."""
    xp = array_namespace(R)
    pivots = xp.abs(xp.linalg.diagonal(R))
    if float(xp.min(pivots)) > rcond * float(xp.max(pivots)):
        inverse = _linalg.solve_triangular(R, _identity(R), lower=False)
        cond = _linalg.largest_singular_value(inverse) * _linalg.largest_singular_value(R)
        if cond * rcond < 0.1:
            P = inverse / scale[:, None]
            return _made(P, xp.matmul(P, z), exact=exact, norm=norm, cond=cond)
    U, s, Vh = xp.linalg.svd(R)
    rank = numerical_rank(s, rcond)
    P = Vh[:rank, :].T / s[None, :rank] / scale[:, None]
    if rank < R.shape[1]:
        # Of all solutions the shortest, in the user's units: without its part in the null space.
        null, _ = xp.linalg.qr(Vh[rank:, :].T / scale[:, None])
        P = P - xp.matmul(null, xp.matmul(null.T, P))
    start = xp.matmul(P, xp.matmul(U[:, :rank].T, z))
    cond = float(s[0] / s[rank - 1]) if rank else 1.0
    return _made(P, start, exact=exact, norm=norm, cond=cond)


def _made(
    P: Array, start: Array | None, *, exact: bool, norm: float, cond: float
) -> Preconditioner:
    overlap = array_namespace(P).matmul(P.T, P)
    return Preconditioner(P, overlap, start, exact, int(P.shape[1]), norm, cond)


def _identity(like: Array) -> Array:
    xp = array_namespace(like)
    return xp.eye(like.shape[0], dtype=like.dtype, device=device_of(like))
