"""The public solvers: robust low-rank recovery, and robust principal components."""

from __future__ import annotations

import time
from typing import Any

from .._core.iterate import Callback, closing
from .._core.namespace import Array
from .._linalg import one_blas_thread, quiet
from ._inputs import problem_of, settings_of
from ._result import RecoveryResult, RobustPCAResult, certified, pca_result, recovery_result
from ._solve import solve
from .measurements import SensingOperator
from .pca._certificate import entry_evidence
from .pca._inputs import data_of, entry_settings_of, measured_entries, measured_settings_of
from .pca._solve import split


def robust_low_rank_recovery(
    A: Array | SensingOperator | Any,
    y: Array,
    rank: int | None = None,
    *,
    shape: tuple[int, int] | None = None,
    symmetric: bool = True,
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
    x0: str | RecoveryResult | Array | tuple[Array, Array] = "spectral",
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
        is then chosen by an information criterion, and a success is what leaves at most half of the
        robust deviation of the measurements.
    fit_intercept : bool, default False
        Whether an unknown number is added to all measurements.
    weights : array, shape (m,), optional
        Non-negative weights of the residuals. Default 1.
    x0 : {"spectral", "random"}, RecoveryResult, array U or tuple (L, R), default "spectral"
        Start small along the eigenvectors of ``sum_i sign(y_i) A_i`` or along random vectors, or
        warm at given factors.
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
        Factors ``U`` or ``L`` and ``R``, ``rank``, ``singular_values``, ``outlier_mask``,
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
    begun = time.perf_counter()
    problem = problem_of(
        A, y, shape=shape, symmetric=symmetric, weights=weights, fit_intercept=fit_intercept
    )
    entries = measured_entries(problem)
    shared = {
        "q": q, "prune": prune, "noise": noise, "x0": x0, "tol": tol, "maxiter": maxiter,
        "rng": rng, "callback": callback,
    }  # fmt: skip
    settings: Any
    if entries is None:
        settings = settings_of(
            problem, rank, alpha=alpha, step=step, eta=eta, decay=decay, fun_star=fun_star,
            scaling=scaling, polish=polish, **shared,
        )  # fmt: skip
    else:
        settings = measured_settings_of(entries, rank, **shared)
    with closing(callback), quiet(), one_blas_thread(problem.y):
        ended = solve(problem, settings) if entries is None else split(entries, settings)
        evidence = certified(
            problem,
            entries,
            ended.factors,
            ended.intercept,
            q=settings.q,
            tol=settings.tol,
        )
        return recovery_result(problem, settings, ended, evidence, begun)


def robust_pca(
    M: Array | Any,
    rank: int | None = None,
    *,
    mask: Array | None = None,
    weights: Array | None = None,
    method: str = "reweighted",
    q: float | None = None,
    eta: float = 1.0,
    prune: bool = True,
    noise: bool = False,
    x0: RobustPCAResult | tuple[Array, Array] | None = None,
    tol: float | None = None,
    maxiter: int = 500,
    rng: Any = None,
    callback: Callback | None = None,
) -> RobustPCAResult:
    r"""Split a matrix into one of low rank and one that is zero but for gross errors.

    .. math:: M = L R^\top + S,

    where a share of the entries of S is arbitrary and the rest zero, or noise. Entries may be
    missing.

    Parameters
    ----------
    M : array, shape (n, d), or scipy.sparse matrix
        Real numbers or integers. The explicit entries of a sparse matrix are those observed,
        and nothing of its full size is made; what is masked in a masked array is not observed.
    rank : int, optional
        Largest rank looked for. Default: one for every 4 (n + d) entries, at most a quarter of the
        smaller side and at most 30. On noisy data, where no rank can be verified, give it.
    mask : array of bool, shape (n, d), optional
        True where an entry is observed. What `M` holds elsewhere is not read. Default: everywhere.
    weights : array, shape (n, d), optional
        Non-negative weights of the magnitudes of the residual, such as trust in the entries. One of
        weight zero counts as not observed. For a sparse matrix of shape (nnz,), in the order of
        ``M.tocoo()``. Default 1.
    method : {"reweighted", "subgradient"}, default "reweighted"
        Weighted least squares fits that forget outliers, or subgradient steps of the l1 norm with a
        scale for each row: slower, and for less corruption.
    q : float, optional
        Quantile of the residual of a row that sets its scale, in (0, 1). At least this share of the
        entries of a row must be right. Default 0.3 and, for the subgradient method, 0.6.
    eta : float, default 1.0
        Length of a subgradient step.
    prune : bool, default True
        Whether the rank may be lowered to what the data show.
    noise : bool, default False
        Whether entries that are not outliers are noisy, so that none is met exactly. A success is
        then what leaves at most half of the robust deviation of the entries.
    x0 : RobustPCAResult or tuple (L, R), optional
        Warm start: factors of shapes (n, k) and (d, k).
    tol : float, optional
        Largest residual of an entry that agrees, relative to the median magnitude of the entries.
        Default 1e-8 in float64, 1e-4 in float32.
    maxiter : int, default 500
        Largest number of sweeps over rows and columns, all attempts together.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the start of a block power method.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with ``nit``, ``error``, ``scale`` and ``rank``;
        `StopIteration` ends the solve.

    Returns
    -------
    RobustPCAResult
        Factors ``L`` and ``R``, ``outlier_mask``, ``sparse``, ``rank``, rows and columns that could
        not be explained, and more; ``matrix()`` forms the matrix of low rank.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape or an option is wrong, or an observed entry is not finite.

    See Also
    --------
    robust_low_rank_recovery : for other measurements than entries.

    Notes
    -----
    Rows are updated for fixed columns, then columns for fixed rows. Each row has a scale of its
    own, a low quantile of its residual: one scale for all leaves some rows with errors that a small
    step no longer removes. Weights fall like the square of the residual over that scale, so that
    gross errors of any size and sign, one-sided ones too, are forgotten, and the scale falls to
    rounding within about ten sweeps. Weights of the entries multiply those, but neither the
    quantile nor the certificate depends on them.

    The start is the leading part of the entries cut at a few medians, around zero or around their
    median. The rank falls to what the spectrum shows. The solution counts as verified where
    at least 1.5 times as many entries as unknowns agree with it exactly. Attempts that leave rows
    without agreement are followed by others: narrower weights, then lower ranks in the order of
    the gaps in the spectrum.

    A sweep costs O(N k^2) time for N observed entries, and nothing of size n d is stored besides
    the entries, by rows and by columns. What cannot be separated: a matrix that is itself
    sparse, a row most of whose entries are wrong (listed in ``outlier_rows``), or one with fewer
    entries than the rank.

    This is the entrywise case of the robust recovery of [1]_, whose theory does not cover it: that
    it works is measured, and each solution verified. For principal component pursuit see [2]_.

    References
    ----------
    .. [1] J. Ma, S. Fattahi, "Global Convergence of Sub-gradient Method for Robust Matrix Recovery:
       Small Initialization, Noisy Measurements, and Over-parameterization", Journal of Machine
       Learning Research 2023, arXiv:2202.08788.
    .. [2] E. J. Candes, X. Li, Y. Ma, J. Wright, "Robust Principal Component Analysis?", Journal of
       the ACM 2011, arXiv:0912.3599.

    Examples
    --------
    A quarter of the entries is corrupted, all in one direction, and the rank is not known:

    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> clean = rng.normal(size=(80, 3)) @ rng.normal(size=(3, 60))
    >>> wrong = rng.random(clean.shape) < 0.25
    >>> result = numopt.robust_pca(clean + 20 * wrong, rng=0)
    >>> result.success, result.rank
    (True, 3)
    >>> bool(np.allclose(result.matrix(), clean)), bool((result.outlier_mask == wrong).all())
    (True, True)
    """
    begun = time.perf_counter()
    data = data_of(M, mask, weights)
    settings = entry_settings_of(
        data.entries, rank, method=method, q=q, eta=eta, prune=prune, noise=noise, x0=x0, tol=tol,
        maxiter=maxiter, rng=rng, callback=callback,
    )  # fmt: skip
    with closing(callback), quiet(), one_blas_thread(data.entries.rows.values):
        ended = split(data.entries, settings)
        evidence, agreement = entry_evidence(
            data.entries, ended.factors, q=settings.q, tol=settings.tol
        )
        return pca_result(data, settings, ended, evidence, agreement, begun)
