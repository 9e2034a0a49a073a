"""From the neighborhood of an optimal face to a point on it, for piecewise linear losses."""

from __future__ import annotations

from ..._core.namespace import Array, array_namespace
from ..._losses.norms import Loss
from ..._rows import Rows
from .interior import BoxProblem, BoxState

# Two rounds: the second removes the rounding errors of the first.
ROUNDS = 2
# Share of the width of the box from which on a dual variable has room for rounding errors.
INSIDE = 1e-3


def on_face(problem: BoxProblem, state: BoxState) -> tuple[Array, Array]:
    """Return x (d,) and y (n,) with exact zeros and exact bounds where an optimum has them.

    Rows whose y is strictly inside the box fit exactly at an optimum, all others have y at a
    bound. Which are which is read off: far inside compared with the size of the residual. The
    equations of the first fix x, the dual ones then fix y there; both by the smallest
    correction, since with ties there are more rows than unknowns, or fewer.
    """
    rows, xp = problem.rows, problem.rows.xp
    width = problem.up + problem.down
    depth = xp.minimum(state.room_up, state.room_down) / width
    size = xp.abs(state.residual)
    inside = depth > size / xp.max(size) if bool(xp.any(size > 0)) else depth > 0
    mask = xp.astype(inside, problem.b.dtype)
    inverse = _pseudo_inverse(rows.gram(mask))
    x = state.x
    for _ in range(ROUNDS):
        residual = problem.b - rows.times(x)
        x = x + xp.matmul(inverse, rows.transposed_times(mask * residual))
    gradient = xp.matmul(problem.metric, x) - problem.linear
    y = xp.where(inside, state.y, xp.where(state.residual > 0, problem.up, -problem.down))
    for _ in range(ROUNDS):
        missing = gradient - rows.transposed_times(y)
        y = y + mask * rows.times(xp.matmul(inverse, missing))
    return x, y


def balanced(rows: Rows, y: Array, loss: Loss, off: Array) -> Array:
    """Return y (n,) with ``A'y`` less by `off` (d,), changed only where it is inside the box."""
    xp = rows.xp
    room = xp.minimum(loss.up - y, y + loss.down)
    mask = xp.astype(room > INSIDE * (loss.up + loss.down), y.dtype)
    return y - mask * rows.times(xp.matmul(_pseudo_inverse(rows.gram(mask)), off))


def _pseudo_inverse(gram: Array) -> Array:
    xp = array_namespace(gram)
    values, vectors = xp.linalg.eigh(gram)
    floor = 64 * gram.shape[0] * float(xp.finfo(gram.dtype).eps) * xp.max(values)
    large = values > floor
    inverse = xp.where(large, 1 / xp.where(large, values, xp.ones_like(values)), 0 * values)
    return xp.matmul(vectors * inverse[None, :], vectors.T)
