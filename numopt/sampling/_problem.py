"""What is solved: a matrix with what comes with it, and regressions in the units of the solver."""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array
from .._linalg import solve_triangular
from .._losses.norms import Loss
from .._rows import Rows, Whitening, in_memory, whiten


class Data(NamedTuple):
    """A matrix and what comes with it, or None; entries are those given times powers of two."""

    rows: Rows
    b: Array
    weights: Array
    scale: float
    scale_b: float

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype of the data."""
        rows = self.rows
        return rows.xp.ones((1,), dtype=rows.dtype, device=rows.device)

    def scaled(self, x: Array) -> Array:
        """Return coefficients (d,) of the matrix as given in the units of the data."""
        return x * self.scale_b / self.scale

    def as_given(self, x: Array) -> Array:
        """Return coefficients (d,) in the units of the data as those of the matrix as given."""
        return x * self.scale / self.scale_b

    def joined(self, p: float) -> Rows:
        """Return the rows whose p-norms count: of [A b], by the p-th root of the weights."""
        rows = self.rows if self.b is None else self.rows.joined(self.b)
        return rows if self.weights is None else rows.scaled(self.weights ** (1 / p))


class Model(NamedTuple):
    """The loss of a regression: a power, for p = 1 the level of a quantile, and a ridge penalty."""

    p: float
    quantile: float | None = None
    ridge: float = 0.0

    def loss(self, weights: Array) -> Loss:
        """Return the loss of rows with weights (n,)."""
        if self.p != 1:
            return Loss(self.p, weights)
        if self.quantile is None:
            return Loss(1.0, weights, weights, weights)
        return Loss(1.0, weights, self.quantile * weights, (1 - self.quantile) * weights)


class Regression(NamedTuple):
    """A validated problem: ``loss(b - A x) + ridge |x|^2``, with what is known of A.

    `rows` (n, d) and `b` (n,) are as given up to powers of two. `whitening` makes the columns of
    A orthonormal where its rows are scaled by `loss.row_scale`.
    """

    rows: Rows
    b: Array
    loss: Loss
    ridge: float
    whitening: Whitening


class Frozen(NamedTuple):
    """Rows that are known to stay on their side of zero: their loss is ``base - linear'x``.

    `linear` is (d,), and `loss` what they contribute at the point where a solve starts: the unit
    in which what is left to gain is small.
    """

    linear: Array
    loss: float


def regression(rows: Rows, b: Array, loss: Loss, ridge: float) -> Regression:
    """Return a problem with the coordinates of its columns."""
    weights = loss.row_scale() ** 2
    whitening = whiten(rows, weights)
    if 0 < whitening.rank < rows.d:
        # The same coordinates within the span of the rows: what they reach has the least norm.
        image = weights * rows.times(whitening.P).T
        q, r = rows.xp.linalg.qr(rows.transposed_times(image.T))
        eye = rows.xp.eye(whitening.rank, dtype=rows.dtype, device=rows.device)
        whitening = whitening._replace(P=rows.xp.matmul(q, solve_triangular(r.T, eye)))
    return Regression(rows, b, loss, ridge, whitening)


def problem_of(data: Data, model: Model) -> tuple[Regression, Array | None]:
    """Return the problem of the rows whose weight is not zero, and which those are (None: all)."""
    xp, weights, rows, b = data.rows.xp, data.weights, data.rows, data.b
    ridge = model.ridge
    if ridge:
        ridge *= data.scale_b ** (model.p - 2) * data.scale**2
    if weights is None:
        return regression(rows, b, model.loss(rows.ones()), ridge), None
    positive = weights > 0
    if bool(xp.all(positive)):
        return regression(rows, b, model.loss(weights), ridge), None
    (index,) = xp.nonzero(positive)
    loss = model.loss(xp.take(weights, index))
    part = in_memory(rows.take(index))
    return regression(part, xp.take(b, index), loss, ridge), positive


def missing(problem: Regression, x: Array, y: Array, frozen: Frozen | None = None) -> Array:
    """Return by how much the dual equations are not met, (d,)."""
    off = problem.rows.transposed_times(y) - 2 * problem.ridge * x
    return off if frozen is None else off + frozen.linear
