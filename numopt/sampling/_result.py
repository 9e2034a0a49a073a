"""What scores, coresets and regressions return."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Check, Result
from ._certificate import (
    bounds_check,
    certified,
    estimate_check,
    estimated_sum,
    gap_check,
    missing_rank,
    rank_check,
)
from ._inputs import exponent, index_array, model_of, scoring_of, validated
from ._problem import Data, problem_of
from .regression.covariance import covariance_of
from .scores.kinds import checked_again
from .scores.total import difference_again


class ScoresResult(Result):
    """Outcome of `lp_scores` and `total_sensitivity`: how much each row of a matrix matters.

    Attributes
    ----------
    scores : array, shape (n,) or (k,)
        One score for each row, or for each of the rows that `indices` asked for. For
        `total_sensitivity` those of the rows that were drawn.
    lower, upper : array or None
        Bounds of each sensitivity, certified row by row; None unless asked for.
    total : float
        Sum of the scores; for `total_sensitivity` the estimate of that of all rows.
    stderr : float
        Standard error of `total`, 0 where every row was computed.
    rank : int
        Rank of the matrix.
    residual : float
        Lewis weights: largest relative difference of weight and leverage. Sensitivities: largest
        relative difference of the two bounds. Leverage: relative difference of sum and rank. For
        `total_sensitivity` the relative error.
    n_solves : int
        Optimization problems solved.
    x : array
        The same as `scores`.
    fun : float
        The same as `total`.
    success : bool
        Whether `residual` is at most the tolerance (for `total_sensitivity`: `eps`, and the bounds
        of the sensitivities it is made of agree).
    status : Status
        0 converged, 1 iteration limit, 2 no further progress, 4 rank-deficient matrix (the scores
        are those of the space its rows span), 98 a number that is not finite.
    history : list of dict
        One record for each check of the iteration, with ``nit`` and ``error``.
    stats : dict
        ``kind`` and ``method`` of the scores as computed; ``n_passes`` over the matrix;
        ``n_blocks`` and ``n_retries``, for a Dask array its chunks and how often a pass was
        repeated, otherwise 1 and 0. For `total_sensitivity` also the ``indices`` of the rows that
        were drawn and the ``probabilities`` of drawing them.

    See Also
    --------
    lp_scores : returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.random.default_rng(0).normal(size=(100, 3))
    >>> result = numopt.lp_scores(A, 1.5)
    >>> result.rank, bool(abs(result.total - 3) < 1e-6)
    (3, True)
    """

    scores: Array
    lower: Array | None
    upper: Array | None
    total: float
    stderr: float
    rank: int
    residual: float
    n_solves: int

    def verify(
        self,
        A: Any,
        p: float,
        *,
        indices: Array | None = None,
        group_size: int = 8,
        delta: float = 0.05,
        rng: Any = None,
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from the matrix `A`, the power `p` and the scores.

        Sensitivities are compared with bounds that are found anew, which takes as long as the solve
        did. `indices`, `group_size` and `delta` are those the scores were asked with, and so is the
        seed `rng`, without which scores by "coreset" and "grouped", which are made of draws, cannot
        be recomputed; `options` that only tune the solver may be left out. Raises ValueError where
        a seed is missing.
        """
        del options
        data, kind = validated(A), self.stats["kind"]
        if kind == "total":
            return self._verify_total(data, exponent(p), delta)
        method = self.stats["method"]
        if method in ("coreset", "grouped") and rng is None:
            raise ValueError(f"`rng` must be the seed that the method {method!r} was given.")
        wanted = scoring_of(data, p, kind, method, self.tol, None, rng, indices, False, group_size)
        return [checked_again(data.rows, wanted, self.scores)]

    def _verify_total(self, data: Data, p: float, delta: float) -> list[Check]:
        first, second = self.checks
        index = index_array(self.stats["indices"], data.rows.n, data.like)
        _, _, error = estimated_sum(self.scores, self.stats["probabilities"], delta)
        difference = difference_again(data.rows, p, first.limit, index, self.scores)
        return [estimate_check(error, first.limit), bounds_check(difference, second.limit)]


