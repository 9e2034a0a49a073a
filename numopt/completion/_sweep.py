"""One sweep of alternating minimization: all rows given the columns, then all columns."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, inner
from .._kernels import completion as kernels
from .._linalg import upper_factor
from ._observations import Side
from ._seen import Rows, Seen

INNERS = ("auto", "pcg", "exact", "sketch")
# Rows of the sketch of a row, in unknowns.
SKETCH_RATIO = 4


class Inner(NamedTuple):
    """How the least-squares problem of a row is solved."""

    method: str
    steps: int
    rtol: float
    signs: tuple[Array, Array] | None = None


class Problem(NamedTuple):
    """What is minimized, in units in which the values are of order one."""

    seen: Seen
    reg: float
    by_count: bool
    bias_unit: float | None
    nonneg: bool
    inner: Inner


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

    def flipped(self) -> Model:
        """Return the model of the transpose."""
        return Model(self.Y, self.X, self.col_bias, self.row_bias)


class Half(NamedTuple):
    """What half a sweep saw before it changed anything, and how many steps it took."""

    loss: float
    square: float
    steps: float


def sweep(problem: Problem, model: Model, level: float) -> tuple[Model, Half, Half]:
    """Return the model after all rows, then all columns, were improved.

    `level` is the least regularization used. The first of the halves belongs to `model`, the
    second to what the first left.
    """
    seen = problem.seen
    model, first = half_sweep(problem, seen.rows, model, level, 0)
    flipped, second = half_sweep(problem, seen.columns, model.flipped(), level, 1)
    return flipped.flipped(), first, second


def half_sweep(
    problem: Problem, rows: Rows, model: Model, level: float, number: int
) -> tuple[Model, Half]:
    """Improve the rows of one side, given the columns."""
    xp, k = array_namespace(model.X), model.rank
    X, W, offsets = model.X, model.Y, None
    if model.row_bias is not None and problem.bias_unit is not None:
        unit, offsets = problem.bias_unit, model.col_bias
        W = xp.concat([W, unit + 0 * W[:, :1]], axis=1)
        X = xp.concat([X, model.row_bias[:, None] / unit], axis=1)
    reg = row_regularization(problem, rows, level)
    new, loss, square, steps = _improved(problem, rows, W, X, reg, offsets, number)
    if problem.bias_unit is not None:
        model = model._replace(row_bias=new[:, k] * problem.bias_unit)
        new = new[:, :k] + 0
    ones = xp.ones_like(loss)
    half = Half(inner(loss, ones), inner(square, ones), inner(steps, ones) / ones.shape[0])
    return model._replace(X=new), half


def row_regularization(problem: Problem, rows: Rows, level: float = 0.0) -> Array:
    """Return the regularization of each row (m,), at least `level`."""
    lengths = rows.lengths
    reg = problem.reg * lengths if problem.by_count else problem.reg + 0 * lengths
    return array_namespace(lengths).clip(reg, level, None)


def _improved(
    problem: Problem,
    rows: Rows,
    W: Array,
    X: Array,
    reg: Array,
    offsets: Array | None,
    number: int,
) -> tuple[Array, Array, Array, Array]:
    """Return new models of all rows and what the kernels say of the old ones."""
    how = problem.inner
    if problem.nonneg:
        how = Inner("nonneg", W.shape[1] if how.steps else 0, 0.0)
    elif how.method == "auto":
        how = how._replace(method=cheapest(rows.mean_length, W.shape[1], how.steps))
    turn = how.method in ("pcg", "sketch")
    xp = array_namespace(W)
    if turn:
        Q = principal_axes(W)
        W, X = xp.matmul(W, Q), xp.matmul(X, Q)
    signs = None if how.signs is None else how.signs[number]
    work = partial(solved, how._replace(signs=None), signs, offsets, W)
    new, *rest = rows.each(work, X, reg)
    return (xp.matmul(new, xp.matrix_transpose(Q)) if turn else new, *rest)


def solved(
    how: Inner,
    signs: Array | None,
    offsets: Array | None,
    W: Array,
    side: Side,
    X: Array,
    reg: Array,
) -> tuple[Array, Array, Array, Array]:
    """Return new models of some rows, given the features and the offsets of the columns."""
    data = side.data
    if offsets is not None:
        data = data - array_namespace(data).take(offsets, side.indices)
    problem = data, side.indices, side.indptr, side.weights, W, X, reg
    if how.method == "nonneg":
        return kernels.masked_ls_nonneg(*problem, how.steps)
    if how.method == "exact":
        return kernels.masked_ls_exact(*problem)
    if how.method == "pcg":
        return kernels.masked_ls_pcg(*problem, how.steps, how.rtol)
    assert signs is not None
    size = SKETCH_RATIO * W.shape[1]
    return kernels.masked_ls_sketch(*problem, signs, size, how.steps, how.rtol)


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


# Measured on two cores with AVX-512: a product in a factorization costs so much more than one in a
# Gram matrix, one in a pass over the entries of a row so much more.
_CHOLESKY = 4.0
_PASSES = 1.5


def evaluated(problem: Problem, model: Model) -> Half:
    """Return loss and squared gradient of both sides of a model, in two passes."""
    how = problem._replace(inner=Inner("pcg", 0, 0.0))
    first = half_sweep(how, problem.seen.rows, model, 0.0, 0)[1]
    second = half_sweep(how, problem.seen.columns, model.flipped(), 0.0, 1)[1]
    return Half(first.loss, first.square + second.square, 0.0)


def stationarity(model: Model, square: float, norm: float) -> float:
    """Return the norm of the gradient, given its square over 4, relative to values and factors."""
    size = norm * (math.sqrt(inner_all(model.X)) + math.sqrt(inner_all(model.Y)))
    return 2 * math.sqrt(square) / size if size > 0 else 0.0


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
    return inner(row_regularization(problem, rows), squares)


def inner_all(X: Array) -> float:
    """Return the sum of squares of a matrix."""
    flat = array_namespace(X).reshape(X, (-1,))
    return inner(flat, flat)


def singular_values(X: Array, Y: Array) -> Array:
    """Return the singular values of ``X Y'`` (min(m, n, k),), in O((m + n) k^2) time."""
    xp = array_namespace(X)
    core = xp.matmul(upper_factor(X), xp.matrix_transpose(upper_factor(Y)))
    return xp.linalg.svdvals(core)
