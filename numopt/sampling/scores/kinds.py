"""Scores of each kind."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from ..._core import validate
from ..._core.iterate import Record
from ..._core.namespace import Array
from ..._core.outcome import Check, Status
from ..._rows import Rows, is_dask, whiten
from .._certificate import apart, bounds_check, lewis_check, lewis_residual, sum_check
from .._inputs import LEWIS_STEPS, Scoring, nonzero_rows
from .leverage import coordinates, leverage, power_of_leverage
from .lewis import lewis_weights
from .sensitivity import (
    Basis,
    Brackets,
    Shared,
    all_brackets,
    brackets,
    constraint_rows,
    grouped,
    lewis_basis,
)


class Scored(NamedTuple):
    """Scores with all that a result reports of them, and the check that decides on them.

    `other` are the bounds of sensitivities on the other side, to which they are compared.
    """

    scores: Array
    total: float
    rank: int
    check: Check
    method: str = "exact"
    nit: int = 0
    n_solves: int = 0
    lower: Array | None = None
    upper: Array | None = None
    other: Array | None = None
    history: tuple[Record, ...] = ()
    status: int = Status.CONVERGED


def scores_of(rows: Rows, wanted: Scoring) -> Scored:
    """Return the scores of all rows, or of some."""
    if wanted.kind == "lewis":
        return _lewis(rows, wanted)
    if wanted.kind in ("sensitivity", "combined"):
        return _sensitivity(rows, wanted)
    return _leverage(rows, wanted)


def _leverage(rows: Rows, wanted: Scoring) -> Scored:
    P, rank = coordinates(rows, wanted.method, wanted.rng)
    power = 1.0 if wanted.kind == "leverage" else wanted.p / 2
    scores = rows.lazily(partial(power_of_leverage, P, power))
    total, leverages = _sums(rows, scores, power)
    check = sum_check(leverages, rank, wanted.tol)
    return Scored(scores, total, rank, check, "sketch" if wanted.method == "sketch" else "exact")


def _sums(rows: Rows, scores: Any, power: float) -> tuple[float, float]:
    """Return the sum of powers of leverage scores, here or on a cluster, and that of these."""
    if is_dask(scores):
        total, *leverages = rows.cluster.sums(scores, (1.0, *((1 / power,) * (power != 1.0))))
    else:
        xp = rows.xp
        total = float(xp.sum(scores))
        leverages = [] if power == 1.0 else [float(xp.sum(scores ** (1 / power)))]
    return total, leverages[0] if leverages else total


def _lewis(rows: Rows, wanted: Scoring) -> Scored:
    xp, nonzero = rows.xp, nonzero_rows(rows)
    run = lewis_weights(rows, wanted.p, tol=wanted.tol, maxiter=wanted.maxiter, nonzero=nonzero)
    weights = xp.where(nonzero, xp.exp(run.best.log_weights), 0.0)
    return Scored(
        weights,
        float(xp.sum(weights)),
        run.best.whitening.rank,
        lewis_check(run.best_error, wanted.tol),
        nit=run.nit,
        history=tuple(run.history),
        status=run.status,
    )


def _sensitivity(rows: Rows, wanted: Scoring) -> Scored:
    p, xp = wanted.p, rows.xp
    basis = lewis_basis(rows, p, nonzero_rows(rows))
    if wanted.method == "grouped":
        return _in_groups(rows, wanted, basis)
    index = wanted.indices
    count = rows.n if index is None else int(index.shape[0])
    C = constraint_rows(rows, p, basis, wanted.method, count, wanted.rng)
    if index is None:
        found = all_brackets(rows, C, basis.P, p, wanted.tol, wanted.maxiter)
    else:
        order = xp.argsort(index)
        asked = xp.take(rows.take(xp.take(index, order)) @ basis.P, xp.argsort(order), axis=0)
        found = brackets(C, asked, p, tol=wanted.tol, maxiter=wanted.maxiter)
    lower, upper = found.lower, found.upper
    if C.shape[0] == rows.n:
        scores, other, method = lower, upper, "exact"
    else:
        scores, other, method = xp.minimum(upper, xp.ones_like(upper)), lower, "coreset"
        if wanted.bounds:
            lower, upper = lewis_bounds(rows, p, basis, index)
    return _solved(rows, wanted, basis, found, method, scores, other, (lower, upper))


def _solved(
    rows: Rows,
    wanted: Scoring,
    basis: Basis,
    found: Brackets | Shared,
    method: str,
    scores: Array,
    other: Array,
    bounds: tuple[Array, Array],
) -> Scored:
    """Return sensitivities, with leverage scores added where that is what was asked for."""
    if wanted.kind == "combined":
        tau = leverage(rows)[0]
        scores, other = scores + tau, other + tau
    lower, upper = bounds if wanted.bounds else (None, None)
    check = bounds_check(found.difference(), wanted.tol)
    return Scored(
        scores,
        float(rows.xp.sum(scores)),
        basis.rank,
        check,
        method,
        found.nit,
        found.n_solves,
        lower,
        upper,
        other,
    )


def _in_groups(rows: Rows, wanted: Scoring, basis: Basis) -> Scored:
    """Return upper bounds of all sensitivities from one problem for each group and draw."""
    p, xp = wanted.p, rows.xp
    C = constraint_rows(rows, p, basis, "coreset", rows.n, wanted.rng)
    found = grouped(
        C,
        rows.times(basis.P),
        p,
        wanted.group_size,
        wanted.rng,
        tol=wanted.tol,
        maxiter=wanted.maxiter,
    )
    lower, upper = lewis_bounds(rows, p, basis, None)
    scores = upper = xp.where(basis.nonzero, xp.minimum(found.upper, upper), 0.0)
    return _solved(rows, wanted, basis, found, "grouped", scores, scores, (lower, upper))


def checked_again(rows: Rows, wanted: Scoring, scores: Any) -> Check:
    """Return the check that decides on scores, computed from them and the rows.

    Every sensitivity is compared with a bound on its other side that is found anew, which takes as
    long as it took to find the sensitivities.
    """
    if rows.cluster is None:
        validate.in_memory("scores", scores)
    if wanted.kind in ("leverage", "root_leverage"):
        power = 1.0 if wanted.kind == "leverage" else wanted.p / 2
        return sum_check(_sums(rows, scores, power)[1], whiten(rows).rank, wanted.tol)
    if rows.cluster is not None:
        scores = rows.cluster.gather("scores", scores)
    if wanted.kind == "lewis":
        residual = lewis_residual(rows, wanted.p, scores, nonzero_rows(rows))
        return lewis_check(residual, wanted.tol)
    again = _sensitivity(rows, wanted)
    difference = apart(again.other, scores)
    if wanted.method == "grouped":  # draws, again the same
        difference += again.check.value
    return bounds_check(difference, wanted.tol)


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
