"""What is minimized, in units in which values are of order one, and how: problem, model, task."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .._core.iterate import Callback
from .._core.namespace import Array, array_namespace, inner
from .._entries.observations import Rows, Seen
from .._kernels import completion as kernels
from .._linalg import degrees_of_freedom

# Rows, columns and values (N,) of entries that errors are measured on.
Held = tuple[Array, Array, Array]


class Model(NamedTuple):
    """Factors X (m, k) and Y (n, k) and, where there are biases, those of rows and columns."""

    X: Array
    Y: Array
    row_bias: Array | None = None
    col_bias: Array | None = None

    @property
    def rank(self) -> int:
        """Number of columns of the factors."""
        return int(self.X.shape[1])

    def transposed(self) -> Model:
        """Return the model of the transpose."""
        return Model(self.Y, self.X, self.col_bias, self.row_bias)

    def times(self, unit: float) -> Model:
        """Return the model of the values times a unit."""
        root = math.sqrt(unit)
        row_bias, col_bias = (None if b is None else b * unit for b in self[2:])
        return Model(self.X * root, self.Y * root, row_bias, col_bias)

    def at(self, rows: Array, columns: Array) -> Array:
        """Return the values at some places (N,), in O(N k) time."""
        xp = array_namespace(self.X)
        if rows.shape[0] == 0:
            return xp.zeros_like(self.X[:0, 0])
        # The kernel of residuals, with a row of its own for each place.
        ends = xp.astype(xp.cumulative_sum(0 * rows + 1, include_initial=True), rows.dtype)
        zeros = xp.take(self.X[:, 0], rows) * 0
        X = xp.take(self.X, rows, axis=0)
        products = -kernels.masked_residual(zeros, columns, ends, X, self.Y)
        if self.row_bias is None:
            return products
        return products + xp.take(self.row_bias, rows) + xp.take(self.col_bias, columns)


class Problem(NamedTuple):
    """What is minimized; `bias_unit` is None without biases."""

    seen: Seen
    reg: float
    by_count: bool
    bias_unit: float | None
    nonneg: bool

    @property
    def plain(self) -> bool:
        """Whether the objective is that of the factors' product with a penalty of its own."""
        return not (self.nonneg or self.by_count or self.bias_unit is not None)

    def row_regularization(self, rows: Rows, level: float = 0.0) -> Array:
        """Return the regularization of each row (m,), at least `level`."""
        lengths = rows.lengths
        reg = self.reg * lengths if self.by_count else self.reg + 0 * lengths
        return array_namespace(lengths).clip(reg, level, None)

    def oversampling(self, rank: int) -> float:
        """Return how many entries were seen for each degree of freedom of a matrix of a rank."""
        return self.seen.size / max(1, degrees_of_freedom(self.seen.shape, rank, False))

    def with_biases(self, model: Model) -> Model:
        """Return a model with biases of zero where the problem has any."""
        if self.bias_unit is None or model.row_bias is not None:
            return model
        return model._replace(row_bias=0 * model.X[:, 0], col_bias=0 * model.Y[:, 0])


class RowProblems(NamedTuple):
    """Least squares in all rows of one side, given the columns.

    Features W (n, k) of the columns, models X (m, k) of the rows, offsets (n,) of the columns or
    None, regularization (m,). Biases of rows are coefficients of one feature more.
    """

    W: Array
    X: Array
    offsets: Array | None
    reg: Array


def row_problems(problem: Problem, rows: Rows, model: Model, level: float = 0.0) -> RowProblems:
    """Return the problems of the rows of a model, regularized by at least `level`."""
    xp = array_namespace(model.X)
    X, W, offsets = model.X, model.Y, None
    if model.row_bias is not None and problem.bias_unit is not None:
        unit, offsets = problem.bias_unit, model.col_bias
        W = xp.concat([W, unit + 0 * W[:, :1]], axis=1)
        X = xp.concat([X, model.row_bias[:, None] / unit], axis=1)
    return RowProblems(W, X, offsets, problem.row_regularization(rows, level))


def objective(problem: Problem, model: Model, loss: float) -> float:
    """Return the objective of a model whose weighted sum of squared residuals is known."""
    return (
        loss
        + penalty(problem, problem.seen.rows, model.X, model.row_bias)
        + penalty(problem, problem.seen.columns, model.Y, model.col_bias)
    )


def penalty(problem: Problem, rows: Rows, X: Array, bias: Array | None) -> float:
    """Return the regularizer of one side."""
    xp = array_namespace(X)
    squares = xp.sum(X * X, axis=1)
    if bias is not None and problem.bias_unit is not None:
        squares = squares + (bias / problem.bias_unit) ** 2
    if not problem.by_count:
        return problem.reg * inner(squares, xp.ones_like(squares))
    return inner(problem.row_regularization(rows), squares)


def stationarity(model: Model, square: float, norm: float) -> float:
    """Return the norm of the gradient, given its square over 4, relative to values and factors."""
    size = norm * (math.sqrt(inner_all(model.X)) + math.sqrt(inner_all(model.Y)))
    return 2 * math.sqrt(square) / size if size > 0 else 0.0


def inner_all(X: Array) -> float:
    """Return the sum of squares of a matrix."""
    flat = array_namespace(X).reshape(X, (-1,))
    return inner(flat, flat)


def rmse(model: Model, held: Held) -> float:
    """Return the root of the mean squared error of a model on some entries."""
    rows, columns, values = held
    difference = values - model.at(rows, columns)
    return math.sqrt(inner(difference, difference) / values.shape[0])


class RowSolver(NamedTuple):
    """How the least-squares problem of a row is solved: method, steps, and when to stop before."""

    method: str
    steps: int
    rtol: float


class Settings(NamedTuple):
    """Validated options of the iteration; `validate` measures errors on held-out entries."""

    tol: float
    maxiter: int
    solver: RowSolver
    continuation: bool
    path_factor: float | None
    momentum: float
    early_stopping: int | None
    callback: Callback | None
    rng: Any
    validate: Callable[[Model], float] | None = None
    tail: int | None = None  # sweeps after the path, before a polish takes over


class Task(NamedTuple):
    """A problem in normalized units, how to start and when to stop.

    The values of the user are `mu` plus `scale` times those of the problem. `rank` is None where
    it is to be found, `x0` where there is no warm start.
    """

    problem: Problem
    settings: Settings
    rank: int | None
    max_rank: int
    init: str
    x0: Model | None
    scale: float
    mu: float
    validation: Held | None
    polish: str | None
    certify: bool
    by_parts: bool

    def validated_on(self, held: Held | None) -> Task:
        """Return the task with its errors measured on other entries."""
        measure = None if held is None else lambda model: self.scale * rmse(model, held)
        return self._replace(validation=held, settings=self.settings._replace(validate=measure))
