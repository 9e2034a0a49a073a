"""What the solvers of robust recovery return, and how it is put together."""

from __future__ import annotations

import math
import time
from typing import Any

from .._core.namespace import Array, array_namespace
from .._core.outcome import Check, Outcome, Result, Status, settle
from .._entries.layouts import Layouts
from .._linalg import Factors
from ._certificate import (
    Evidence,
    checked_again,
    checks_of,
    evidence_of,
    exact_checks,
    noise_check,
    passed,
)
from ._inputs import problem_of
from ._problem import Ended, Problem, Settings, objective
from .pca._certificate import Agreement, entry_evidence, observed
from .pca._inputs import data_of, measured_entries
from .pca._problem import Data
from .pca._problem import Settings as SplitSettings

# Residuals that count as agreeing where there is noise, in robust deviations.
INLIER = 6.0


class _LowRank(Result):
    """A matrix by its factors, and what agrees with it."""

    L: Array
    R: Array
    rank: int
    singular_values: Array
    sigma: float
    n_inliers: int
    outlier_fraction: float
    consensus: float
    outlier_mask: Any

    def matrix(self) -> Array:
        """Return the matrix of low rank as an array."""
        return array_namespace(self.L).matmul(self.L, self.R.T)


class RecoveryResult(_LowRank):
    """A matrix of low rank behind corrupted measurements, and which of them agree with it.

    Attributes
    ----------
    x : array, shape (d, k) or (d1 + d2, k)
        ``U`` or, for a rectangular matrix, ``L`` with ``R`` below it.
    U : array or None, shape (d, k)
        Factor of the positive semidefinite matrix ``U U'``; None for a rectangular one.
    L, R : array, shape (d1, k) and (d2, k)
        Factors of the matrix ``L R'``, balanced, with orthogonal columns in falling order. Both are
        ``U`` for a positive semidefinite one.
    fun : float
        Mean of the (weighted) magnitudes of the residual.
    status : Status
        0 exact consensus, 1 iteration limit, 9 noise floor: the residual came to rest above zero,
        10 no structure found: too few measurements or too many outliers, 11 single entries agree,
        but with more than one matrix, 98 a number that is not finite, 99 stopped by the callback.
    checks : list of Check
        The unknowns over the measurements that agree exactly, at most 1 / 1.5; for single entries
        also those of `RobustPCAResult`. With ``noise=True``, where these fail, the robust deviation
        of the residual, relative to that of the measurements, at most one half.
    nit : int
        Iterations: subgradient steps and refinement steps together.
    rank : int
        Columns of the factors.
    singular_values : array, shape (k,)
        Of the matrix, largest first.
    sigma : float
        Robust standard deviation of the residual, in the unit of `y`.
    residual : array, shape (m,)
        Measurements of the matrix, plus the intercept, minus `y`.
    outlier_mask : array, shape (m,)
        True for measurements that do not agree: exactly for status 0, otherwise within 6 `sigma`.
    n_inliers : int
        How many do agree.
    outlier_fraction : float
        Share of the others.
    consensus : float
        Measurements that agree exactly for each unknown. At 1.5 or more the solution is verified.
    intercept : float
        The number added to all measurements, 0 without ``fit_intercept``.
    history : list of dict
        For every iteration ``nit``, ``error`` (what decides on consensus, relative to the
        measurements), ``fun``, ``scale``, ``rank`` and ``seconds``.
    stats : dict
        ``rank_history``, the ranks on the way, the one started with first; ``step_final``, the
        relative length of the steps in the end, after what safeguards took off; ``q``, the quantile
        that scales were taken at.

    See Also
    --------
    robust_low_rank_recovery : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A, u = rng.normal(size=(60, 6, 6)), np.arange(6.0)
    >>> y = np.einsum("i,mij,j->m", u, A, u)
    >>> y[:12] += 100
    >>> result = numopt.robust_low_rank_recovery(A, y)
    >>> result.rank, result.n_inliers
    (1, 48)
    >>> bool(np.allclose(result.matrix(), np.outer(u, u)))
    True
    >>> all(check.passed for check in result.verify(A, y))
    True
    """

    U: Array | None
    residual: Array
    intercept: float

    def verify(
        self,
        A: Any,
        y: Array,
        rank: int | None = None,
        *,
        shape: tuple[int, int] | None = None,
        weights: Array | None = None,
        fit_intercept: bool = False,
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from the measurements and the factors alone.

        `A`, `y`, `shape`, `weights` and `fit_intercept` are what the solver was given; its `rank`
        and its other `options` may be left out.
        """
        del rank, options
        problem = problem_of(
            A,
            y,
            shape=shape,
            symmetric=self.U is not None,
            weights=weights,
            fit_intercept=fit_intercept,
        )
        evidence = certified(
            problem,
            measured_entries(problem),
            Factors(self.L, self.R),
            self.intercept,
            q=self.stats["q"],
            tol=self.tol,
        )
        return checked_again(evidence, self.checks)


class RobustPCAResult(_LowRank):
    """A matrix of low rank, and the entries that do not agree with it.

    Attributes
    ----------
    x : array, shape (n + d, k)
        ``L`` with ``R`` below it.
    L, R : array, shape (n, k) and (d, k)
        Factors of the matrix ``L R'``, balanced, with orthogonal columns in falling order.
    sparse : array, shape (n, d), or scipy.sparse matrix
        ``M - L R'`` at the outliers, zero elsewhere; sparse if `M` was.
    outlier_mask : array, shape (n, d), or scipy.sparse matrix
        True where an observed entry does not agree: exactly for status 0, otherwise within 6
        `sigma`.
    fun : float
        Mean of the (weighted) magnitudes of the residual over the observed entries.
    status : Status
        0 exact consensus, 1 iteration limit, 9 noise floor: the residual came to rest above zero,
        10 no structure found: no matrix of low rank explains the entries, 11 entries agree, but in
        two parts with too few of them between, 98 a number that is not finite, 99 stopped by the
        callback.
    checks : list of Check
        The unknowns over the entries that agree exactly, at most 1 / 1.5; the entries that two
        parts need between them over those that they have, at most 1; the share of rows or of
        columns next to none of whose entries agrees, at most a tenth. With ``noise=True``, where
        these fail, the robust deviation of the residual, relative to that of the entries, at most
        one half.
    nit : int
        Sweeps, all attempts together.
    rank : int
        Columns of the factors.
    singular_values : array, shape (k,)
        Of the matrix, largest first.
    sigma : float
        Robust standard deviation of the residual.
    n_inliers : int
        Observed entries that agree.
    outlier_fraction : float
        Share of the others among the observed entries.
    consensus : float
        Entries that agree exactly for each unknown. At 1.5 or more the solution is verified.
    outlier_rows, outlier_columns : list of int
        Rows and columns with enough entries, next to none of which agrees: nothing is known of the
        matrix there.
    history : list of dict
        For every sweep ``nit``, ``error``, ``scale`` (typical scale of the residual of a column,
        relative to the entries) and ``rank``.
    stats : dict
        ``empty_rows`` and ``empty_columns``, without an observed entry: their factors are zero;
        ``rank_history``, the ranks on the way, the one started with first; ``q``, the quantile that
        scales were taken at.

    See Also
    --------
    robust_pca : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> M = np.outer(np.arange(1.0, 11), np.ones(8))
    >>> M[2, 3] = 50
    >>> result = numopt.robust_pca(M, 1)
    >>> float(result.sparse[2, 3].round(6)), result.n_inliers
    (47.0, 79)
    >>> all(check.passed for check in result.verify(M))
    True
    """

    sparse: Any
    outlier_rows: list[int]
    outlier_columns: list[int]

    def verify(
        self,
        M: Any,
        rank: int | None = None,
        *,
        mask: Array | None = None,
        weights: Array | None = None,
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from the entries and the factors alone.

        `M`, `mask` and `weights` are what the solver was given; its `rank` and its other `options`
        may be left out.
        """
        del rank, options
        entries = data_of(M, mask, weights).entries
        factors = Factors(self.L, self.R)
        evidence, _ = entry_evidence(entries, factors, q=self.stats["q"], tol=self.tol)
        return checked_again(evidence, self.checks)


# What a report reads are rank, q, tol and noise.
Asked = Settings | SplitSettings


def certified(
    problem: Problem,
    entries: Layouts | None,
    factors: Factors,
    intercept: float,
    *,
    q: float,
    tol: float,
) -> Evidence:
    """Return how exactly measurements agree with a matrix; `entries` if they are of that kind."""
    if entries is None:
        return evidence_of(problem, factors, intercept, q=q, tol=tol)
    return entry_evidence(entries, factors, q=q, tol=tol)[0]


def recovery_result(
    problem: Problem, asked: Asked, ended: Ended, evidence: Evidence, begun: float
) -> RecoveryResult:
    """Return the result of a solve from measurements."""
    factors, residual = ended.factors, evidence.residual
    if evidence.ties is not None:  # entries that were observed; here are all that were given
        residual = problem.operator.forward(*factors) - problem.y
    result = RecoveryResult(
        _reported(asked, ended, evidence, residual, begun),
        U=factors.left if problem.symmetric else None,
        residual=residual,
        outlier_mask=array_namespace(residual).abs(residual) > _bound(evidence),
        fun=float(objective(problem, residual)),
        intercept=ended.intercept,
    )
    result.stats["step_final"] = ended.step
    return result


def pca_result(
    data: Data,
    asked: Asked,
    ended: Ended,
    evidence: Evidence,
    agreement: Agreement,
    begun: float,
) -> RobustPCAResult:
    """Return the result of a split of a matrix."""
    entries, residual = data.entries, evidence.residual
    weights, exact = entries.rows.weights, passed(exact_checks(evidence))
    weighted = residual * observed(entries, weights) if weights.shape[0] else residual
    rows, columns = (
        _places(flags) if exact else [] for flags in (agreement.poor_rows, agreement.poor_columns)
    )
    mask, sparse = _split(data, ended.factors, _bound(evidence))
    result = RobustPCAResult(
        _reported(asked, ended, evidence, residual, begun, len(rows) + len(columns)),
        sparse=sparse,
        outlier_mask=mask,
        fun=float(array_namespace(residual).mean(array_namespace(residual).abs(weighted))),
        outlier_rows=rows,
        outlier_columns=columns,
    )
    result.stats["empty_rows"] = _places(entries.rows.counts == 0)
    result.stats["empty_columns"] = _places(entries.columns.counts == 0)
    return result


def _reported(
    asked: Asked,
    ended: Ended,
    evidence: Evidence,
    residual: Array,
    begun: float,
    unexplained: int = 0,
) -> dict[str, Any]:
    """Return the fields that both kinds of results have."""
    factors, xp = ended.factors, array_namespace(residual)
    count = int(xp.count_nonzero(xp.abs(residual) <= _bound(evidence)))
    found = f"{count} of {residual.shape[0]} {evidence.noun}"
    return {
        "x": factors.left if factors.tied else xp.concat([*factors]),
        "L": factors.left,
        "R": factors.right,
        **_settled(asked, ended, evidence, found, unexplained)._asdict(),
        "nit": ended.nit,
        "rank": factors.rank,
        "singular_values": ended.singular_values,
        "sigma": evidence.sigma,
        "n_inliers": count,
        "outlier_fraction": 1 - count / residual.shape[0],
        "consensus": evidence.consensus,
        "history": ended.history,
        "tol": asked.tol,
        "execution_time": time.perf_counter() - begun,
        "stats": {"rank_history": [asked.rank, *ended.ranks], "q": asked.q},
    }


def _bound(evidence: Evidence) -> float:
    """Return the largest residual of what counts as an inlier."""
    return evidence.tol if passed(exact_checks(evidence)) else INLIER * evidence.sigma


def _settled(
    asked: Asked, ended: Ended, evidence: Evidence, found: str, unexplained: int
) -> Outcome:
    """Return the outcome that the data allow for, and what is said about it."""
    exact, status, noun = passed(exact_checks(evidence)), ended.status, evidence.noun
    otherwise = Status.STALLED if exact else _failure(evidence, asked.noise)
    if status != Status.STOPPED_BY_CALLBACK:
        if not math.isfinite(evidence.sigma):
            status = Status.NON_FINITE
        elif status == Status.NOISE_FLOOR or otherwise is Status.NOT_DETERMINED:
            status = Status.CONVERGED  # in the loop, which is for the checks to say
    if exact:
        but = f" {unexplained} rows and columns could not be explained." if unexplained else ""
        detail = f"{found} agree exactly with a matrix of rank {ended.factors.rank}.{but}"
    elif ended.indefinite and status in (Status.CONVERGED, Status.NO_STRUCTURE):
        detail = f"No positive semidefinite matrix explains the {noun}; try symmetric=False."
    elif status == Status.CONVERGED:
        detail = _left(otherwise, asked, ended, evidence, found)
    else:
        detail = ""
    # A rest can only be noise where nothing more could be taken from it.
    at_rest = ended.status not in (Status.ITERATION_LIMIT, Status.STOPPED_BY_CALLBACK)
    return settle(
        status,
        checks_of(evidence, asked.noise and at_rest),
        nit=ended.nit,
        unit="iteration" if evidence.ties is None else "sweep",
        otherwise=otherwise,
        solved=Status.CONVERGED if exact else Status.NOISE_FLOOR,
        detail=detail,
        advice={
            Status.ITERATION_LIMIT: "raise maxiter",
            Status.NON_FINITE: f"check the scale of the {noun}",
            Status.NO_STRUCTURE: "they are too few, or too many of them are outliers: try a "
            f"smaller q, a lower rank or more {noun}",
        },
    )


def _failure(evidence: Evidence, noise: bool) -> Status:
    """Return what a solve that came to rest is that is not verified."""
    if not noise and evidence.ties is not None and evidence.ties > 1:
        return Status.NOT_DETERMINED
    return Status.NOISE_FLOOR if noise_check(evidence).passed else Status.NO_STRUCTURE


def _left(otherwise: Status, asked: Asked, ended: Ended, evidence: Evidence, found: str) -> str:
    """Return what is to be said of a solve that came to rest without exact agreement."""
    rank, noun = ended.factors.rank, evidence.noun
    if otherwise is Status.NOT_DETERMINED:
        return (
            f"{evidence.agreeing} {noun} agree exactly with a matrix of rank {rank}, but in two "
            f"parts with too few of them between for it to be the only one; observe more {noun} "
            "there."
        )
    if otherwise is Status.NO_STRUCTURE:
        return ""
    advice = "" if asked.noise else f" Pass noise=True if the {noun} are noisy."
    return (
        f"Its robust deviation is {evidence.sigma:.2g} at rank {rank}; {found} lie within six "
        f"times that.{advice}"
    )


def _places(flags: Array) -> list[int]:
    """Return where flags are set."""
    xp = array_namespace(flags)
    return [int(place) for place in xp.nonzero(flags)[0]] if bool(xp.any(flags)) else []


def _split(data: Data, factors: Factors, bound: float) -> tuple[Any, Any]:
    """Return where outliers are, and their sizes, in the form of the data."""
    xp, (left, right) = array_namespace(factors.left), factors
    if data.listed is None:
        residual = data.matrix - xp.matmul(left, right.T)
        mask = xp.abs(residual) > bound
        if data.seen is not None:
            mask = mask & data.seen
        return mask, xp.where(mask, residual, xp.zeros_like(residual))
    rows, columns, values, _, shape = data.listed
    product = xp.vecdot(xp.take(left, rows, axis=0), xp.take(right, columns, axis=0))
    residual = xp.astype(values, left.dtype) - product
    outliers = xp.abs(residual) > bound
    places = (rows[outliers], columns[outliers])
    mask = data.kind((xp.ones_like(residual, dtype=xp.bool)[outliers], places), shape=shape)
    return mask.tocsr(), data.kind((residual[outliers], places), shape=shape).tocsr()
