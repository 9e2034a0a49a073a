"""The public scores: how much each row of a matrix matters in a p-norm."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core import validate
from .._core.iterate import Record
from .._core.namespace import Array
from .._core.outcome import CONVERGED, ITERATION_LIMIT
from .._core.random import place
from .._linalg import one_blas_thread
from .._rows import is_dask
from .._rows.products import Rows
from ._draw import own_generator
from ._inputs import exponent, index_array, nonzero_rows, tolerance, validated
from ._leverage import coordinates, leverage, power_of_leverage
from ._lewis import lewis_weights
from ._result import NORMAL, ScoresResult
from ._sensitivity import Basis, all_brackets, brackets, constraint_rows, grouped, lewis_basis

KINDS = ("leverage", "root_leverage", "lewis", "sensitivity", "combined")
METHODS = ("auto", "exact", "sketch", "coreset", "grouped")
RANK_DEFICIENT, STALLED = 2, 3
LEWIS_STEPS, NEWTON_STEPS = 500, 100
# Default tolerances in double and single precision.
LEWIS_TOL, SENSITIVITY_TOL = (1e-8, 1e-4), (1e-8, 1e-3)
# Solves before a first look at the error of an estimated sum, and those between two looks.
FIRST_SOLVES, MORE_SOLVES = 48, 32
# Newton steps of the cheap sensitivities that rows are drawn by.
PROXY_STEPS = 2


class Scored(NamedTuple):
    """Scores with all that a result reports of them."""

    scores: Array
    rank: int
    nit: int = 0
    n_solves: int = 0
    residual: float = 0.0
    lower: Array | None = None
    upper: Array | None = None
    history: tuple[Record, ...] = ()
    limit: bool = False


class Settings(NamedTuple):
    """Validated options."""

    p: float
    kind: str
    method: str
    tol: float
    maxiter: int
    indices: Array | None
    bounds: bool
    group_size: int
    rng: np.random.Generator


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
        Largest relative difference of Lewis weight and leverage (default 1e-8; float32: 1e-4), or
        of the two bounds of a sensitivity (default 1e-8; float32: 1e-3).
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
        If an input is not a real array.
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
    data = validated(A)
    settings = _settings(data, p, kind, method, tol, maxiter, rng, indices, bounds, group_size)
    rows = data.rows
    compute = {
        "leverage": _leverage,
        "root_leverage": _leverage,
        "lewis": _lewis,
        "sensitivity": _sensitivity,
        "combined": _sensitivity,
    }[settings.kind]
    with one_blas_thread(rows.like):
        return _report(rows, compute(rows, settings), settings)


def _settings(
    data: Any,
    p: Any,
    kind: Any,
    method: Any,
    tol: Any,
    maxiter: Any,
    rng: Any,
    indices: Any,
    bounds: Any,
    group_size: Any,
) -> Settings:
    kind = validate.choice("kind", kind, KINDS)
    method = validate.choice("method", method, METHODS)
    by_solving = kind in ("sensitivity", "combined")
    if method == "sketch" and kind not in ("leverage", "root_leverage"):
        raise ValueError("`method` 'sketch' is for leverage scores and their roots only.")
    if method in ("coreset", "grouped") and not by_solving:
        raise ValueError(f"`method` {method!r} is for sensitivities only.")
    if method == "grouped" and indices is not None:
        raise ValueError("`indices` does not go with `method` 'grouped', which is for all rows.")
    if (bounds or indices is not None) and kind != "sensitivity":
        raise ValueError("`bounds` and `indices` are for the kind 'sensitivity' only.")
    like = data.like
    default = SENSITIVITY_TOL if by_solving else LEWIS_TOL
    steps = NEWTON_STEPS if by_solving else LEWIS_STEPS
    return Settings(
        exponent(p),
        kind,
        method,
        tolerance(tol, like, *default),
        steps if maxiter is None else validate.count("maxiter", maxiter),
        index_array(indices, data.rows.n, like),
        bool(bounds),
        validate.at_least_one("group_size", group_size),
        own_generator(rng),
    )


def _leverage(rows: Rows, settings: Settings) -> Scored:
    P, rank = coordinates(rows, settings.method, settings.rng)
    power = 1.0 if settings.kind == "leverage" else settings.p / 2
    return Scored(rows.lazily(partial(power_of_leverage, P, power)), rank)


def _lewis(rows: Rows, settings: Settings) -> Scored:
    xp, nonzero = rows.xp, nonzero_rows(rows)
    run = lewis_weights(
        rows, settings.p, tol=settings.tol, maxiter=settings.maxiter, nonzero=nonzero
    )
    weights = xp.where(nonzero, xp.exp(run.best.log_weights), 0.0)
    return Scored(
        weights,
        run.best.whitening.rank,
        run.nit,
        residual=run.best_error,
        history=tuple(run.history),
        limit=run.status == ITERATION_LIMIT,
    )


def _sensitivity(rows: Rows, settings: Settings) -> Scored:
    p, xp = settings.p, rows.xp
    basis = lewis_basis(rows, p, nonzero_rows(rows))
    if settings.method == "grouped":
        return _in_groups(rows, settings, basis)
    index = settings.indices
    wanted = rows.n if index is None else int(index.shape[0])
    C = constraint_rows(rows, p, basis, settings.method, wanted, settings.rng)
    if index is None:
        found = all_brackets(rows, C, basis.P, p, settings.tol, settings.maxiter)
    else:
        order = xp.argsort(index)
        asked = xp.take(rows.take(xp.take(index, order)) @ basis.P, xp.argsort(order), axis=0)
        found = brackets(C, asked, p, tol=settings.tol, maxiter=settings.maxiter)
    exact = C.shape[0] == rows.n
    lower, upper = found.lower, found.upper
    scores = lower if exact else xp.minimum(upper, xp.ones_like(upper))
    if not exact and settings.bounds:
        lower, upper = lewis_bounds(rows, p, basis, index)
    if settings.kind == "combined":
        scores = scores + leverage(rows)[0]
    return Scored(
        scores,
        basis.rank,
        found.nit,
        found.n_solves,
        found.difference(),
        lower if settings.bounds else None,
        upper if settings.bounds else None,
    )


def _in_groups(rows: Rows, settings: Settings, basis: Basis) -> Scored:
    """Return upper bounds of all sensitivities from one problem for each group and draw."""
    p, xp = settings.p, rows.xp
    C = constraint_rows(rows, p, basis, "coreset", rows.n, settings.rng)
    found = grouped(
        C,
        rows.times(basis.P),
        p,
        settings.group_size,
        settings.rng,
        tol=settings.tol,
        maxiter=settings.maxiter,
    )
    lower, upper = lewis_bounds(rows, p, basis, None)
    scores = upper = xp.where(basis.nonzero, xp.minimum(found.upper, upper), 0.0)
    if settings.kind == "combined":
        scores = scores + leverage(rows)[0]
    bounds = (lower, upper) if settings.bounds else (None, None)
    return Scored(scores, basis.rank, found.nit, found.n_solves, found.residual, *bounds)


def lewis_bounds(rows: Rows, p: float, basis: Basis, index: Array | None) -> tuple[Array, Array]:
    """Return bounds (k,) of the sensitivities that hold for tight Lewis weights."""
    run = lewis_weights(rows, p, tol=1e-6, maxiter=LEWIS_STEPS, nonzero=basis.nonzero)
    xp = rows.xp
    w = xp.where(basis.nonzero, xp.exp(run.best.log_weights), 0.0)
    w = w if index is None else xp.take(w, index)
    factor = float(basis.rank) ** (p / 2 - 1)
    low, high = (factor * w, w) if p <= 2 else (w, factor * w)
    # Weights that are off by a relative error of e move either bound by as much.
    off = 2 * run.best_error * max(1.0, p / 2)
    return low * (1 - off), xp.minimum(high * (1 + off), xp.ones_like(w))


def _report(rows: Rows, scored: Scored, settings: Settings) -> ScoresResult:
    xp = rows.xp
    solved = scored.residual <= settings.tol
    status, message = CONVERGED, f"Computed {settings.kind.replace('_', ' ')} scores."
    if not solved:
        status = ITERATION_LIMIT if scored.limit else STALLED
        message = (
            f"Stopped at a residual of {scored.residual:.1e} (tol {settings.tol:.1e}); "
            f"raise maxiter or tol."
        )
    elif scored.rank < rows.d:
        status = RANK_DEFICIENT
        message = f"{message[:-1]} of a matrix of rank {scored.rank} with {rows.d} columns."
    lazy = rows.cluster is not None and is_dask(scored.scores)
    total = rows.cluster.total(scored.scores) if lazy else float(xp.sum(scored.scores))
    scores = scored.scores if lazy else rows.as_given(scored.scores)
    return ScoresResult(
        x=scores,
        fun=total,
        success=solved,
        status=status,
        message=message,
        nit=scored.nit,
        history=list(scored.history),
        scores=scores,
        lower=rows.as_given(scored.lower),
        upper=rows.as_given(scored.upper),
        total=total,
        stderr=0.0,
        rank=scored.rank,
        residual=scored.residual,
        n_solves=scored.n_solves,
        n_passes=rows.n_passes,
        n_blocks=rows.n_blocks,
        n_retries=rows.n_retries,
    )


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
        sensitivities of the rows that were drawn.

    Raises
    ------
    TypeError
        If `A` is not a real array.
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
    validate.in_memory("A", A)
    data, p = validated(A), exponent(p)
    eps, delta = validate.fraction("eps", eps), validate.fraction("delta", delta)
    with one_blas_thread(data.rows.like):
        return _estimated_total(data.rows, p, eps, delta, own_generator(rng))


def _estimated_total(
    rows: Rows, p: float, eps: float, delta: float, rng: np.random.Generator
) -> ScoresResult:
    """Return the estimate by importance sampling, with as many rows as its error asks for."""
    xp = rows.xp
    nonzero = nonzero_rows(rows)
    basis = lewis_basis(rows, p, nonzero)
    images = rows.times(basis.P)
    proxy = constraint_rows(rows, p, basis, "coreset", rows.n, rng)
    rough = brackets(proxy, images, p, tol=0.5, maxiter=PROXY_STEPS)
    chances = xp.where(nonzero, rough.lower, 0.0)
    chances = chances / xp.sum(chances)
    sums = xp.cumulative_sum(chances)
    quantile = NORMAL.inv_cdf(1 - delta / 2)
    count, solves = FIRST_SOLVES, 0
    ratios, scores = [], []
    tol = tolerance(None, images, *SENSITIVITY_TOL)
    history: list[Record] = []
    while True:
        draws = place(rng.random(count), images) * sums[-1]
        index = xp.clip(xp.searchsorted(sums, draws, side="right"), 0, rows.n - 1)
        asked = xp.take(images, index, axis=0)
        found = brackets(images, asked, p, tol=max(tol, 1e-3 * eps), maxiter=NEWTON_STEPS)
        scores.append(found.lower)
        ratios.append(found.lower / xp.take(chances, index))
        solves += count
        values = xp.concat(ratios)
        total = float(xp.mean(values))
        stderr = float(xp.std(values, correction=1)) / math.sqrt(solves)
        error = quantile * stderr / total
        history.append({"nit": solves, "error": error})
        if error <= eps or solves >= rows.n:
            break
        count = MORE_SOLVES
    return ScoresResult(
        x=xp.concat(scores),
        fun=total,
        success=error <= eps,
        status=CONVERGED if error <= eps else ITERATION_LIMIT,
        message=f"Estimated the sum of {rows.n} sensitivities from {solves} of them.",
        nit=solves,
        history=history,
        scores=xp.concat(scores),
        lower=None,
        upper=None,
        total=total,
        stderr=stderr,
        rank=basis.rank,
        residual=error,
        n_solves=solves,
        n_passes=rows.n_passes,
        n_blocks=rows.n_blocks,
        n_retries=rows.n_retries,
    )
