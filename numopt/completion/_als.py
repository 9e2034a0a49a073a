"""Alternating minimization: sweeps, a path of regularizations, momentum, and when to stop."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import NamedTuple

from .._core.iterate import Record, Run, iterate
from .._core.namespace import Array, array_namespace, inner
from .._core.outcome import Status
from .._entries.observations import Rows, Side
from .._kernels import completion as kernels
from .._linalg import Factors, factors_of, frame_of, singular_values
from ._certificate import Evaluation, both_sides, evaluation
from ._problem import (
    Model,
    Problem,
    RowSolver,
    Settings,
    Task,
    objective,
    row_problems,
    stationarity,
)

METHODS = ("auto", "pcg", "exact")
# Measured on two cores with AVX-512: a product in a factorization costs so much more than one in a
# Gram matrix, one in a pass over the entries of a row so much more.
_CHOLESKY = 4.0
_PASSES = 1.5
# The path starts at this share of the largest singular value of the data, and ends below a share of
# the smallest of the model, or where the largest is that many times larger.
_PATH_START = 0.3
_PATH_DEPTH = {"float64": 1e-7, "float32": 1e-4}
# How fast the path goes down and where it ends, by the number of entries seen for each degree of
# freedom: (at least, factor, end). Near the information limit, about 1, only a slow path with
# momentum follows the minimum; measured on 600 x 600 of rank 6.
_SCHEDULE = ((4.0, 0.5, 0.1), (3.0, 0.7, 0.1), (0.0, 0.97, 0.01))
# A path slower than this is run with momentum, and this much of it.
_SLOW, _SLOW_MOMENTUM = 0.9, 0.9
# Sweeps in a row that change the objective by no more than this many rounding errors before giving
# up. The objective is flat long before its gradient is small, whose square it follows.
_PATIENCE, _FLAT = 10, 8.0
# How often an iteration is taken up again whose model fails its certificate.
_RESUMED = 3


class Half(NamedTuple):
    """What half a sweep saw before it changed anything, and how many steps it took."""

    loss: float
    square: float
    steps: float


def sweep(
    problem: Problem, solver: RowSolver, model: Model, level: float
) -> tuple[Model, Half, Half]:
    """Return the model after all rows, then all columns, were improved.

    `level` is the least regularization used. The first of the halves belongs to `model`, the
    second to what the first left.
    """
    seen = problem.seen
    model, first = half_sweep(problem, solver, seen.rows, model, level)
    other, second = half_sweep(problem, solver, seen.columns, model.transposed(), level)
    return other.transposed(), first, second


def half_sweep(
    problem: Problem, solver: RowSolver, rows: Rows, model: Model, level: float
) -> tuple[Model, Half]:
    """Improve the rows of one side, given the columns."""
    xp, k = array_namespace(model.X), model.rank
    W, X, offsets, reg = row_problems(problem, rows, model, level)
    if problem.nonneg:
        solver = RowSolver("nonneg", k, 0.0)
    elif solver.method == "auto":
        solver = solver._replace(method=cheapest(rows.mean_length, W.shape[1], solver.steps))
    rotated = solver.method == "pcg"
    if rotated:
        Q = principal_axes(W)
        W, X = xp.matmul(W, Q), xp.matmul(X, Q)
    new, loss, square, steps = rows.each(partial(solved, solver, offsets, W), X, reg)
    if rotated:
        new = xp.matmul(new, xp.matrix_transpose(Q))
    if problem.bias_unit is not None:
        model = model._replace(row_bias=new[:, k] * problem.bias_unit)
        new = new[:, :k] + 0
    ones = xp.ones_like(loss)
    half = Half(inner(loss, ones), inner(square, ones), inner(steps, ones) / ones.shape[0])
    return model._replace(X=new), half


def solved(
    solver: RowSolver, offsets: Array | None, W: Array, side: Side, X: Array, reg: Array
) -> tuple[Array, Array, Array, Array]:
    """Return new models of some rows, and what the kernels say of the old ones.

    Given the features and the offsets of the columns.
    """
    data = side.data
    if offsets is not None:
        data = data - array_namespace(data).take(offsets, side.indices)
    problem = data, side.indices, side.indptr, side.weights, W, X, reg
    if solver.method == "nonneg":
        return kernels.masked_ls_nonneg(*problem, solver.steps)
    if solver.method == "exact":
        return kernels.masked_ls_exact(*problem)
    return kernels.masked_ls_pcg(*problem, solver.steps, solver.rtol)


def principal_axes(W: Array) -> Array:
    """Return the rotation (k, k) that makes the Gram matrix of the features diagonal.

    With it the diagonal of a row's normal equations, which is all a preconditioner can afford,
    knows how the features are correlated on the whole.
    """
    xp = array_namespace(W)
    G = xp.matmul(xp.matrix_transpose(W), W)
    G = 0.5 * (G + xp.matrix_transpose(G))
    return xp.linalg.eigh(G)[1]


def cheapest(per_row: float, k: int, steps: int) -> str:
    """Return which of "exact" and "pcg" costs less on rows of this mean length.

    Exact solves take k^2 / 2 products an entry and k^3 / 3 a row, at the speed of a matrix product;
    conjugate gradients (steps + 1) 2 k an entry, at the speed of the second cache.
    """
    exact = per_row * k * k / 2 + _CHOLESKY * k**3 / 3
    return "exact" if exact < _PASSES * (steps + 1) * 2 * k * per_row else "pcg"


class State(NamedTuple):
    """The model, the point the next sweep starts from, and what the last sweep saw."""

    model: Model
    entry: Model
    level: float
    on_path: bool
    momentum: int
    off_path: int
    fun: float
    change: float
    residual: float
    gradient: float
    flat: int
    steps: float
    rmse: float
    best: Model
    best_rmse: float
    since_best: int


class Alternation:
    """The step and the measure of the iteration for one problem."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        """Take note of the size of the data, and of the time."""
        self.problem, self.settings = problem, settings
        self.norm = problem.seen.norm()
        like = problem.seen.like
        self.flat = _FLAT * float(array_namespace(like).finfo(like.dtype).eps)
        self.began = time.perf_counter()

    def first(self, model: Model, top: float | None) -> State:
        """Return the start; with the largest singular value `top` of it there is a path."""
        level = 0.0
        if self.settings.continuation and top is not None and not self.problem.nonneg:
            level = _PATH_START * self.problem.seen.share * top
        on_path = level > self._largest_reg()
        half = both_sides(self.problem, model, steps=0)
        rmse = self._rmse(model)
        return State(
            model=model,
            entry=model,
            level=level if on_path else 0.0,
            on_path=on_path,
            momentum=0,
            off_path=0,
            fun=objective(self.problem, model, half.loss),
            change=1.0,
            residual=math.sqrt(half.loss) / self.norm,
            gradient=stationarity(model, half.square, self.norm),
            flat=0,
            steps=0.0,
            rmse=rmse,
            best=model,
            best_rmse=rmse,
            since_best=0,
        )

    def _largest_reg(self) -> float:
        """Return the regularization of the row with most entries."""
        if not self.problem.by_count:
            return self.problem.reg
        if not self.problem.by_count:
            return self.problem.reg
        levels = self.problem.row_regularization(self.problem.seen.rows)
        return float(array_namespace(levels).max(levels))

    def _rmse(self, model: Model) -> float:
        return math.nan if self.settings.validate is None else self.settings.validate(model)

    def step(self, state: State) -> State:
        """Return the state after a sweep."""
        problem, entry = self.problem, state.entry
        model, first, second = sweep(problem, self.settings.solver, entry, state.level)
        half_way = entry._replace(X=model.X, row_bias=model.row_bias)
        fun = objective(problem, half_way, second.loss)
        change = abs(state.fun - fun) / fun if fun > 0 else 0.0
        moving = state.on_path or not change <= self.flat
        after = state._replace(
            model=model,
            entry=model,
            fun=fun,
            change=1.0 if state.on_path else change,
            residual=math.sqrt(second.loss) / self.norm,
            gradient=stationarity(half_way, first.square + second.square, self.norm),
            flat=0 if moving else state.flat + 1,
            steps=state.steps + 0.5 * (first.steps + second.steps),
        )
        after = self._validated(after)
        if state.on_path:
            after = self._down_the_path(after)
            if self._schedule(model.rank)[0] < _SLOW:
                return after
            return self._extrapolated(after, state.model, _SLOW_MOMENTUM)
        after = after._replace(off_path=state.off_path + 1)
        if not fun <= state.fun:
            return after._replace(momentum=0)
        return self._extrapolated(after, state.model, self.settings.momentum)

    def _validated(self, state: State) -> State:
        """Return a state that knows its error on held-out entries."""
        if self.settings.validate is None:
            return state
        rmse = self._rmse(state.model)
        if rmse < state.best_rmse:
            return state._replace(rmse=rmse, best=state.model, best_rmse=rmse, since_best=0)
        return state._replace(rmse=rmse, since_best=state.since_best + 1)

    def _down_the_path(self, state: State) -> State:
        """Return a state with less regularization, the user's once all of the model has come."""
        problem, (X, Y) = self.problem, state.model[:2]
        sigma = problem.seen.share * singular_values(Factors(X, Y))
        factor, end = self._schedule(state.model.rank)
        level = factor * state.level
        depth = _PATH_DEPTH["float64" if "64" in str(X.dtype) else "float32"]
        lowest = max(self._largest_reg(), end * float(sigma[-1]), end * depth * float(sigma[0]))
        if level > lowest:
            return state._replace(level=level)
        return state._replace(level=0.0, on_path=False, momentum=0)

    def _schedule(self, rank: int) -> tuple[float, float]:
        """Return how fast the path goes down and where it ends."""
        ratio = self.problem.oversampling(rank)
        if self.problem.reg > 0:
            ratio = math.inf  # what the path ends at is convex in all but name
        factor, end = next(row[1:] for row in _SCHEDULE if ratio >= row[0])
        chosen = self.settings.path_factor
        return (factor if chosen is None else chosen), end

    def _extrapolated(self, state: State, last: Model, most: float) -> State:
        """Return a state whose next sweep starts further on in the direction of the last."""
        count = state.momentum + 1
        beta = min((count - 1) / (count + 2), most, 1.0 if self.settings.momentum else 0.0)
        if beta <= 0 or self.problem.nonneg:
            return state._replace(momentum=count)
        moved = [
            None if new is None else new + beta * (new - old)
            for new, old in zip(state.model, last, strict=True)
        ]
        return state._replace(momentum=count, entry=Model(*moved))

    def measure(self, state: State) -> Record:
        """Return the stopping error and what the history keeps."""
        return {
            "error": self.error(state),
            "seconds": time.perf_counter() - self.began,
            "fun": state.fun,
            "residual": state.residual,
            "reg": max(state.level, self.problem.reg),
            "rank": state.model.rank,
            "rmse": state.rmse,
        }

    def error(self, state: State) -> float:
        """Return what must not be above the tolerance."""
        if not math.isfinite(state.fun):
            return math.nan
        error = max(state.change, 0.1 * state.gradient)
        if self.problem.reg == 0:
            return min(error, state.residual)
        return error

    def give_up(self, state: State) -> Status | None:
        """Return why to stop, if there is reason to."""
        patience = self.settings.early_stopping
        if patience is not None and state.since_best >= patience:
            return Status.EARLY_STOPPING
        tail = self.settings.tail
        if tail is not None and state.off_path >= tail:
            return Status.STALLED
        return Status.STALLED if state.flat >= _PATIENCE else None

    def run(self, state: State, history: list[Record], nit: int, maxiter: int) -> Run[State]:
        """Iterate from a state."""
        return iterate(
            state,
            self.step,
            self.measure,
            tol=self.settings.tol,
            maxiter=maxiter,
            callback=self.settings.callback,
            give_up=self.give_up,
            history=history,
            nit=nit,
        )


