"""The public solver of robust principal components, and recovery from single entries."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array, array_namespace
from .._core.random import generator
from .._linalg import one_blas_thread, quiet
from .._linalg.lowrank import Factors
from ._entries import Entries, full_entries, listed_entries, masked_entries, there_of
from ._inputs import tolerance_of, weights_of
from ._pca_report import PcaInput, judged, pca_report
from ._pca_result import RobustPCAResult
from ._pca_search import PcaOutcome, PcaSettings, pca_search
from ._problem import Problem
from ._report import report
from ._result import RecoveryResult
from ._search import Outcome
from ._structured import EntrySensing, FullEntrySensing
from ._sweeps import Rule, median, zero_state

METHODS = ("reweighted", "subgradient")
# Quantiles of the residual of a row, tuned on planted matrices at 10 to 40 % corruption. Beyond
# `WIDTH` deviations an entry counts as an outlier.
DEFAULT_Q = {"reweighted": 0.3, "subgradient": 0.6}
WIDTH = 1.5
LARGEST_DEFAULT_RANK = 30
FLOOR_EPS = 256


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
        and nothing of its full size is made.
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
        Whether entries that are not outliers are noisy, so that none is met exactly.
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
    data = _data_of(M, mask, weights)
    settings = _settings_of(
        data.entries, rank, method=method, q=q, eta=eta, prune=prune, noise=noise, tol=tol,
        maxiter=maxiter, rng=rng, callback=callback,
    )  # fmt: skip
    warm = _warm(data.entries, x0)
    with closing(callback), quiet(), one_blas_thread(data.entries.rows.values):
        outcome, unit = _solved(data.entries, settings, warm)
        return pca_report(data, settings, outcome, unit)


def _solved(
    entries: Entries, settings: PcaSettings, warm: Factors | None
) -> tuple[PcaOutcome, float]:
    """Return the outcome in the unit of the data, and that unit: the typical magnitude."""
    xp = array_namespace(entries.rows.values)
    there = there_of(entries.rows)
    unit = median(xp.abs(entries.rows.values), there)
    if unit == 0:
        unit = float(xp.max(xp.abs(entries.rows.values)))
    if unit == 0:
        return PcaOutcome(zero_state(entries), 0, 0, [], []), 0.0
    if warm is not None:
        warm = Factors(warm.left / unit**0.5, warm.right / unit**0.5)
    outcome = pca_search(entries.scaled(1 / unit), settings, warm)
    left, right = outcome.state.factors
    factors = Factors(left * unit**0.5, right * unit**0.5)
    return outcome._replace(state=outcome.state._replace(factors=factors)), unit


def _data_of(M: Any, mask: Any, weights: Any) -> PcaInput:
    """Return the validated data."""
    if hasattr(M, "tocoo"):
        return _sparse_data(M, mask, weights)
    xp = validate.common_namespace(M=M, mask=mask, weights=weights)
    M = validate.as_array("M", M, ndim=2, dtype=validate.common_float(M=M))
    if mask is None and weights is None:
        return PcaInput(full_entries(validate.finite("M", M)), M, None)
    if mask is not None:
        validate.same_shape("mask", mask, tuple(M.shape), "M")
        if not xp.isdtype(mask.dtype, "bool"):
            raise TypeError(f"`mask` must hold bools, got dtype {mask.dtype}.")
        if not bool(xp.any(mask)):
            raise ValueError("`mask` must be true somewhere.")
    if weights is not None:
        weights = weights_of(weights, M, "M")
        mask = weights > 0 if mask is None else mask & (weights > 0)
        if not bool(xp.any(mask)):
            raise ValueError("`weights` must be positive where an entry is observed.")
    M = validate.finite("M", xp.where(mask, M, xp.zeros_like(M)))
    return PcaInput(masked_entries(M, mask, weights), M, mask)


def _sparse_data(M: Any, mask: Any, weights: Any) -> PcaInput:
    if mask is not None:
        raise ValueError("`mask` must be None for a sparse matrix: its entries are those observed.")
    M = M.tocoo()
    if M.nnz == 0:
        raise ValueError("`M` must have entries.")
    values = M.data.astype(validate.common_float(M=M.data))
    if weights is not None:
        validate.common_namespace(M=values, weights=weights)
        weights = weights_of(weights, values, "M.data")
        kept = weights > 0
        M, values, weights = _kept(M, kept), values[kept], weights[kept]
        if M.nnz == 0:
            raise ValueError("`weights` must be positive where an entry is observed.")
    validate.finite("M", values)
    n, d = M.shape
    xp = array_namespace(values)
    flat = xp.astype(M.row, xp.int64) * d + M.col
    if xp.unique_values(flat).shape[0] != M.nnz:
        raise ValueError("`M` must not hold an entry twice; call sum_duplicates first.")
    return PcaInput(listed_entries(values, M.row, M.col, (n, d), weights), M, None)


def _kept(M: Any, kept: Array) -> Any:
    """Return some of the entries of a sparse matrix in coordinates."""
    return type(M)((M.data[kept], (M.row[kept], M.col[kept])), shape=M.shape)


def _settings_of(entries: Entries, rank: Any, **options: Any) -> PcaSettings:
    method = validate.choice("method", options["method"], METHODS)
    for name in ("prune", "noise"):
        validate.flag(name, options[name])
    q = DEFAULT_Q[method] if options["q"] is None else validate.fraction("q", options["q"])
    values = entries.rows.values
    return PcaSettings(
        rank=_rank(entries, rank),
        rule=Rule(method, q, WIDTH, validate.positive("eta", options["eta"])),
        prune=options["prune"],
        noise=options["noise"],
        tol=tolerance_of(values, options["tol"]),
        floor=FLOOR_EPS * float(array_namespace(values).finfo(values.dtype).eps),
        maxiter=validate.count("maxiter", options["maxiter"]),
        generator=generator(options["rng"]),
        callback=validate.optional_callable("callback", options["callback"]),
    )


def _rank(entries: Entries, rank: Any) -> int:
    n, d = entries.shape
    if rank is None:
        by_count = entries.total // (4 * (n + d))
        return max(1, min(by_count, min(n, d) // 4, LARGEST_DEFAULT_RANK))
    largest: int = validate.count("rank", rank)
    if not 1 <= largest <= min(n, d):
        raise ValueError(f"`rank` must be between 1 and {min(n, d)}, got {rank}.")
    return largest


def _warm(entries: Entries, x0: Any) -> Factors | None:
    """Return the factors of a warm start, validated."""
    if x0 is None:
        return None
    if isinstance(x0, RobustPCAResult | RecoveryResult):
        x0 = x0.L, x0.R
    if not isinstance(x0, tuple) or len(x0) != 2:
        raise ValueError("`x0` must be a pair (L, R).")
    like = entries.rows.values
    factors = []
    for side, x in enumerate(x0):
        name = f"x0[{side}]"
        validate.common_namespace(M=like, **{name: x})
        x = validate.finite(name, validate.as_array(name, x, ndim=2, dtype=like.dtype))
        if x.shape[0] != entries.shape[side]:
            raise ValueError(
                f"`{name}` must have {entries.shape[side]} rows, got shape {tuple(x.shape)}."
            )
        factors.append(x)
    if factors[0].shape[1] != factors[1].shape[1]:
        raise ValueError("`x0` must be a pair of factors with equally many columns.")
    return Factors(*factors)


class _EntryOptions(NamedTuple):
    """What of the settings of a recovery its report reads."""

    rank: int
    q: float
    tol: float
    noise: bool


def recover_entries(
    A: EntrySensing | FullEntrySensing, y: Any, rank: Any, *, symmetric: Any, weights: Any,
    q: Any, x0: Any, **options: Any,
) -> RecoveryResult:  # fmt: skip
    """Return the recovery from single entries, for `robust_low_rank_recovery`."""
    if symmetric:
        raise ValueError("`A` measures rectangular matrices: use symmetric=False.")
    validate.common_namespace(A=A.like, y=y, weights=weights)
    validate.common_float(y=y)
    y = validate.as_array("y", y, ndim=1, dtype=A.like.dtype)
    if y.shape[0] != A.m:
        raise ValueError(f"`y` must have {A.m} entries to match `A`, got shape {tuple(y.shape)}.")
    validate.finite("y", y)
    weights = y * 0 + 1 if weights is None else weights_of(weights, y, "y")
    entries = _measured(A, y, weights)
    options = options | {"method": "reweighted", "eta": 1.0, "q": max(_q(q), 0.3)}
    settings = _settings_of(entries, rank, **options)
    warm = _warm(entries, x0)
    with closing(settings.callback), quiet(), one_blas_thread(y):
        found, unit = _solved(entries, settings, warm)
        problem = Problem(A, y, weights, False, False, A.m)
        outcome = Outcome(
            found.state.factors, found.status, found.nit, found.history, found.ranks, 1.0
        )
        read: Any = _EntryOptions(settings.rank, settings.rule.q, settings.tol, settings.noise)
        return judged(
            entries,
            outcome.factors,
            settings.tol * unit,
            lambda verdict: report(problem, read, None, outcome, unique=not verdict.apart),
        )


def _measured(A: EntrySensing | FullEntrySensing, y: Array, weights: Array) -> Entries:
    """Return the measured entries whose weight is positive."""
    xp, kept = array_namespace(y), weights > 0
    if not bool(xp.any(kept)):
        raise ValueError("`weights` must be positive somewhere.")
    given = None if bool(xp.all(weights == 1)) else weights
    if isinstance(A, FullEntrySensing):
        M, kept = (xp.reshape(x, A.shape) for x in (y, kept))
        return masked_entries(M, kept, None if given is None else xp.reshape(given, A.shape))
    if bool(xp.all(kept)):
        return listed_entries(y, A.rows, A.columns, A.shape, given)
    return listed_entries(y[kept], A.rows[kept], A.columns[kept], A.shape, weights[kept])


def _q(q: Any) -> float:
    return validate.fraction("q", q)