class CoresetResult(Result):
    """Outcome of `lp_coreset`: a few weighted rows that stand for all.

    Attributes
    ----------
    indices : array, shape (m,)
        Rows that were drawn, in ascending order.
    weights : array, shape (m,)
        What their p-th powers count, times the sample weights given.
    probabilities : array, shape (m,)
        Probability with which each was kept (with replacement: expected number of draws).
    A : array, shape (m, d)
        The rows themselves, not multiplied by anything.
    b : array, shape (m,) or (m, k), or None
        Their responses.
    size : int
        Number of rows m.
    expected_size : float
        Sum of all probabilities.
    scores : array, shape (n,)
        Scores that the probabilities were computed from, of the rows of [A b] with a response.
    method : str
        Scores that were drawn by, "given" for those of the caller.
    x : array
        The same as `weights`.
    fun : float
        Sum of the weights: an estimate of the number of rows.
    success : bool
        Whether the rows drawn have the rank of all.
    status : Status
        0 drawn, 2 the last sample lacked rank, 7 a first sample lacked rank and a larger one was
        drawn.
    nit : int
        Samples drawn.
    history : list of dict
        One record for each sample, with ``nit``, ``error`` (ranks missing) and ``size``.
    stats : dict
        ``n_passes`` over the matrix; ``n_blocks`` and ``n_retries``, for a Dask array its chunks
        and how often a pass was repeated, otherwise 1 and 0.

    See Also
    --------
    lp_coreset : returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.random.default_rng(0).normal(size=(10_000, 3))
    >>> coreset = numopt.lp_coreset(A, None, 1, sample_size=500, rng=0)
    >>> x = np.array([1.0, -2.0, 0.5])
    >>> estimate = (coreset.weights * abs(coreset.A @ x)).sum()
    >>> bool(abs(estimate / abs(A @ x).sum() - 1) < 0.1)
    True
    """

    indices: Array
    weights: Array
    probabilities: Array
    A: Array
    b: Array | None
    size: int
    expected_size: float
    scores: Array
    method: str

    def verify(
        self, A: Any, b: Any, p: float, *, weights: Any = None, **options: Any
    ) -> list[Check]:
        """Return the checks, recomputed from the rows of `A` and `b` that `indices` name.

        The power `p` and the sample `weights` are those of the call; `options` may be left out.
        """
        del options
        data = validated(A, b, weights, responses=(1, 2))
        rows = data.joined(exponent(p))
        index = index_array(self.indices, rows.n, data.like)
        return [rank_check(missing_rank(rows, rows.xp.sort(index)))]


