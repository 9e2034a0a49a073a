"""The public solver of robust low-rank recovery."""

from __future__ import annotations

from typing import Any

from .._core.iterate import Callback, closing
from .._core.namespace import Array
from .._linalg import one_blas_thread, quiet
from ._inputs import problem_of, settings_of, warm_factors, zero_factors
from ._operators import SensingOperator
from ._problem import Problem, Settings
from ._report import is_zero, report, zero_result
from ._result import RecoveryResult
from ._search import search
from ._start import spectral_start
from ._structured import EntrySensing, FullEntrySensing


def robust_low_rank_recovery(
    A: Array | SensingOperator | Any,
    y: Array,
    rank: int | None = None,
    *,
    shape: tuple[int, int] | None = None,
    symmetric: bool = True,
    init: str = "spectral",
    alpha: float = 1e-6,
    step: str = "quantile",
    q: float = 0.1,
    eta: float | None = None,
    decay: float | None = None,
    fun_star: float | None = None,
    scaling: bool | str = "auto",
    prune: bool = True,
    polish: bool = True,
    noise: bool = False,
    fit_intercept: bool = False,
    weights: Array | None = None,
    x0: RecoveryResult | Array | tuple[Array, Array] | None = None,
    tol: float | None = None,
    maxiter: int = 1000,
    rng: Any = None,
    callback: Callback | None = None,
) -> RecoveryResult:
    r"""Recover a matrix of low rank from linear measurements, many of them grossly wrong.

    .. math::

        \min_{U} \; \frac{1}{m} \sum_i | y_i - \langle A_i, U U^\top \rangle |,
        \qquad U \in R^{d \times k},

    by subgradient steps from a small start, with :math:`L R^\top` in place of :math:`U U^\top` for
    a rectangular matrix. The rank k may be far above that of the solution.

    Parameters
    ----------
    A : array, shape (m, d1, d2) or (m, d1 * d2), sparse matrix, or operator
        The measurements: float32, float64 or integers; a ``scipy.sparse`` matrix or a
        ``LinearOperator`` on flat matrices; or an operator of `numopt.recovery`, such as
        `RankOneSensing`, which needs the least memory.
    y : array, shape (m,)
        What was measured. Any entry may be wrong by any amount.
    rank : int, optional
        Largest rank looked for. Default: the size of the matrix or, if that is less, one for every
        4 d measurements (2 (d1 + d2) of a rectangular matrix).
    shape : tuple of int, optional
        Shape (d1, d2) of the matrix, for measurements given flat. Default for symmetric ones: the
        square.
    symmetric : bool, default True
        Whether the matrix is symmetric positive semidefinite. Only the symmetric parts of the
        ``A_i`` then matter.
    init : {"spectral", "random"}, default "spectral"
        Start along the eigenvectors of ``sum_i sign(y_i) A_i``, or along random vectors.
    alpha : float, default 1e-06
        Size of the start, relative to the matrix. A smaller one costs a few more iterations.
    step : {"quantile", "geometric", "polyak"}, default "quantile"
        Steps as long as a quantile of the residual is large, of a length that falls by a fixed
        ratio, or by Polyak's rule, which needs `fun_star`.
    q : float, default 0.1
        That quantile, in (0, 1): below the share of measurements that are right.
    eta : float, optional
        Length of a step relative to the longest stable one, in (0, 1). Default 0.5.
    decay : float, optional
        Ratio of consecutive steps of ``step="geometric"``. Default: by `alpha`.
    fun_star : float, optional
        The value of the objective at the solution, for ``step="polyak"`` and only then: the mean of
        the (weighted) magnitudes of the errors in `y`.
    scaling : bool or "auto", default "auto"
        Whether steps are scaled by the inverse Gram matrix of the factor, which makes the number of
        iterations independent of the condition of the matrix, but tolerates fewer outliers. The
        default tries scaled steps, then plain ones.
    prune : bool, default True
        Whether the rank may be lowered to what the spectrum shows.
    polish : bool, default True
        Whether reweighted Gauss-Newton steps finish the solution and verify it. Without them the
        method is the published one.
    noise : bool, default False
        Whether measurements that are not outliers are noisy, so that none is met exactly. The rank
        is then chosen by an information criterion.
    fit_intercept : bool, default False
        Whether an unknown number is added to all measurements.
    weights : array, shape (m,), optional
        Non-negative weights of the residuals. Default 1.
    x0 : RecoveryResult, array U, or tuple (L, R), optional
        Warm start, in place of the small one.
    tol : float, optional
        Largest residual of a measurement that agrees, relative to the robust size of `y`. Default
        1e-8 in float64, 1e-4 in float32.
    maxiter : int, default 1000
        Largest number of iterations before a last attempt.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the columns that the spectrum does not determine.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with the fields of a record of ``history``;
        `StopIteration` ends the solve.

    Returns
    -------
    RecoveryResult
        Factors ``U`` or ``L`` and ``R``, ``rank``, ``singular_values``, ``inlier_mask``,
        ``consensus`` and more; ``matrix()`` forms the matrix.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape or an option is wrong, a number is not finite, or nothing in the measurements
        points to a positive semidefinite matrix.

    Warns
    -----
    UserWarning
        If there are fewer measurements than unknowns.

    See Also
    --------
    robust_pca : for measurements that are the entries of the matrix.
    numopt.recovery : operators for the measurements.

    Notes
    -----
    Proved [1]_ for Gaussian measurements: the direction ``sum_i sign(res_i) A_i`` points along the
    error, whatever share p < 1 of the measurements is corrupted, once m is a multiple of
    ``d r / (1 - p)^2`` (symmetric, r the true rank). Started small, the iterates then follow the
    signal and hardly anything else, even with k = d, where the objective could be driven to zero by
    fitting outliers. The length of a step has to follow the error, which the loss does not show;
    here a low quantile of the residual does. Where the value f* at the solution is known, so does
    Polyak's step ``(f - f*) / |g|^2`` along a subgradient g, in the metric of the scaling as in
    [2]_, which needs no quantile. Near a small start, where g vanishes, it is cut to the length
    that other rules start with; `eta` other than 0.5 stretches it.

    What the paper leaves at an error of a power of `alpha`, attempts to finish turn into a solution
    that is exact and verified: the factors are cut to the rank in their spectrum and refined by
    reweighted Gauss-Newton steps on the manifold of that rank. A solution counts as verified where
    1.5 times as many measurements as unknowns agree with it exactly, which a wrong matrix cannot
    achieve but by design.

    A step reads the measurements once: O(m d^2) time for dense ones, O(m d k) for those of rank
    one. The l1 loss is no cure for errors that are structured, an offset of all measurements say
    (see `fit_intercept`), nor do measurements of single entries determine a matrix whose mass lies
    in a few of them. With `EntrySensing` the problem is solved as in `robust_pca`; `q` is then
    the quantile of each row, and only `rank`, `q`, `prune`, `noise`, `weights`, `x0`, `tol`,
    `maxiter`, `rng` and `callback` matter.

    Runs on NumPy (dense measurements compiled by Numba), CuPy, PyTorch and any other Array API
    library with float64 or float32.

    References
    ----------
    .. [1] J. Ma, S. Fattahi, "Global Convergence of Sub-gradient Method for Robust Matrix Recovery:
       Small Initialization, Noisy Measurements, and Over-parameterization", Journal of Machine
       Learning Research 2023, arXiv:2202.08788.
    .. [2] T. Tong, C. Ma, Y. Chi, "Low-Rank Matrix Recovery with Scaled Subgradient Methods: Fast
       and Robust Convergence Without the Condition Number", 2021, arXiv:2010.13364.
    .. [3] L. Ding, L. Jiang, Y. Chen, Q. Qu, Z. Zhu, "Rank Overspecified Robust Matrix Recovery:
       Subgradient Method and Exact Recovery", 2021, arXiv:2109.11154.

    Examples
    --------
    A third of the measurements is wrong, and the rank is not known:

    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> U = rng.normal(size=(12, 2))
    >>> A = rng.normal(size=(300, 12, 12))
    >>> y = np.einsum("mij,ij->m", A, U @ U.T)
    >>> y[:100] += 50 * rng.normal(size=100)
    >>> result = numopt.robust_low_rank_recovery(A, y)
    >>> result.success, result.rank
    (True, 2)
    >>> bool(np.allclose(result.matrix(), U @ U.T, atol=1e-10))
    True
    """
    if isinstance(A, EntrySensing | FullEntrySensing):
        from ._pca_api import recover_entries

        return recover_entries(
            A, y, rank, q=q, prune=prune, noise=noise, weights=weights, x0=x0, tol=tol,
            maxiter=maxiter, rng=rng, callback=callback, symmetric=symmetric,
        )  # fmt: skip
    problem = problem_of(
        A, y, shape=shape, symmetric=symmetric, weights=weights, fit_intercept=fit_intercept
    )
    settings = settings_of(
        problem,
        rank,
        tol,
        rng,
        init=init,
        alpha=alpha,
        step=step,
        q=q,
        eta=eta,
        decay=decay,
        fun_star=fun_star,
        scaling=scaling,
        prune=prune,
        polish=polish,
        noise=noise,
        maxiter=maxiter,
        callback=callback,
    )
    with closing(callback), quiet(), one_blas_thread(problem.y):
        return _solved(problem, settings, x0)


def _solved(problem: Problem, settings: Settings, x0: Any) -> RecoveryResult:
    """Return the certified result of a validated problem."""
    warm = warm_factors(problem, x0)
    if is_zero(problem.y):
        return zero_result(problem, settings, zero_factors(problem))
    start = spectral_start(problem, settings)
    if warm is not None:
        start = start._replace(factors=warm)
    return report(problem, settings, start, search(problem, settings, start))
