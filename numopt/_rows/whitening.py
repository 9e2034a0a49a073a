"""Coordinates in which the columns of a weighted tall matrix are orthonormal."""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array, array_namespace
from .products import Rows

# Passes after which the coordinates are taken as they are; two suffice but for rank deficiency.
PASSES = 4


class Whitening(NamedTuple):
    """P (d, rank) such that ``diag(weights)^(1/2) A P`` has orthonormal columns."""

    P: Array
    rank: int
    condition: float  # of the matrix with columns of norm one; inf where rank is below d


def whiten(rows: Rows, weights: Array | None = None) -> Whitening:
    """Return coordinates that make the columns orthonormal.

    Eigenvectors of the Gram matrix do, to a relative error of eps times the square of the
    condition number. Where that is too much, another pass over the rows in the coordinates found
    so far has a Gram matrix next to the identity, with the digits that the first one lacked
    (CholeskyQR2; Fukaya, Nakatsukasa, Yanagisawa, Yamamoto 2014). Directions that are zero up to
    rounding are left out.
    """
    xp = rows.xp
    eps = float(xp.finfo(rows.dtype).eps)
    enough, floor = eps**0.3, 16 * rows.d * eps
    gram = rows.gram(weights)
    norms = xp.sqrt(xp.linalg.diagonal(gram))
    inverse = xp.where(norms > 0, 1 / xp.where(norms > 0, norms, 1.0), 0.0)
    P = inverse[:, None] * xp.eye(rows.d, dtype=rows.dtype, device=rows.device)
    gram, smallest = inverse[:, None] * gram * inverse[None, :], 1.0
    for attempt in range(PASSES):
        values, vectors = xp.linalg.eigh(gram)
        largest = float(values[-1])
        clipped = xp.maximum(values, values * 0 + floor * (largest or 1.0))
        P = xp.matmul(P, vectors / xp.sqrt(clipped)[None, :])
        sizes = _singular_values(P * norms[:, None], values / clipped)
        if attempt > 0 or rows.d == 1:
            # Eigenvalues come in ascending order, so those of null directions first.
            null = int(xp.count_nonzero(sizes <= floor))
            P, values, sizes = P[:, null:], values[null:], sizes[null:]
        if values.shape[0] == 0:
            break
        smallest = float(xp.min(sizes))
        if float(values[0]) >= enough * largest:
            break
        gram = rows.gram(weights, P)
    rank = int(P.shape[1])
    return Whitening(P, rank, 1 / smallest if rank == rows.d and smallest > 0 else float("inf"))


def _singular_values(P: Array, shares: Array) -> Array:
    """Return those of a matrix with columns of norm one along the columns of P.

    `shares` are the squared norms of the columns of its product with P.
    """
    xp = array_namespace(P)
    lengths = xp.sqrt(xp.sum(P * P, axis=0))
    lengths = xp.where(lengths > 0, lengths, lengths + float("inf"))
    return xp.sqrt(xp.clip(shares, 0.0, None)) / lengths
