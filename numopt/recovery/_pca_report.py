"""The certificate of robust principal components, from the returned factors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from .._core.namespace import Array, array_namespace
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK
from .._linalg.lowrank import Factors, Frame, degrees_of_freedom, factors_of, frame_of
from ._entries import Entries, there_of, weighted
from ._pca_result import RobustPCAResult
from ._pca_search import NOISE_FLOOR, PcaOutcome, PcaSettings, Verdict, verdict_of
from ._result import RecoveryResult
from ._scale import deviation
from ._sweeps import zero_state

# Residuals that count as agreeing where there is noise, in robust deviations.
INLIER = 6.0
# Share of rows and columns that may be left unexplained by a solution that counts as verified.
UNEXPLAINED = 0.1


Report = TypeVar("Report", RobustPCAResult, RecoveryResult)


class PcaInput(NamedTuple):
    """The data of a solve, as entries and as they came."""

    entries: Entries
    matrix: Any  # array or sparse matrix in coordinates
    mask: Array | None


def pca_report(
    data: PcaInput, settings: PcaSettings, outcome: PcaOutcome, unit: float
) -> RobustPCAResult:
    """Return the result, certified by the residual of the returned factors."""
    entries = data.entries
    frame = frame_of(_cleared(entries, outcome.state.factors))
    tol = settings.tol * unit
    return judged(
        entries,
        factors_of(frame),
        tol,
        lambda verdict: _reported(data, settings, outcome, frame, verdict, tol),
    )


def judged(
    entries: Entries, factors: Factors, tol: float, report: Callable[[Verdict], Report]
) -> Report:
    """Return what is reported of factors in the light of how exactly they agree with the entries.

    The message says so where entries agree, but not with one matrix only.
    """
    state = zero_state(entries)._replace(factors=factors)
    verdict = verdict_of(entries, state, tol)
    result = report(verdict)
    if verdict.apart and not result.success:
        result.message = (
            f"{verdict.agreed} entries agree exactly with a matrix of rank {result.rank}, but in "
            "two parts with too few of them between for it to be the only one; observe more "
            "entries there."
        )
    return result


def _reported(
    data: PcaInput,
    settings: PcaSettings,
    outcome: PcaOutcome,
    frame: Frame,
    verdict: Verdict,
    tol: float,
) -> RobustPCAResult:
    """Return the result of factors that have been judged; `tol` is zero where all entries are."""
    entries, factors = data.entries, factors_of(frame)
    by_rows = entries.residual(factors)
    residual = _observed(entries, by_rows)
    dof = max(1, degrees_of_freedom(entries.shape, factors.rank, False))
    xp = array_namespace(residual)
    sigma = deviation(residual, settings.rule.q)
    status = _status(outcome.status, verdict, entries, tol, sigma)
    bound = tol if status == CONVERGED else INLIER * sigma
    inliers = int(xp.count_nonzero(xp.abs(residual) <= bound))
    mask, sparse = _split(data, factors, bound)
    fields: dict[str, Any] = {
        "x": xp.concat([*factors]),
        "L": factors.left,
        "R": factors.right,
        "sparse": sparse,
        "outlier_mask": mask,
        "fun": float(xp.mean(xp.abs(_observed(entries, weighted(entries.rows, by_rows))))),
        "success": status == CONVERGED or (status == NOISE_FLOOR and settings.noise),
        "status": status,
        "nit": outcome.nit,
        "rank": factors.rank,
        "rank_history": [settings.rank, *outcome.ranks],
        "singular_values": frame.values,
        "sigma": sigma,
        "n_inliers": inliers,
        "outlier_fraction": 1 - inliers / entries.total,
        "consensus": verdict.agreed / dof,
        "outlier_rows": _listed(verdict.poor_rows),
        "outlier_columns": _listed(verdict.poor_columns),
        "empty_rows": _listed(entries.rows.counts == 0),
        "empty_columns": _listed(entries.columns.counts == 0),
        "history": outcome.history,
    }
    if status != CONVERGED:
        fields["outlier_rows"] = fields["outlier_columns"] = []
    fields["message"] = _message(status, fields, settings, entries)
    return RobustPCAResult(fields)


def _cleared(entries: Entries, factors: Factors) -> Factors:
    """Return the factors with zeros in rows and columns without entries."""
    xp, (left, right) = array_namespace(factors.left), factors
    left = xp.where((entries.rows.counts > 0)[:, None], left, xp.zeros_like(left))
    right = xp.where((entries.columns.counts > 0)[:, None], right, xp.zeros_like(right))
    return Factors(left, right)


def _observed(entries: Entries, residual: Array) -> Array:
    """Return the residual of the observed entries as a vector."""
    xp = array_namespace(residual)
    flat = xp.reshape(residual, (-1,))
    return flat if entries.full else flat[xp.reshape(there_of(entries.rows), (-1,))]


def _listed(flags: Array) -> list[int]:
    xp = array_namespace(flags)
    return [int(place) for place in xp.nonzero(flags)[0]] if bool(xp.any(flags)) else []


def _split(data: PcaInput, factors: Factors, bound: float) -> tuple[Any, Any]:
    """Return where outliers are, and their sizes, in the form of the data."""
    xp, (left, right) = array_namespace(factors.left), factors
    if not hasattr(data.matrix, "tocoo"):
        residual = data.matrix - xp.matmul(left, right.T)
        mask = xp.abs(residual) > bound
        if data.mask is not None:
            mask = mask & data.mask
        return mask, xp.where(mask, residual, xp.zeros_like(residual))
    M = data.matrix
    product = xp.vecdot(xp.take(left, M.row, axis=0), xp.take(right, M.col, axis=0))
    residual = xp.astype(M.data, left.dtype) - product
    outliers = xp.abs(residual) > bound
    places = (M.row[outliers], M.col[outliers])
    kind = type(M)
    mask = kind((xp.ones_like(residual, dtype=xp.bool)[outliers], places), shape=M.shape)
    return mask.tocsr(), kind((residual[outliers], places), shape=M.shape).tocsr()


def _status(status: int, verdict: Verdict, entries: Entries, tol: float, sigma: float) -> int:
    """Return the status that the certificate allows for."""
    if not math.isfinite(sigma):
        return NON_FINITE
    if tol == 0:
        return CONVERGED
    xp = array_namespace(verdict.poor_rows)
    n, d = entries.shape
    poor = max(
        float(xp.count_nonzero(verdict.poor_rows)) / n,
        float(xp.count_nonzero(verdict.poor_columns)) / d,
    )
    if verdict.surplus > 0 and poor <= UNEXPLAINED:
        return CONVERGED
    return NOISE_FLOOR if status == CONVERGED else status


def _message(status: int, fields: dict[str, Any], settings: PcaSettings, entries: Entries) -> str:
    """Return what happened and what to try."""
    found = f"{fields['n_inliers']} of {entries.total} entries"
    if status == CONVERGED:
        left = len(fields["outlier_rows"]) + len(fields["outlier_columns"])
        but = f" {left} rows and columns could not be explained." if left else ""
        return f"Verified: {found} agree exactly with a matrix of rank {fields['rank']}.{but}"
    if status == NOISE_FLOOR:
        advice = "" if settings.noise else " Pass noise=True if the entries are noisy."
        return (
            f"Came to rest at a residual of scale {fields['sigma']:.2g} with rank "
            f"{fields['rank']}; {found} lie within six times that.{advice}"
        )
    if status == ITERATION_LIMIT:
        return f"Stopped after {fields['nit']} sweeps without a verified matrix; raise maxiter."
    if status == STOPPED_BY_CALLBACK:
        return f"Stopped by the callback after {fields['nit']} sweeps."
    return "A number was not finite; check the scale of the entries."
