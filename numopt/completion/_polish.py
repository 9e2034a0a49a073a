"""A Gauss-Newton finish: both factors at once, the columns eliminated.

For given rows X the best columns Y(X) are least-squares solutions, so what is minimized is a
function of X alone (variable projection). Its Gauss-Newton matrix is a Schur complement, applied to
a vector by four products with the sparse matrix, and solved with by conjugate gradients. With
a Levenberg-Marquardt shift it converges where alternation crawls: near the information limit.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import NamedTuple

from .._core.iterate import Record, iterate
from .._core.namespace import Array, array_namespace, device_of, inner
from .._core.outcome import Status
from .._entries.observations import Observations, Side, in_memory
from .._kernels import completion as kernels
from .._linalg import conjugate_gradients
from ._als import Fit, certified
from ._problem import Model, Task, inner_all, stationarity

# Steps of conjugate gradients for a Gauss-Newton step at most, and the fall of the gradient that
# is asked for.
_STEPS, _FORCING = 200, 0.1
# The shift at first, relative to the mean of the diagonal; how it moves after a step that was
# taken, and after one that was not; where it gives up.
_SHIFT, _DOWN, _UP, _LARGEST = 1e-4, 0.2, 4.0, 1e6
_MAXITER = 60
# Sweeps of alternation after the end of its path.
_TAIL = 40
# Entries of the Gram matrices of all rows and columns that are kept for it unasked.
_GRAM_ENTRIES = 2e7
# Below this many entries for each degree of freedom alternation alone is slow, or fails.
NEAR_LIMIT = 3.0


class Point(NamedTuple):
    """Orthogonal rows X, the best columns Y, residuals (N,), half the descent direction in X."""

    X: Array
    Y: Array
    residual: Array
    gradient: Array
    loss: float
    change: float
    shift: float


def wanted(task: Task, rank: int) -> bool:
    """Return whether the finish is to be used: always if asked for, else near the limit."""
    problem = task.problem
    if task.polish != "auto":
        return task.polish is not None
    if problem.reg > 0 or problem.nonneg or problem.bias_unit is not None:
        return False
    if not isinstance(problem.seen, Observations):
        return False  # its residuals and Gram matrices are for memory
    small = sum(problem.seen.shape) * rank * rank <= _GRAM_ENTRIES
    return small and problem.oversampling(rank) < NEAR_LIMIT


def handing_over(task: Task) -> Task:
    """Return the task with an alternation that ends a while after its path."""
    return task._replace(settings=task.settings._replace(tail=_TAIL))


class GaussNewton:
    """Levenberg-Marquardt steps on the rows, the columns eliminated."""

    def __init__(self, task: Task) -> None:
        """Take note of the problem and the time."""
        self.task, self.seen = task, in_memory(task.problem.seen)
        self.norm = self.seen.norm()
        self.began = time.perf_counter()

    def point(self, X: Array, before: float, shift: float) -> Point:
        """Return the point of a row space, for which X is made orthogonal."""
        xp, seen = array_namespace(X), self.seen
        X = xp.linalg.qr(X)[0] * math.sqrt(X.shape[0])
        Y = xp.zeros((seen.shape[1], X.shape[1]), dtype=X.dtype, device=device_of(X))
        Y = best_rows(seen.columns, X, Y)
        residual = seen.rows.residual(X, Y)
        loss = inner(residual, weighted(seen.rows, residual))
        change = abs(before - loss) / loss if loss > 0 and math.isfinite(before) else 1.0
        gradient = seen.rows.times(Y, weighted(seen.rows, residual))
        return Point(X, Y, residual, gradient, loss, change, shift)

    def step(self, point: Point) -> Point:
        """Return the first point that is better, with larger and larger shifts."""
        system = System(self.seen, point)
        shift = point.shift
        while shift < _LARGEST:
            after = self.point(point.X + system.solve(shift), point.loss, shift)
            if after.loss < point.loss:
                return after._replace(shift=max(_DOWN * shift, 1e-12))
            shift *= _UP
        return point._replace(change=0.0, shift=shift)

    def measure(self, point: Point) -> Record:
        """Return the stopping error and what the history keeps."""
        residual = math.sqrt(point.loss) / self.norm
        model = Model(point.X, point.Y)
        gradient = stationarity(model, inner_all(point.gradient), self.norm)
        rmse = math.nan
        if self.task.settings.validate is not None:
            rmse = self.task.settings.validate(model)
        return {
            "error": min(residual, max(point.change, 0.1 * gradient)),
            "seconds": time.perf_counter() - self.began,
            "fun": point.loss,
            "residual": residual,
            "reg": 0.0,
            "rank": int(point.X.shape[1]),
            "rmse": rmse,
        }


class System:
    """The Gauss-Newton matrix at a point: ``H_xx - H_xy H_yy^-1 H_yx``."""

    def __init__(self, seen: Observations, point: Point) -> None:
        """Invert the blocks of the columns."""
        self.seen, self.point = seen, point
        rows, columns = seen.rows, seen.columns
        self.inverse = inverted(grams(columns, point.X), 0.0)
        self.blocks = grams(rows, point.Y)
        xp = array_namespace(point.X)
        self.unit = float(xp.mean(xp.linalg.trace(self.blocks))) / point.X.shape[1]

    def product(self, D: Array, shift: float) -> Array:
        """Return the matrix, with a shift, times a change of the rows (m, k)."""
        rows, columns, (X, Y) = self.seen.rows, self.seen.columns, self.point[:2]
        zeros = 0 * self.point.residual
        image = -rows.residual(D, Y, zeros)
        Z = columns.times(X, self.seen.transposed(weighted(rows, image)))
        Z = by_row(self.inverse, Z)
        image = image + rows.residual(X, Z, zeros)
        return rows.times(Y, weighted(rows, image)) + shift * D

    def solve(self, shift: float) -> Array:
        """Return a step by conjugate gradients, preconditioned with the blocks of the rows."""
        shift = shift * self.unit
        return conjugate_gradients(
            partial(self.product, shift=shift),
            self.point.gradient,
            rtol=_FORCING,
            maxiter=_STEPS,
            precondition=partial(by_row, inverted(self.blocks, shift)),
            stop="preconditioned",
        ).x


def weighted(side: Side, values: Array) -> Array:
    """Return values times the weights of their entries."""
    return values if side.weights is None else side.weights * values


def best_rows(side: Side, W: Array, X: Array) -> Array:
    """Return the least-squares models of all rows of a side."""
    reg = 0 * side.lengths
    for _ in range(2):  # the second corrects the rounding of the first
        X = kernels.masked_ls_exact(side.data, side.indices, side.indptr, side.weights, W, X, reg)[
            0
        ]
    return X


def grams(side: Side, W: Array) -> Array:
    """Return the Gram matrix of each row's features (m, k, k)."""
    return kernels.masked_grams(side.data, side.indices, side.indptr, side.weights, W)


