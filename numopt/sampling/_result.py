"""What scores, coresets and regressions return."""

from __future__ import annotations

from statistics import NormalDist

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Result
from ._certificate import rounding
from ._inputs import Data
from ._leverage import whiten

NORMAL = NormalDist()
# Distance of the quartiles of a normal distribution, in standard deviations, as it is rounded in
# the rules for bandwidths.
QUARTILES = 1.34


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
        relative difference of the two bounds. 0 for scores in closed form.
    n_solves : int
        Optimization problems solved.
    n_passes : int
        Passes over the matrix.
    n_blocks, n_retries : int
        For a Dask array its chunks, and how often a pass was repeated; otherwise 1 and 0.
    x : array
        The same as `scores`.
    fun : float
        The same as `total`.
    success : bool
        Whether `residual` is at most the tolerance.
    status : int
        0 converged, 1 iteration limit, 2 rank-deficient matrix (the scores are those of the space
        its rows span), 3 stalled at a residual above the tolerance.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Iterations done.
    history : list of dict
        One record for each check of the iteration, with ``nit`` and ``error``.

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
    scheme : str
        Scheme that was used.
    n_passes : int
        Passes over the matrix.
    n_blocks, n_retries : int
        For a Dask array its chunks, and how often a pass was repeated; otherwise 1 and 0.
    x : array
        The same as `weights`.
    fun : float
        Sum of the weights: an estimate of the number of rows.
    success : bool
        Whether the rows drawn have the rank of all.
    status : int
        0 drawn, 4 a first sample lacked rank and a larger one was drawn.
    message : str
        What happened.
    nit : int
        Samples drawn.
    history : list of dict
        One record for each sample, with ``nit``, ``error`` (ranks missing) and ``size``.

    See Also
    --------
    lp_coreset : returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.random.default_rng(0).normal(size=(10_000, 3))
    >>> coreset = numopt.lp_coreset(A, 1, sample_size=500, rng=0)
    >>> x = np.array([1.0, -2.0, 0.5])
    >>> estimate = (coreset.weights * abs(coreset.A @ x)).sum()
    >>> bool(abs(estimate / abs(A @ x).sum() - 1) < 0.1)
    True
    """


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
    gap : float
        Bound of ``1 - optimum / norm``, computed from `x` and `dual` (with a ridge for `fun`).
    active : array of bool, shape (n,)
        Which rows are fitted exactly, up to rounding.
    nit : int
        Iterations on all problems that were solved on the way.
    n_passes : int
        Passes over the matrix.
    n_blocks, n_retries : int
        For a Dask array its chunks, and how often a pass was repeated; otherwise 1 and 0.
    success : bool
        Whether `gap` is at most the tolerance.
    status : int
        0 converged, 1 iteration limit, 2 converged for a rank-deficient matrix (of all solutions
        with the same fit, `x` has the least norm), 3 stopped at a gap above the tolerance,
        4 solved on a coreset that had to be enlarged, 98 a number that is not finite, 99 stopped
        by the callback.
    message : str
        What happened and, where it failed, what to try.
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

    def _attach(self, data: Data, quantile: float | None) -> None:
        """Keep the data for what is computed on demand; not a field of the result."""
        object.__setattr__(self, "_data", (data, 0.5 if quantile is None else quantile))

    def covariance(self, kind: str = "robust") -> Array:
        """Return the estimated covariance (d, d) of the coefficients of a quantile regression.

        `kind` is ``"robust"`` for errors whose density at zero may differ between rows with the
        sign of the residual, or ``"iid"``. The density is estimated by an Epanechnikov kernel
        with the bandwidth of Hall and Sheather (1988), as econometric software does. Two passes.
        Raises TypeError for p > 1 and for a result that was computed on a coreset.
        """
        validate.choice("kind", kind, ("robust", "iid"))
        if not hasattr(self, "_data"):
            raise TypeError("`covariance` needs a regression with p = 1 on all rows.")
        data, level = self._data
        rows, xp = data.rows, data.rows.xp
        # Entries of A are scaled by a power of two, and so is the inverse of what comes out.
        residual = data.b / data.scale_b - rows.times(self.x) / data.scale
        density = _density_at_zero(residual, level)
        kept = rows.ones()
        if data.weights is not None:
            kept = xp.astype(data.weights > 0, rows.dtype)
        P = whiten(rows, kept).P
        if kind == "iid":
            middle = level * (1 - level) / density**2 * xp.matmul(P, P.T)
        else:
            ones = xp.ones_like(residual)
            above = residual > rounding(data.b, residual * data.scale_b) / data.scale_b
            share = xp.where(above, level * ones, (1 - level) * ones) / density
            middle = xp.matmul(xp.matmul(P, rows.gram(kept * share * share, P)), P.T)
        return middle * data.scale**2

    def standard_errors(self, kind: str = "robust") -> Array:
        """Return the square roots (d,) of the diagonal of `covariance` for the same `kind`."""
        covariance = self.covariance(kind)
        xp = array_namespace(covariance)
        return xp.sqrt(xp.linalg.diagonal(covariance))


def _density_at_zero(residual: Array, level: float) -> float:
    """Return a kernel estimate of the density of the errors at their quantile."""
    xp = array_namespace(residual)
    n = residual.shape[0]
    z = NORMAL.inv_cdf(level)
    top = NORMAL.inv_cdf(0.975) ** (2 / 3) * (1.5 * NORMAL.pdf(z) ** 2 / (2 * z * z + 1)) ** (1 / 3)
    half = min(n ** (-1 / 3) * top, 0.999 * min(level, 1 - level))
    ordered = xp.sort(residual)
    spread = float(_quantile(ordered, 0.75)) - float(_quantile(ordered, 0.25))
    size = min(float(xp.std(residual)), spread / QUARTILES)
    width = size * (NORMAL.inv_cdf(level + half) - NORMAL.inv_cdf(level - half))
    if not width > 0:
        raise ValueError("`covariance` needs residuals of which fewer than half are equal.")
    u = residual / width
    weights = xp.where(xp.abs(u) <= 1, 0.75 * (1 - u * u), xp.zeros_like(u))
    return float(xp.sum(weights) / (n * width))


def _quantile(ordered: Array, level: float) -> Array:
    """Return a quantile of sorted numbers, linear in between."""
    position = level * (ordered.shape[0] - 1)
    below = int(position)
    above = min(below + 1, ordered.shape[0] - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
