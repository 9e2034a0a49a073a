"""Where the iteration starts: singular vectors of the entries seen, or an earlier model."""

from __future__ import annotations

from functools import partial
from typing import Any

from .._core.namespace import Array, array_namespace
from .._core.random import place
from .._core.validate import contiguous
from .._entries.observations import Rows, Seen, times
from .._linalg import Frame, leading_singular
from ._als import truncated
from ._problem import Model, Task, inner_all

# Columns beyond those asked for, and power steps, of the subspace iteration.
EXTRA, _POWERS = 8, 3
# Rows of singular vectors may be this many times longer than all rows are on average.
_CLIP = 2.0


def start(task: Task, rank: int) -> tuple[Model, float | None]:
    """Return a first model of a rank and, where there is a path, the largest singular value.

    That of the whole matrix, going by what was seen.
    """
    seen, rng = task.problem.seen, task.settings.rng
    if task.x0 is not None:
        return with_rank(task.x0, rank, rng), None
    pairs = leading_pairs(seen, rank if task.init == "spectral" else 1, rng)
    if task.init == "spectral":
        model = with_rank(balanced(pairs, seen.share), rank, rng)
    else:
        model = random_model(seen, rank, rng)
    if task.problem.nonneg:
        model = non_negative(model)
    return task.problem.with_biases(model), float(pairs.values[0]) / seen.share


def leading_pairs(seen: Seen, count: int, rng: Any, powers: int = _POWERS) -> Frame:
    """Return leading singular pairs of a sparse matrix by subspace iteration.

    O(N count) time a step.
    """
    m, n = seen.shape
    width = min(count + EXTRA, m, n)
    Q = place(rng.standard_normal((n, width)), seen.like)
    rows, columns = partial(_times, seen.rows), partial(_times, seen.columns)
    return leading_singular(rows, columns, Q, powers, min(count, width))


def _times(rows: Rows, Q: Array) -> Array:
    return times(rows, contiguous(Q))


def balanced(pairs: Frame, share: float) -> Model:
    """Return the factors of the matrix whose visible share has these singular pairs.

    Rows far longer than others are shortened, which keeps the start incoherent.
    """
    root = array_namespace(pairs.values).sqrt(pairs.values / share)[None, :]
    return Model(_clipped(pairs.left) * root, _clipped(pairs.right) * root)


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


def appended(model: Model, pairs: Frame, share: float) -> Model:
    """Return a model with the directions of singular pairs of its residual as new columns."""
    xp, added = array_namespace(model.X), balanced(pairs, share)
    return model._replace(
        X=xp.concat([model.X, added.X], axis=1), Y=xp.concat([model.Y, added.Y], axis=1)
    )


def with_rank(model: Model, rank: int, rng: Any) -> Model:
    """Return a model of another rank: cut by its singular values, or with small noise added."""
    if rank < model.rank:
        return truncated(model, rank)
    return widened(model, rank, rng) if rank > model.rank else model


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
