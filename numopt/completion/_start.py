"""Where the iteration starts: singular vectors of the entries seen, or an earlier model."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace
from .._core.random import place
from ._seen import Seen, times
from ._sweep import Model, inner_all

# Columns beyond those asked for, and power steps, of the subspace iteration.
EXTRA, _POWERS = 8, 3
# Rows of singular vectors may be this many times longer than all rows are on average.
_CLIP = 2.0


class Pairs(NamedTuple):
    """Leading singular vectors U (m, k), V (n, k) and values S (k,) of a sparse matrix."""

    U: Array
    S: Array
    V: Array


def leading_pairs(seen: Seen, count: int, rng: Any, powers: int = _POWERS) -> Pairs:
    """Return leading singular pairs of a sparse matrix by subspace iteration.

    O(N count) time a step.
    """
    xp, (m, n) = array_namespace(seen.like), seen.shape
    width = min(count + EXTRA, m, n)
    Q = place(rng.standard_normal((n, width)), seen.like)
    for _ in range(powers):
        Q = _orthonormal(times(seen.rows, Q))
        Q = _orthonormal(times(seen.columns, Q))
    B = times(seen.rows, Q)
    U, S, Vh = xp.linalg.svd(B, full_matrices=False)
    V = xp.matmul(Q, xp.matrix_transpose(Vh))
    k = min(count, width)
    return Pairs(U[:, :k] + 0, S[:k] + 0, V[:, :k] + 0)


def _orthonormal(B: Array) -> Array:
    xp = array_namespace(B)
    return xp.linalg.qr(B)[0] + 0


def balanced(pairs: Pairs, share: float) -> Model:
    """Return the factors of the matrix whose visible share has these singular pairs.

    Rows far longer than others are shortened, which keeps the start incoherent.
    """
    xp = array_namespace(pairs.S)
    root = xp.sqrt(pairs.S / share)[None, :]
    return Model(_clipped(pairs.U) * root, _clipped(pairs.V) * root)


def _clipped(U: Array) -> Array:
    xp, (m, k) = array_namespace(U), U.shape
    lengths, limit = xp.linalg.vector_norm(U, axis=1), _CLIP * (k / m) ** 0.5
    long = lengths > limit
    return (
        U
        * xp.where(long, limit / xp.where(long, lengths, 1 + 0 * lengths), 1 + 0 * lengths)[:, None]
    )


def random_model(seen: Seen, rank: int, rng: Any) -> Model:
    """Return Gaussian factors whose product has the size of the values."""
    (m, n), like = seen.shape, seen.like
    X, Y = (place(rng.standard_normal((size, rank)), like) for size in (m, n))
    unit = (seen.norm() / seen.size**0.5) ** 0.5 / rank**0.25
    return Model(X * unit, Y * unit)


def appended(model: Model, pairs: Pairs, share: float) -> Model:
    """Return a model with the directions of singular pairs of its residual as new columns."""
    xp, added = array_namespace(model.X), balanced(pairs, share)
    return model._replace(
        X=xp.concat([model.X, added.X], axis=1), Y=xp.concat([model.Y, added.Y], axis=1)
    )


def truncated(model: Model, rank: int) -> Model:
    """Return the best approximation of a smaller rank, its factors balanced."""
    xp = array_namespace(model.X)
    (Qx, Rx), (Qy, Ry) = xp.linalg.qr(model.X), xp.linalg.qr(model.Y)
    U, S, Vh = xp.linalg.svd(xp.matmul(Rx, xp.matrix_transpose(Ry)))
    root = xp.sqrt(S[:rank])[None, :]
    X = xp.matmul(Qx, U[:, :rank]) * root
    Y = xp.matmul(Qy, xp.matrix_transpose(Vh)[:, :rank]) * root
    return model._replace(X=X, Y=Y)


def widened(model: Model, rank: int, rng: Any) -> Model:
    """Return a model with more columns, small random ones."""
    xp, missing = array_namespace(model.X), rank - model.rank
    parts = []
    for F in (model.X, model.Y):
        unit = 1e-3 * (inner_all(F) / max(1, F.shape[0] * F.shape[1])) ** 0.5
        noise = place(rng.standard_normal((F.shape[0], missing)), F)
        parts.append(xp.concat([F, unit * noise], axis=1))
    return model._replace(X=parts[0], Y=parts[1])


def non_negative(model: Model) -> Model:
    """Return factors without negative entries: the larger half of each pair of columns.

    Zeros become small numbers, since coordinate descent leaves a column of zeros alone.
    """
    xp = array_namespace(model.X)
    X, Y = model.X, model.Y
    up = xp.sum(xp.clip(X, 0, None) ** 2, axis=0) * xp.sum(xp.clip(Y, 0, None) ** 2, axis=0)
    down = xp.sum(xp.clip(X, None, 0) ** 2, axis=0) * xp.sum(xp.clip(Y, None, 0) ** 2, axis=0)
    sign = xp.where(up >= down, 1.0 + 0 * up, -1.0 + 0 * up)[None, :]
    parts = []
    for F in (X * sign, Y * sign):
        small = 1e-2 * xp.mean(xp.abs(F), axis=0)[None, :]
        parts.append(xp.maximum(F, small + 0 * F))
    return model._replace(X=parts[0], Y=parts[1])