class LpResult(Result):
    """Outcome of `lp_regression`: coefficients, dual variables, and the gap between them.

    Attributes
    ----------
    x : array, shape (d,)
        Coefficients.
    fun : float
        Objective: the weighted sum of p-th powers (pinball losses for a quantile) of the
        residuals, plus the ridge penalty.
    norm : float
        p-th root of that sum without the penalty.
    dual : array, shape (n,)
        Certificate: orthogonal to the columns of A (with a ridge, ``A.T @ dual = 2 ridge x``). For
        p = 1 within the slopes of the losses, and ``dual @ b`` is a lower bound of `fun`. For
        p > 1, scaled so that ``dual @ b`` is a lower bound of `norm`; with a ridge it is the
        gradient of the loss.
    dual_fun : float
        Dual objective: a lower bound of the least `fun`, certified by `dual` (with method "coreset"
        of the problem on the coreset).
    gap : float
        Bound of ``1 - optimum / norm``, computed from `x` and `dual` (with a ridge for `fun`).
    active : array of bool, shape (n,)
        Which rows are fitted exactly, up to rounding.
    nit : int
        Iterations on all problems that were solved on the way.
    success : bool
        Whether `gap` is at most the tolerance.
    status : Status
        0 converged, 1 iteration limit, 2 no further progress, 4 converged for a rank-deficient
        matrix (of all solutions with the same fit, `x` has the least norm), 7 solved on a coreset
        that had to be enlarged, 98 a number that is not finite, 99 stopped by the callback.
    stats : dict
        ``method`` that was used; ``p``, ``quantile`` and ``ridge`` of the problem; ``n_passes``
        over the matrix; ``n_blocks`` and ``n_retries``, for a Dask array its chunks and how often a
        pass was repeated, otherwise 1 and 0; with method "coreset" the ``coreset``, to whose rows
        `dual` and `active` belong.
    history : list of dict
        One record for each iteration, with ``nit``, ``error`` (the relative gap there) and
        ``fun``.

    See Also
    --------
    lp_regression : returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> b = np.array([1.0, 2.0, 4.0, 8.0, 100.0])
    >>> result = numopt.lp_regression(np.ones((5, 1)), b, p=1)
    >>> result.x, result.fun
    (array([4.]), 105.0)
    """

    norm: float
    dual: Array
    dual_fun: float
    gap: float
    active: Array

    def verify(
        self,
        A: Any,
        b: Any,
        p: float = 1.0,
        *,
        weights: Any = None,
        quantile: float | None = None,
        ridge: float = 0.0,
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from the problem, `x` and `dual`: a few passes.

        `A`, `b`, the power `p`, `weights`, `quantile` and `ridge` are those of the call; `options`
        that only tune the solver may be left out. With method "coreset" the problem is that on the
        rows that the coreset names, with its weights.
        """
        del options
        data, model = validated(A, b, weights), model_of(p, quantile, ridge)
        if "coreset" in self.stats:
            data = _on_rows(data, self.stats["coreset"])
        problem, positive = problem_of(data, model)
        dual = (
            self.dual if data.rows.cluster is None else data.rows.cluster.gather("dual", self.dual)
        )
        if p > 1 and ridge:
            dual = dual * data.scale_b ** (p - 1)
        if positive is not None:
            dual = dual[positive]
        gap, _ = certified(problem, data.scaled(self.x), dual)
        return [gap_check(gap, self.tol)]

    def covariance(
        self, kind: str = "robust", A: Any = None, b: Any = None, *, weights: Any = None
    ) -> Array:
        """Return the estimated covariance (d, d) of the coefficients of a quantile regression.

        `kind` is ``"robust"`` for errors whose density at zero may differ between rows with the
        sign of the residual, or ``"iid"``. The density is estimated by an Epanechnikov kernel
        with the bandwidth of Hall and Sheather (1988), as econometric software does. Two passes.
        `A`, `b` and `weights` are those of the regression, which a result knows until it is sent to
        another process. Raises TypeError for p > 1, with a ridge, and for a result that was
        computed on a coreset; ValueError if the data are needed.
        """
        validate.choice("kind", kind, ("robust", "iid"))
        stats = self.stats
        if stats["p"] != 1 or stats["ridge"] or "coreset" in stats:
            raise TypeError("`covariance` needs a regression with p = 1 on all rows.")
        if A is None or b is None:
            if not hasattr(self, "_data"):
                raise ValueError("`covariance` needs `A` and `b` again: they did not come along.")
            data: Data = self._data
        else:
            data = validated(A, b, weights)
        level = 0.5 if stats["quantile"] is None else stats["quantile"]
        return covariance_of(data, self.x, level, kind)

    def standard_errors(
        self, kind: str = "robust", A: Any = None, b: Any = None, *, weights: Any = None
    ) -> Array:
        """Return the square roots (d,) of the diagonal of `covariance`, which see.

        `kind`, and `A`, `b` and `weights` where they did not come along, are passed on to it.
        """
        covariance = self.covariance(kind, A, b, weights=weights)
        xp = array_namespace(covariance)
        return xp.sqrt(xp.linalg.diagonal(covariance))

    def _attach(self, data: Data) -> None:
        """Keep the data for what is computed on demand; not a field of the result."""
        object.__setattr__(self, "_data", data)

    def __getstate__(self) -> None:
        """Return nothing but the fields: the data stay where they are."""


def _on_rows(data: Data, coreset: CoresetResult) -> Data:
    """Return the problem on the rows that a coreset names."""
    index = index_array(coreset.indices, data.rows.n, data.like)
    xp = data.rows.xp
    return validated(
        data.rows.take(index) / data.scale, xp.take(data.b, index) / data.scale_b, coreset.weights
    )
