"""The iteration: a path of regularizations, momentum at its end, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from .._core.iterate import Callback, Record, Run, iterate
from .._core.namespace import array_namespace
from ._sweep import (
    Model,
    Problem,
    evaluated,
    objective,
    singular_values,
    stationarity,
    sweep,
)

STAGNATED, EARLY, TAIL = 3, 4, 5
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


class Settings(NamedTuple):
    """Validated options of the iteration."""

    tol: float
    maxiter: int
    continuation: bool
    path_factor: float | None
    momentum: float
    early_stopping: int | None
    callback: Callback | None
    rng: Any
    validate: Callable[[Model], float] | None
    tail: int | None = None


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
        half = evaluated(self.problem, model)
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
        lengths = self.problem.seen.rows.lengths
        return self.problem.reg * float(array_namespace(lengths).max(lengths))

    def _rmse(self, model: Model) -> float:
        return math.nan if self.settings.validate is None else self.settings.validate(model)

    def step(self, state: State) -> State:
        """Return the state after a sweep."""
        problem, entry = self.problem, state.entry
        model, first, second = sweep(problem, entry, state.level)
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
        sigma = problem.seen.share * singular_values(X, Y)
        factor, end = self._schedule(state.model.rank)
        level = factor * state.level
        depth = _PATH_DEPTH["float64" if "64" in str(X.dtype) else "float32"]
        lowest = max(self._largest_reg(), end * float(sigma[-1]), end * depth * float(sigma[0]))
        if level > lowest:
            return state._replace(level=level)
        return state._replace(level=0.0, on_path=False, momentum=0)

    def _schedule(self, rank: int) -> tuple[float, float]:
        """Return how fast the path goes down and where it ends."""
        ratio = oversampling(self.problem, rank)
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

    def give_up(self, state: State) -> int | None:
        """Return why to stop, if there is reason to."""
        patience = self.settings.early_stopping
        if patience is not None and state.since_best >= patience:
            return EARLY
        if self.settings.tail is not None and state.off_path >= self.settings.tail:
            return TAIL
        return STAGNATED if state.flat >= _PATIENCE else None

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


def oversampling(problem: Problem, rank: int) -> float:
    """Return how many entries were seen for each degree of freedom of a matrix of a rank."""
    m, n = problem.seen.shape
    return problem.seen.size / max(1, rank * (m + n - rank))
