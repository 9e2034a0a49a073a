"""The public functions of matrix completion."""

from __future__ import annotations

import time
from typing import Any

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array
from .._linalg import one_blas_thread
from ._inputs import Options, ascending, refuse_on_cluster, task_of
from ._result import MatrixCompletionResult, RankPathResult, report, report_path
from ._solve import solve, solve_path


def matrix_completion(
    M: Any,
    rank: int | str = "auto",
    *,
    mask: Array | None = None,
    weights: Array | None = None,
    reg: float | tuple[str, float] = 0.0,
    x0: Any = None,
    init: str = "spectral",
    method: str = "auto",
    inner_maxiter: int = 3,
    inner_tol: float = 0.1,
    continuation: bool = True,
    path_factor: float | None = None,
    momentum: float = 0.7,
    max_rank: int | None = None,
    bias: bool | float = False,
    nonneg: bool = False,
    sample_splitting: bool = False,
    validation: tuple[Array, Array, Array] | None = None,
    early_stopping: int | None = None,
    polish: str | None = "auto",
    duplicates: str = "raise",
    certify: bool = False,
    tol: float | None = None,
    maxiter: int = 1000,
    rng: Any = None,
    callback: Callback | None = None,
) -> MatrixCompletionResult:
    r"""Find the low-rank matrix that fits the entries seen of it.

    .. math::

        \min_{X, Y} \; \sum_{(i, j) \in \Omega} w_{ij} \big( M_{ij} - x_i^\top y_j \big)^2
        + \mathrm{reg} \, \big( \|X\|_F^2 + \|Y\|_F^2 \big),
        \qquad X \in \mathbb{R}^{m \times k}, \; Y \in \mathbb{R}^{n \times k},

    where :math:`\Omega` are the N entries seen. With ``reg = 0`` this is exact completion; with
    ``reg > 0`` it denoises, or recommends.

    Parameters
    ----------
    M : sparse matrix, array, or tuple (rows, columns, values, shape)
        What was seen of a matrix (m, n): a sparse matrix of SciPy or CuPy, whose explicit zeros
        are observations; a dense array of any library, where nan or `mask` says what is missing,
        a masked array or a data frame; or vectors (N,) of places and values with the shape (m, n).
        Real; integers become the default float. Entries that exceed memory: Dask vectors, or a
        Dask array of dense or sparse blocks, which may come in `row_blocks`.
    rank : int or "auto", default "auto"
        Number of columns k of the factors. "auto" raises it from a few while that lowers the error
        on held-out entries: those of `validation`, or a tenth of the entries that takes part again
        once the rank is found.
    mask : array of bool, shape (m, n), optional
        Which entries of a dense `M` were seen.
    weights : array or sparse matrix, optional
        Non-negative weights, in the form of `M`: dense (m, n), sparse with the same entries, or
        (N,) in the order of the values. Entries of weight 0 count as not seen. Default is 1.
    reg : float or ("count", float), default 0.0
        Regularization, in the unit of the values. ("count", c) regularizes each row and column
        by c times the number of its entries.
    x0 : tuple (X0, Y0) or result, optional
        Warm start: factors, or an earlier result, which is cut by its singular values or padded
        with small noise if its rank is another.
    init : {"spectral", "random"}, default "spectral"
        Start where there is no `x0`: leading singular vectors of the entries seen, or Gaussian
        factors.
    method : {"auto", "pcg", "exact"}, default "auto"
        How the least-squares problem of a row is solved: by a few steps of preconditioned
        conjugate gradients, or by its normal equations. "auto" takes the cheaper.
    inner_maxiter : int, default 3
        Steps of an iterative inner solver for each row and half sweep.
    inner_tol : float, default 0.1
        Fall of the preconditioned gradient at which it stops before that.
    continuation : bool, default True
        Whether the regularization comes down to `reg` from a third of the largest singular value,
        without which ill-conditioned matrices are not found. Not after a warm start, nor with a
        rank to be found.
    path_factor : float, optional
        What it is multiplied by after each sweep. Default is 0.5 from 4 entries for each degree
        of freedom on, or with ``reg > 0``; 0.7 from 3 on; 0.97, with momentum, below.
    momentum : float, default 0.7
        Largest factor of the extrapolation between sweeps, in [0, 1); 0 for none.
    max_rank : int, optional
        Largest rank to try. Default is 50, or the smaller side of the matrix.
    bias : bool or float, default False
        Whether to fit a mean and offsets of rows and columns besides; a number is the
        regularization of the offsets, `reg` by default.
    nonneg : bool, default False
        Whether factors must be non-negative: coordinate descent on each row.
    sample_splitting : bool, default False
        Whether to take fresh entries for the start and for every half sweep, a random one of
        ``2 maxiter + 1`` parts, as the method is published and analyzed [1]_. For teaching: it
        needs that many times the entries, so set `maxiter`. Without path, momentum and polish; for
        a known rank, the spectral start and ``reg = 0``. What is reported is measured on all
        entries.
    validation : tuple (rows, columns, values), optional
        Held-out entries, whose error the history records.
    early_stopping : int, optional
        Sweeps without a better error on `validation` after which to stop with the best model.
    polish : {"auto", "gauss-newton", None}, default "auto"
        Whether to finish with Gauss-Newton steps on both factors at once, which converge
        near the information limit, where alternation does not. "auto" does so below 3 entries
        for each degree of freedom, for a known rank and ``reg = 0``, in memory.
    duplicates : {"raise", "mean"}, default "raise"
        What to do with entries given more than once.
    certify : bool, default False
        Whether to compute ``gap``, for a number ``reg > 0`` without weights, offsets and signs.
    tol : float, optional
        Largest relative change of the objective over a sweep and a tenth of the largest relative
        gradient; with ``reg = 0`` a relative residual as small will do. Default is 1e-6 in float64,
        1e-4 in float32.
    maxiter : int, default 1000
        Largest number of sweeps and Gauss-Newton steps.
    rng : int or numpy.random.Generator, optional
        Source of the start, and of the split for ``rank="auto"``.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with the record of each sweep; `StopIteration`
        ends the solve.

    Returns
    -------
    MatrixCompletionResult
        The factors ``X`` and ``Y``, the mean and offsets, ``fun``, ``success``, ``status``,
        ``message``, diagnostics and ``history``; with methods ``predict``, ``matrix``, ``fold_in``,
        ``top_n`` and ``verify``.

    Raises
    ------
    TypeError
        If an input is not real, or inputs are of different libraries or devices.
    ValueError
        If nothing was seen, a shape, sign or option is wrong, options contradict one another, a
        value given as sparse or by coordinates is not finite, an entry occurs twice, parts of
        the entries have fewer than ``rank * max(m, n)``, or Dask arrays have chunks of unknown
        sizes or come with an option that needs entries in memory: `sample_splitting`, ``polish=
        "gauss-newton"``, or ``rank="auto"`` without `validation`.
    RuntimeError
        If Dask arrays are on a cluster that fails, or is closed.

    Warns
    -----
    UserWarning
        If the entries cannot determine a matrix of this rank and ``reg = 0``.

    See Also
    --------
    rank_path : chooses the rank by the error on held-out entries.

    Notes
    -----
    Alternating minimization [1]_: with Y given, each row of X is a least-squares problem of its
    own, and the other way round. It converges although each is solved only roughly, by a few
    steps from where it is, so a sweep takes O(N k) time for conjugate gradients instead of
    O(N k^2); for small k the exact solves are faster all the same, since they run at the speed
    of matrix products. Before conjugate gradients the factors are rotated until the Gram matrix
    of the fixed one is diagonal; with that the diagonal of a row's equations is as good a
    preconditioner as the sketch of each row that is published, and costs less.

    Below about 3 entries for each of the ``k (m + n - k)`` degrees of freedom plain alternation
    fails. A slow path with momentum, and Gauss-Newton steps with the columns eliminated [2]_,
    which take O((m + n) k^2) memory, go on to about 1.1 for well-conditioned matrices. A row
    with fewer than k entries cannot be found by any method.

    Memory is O(N + (m + n) k); the matrix is never formed. Runs on NumPy, CuPy, PyTorch and any
    other Array API library, sparse input on the first two. Rows never seen are zero.

    Entries of Dask arrays are read twice, then kept on the cluster by rows and by columns. Each
    half sweep is one barrier, whose tasks run the same kernels; factors are host arrays, of up to
    1 GB each, or `max_bytes` of `row_blocks`, and what a lost worker held is made again.

    References
    ----------
    .. [1] Y. Gu, Z. Song, J. Yin, L. Zhang, "Low Rank Matrix Completion via Robust Alternating
       Minimization in Nearly Linear Time", ICLR 2024, arXiv:2302.11068.
    .. [2] P. Zilber, B. Nadler, "GNMR: A provable one-line algorithm for low rank matrix
       recovery", SIAM J. Math. Data Sci. 4 (2022), arXiv:2106.12933.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> M = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 50))
    >>> seen = np.where(rng.random(M.shape) < 0.4, M, np.nan)
    >>> result = numopt.matrix_completion(seen, 2, tol=1e-12)
    >>> result.success, bool(abs(result.matrix() - M).max() < 1e-9)
    (True, True)
    >>> numopt.matrix_completion(seen, rng=0).rank
    2
    """
    began = time.perf_counter()
    options = Options(
        mask=mask,
        weights=weights,
        reg=reg,
        method=method,
        bias=bias,
        nonneg=nonneg,
        validation=validation,
        polish=polish,
        duplicates=duplicates,
        tol=tol,
        maxiter=maxiter,
        rng=rng,
        callback=callback,
        x0=x0,
        init=init,
        inner_maxiter=inner_maxiter,
        inner_tol=inner_tol,
        continuation=continuation,
        path_factor=path_factor,
        momentum=momentum,
        early_stopping=early_stopping,
        certify=certify,
        sample_splitting=sample_splitting,
    )
    task = task_of(M, rank, max_rank, options)
    with closing(callback), one_blas_thread(task.problem.seen.like):
        return report(task, solve(task), began)