class Fit(NamedTuple):
    """A model, why its iteration ended, and what it is worth, all in normalized units.

    `best` is the smallest error on held-out entries, in the units of the user.
    """

    model: Model
    status: int
    nit: int
    steps: float
    history: list[Record]
    worth: Evaluation
    best: float = math.nan
    detail: str = ""
    advice: str = "raise maxiter or tol"


def fit(
    task: Task,
    model: Model,
    top: float | None,
    history: list[Record],
    nit: int = 0,
    loop: Alternation | None = None,
) -> Fit:
    """Return the model the iteration leads to, with a certificate computed from it.

    `top` is the largest singular value of the data where there is to be a path.
    """
    loop = Alternation(task.problem, task.settings) if loop is None else loop
    maxiter, state = task.settings.maxiter, loop.first(model, top)
    steps = 0.0
    for _ in range(1 + _RESUMED):
        run = loop.run(state, history, nit, maxiter)
        nit, steps = run.nit, steps + run.state.steps
        final = run.state.best if run.status == Status.EARLY_STOPPING else run.state.model
        found = certified(task, final, run.status, nit, steps, history)
        found = found._replace(best=run.state.best_rmse)
        solved = found.worth.error <= task.settings.tol
        if run.status != Status.CONVERGED or solved or nit >= maxiter:
            break
        state = loop.first(final, None)
    return found


def certified(
    task: Task, model: Model, status: int, nit: int, steps: float, history: list[Record]
) -> Fit:
    """Return a fit whose errors are computed anew from the model."""
    model = canonical(task.problem, model)
    return Fit(model, status, nit, steps, history, evaluation(task.problem, model))


def canonical(problem: Problem, model: Model) -> Model:
    """Return the same matrix by factors that are balanced singular vectors, where allowed."""
    return truncated(model, model.rank) if problem.plain else model


def truncated(model: Model, rank: int) -> Model:
    """Return the best approximation of a smaller rank, its factors balanced."""
    X, Y = factors_of(frame_of(Factors(model.X, model.Y)), rank)
    return model._replace(X=X, Y=Y)
