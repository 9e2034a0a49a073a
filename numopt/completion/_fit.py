"""From a validated task to a model: the start, the iteration, the polish, the certificate."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core.iterate import Record
from .._core.namespace import Array, array_namespace, inner
from .._core.outcome import CONVERGED, ITERATION_LIMIT
from .._core.random import place
from .._kernels import completion as kernels
from ._observations import Observations
from ._seen import Seen
from ._solve import EARLY, Alternation, Settings, State
from ._start import (
    Pairs,
    balanced,
    leading_pairs,
    non_negative,
    random_model,
    truncated,
    widened,
)
from ._sweep import Model, Problem, evaluated, objective, stationarity

# How often an iteration is taken up again whose model fails the check of its certificate.
_RESUMED = 3

Held = tuple[Array, Array, Array]


class Task(NamedTuple):
    """A problem in normalized units, how to start and when to stop."""

    problem: Problem
    settings: Settings
    rank: int | None
    max_rank: int
    init: str | Model
    scale: float
    mu: float
    validation: Held | None
    polish: str | None

    def validated_on(self, held: Held | None) -> Task:
        """Return the task with its errors measured on other entries."""
        measure = None if held is None else lambda model: self.scale * rmse(model, held)
        return self._replace(validation=held, settings=self.settings._replace(validate=measure))


class Fit(NamedTuple):
    """A model, why its iteration ended, and its certificate in normalized units."""

    model: Model
    status: int
    nit: int
    steps: float
    history: list[Record]
    change: float
    fun: float
    residual: float
    gradient: float
    error: float


def rmse(model: Model, held: Held) -> float:
    """Return the root of the mean squared error of a model on some entries."""
    rows, columns, values = held
    difference = values - predicted(model, rows, columns)
    return math.sqrt(inner(difference, difference) / values.shape[0])


def predicted(model: Model, rows: Array, columns: Array) -> Array:
    """Return the model's values at some places (N,), in O(N k) time."""
    xp = array_namespace(model.X)
    if rows.shape[0] == 0:
        return xp.zeros_like(model.X[:0, 0])
    products = -kernels.masked_residual(*_as_rows(model, rows, columns))
    if model.row_bias is None:
        return products
    return products + xp.take(model.row_bias, rows) + xp.take(model.col_bias, columns)


def _as_rows(model: Model, rows: Array, columns: Array) -> tuple[Array, ...]:
    """Return arguments of the kernel of residuals, with a row of its own for each place."""
    xp = array_namespace(model.X)
    ends = xp.cumulative_sum(0 * rows + 1, include_initial=True)
    zeros = xp.take(model.X[:, 0], rows) * 0
    return zeros, columns, xp.astype(ends, rows.dtype), xp.take(model.X, rows, axis=0), model.Y


def split(seen: Observations, share: float, rng: Any) -> tuple[Observations, Held]:
    """Return most of the entries, and a random share of them to measure errors on."""
    side, count = seen.rows, seen.size
    held = max(1, round(share * count))
    order = place(rng.permutation(count), side.data, side.indptr.dtype)
    out = order[:held]
    values = array_namespace(side.data).take(side.data, out)
    return seen.part(order[held:]), (side.rows_of(out), side.columns_of(out), values)


def start(task: Task, rank: int) -> tuple[Model, float | None]:
    """Return a first model of a rank and, where there is a path, the largest singular value."""
    seen, rng = task.problem.seen, task.settings.rng
    if isinstance(task.init, Model):
        return with_rank(task.init, rank, rng), None
    count = rank if task.init == "spectral" else 1
    pairs = leading_pairs(seen, count, rng)
    model = balanced(pairs, seen.share) if task.init == "spectral" else None
    if model is None or model.rank < rank:
        model = random_model(seen, rank, rng) if model is None else widened(model, rank, rng)
    if task.problem.nonneg:
        model = non_negative(model)
    return with_biases(task.problem, model), largest(pairs, seen)


def largest(pairs: Pairs, seen: Seen) -> float:
    """Return the largest singular value of the whole matrix, going by what was seen."""
    return float(pairs.S[0]) / seen.share


def with_biases(problem: Problem, model: Model) -> Model:
    """Return a model with biases of zero where the problem has any."""
    if problem.bias_unit is None or model.row_bias is not None:
        return model
    return model._replace(row_bias=0 * model.X[:, 0], col_bias=0 * model.Y[:, 0])


def with_rank(model: Model, rank: int, rng: Any) -> Model:
    """Return a model of another rank: cut by its singular values, or with small noise added."""
    if rank < model.rank:
        return truncated(model, rank)
    return widened(model, rank, rng) if rank > model.rank else model


def fit(
    task: Task,
    model: Model,
    top: float | None,
    history: list[Record],
    nit: int = 0,
    loop: Alternation | None = None,
) -> Fit:
    """Return the model the iteration leads to, with a certificate computed from it."""
    loop = Alternation(task.problem, task.settings) if loop is None else loop
    maxiter, state = task.settings.maxiter, loop.first(model, top)
    steps = 0.0
    for _ in range(1 + _RESUMED):
        run = loop.run(state, history, nit, maxiter)
        nit, steps = run.nit, steps + run.state.steps
        final = run.state.best if run.status == EARLY else run.state.model
        found = certified(task, final, run.state, run.status, nit, steps, history)
        if run.status != CONVERGED or found.error <= task.settings.tol or nit >= maxiter:
            break
        state = loop.first(final, None)
    return found


def certified(
    task: Task,
    model: Model,
    state: State,
    status: int,
    nit: int,
    steps: float,
    history: list[Record],
) -> Fit:
    """Return a fit whose errors are computed anew from the model."""
    problem = task.problem
    model = canonical(problem, model)
    half = evaluated(problem, model)
    norm = problem.seen.norm()
    residual = math.sqrt(half.loss) / norm
    gradient = stationarity(model, half.square, norm)
    error = max(state.change, 0.1 * gradient)
    if problem.reg == 0:
        error = min(error, residual)
    if status == CONVERGED and not error <= task.settings.tol:
        status = ITERATION_LIMIT
    fun = objective(problem, model, half.loss)
    return Fit(model, status, nit, steps, history, state.change, fun, residual, gradient, error)


def canonical(problem: Problem, model: Model) -> Model:
    """Return the same matrix by factors that are balanced singular vectors, where allowed."""
    if problem.nonneg or problem.by_count or problem.bias_unit is not None:
        return model
    return truncated(model, model.rank)