def rank_path(
    M: Any,
    ranks: Any,
    *,
    holdout: float = 0.1,
    mask: Array | None = None,
    weights: Array | None = None,
    reg: float | tuple[str, float] = 0.0,
    method: str = "auto",
    bias: bool | float = False,
    nonneg: bool = False,
    validation: tuple[Array, Array, Array] | None = None,
    duplicates: str = "raise",
    tol: float | None = None,
    maxiter: int = 1000,
    rng: Any = None,
    callback: Callback | None = None,
) -> RankPathResult:
    r"""Choose the rank of a completion by its error on entries held out.

    .. math::

        \min_k \; \sum_{(i, j) \in H} \big( M_{ij} - (X_k Y_k^\top)_{ij} \big)^2

    over the ranks given, where H are the held-out entries and :math:`X_k, Y_k` the factors that
    `matrix_completion` finds from the others. For noisy data; on exact data ``rank="auto"`` there
    does with less.

    Parameters
    ----------
    M : sparse matrix, array, or tuple (rows, columns, values, shape)
        Matrix seen in part, as in `matrix_completion`.
    ranks : sequence of int
        Ranks to try, in ascending order.
    holdout : float, default 0.1
        Share of the entries held out, unless `validation` is given.
    mask : array of bool, shape (m, n), optional
        Which entries of a dense matrix were seen.
    weights : array or sparse matrix, optional
        Non-negative weights of the entries.
    reg : float or ("count", float), default 0.0
        Regularization of the factors.
    method : {"auto", "pcg", "exact"}, default "auto"
        How rows are solved.
    bias : bool or float, default False
        Whether there are offsets of rows and columns.
    nonneg : bool, default False
        Whether factors are non-negative.
    validation : tuple (rows, columns, values), optional
        Held-out entries to use instead; needed where the entries are Dask arrays.
    duplicates : {"raise", "mean"}, default "raise"
        What to do with entries given more than once.
    tol : float, optional
        Tolerance of each fit. Default is 1e-6 in float64, 1e-4 in float32.
    maxiter : int, default 1000
        Largest number of sweeps for each rank.
    rng : int or numpy.random.Generator, optional
        Source of the split and of the starts.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` after each sweep; `StopIteration` ends the path.

    Returns
    -------
    RankPathResult
        ``ranks``, their errors ``rmse``, the best ``rank`` and the model ``best`` of it, fitted to
        all entries.

    Raises
    ------
    TypeError
        If `ranks` is not a sequence of integers, or an input is of the wrong kind.
    ValueError
        If `ranks` is empty or not ascending, or an input has a wrong value.

    See Also
    --------
    matrix_completion : one fit, and all options.

    Notes
    -----
    Each rank starts from the model of the one before, with the leading singular pairs of its
    residual appended, so that a path costs little more than its last fit.

    References
    ----------
    .. [1] Y. Gu, Z. Song, J. Yin, L. Zhang, "Low Rank Matrix Completion via Robust Alternating
       Minimization in Nearly Linear Time", ICLR 2024, arXiv:2302.11068.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> M = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 40)) + 0.1 * rng.normal(size=(50, 40))
    >>> M[rng.random(M.shape) < 0.4] = np.nan
    >>> path = numopt.rank_path(M, [1, 2, 3, 4, 5], rng=0)
    >>> path.rank, path.best.X.shape
    (3, (50, 3))
    """
    began = time.perf_counter()
    refuse_on_cluster(M, {"`rank_path`": (validation is None, "`validation`")})
    chosen, share = ascending(ranks), validate.fraction("holdout", holdout)
    options = Options(
        mask=mask,
        weights=weights,
        reg=reg,
        method=method,
        bias=bias,
        nonneg=nonneg,
        validation=validation,
        polish=None,
        duplicates=duplicates,
        tol=tol,
        maxiter=maxiter,
        rng=rng,
        callback=callback,
    )
    task = task_of(M, chosen[-1], None, options)
    with closing(callback), one_blas_thread(task.problem.seen.like):
        trials, found = solve_path(task, chosen, share)
        return report_path(task, chosen, trials, found, began)
