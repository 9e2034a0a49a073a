"""The public functions: regression in the p-norm, scores of rows, and coresets."""

from __future__ import annotations

from time import perf_counter

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array
from .._linalg import one_blas_thread
from ._coreset import coreset_of
from ._draw import own_generator
from ._inputs import exponent, fit_of, sampling_of, scoring_of, start_of, validated
from ._result import CoresetResult, LpResult, ScoresResult
from ._solve import on_all_rows, on_coreset, scores_of_rows, total_of_rows


def lp_regression(
    A: Array,
    b: Array,
    p: float = 1.0,
    *,
    method: str = "auto",
    tol: float | None = None,
    maxiter: int = 100,
    x0: LpResult | Array | None = None,
    weights: Array | None = None,
    quantile: float | None = None,
    ridge: float = 0.0,
    coreset: CoresetResult | None = None,
    rng: int | np.random.Generator | None = None,
    callback: Callback | None = None,
) -> LpResult:
    r"""Fit a linear model in the p-norm, or to a quantile, with a certified duality gap.

    .. math::

        \min_x \; \sum_{i=1}^n w_i |b_i - a_i^\top x|^p + \lambda \|x\|_2^2

    For p = 1 the absolute value can be tilted to the pinball loss of a quantile t: t times what
    is above zero and 1 - t times what is below.

    Parameters
    ----------
    A : array, shape (n, d), or source of its rows
        Real and finite; add a column of ones for an intercept. A Dask array, a memory map, or
        whatever else `row_blocks` takes is read by blocks.
    b : array, shape (n,)
        Responses.
    p : float, default 1.0
        Power, at least 1: 1 is least absolute deviations, 2 least squares.
    method : {"auto", "exact", "reduce", "coreset"}, default "auto"
        "exact" works on all rows. "reduce" solves on a part of them first and for p = 1 goes on
        with those whose residuals may change sign; the result is as exact. "coreset" solves on
        weighted rows and is approximate. "auto" is "reduce" from two million entries on.
    tol : float, optional
        Largest relative gap. Default 1e-9 (float32: 1e-4).
    maxiter : int, default 100
        Largest number of iterations on a problem; "reduce" solves some small ones and may have to
        solve that of all rows.
    x0 : LpResult or array, shape (d,), optional
        Where to start, for example the result for a nearby p or quantile.
    weights : array, shape (n,), optional
        Sample weights w. Integer weights count rows that often.
    quantile : float, optional
        Level t in (0, 1), for p = 1 only. The median, 0.5, has half the loss of p = 1.
    ridge : float, default 0.0
        Penalty :math:`\lambda \ge 0`.
    coreset : CoresetResult, optional
        Rows to use with method "coreset", from `lp_coreset` with `b`. Default: drawn with
        ``eps=0.5``.
    rng : None, int or numpy.random.Generator, optional
        Source of the draws of "reduce" and "coreset". The exact solution does not depend on it.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with ``nit``, ``error`` and ``fun``;
        `StopIteration` ends the solve. See `ProgressBar`.

    Returns
    -------
    LpResult
        Coefficients ``x``, ``fun``, ``norm``, the certificate ``dual``, ``dual_fun`` and ``gap``,
        ``active``, and methods for the standard errors of quantile regression.

    Raises
    ------
    TypeError
        If an input does not hold real numbers, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a range or an option is wrong, or a number is not finite.

    See Also
    --------
    lp_coreset : the rows that method "coreset" uses.

    Notes
    -----
    p = 1 is solved by Mehrotra's predictor-corrector method on the dual with bounded variables
    [1]_, then moved to the face of the optimum, which makes the result exact where rounding
    allows. p > 1 takes Newton steps, smoothed near zero residuals for p < 2, with a search along
    each direction. An iteration takes one Gram matrix, O(n d^2), and a few products with A;
    there are 10 to 20 of them, more for p near 1. Memory is O(n + d^2) beside A.

    "reduce" for p = 1 follows [1]_: rows with large residuals at the solution of a sample keep
    their signs and act through one constant gradient; what is left is a problem with few rows,
    and one pass shows whether a sign was wrong. Where it does not settle, because too many
    responses tie, all rows are used.

    `success` depends on the gap alone, which is computed from `x` and `dual` in a last pass over
    A: for any y with ``A'y = 0`` the norm of a residual is at least ``b'y`` over the dual norm of
    y, and what rounding leaves of ``A'y`` is charged to the gap. With method "coreset" it is the
    gap of the problem on the coreset. If A lacks rank, x has the least norm of all solutions
    with the same fit, and with no more rows than unknowns the fit may be exact. Runs on NumPy
    (compiled by Numba above some size), CuPy, PyTorch and any other Array API library, with
    float64 or float32.

    References
    ----------
    .. [1] S. Portnoy, R. Koenker, "The Gaussian hare and the Laplacian tortoise", Statistical
       Science 12(4), 1997.
    .. [2] D. P. Woodruff, T. Yasuda, "Sharper Bounds for l_p Sensitivity Sampling", ICML 2023,
       arXiv:2306.00732.

    Examples
    --------
    A line through points of which one is far off:

    >>> import numpy as np
    >>> import numopt
    >>> t = np.arange(8.0)
    >>> A, b = np.stack([np.ones(8), t], axis=1), 1 + 2 * t
    >>> b[5] = 100
    >>> numopt.lp_regression(A, b, p=1).x.round(9)
    array([1., 2.])
    """
    started = perf_counter()
    if b is None:
        raise TypeError("`b` must be an array, got NoneType.")
    data = validated(A, b, weights)
    fit = fit_of(data, p, quantile, ridge, method, tol, maxiter, rng, callback)
    start = start_of(x0, data)
    with closing(callback):
        if fit.method == "coreset":
            return on_coreset(data, fit, start, coreset, started)
        if coreset is not None:
            raise ValueError("`coreset` goes with method 'coreset' only.")
        return on_all_rows(data, fit, start, started)


