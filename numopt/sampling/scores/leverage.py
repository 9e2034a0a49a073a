"""Coordinates in which the columns of a weighted matrix are orthonormal, and leverage scores."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np  # noqa: TID251 - the generator of the sketch

from ..._core.namespace import Array, array_namespace
from ..._core.random import place
from ..._kernels.sampling import row_quadform
from ..._rows import Rows, in_memory
from ...sketching import SparseSign

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


def leverage(rows: Rows, weights: Array | None = None) -> tuple[Array, Whitening]:
    """Return the leverage scores (n,) of the weighted rows and the coordinates they come from."""
    whitening = whiten(rows, weights)
    tau = rows.quadform(whitening.P)
    tau = tau if weights is None else weights * tau
    return rows.xp.minimum(tau, rows.ones()), whitening


def lewis_ratio(
    rows: Rows, p: float, log_weights: Array, nonzero: Array
) -> tuple[Array, Whitening]:
    """Return logarithms of ``tau(W^(1/2 - 1/p) A) / w`` (n,), zero at a fixed point.

    `nonzero` (n,) marks the rows that are not zero. The coordinates of the rescaled rows come, too.
    """
    xp = rows.xp
    exponent = (1 - 2 / p) * log_weights
    shift = xp.max(xp.where(nonzero, exponent, float("-inf")))
    weights = xp.where(nonzero, xp.exp(exponent - shift), 0.0)
    whitening = whiten(rows, weights)
    q = xp.where(nonzero, rows.quadform(whitening.P), 1.0)
    log_ratio = xp.log(q) - shift - (2 / p) * log_weights
    return xp.where(nonzero, log_ratio, 0.0), whitening


# Columns of the product that estimates norms: each is within a factor of about two, mostly.
ESTIMATE_COLUMNS = 16
# Rows of the sketch for each column of the matrix.
SKETCH_ROWS = 20
# Signs in each of its columns.
SKETCH_SIGNS = 4


def _sketch(sketch: SparseSign, block: Array, rows: slice) -> Array:
    return sketch.partial(block, block[:, :0], None, rows.start)


def coordinates(rows: Rows, method: str, rng: np.random.Generator) -> tuple[Array, int]:
    """Return P (d, k) for which the squared norms of the rows of A P are leverage; and the rank.

    For "sketch" they are that within about a factor of two.

    Coordinates come from a sketch of the rows, norms from a few random combinations of them
    (Drineas, Magdon-Ismail, Mahoney and Woodruff 2012).
    """
    m = SKETCH_ROWS * rows.d
    if method != "sketch" or m >= rows.n:
        whitening = whiten(rows)
        return whitening.P, whitening.rank
    sketch = SparseSign(m, rows.n, rng=rng, nnz=SKETCH_SIGNS)
    P, rank, _ = whiten(in_memory(rows.fold(partial(_sketch, sketch))))
    k = min(ESTIMATE_COLUMNS, rank)
    if k < rank:
        mixing = place(rng.normal(size=(rank, k)) / k**0.5, P)
        P = rows.xp.matmul(P, mixing)
    return P, rank


def power_of_leverage(P: Array, power: float, block: Array, _rows: slice) -> Array:
    """Return powers of the leverage scores of the rows of a block, from coordinates."""
    tau = row_quadform(block, P)
    tau = array_namespace(block).minimum(tau, array_namespace(block).ones_like(tau))
    return tau if power == 1.0 else tau**power