def inverted(G: Array, shift: float) -> Array:
    """Return inverses of Gram matrices with a shift, and a ridge where they are singular."""
    xp = array_namespace(G)
    ridge = float(xp.finfo(G.dtype).eps) ** kernels.RIDGE * xp.linalg.trace(G) + shift
    ridge = xp.where(ridge > 0, ridge, 1.0 + 0 * ridge)
    eye = xp.eye(G.shape[2], dtype=G.dtype, device=device_of(G))
    return xp.linalg.inv(G + ridge[:, None, None] * eye)


def by_row(matrices: Array, X: Array) -> Array:
    """Return a matrix for each row times the row."""
    return array_namespace(X).matmul(matrices, X[:, :, None])[:, :, 0]


def polished(task: Task, found: Fit) -> Fit:
    """Return a fit after Gauss-Newton steps from where it is; itself if they do not help."""
    loop, settings = GaussNewton(task), task.settings
    point = loop.point(found.model.X, math.inf, _SHIFT)
    run = iterate(
        point,
        loop.step,
        loop.measure,
        tol=settings.tol,
        maxiter=found.nit + min(_MAXITER, max(0, settings.maxiter - found.nit)),
        callback=settings.callback,
        history=found.history,
        nit=found.nit,
    )
    model = Model(run.state.X, run.state.Y)
    after = certified(task, model, run.status, run.nit, found.steps, run.history)
    if after.worth.residual < found.worth.residual:
        return after
    stopped = run.status == Status.STOPPED_BY_CALLBACK
    return found._replace(status=run.status if stopped else found.status, nit=run.nit)