def lp_scores(
    A: Array,
    p: float,
    *,
    kind: str = "lewis",
    method: str = "auto",
    tol: float | None = None,
    maxiter: int | None = None,
    rng: int | np.random.Generator | None = None,
    indices: Array | None = None,
    bounds: bool = False,
    group_size: int = 8,
) -> ScoresResult:
    r"""Compute how much each row of a matrix matters in the p-norm.

    .. math::

        s_i = \max_x \frac{|a_i^\top x|^p}{\|A x\|_p^p}, \qquad
        \tau_i = a_i^\top (A^\top A)^+ a_i, \qquad
        w_i = \tau_i(W^{1/2 - 1/p} A)

    are the sensitivities, the leverage scores and the Lewis weights. For p = 2 all agree.

    Parameters
    ----------
    A : array, shape (n, d), or source of its rows
        Real and finite. A Dask array, a memory map, or whatever else `row_blocks` takes is read by
        blocks; scores of a Dask array are one.
    p : float
        Power, at least 1.
    kind : {"lewis", "leverage", "root_leverage", "sensitivity", "combined"}, default "lewis"
        Lewis weights w; leverage scores tau; ``tau**(p / 2)``; sensitivities s; or ``tau + s``.
    method : {"auto", "exact", "sketch", "coreset", "grouped"}, default "auto"
        Leverage: "exact", or "sketch" for an estimate within about a factor of two.
        Sensitivities: "exact" solves a problem on all rows for each row, "coreset" one on a
        weighted sample of them, which is right to some ten percent, and "grouped" bounds them
        from above by one problem for many rows. "auto" is exact where that takes some seconds
        at most.
    tol : float, optional
        Largest relative difference of Lewis weight and leverage (default 1e-8; float32: 1e-4), of
        the two bounds of a sensitivity (default 1e-8; float32: 1e-3), or of the sum of leverage
        scores and the rank (default 1e-6; float32: 1e-2; always 1 with "sketch").
    maxiter : int, optional
        Largest number of steps: default 500 for Lewis weights, 100 for each batch of
        sensitivities.
    rng : None, int or numpy.random.Generator, optional
        Source of the draws of "sketch", "coreset" and "grouped".
    indices : array of int, shape (k,), optional
        Rows whose sensitivities are wanted, ascending or not. Default all.
    bounds : bool, default False
        Whether to return bounds of the sensitivities, too.
    group_size : int, default 8
        Rows for each problem of "grouped", whose scores exceed the sensitivities by a factor of
        at most ``group_size**p``.

    Returns
    -------
    ScoresResult
        ``scores``, their sum ``total``, ``lower`` and ``upper``, ``rank``, ``residual``.

    Raises
    ------
    TypeError
        If an input does not hold real numbers.
    ValueError
        If a shape, a range or an option is wrong, a number is not finite, or an option does not
        go with the kind.

    See Also
    --------
    total_sensitivity : the sum alone, from few rows.
    lp_coreset : rows drawn by these scores.

    Notes
    -----
    Leverage scores come from a Gram matrix, in two passes over A and O(n d^2) time; where its
    condition number would cost digits, a second Gram matrix in the coordinates of the first
    restores them. Lewis weights are a fixed point, ``w <- w (tau / w)^(theta p / 2)`` with theta =
    4 / (p + 2), which halves its error at least every step for p up to 6 and does not diverge
    for larger p as the iteration without damping does; one step takes two passes.

    One sensitivity is a convex problem in d unknowns: the smallest p-norm with ``a_i'x = 1``. Any
    x gives a lower bound, any y with ``A'y = a_i`` an upper one; both are computed for every row
    and `residual` is their largest relative difference. Newton's method finds them for p > 1, an
    interior point method for p = 1, for batches of rows at a time and in O(n d^2) per row and
    step. Bounds from "coreset" are those known from the Lewis weights:
    ``d^(p/2 - 1) w <= s <= w`` for p <= 2 and ``w <= s <= d^(p/2 - 1) w`` for p >= 2.
    "grouped" [3]_ takes about ``log2(n) n / group_size`` problems on the sample; its scores are the
    smaller of the bound of the group and that from the Lewis weights, and hold with probability
    0.99 up to the accuracy of the sample.

    Zero rows have score 0. With a rank-deficient matrix everything is meant within the space
    that its rows span; leverage scores and Lewis weights then sum to the rank. Runs on NumPy,
    CuPy, PyTorch and any other Array API library, with float64 or float32.

    References
    ----------
    .. [1] D. P. Woodruff, T. Yasuda, "Sharper Bounds for l_p Sensitivity Sampling", ICML 2023,
       arXiv:2306.00732.
    .. [2] M. B. Cohen, R. Peng, "Lp Row Sampling by Lewis Weights", STOC 2015, arXiv:1412.0588.
    .. [3] S. Padmanabhan, D. P. Woodruff, Q. Zhang, "Computing Approximate l_p Sensitivities",
       NeurIPS 2023, arXiv:2311.04158.

    Examples
    --------
    The rows of a one-hot matrix share the sensitivity of their group:

    >>> import numpy as np
    >>> import numopt
    >>> A = np.eye(3)[[0, 1, 1, 2, 2, 2, 2]]
    >>> result = numopt.lp_scores(A, 4, kind="sensitivity")
    >>> result.scores.round(6)
    array([1.  , 0.5 , 0.5 , 0.25, 0.25, 0.25, 0.25])
    """
    started = perf_counter()
    data = validated(A)
    wanted = scoring_of(data, p, kind, method, tol, maxiter, rng, indices, bounds, group_size)
    with one_blas_thread(data.rows.like):
        return scores_of_rows(data.rows, wanted, started)


def total_sensitivity(
    A: Array,
    p: float,
    *,
    eps: float = 0.1,
    delta: float = 0.05,
    rng: int | np.random.Generator | None = None,
) -> ScoresResult:
    r"""Estimate the sum of all l_p sensitivities from those of few rows.

    .. math::

        S = \sum_{i=1}^n \max_x \frac{|a_i^\top x|^p}{\|A x\|_p^p}

    is what decides how many rows sensitivity sampling needs: at most d for p <= 2 and d^(p/2)
    for p > 2, and far less for many structured matrices.

    Parameters
    ----------
    A : array, shape (n, d)
        Real and finite.
    p : float
        Power, at least 1.
    eps : float, default 0.1
        Relative error in (0, 1) to reach.
    delta : float, default 0.05
        Probability in (0, 1) of a larger error, by the normal approximation of the estimate.
    rng : None, int or numpy.random.Generator, optional
        Source of the draws.

    Returns
    -------
    ScoresResult
        ``total``, its standard error ``stderr``, ``n_solves``, and as ``scores`` the
        sensitivities of the rows that were drawn, which are in ``stats``.

    Raises
    ------
    TypeError
        If `A` does not hold real numbers.
    ValueError
        If a shape, a range or a number is wrong, or a number is not finite.

    See Also
    --------
    lp_scores : the sensitivities themselves.

    Notes
    -----
    Rows are drawn with probabilities in proportion to cheap estimates of their sensitivities:
    two Newton steps for each row on a coreset, in place of the Lewis weights of [1]_. The
    sensitivities of the rows drawn are then computed on all rows, until the standard error
    allows to stop; the estimate is unbiased whatever the probabilities. Where as many rows would
    have to be drawn as there are, all are computed.

    References
    ----------
    .. [1] S. Padmanabhan, D. P. Woodruff, Q. Zhang, "Computing Approximate l_p Sensitivities",
       NeurIPS 2023, arXiv:2311.04158.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.random.default_rng(0).normal(size=(2000, 5))
    >>> result = numopt.total_sensitivity(A, 4, rng=0)
    >>> result.n_solves < 500, result.total < 25
    (True, True)
    """
    started = perf_counter()
    validate.in_memory("A", A)
    data, p = validated(A), exponent(p)
    eps, delta = validate.fraction("eps", eps), validate.fraction("delta", delta)
    with one_blas_thread(data.rows.like):
        return total_of_rows(data.rows, p, eps, delta, own_generator(rng), started)


def lp_coreset(
    A: Array,
    b: Array | None,
    p: float,
    *,
    method: str = "auto",
    sample_size: int | None = None,
    eps: float | None = None,
    delta: float = 0.05,
    replace: bool = False,
    rng: int | np.random.Generator | None = None,
    scores: Array | None = None,
    weights: Array | None = None,
    floor: float | None = None,
) -> CoresetResult:
    r"""Draw weighted rows whose p-th powers add up to those of all rows, for every x.

    .. math::

        (1 - \varepsilon) \sum_{i=1}^n |a_i^\top x|^p
        \le \sum_{i \in C} w_i |a_i^\top x|^p
        \le (1 + \varepsilon) \sum_{i=1}^n |a_i^\top x|^p
        \quad \text{for all } x .

    Row i is kept with probability ``min(1, c * score_i)`` and then weighs the inverse of that.

    Parameters
    ----------
    A : array, shape (n, d), or source of its rows
        Real and finite. Zero rows are never drawn. A Dask array, a memory map, or whatever else
        `row_blocks` takes is read by blocks.
    b : array, shape (n,) or (n, k), or None
        Responses, if there are any. The scores are then those of the rows of [A b], so that a
        regression on the coreset is close to that on all rows; for k responses one coreset serves
        all.
    p : float
        Power, at least 1.
    method : str, default "auto"
        Scores to draw by: "leverage", "root_leverage", "lewis", "sensitivity" or "combined", see
        `lp_scores`. "auto" is "lewis" for p < 2, "leverage" for p = 2 and
        "combined" for p > 2. "uniform" takes all rows alike, which fails where few rows matter.
    sample_size : int, optional
        Expected number of rows. Default from `eps`; more than there are nonzero rows gives all of
        them with weight 1.
    eps : float, optional
        Distortion in (0, 1) to choose the size for: ``2.5 d log(2 / delta) / eps**2`` rows, times
        ``S / d`` for p > 2 with the sum S of the scores. Default 0.5.
    delta : float, default 0.05
        Probability in (0, 1) of a larger distortion; see `eps`.
    replace : bool, default False
        Draw `sample_size` times with replacement, rows drawn twice being merged, in place of an
        independent decision for each row.
    rng : None, int or numpy.random.Generator, optional
        Source of the draws.
    scores : array, shape (n,), optional
        Scores to draw by in place of those of a method.
    weights : array, shape (n,), optional
        Sample weights: the p-th power of row i counts that often.
    floor : float, optional
        Every nonzero row is drawn with probability at least ``floor / n``, which bounds the
        weights. Adds at most `floor` to the expected size.

    Returns
    -------
    CoresetResult
        ``indices``, ``weights``, ``probabilities``, the rows ``A`` and ``b``, ``size``,
        ``expected_size``, ``scores`` and ``method``.

    Raises
    ------
    TypeError
        If an input does not hold real numbers, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a range or an option is wrong, or a number is not finite.

    See Also
    --------
    lp_scores : the scores alone.
    lp_regression : regression on all rows, or on a coreset.

    Notes
    -----
    Known for q_i at least the score times the logarithms and powers of eps that theorems ask for:
    Lewis weights need about d rows for p <= 2 and d^(p/2) for p > 2; sensitivities, with sum S,
    need S^(2/p) and S^(2 - 2/p); "combined" scores d^(2/p) S^(2 - 4/p) for p > 2 [1]_ and S + d
    for p <= 2 [2]_; and "root_leverage", repeated with the weights of each round, about d for
    p < 2 [1]_. S is at most d, or d^(p/2) for p > 2, and much smaller for many structured
    matrices. The sizes by default are what experiments need rather than these constants. A
    sample whose rank is below that of A is replaced by one of twice the size; `success` is about
    the rank alone, as no sample can be checked for all x.

    Takes a few passes over A for all but sensitivities (see `lp_scores`), O(n d^2) time and
    memory O(n) beside A.

    References
    ----------
    .. [1] D. P. Woodruff, T. Yasuda, "Sharper Bounds for l_p Sensitivity Sampling", ICML 2023,
       arXiv:2306.00732.
    .. [2] A. Munteanu, S. Omlor, "Optimal bounds for l_p sensitivity sampling via l_2
       augmentation", ICML 2024, arXiv:2406.00328.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_cauchy((20_000, 5))
    >>> coreset = numopt.lp_coreset(A, None, 1, eps=0.2, rng=0)
    >>> x = np.array([1.0, 2.0, 0.0, -1.0, 1.0])
    >>> estimate = (coreset.weights * abs(coreset.A @ x)).sum()
    >>> bool(abs(estimate / abs(A @ x).sum() - 1) < 0.2)
    True
    """
    started = perf_counter()
    data, p = validated(A, b, weights, responses=(1, 2)), exponent(p)
    wanted = sampling_of(data, method, sample_size, eps, delta, replace, floor, scores)
    return coreset_of(data, p, wanted, own_generator(rng), started)
