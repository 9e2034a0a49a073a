"""The course of a robust principal component solve: sweeps, ranks, starts, verification."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from ..._core.iterate import Record, Run, iterate
from ..._core.namespace import array_namespace
from ..._core.outcome import Status
from ..._entries.layouts import Layouts, there_of, weighted
from ..._linalg import Factors, factors_of, frame_of
from .._problem import Ended, Problem
from .._refine import gauss_newton
from .._robust_scale import median_at
from ..measurements import LayoutSensing
from ._certificate import Agreement, agreement_of
from ._problem import Rule, Settings, unit_of
from .updates import Sweep, clipped_start, sweep, truncated, zero_state

# A reason to leave the loop for a moment, besides those to end an attempt.
CUT = -1

# Sweeps without a fall of the scale by a tenth after which an attempt has stalled.
PATIENCE = 12
NOISE_PATIENCE = 6
# A gap in the spectrum from which on what follows is not part of the matrix, once the residual is
# small next to what comes before; and once it stalls.
GAP = 0.1
STALLED_GAP = 0.3
SMALL = 1e-2
# Sweeps before a spectrum is looked at.
SETTLED = 3
# Share of a component in one row from which on it is left out for a try, in units of log(n) / n; a
# random component has one of about 2.
LOCALIZED = 3.0
RESETTLE = 20
CONVEX_SWEEPS = 30
MEDIAN = 0.5
# Scale of the worst column, relative to the tolerance, from which on joint steps follow; residuals,
# relative to the entries, of those that they fit; and how many there are.
SHARP = 0.03
# Further attempts after a verified one whose spectrum or components look like a lower rank.
DOUBTS = 2
NEAR = (1e-5, 1e-3)
JOINT_STEPS = 3
# Ends of an attempt that no other one follows.
LAST = (Status.STOPPED_BY_CALLBACK, Status.NON_FINITE)


@dataclass
class Search:
    """A solve under way; entries are scaled to a robust size of one."""

    entries: Layouts
    settings: Settings
    rule: Rule
    history: list[Record] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    lowest: float = math.inf
    idle: int = 0
    since: int = 0
    spectrum: list[float] = field(default_factory=list)  # of where the last attempt ended

    def begin(self) -> None:
        """Forget the course of the sweeps so far."""
        self.lowest, self.idle, self.since = math.inf, 0, 0


def split(entries: Layouts, settings: Settings) -> Ended:
    """Return the matrix that a solve ends with, all zero where the entries are.

    Rows and columns without entries are zero, too.
    """
    unit = unit_of(entries)
    if unit == 0:
        record = {"nit": 0, "error": 0.0, "scale": 0.0, "rank": 1}
        frame = frame_of(zero_state(entries).factors)
        return Ended(factors_of(frame), frame.values, Status.CONVERGED, 0, [record], [])
    search = Search(entries.scaled(1 / unit), settings, settings.rule)
    state, status, nit = _searched(search, unit)
    xp, (left, right) = array_namespace(state.row_scales), state.factors
    left = xp.where((entries.rows.counts > 0)[:, None], left, xp.zeros_like(left))
    right = xp.where((entries.columns.counts > 0)[:, None], right, xp.zeros_like(right))
    frame = frame_of(Factors(left * unit**0.5, right * unit**0.5))
    return Ended(factors_of(frame), frame.values, status, nit, search.history, search.ranks)


def _searched(search: Search, unit: float) -> tuple[Sweep, int, int]:
    """Return where a solve ends: at the first attempt without a doubt, else at the best one.

    Attempts that agree exactly with entries are compared by how many, others by their scale.
    """
    entries, settings = search.entries, search.settings
    best, status, nit, doubts = zero_state(entries), int(Status.NOISE_FLOOR), 0, 0
    best_key: tuple[int, float] = (-1, 0.0)
    for rule, start in _attempts(search, unit):
        search.rule = rule
        search.begin()
        state, status, nit = _attempt(search, start, nit)
        search.spectrum = [float(value) for value in frame_of(state.factors).values]
        key, clean = (0, -_typical(state)), False
        if status == Status.CONVERGED:
            state, found, nit = _settled(search, state, nit)
            suspect = settings.prune and _suspect(state) > 0
            key, clean = (found.surplus, 0.0), found.clean and not suspect
            doubts += found.clean
        if key > best_key:
            best, best_key = state, key
        if clean or doubts > DOUBTS or status in LAST or nit >= settings.maxiter:
            break
        if settings.noise and status == Status.STALLED:
            break
    if best_key[0] > 0:
        status = Status.CONVERGED
    elif status in (Status.STALLED, Status.CONVERGED):
        status = Status.NOISE_FLOOR
    return best, status, nit


def _settled(search: Search, state: Sweep, nit: int) -> tuple[Sweep, Agreement, int]:
    """Return a converged state after another look at what may be wrong in it.

    Rows next to none of whose entries agree are fitted anew. A component that lies in one row fits
    a few corrupted entries of it at the cost of the others; it is left out where that explains
    about as many entries with fewer unknowns.
    """
    state, nit = sweep(search.entries, search.rule, search.settings.floor, state), nit + 1
    found = agreement_of(search.entries, state.factors, search.settings.tol)
    state, found, nit = _sharpened(search, state, found, nit)
    for _ in range(state.factors.rank + 3):
        if not found.clean:
            trial = _without_rows(state, found)
        else:
            lower = _suspect(state) if search.settings.prune else 0
            if not lower:
                break
            trial = truncated(state, lower)
        trial, nit = _resettled(search, trial, nit)
        other = agreement_of(search.entries, trial.factors, search.settings.tol)
        if not other.surplus > found.surplus:
            break
        state, found = trial, other
        search.ranks.append(state.factors.rank)
    return _sharpened(search, state, found, nit)


def _sharpened(
    search: Search, state: Sweep, found: Agreement, nit: int
) -> tuple[Sweep, Agreement, int]:
    """Return the state after joint steps for all rows and columns, where sweeps are slow.

    Each is a least squares fit to the entries that nearly agree already, kept if more agree then.
    """
    entries, tol = search.entries, search.settings.tol
    if found.clean and _worst(state, found) <= SHARP * tol:
        return state, found, nit
    xp, values = array_namespace(state.factors.left), entries.rows.values
    y = xp.reshape(values, (-1,))
    given = xp.reshape(weighted(entries.rows, xp.ones_like(values)), (-1,))
    problem = Problem(LayoutSensing(entries), y, given, False, False, y.shape[0])
    there = xp.reshape(there_of(entries.rows), (-1,))
    for near in NEAR:
        factors = state.factors
        for _ in range(JOINT_STEPS):
            residual = problem.operator.forward(*factors) - y
            weights = given * xp.astype((xp.abs(residual) <= near) & there, y.dtype)
            factors, nit = gauss_newton(problem, factors, residual, weights), nit + 1
        trial = state._replace(factors=factors)
        other = agreement_of(entries, trial.factors, tol)
        if other.surplus >= found.surplus:
            state, found = trial, other
    return state, found, nit


def _worst(state: Sweep, found: Agreement) -> float:
    """Return the largest scale of a column, of those that are explained."""
    xp, scales = array_namespace(state.column_scales), state.column_scales
    return float(xp.max(xp.where(found.poor_columns, xp.zeros_like(scales), scales)))


def _without_rows(state: Sweep, found: Agreement) -> Sweep:
    """Return the state with zeros in the poor rows and columns."""
    xp, (left, right) = array_namespace(state.factors.left), state.factors
    left = xp.where(found.poor_rows[:, None], xp.zeros_like(left), left)
    right = xp.where(found.poor_columns[:, None], xp.zeros_like(right), right)
    return state._replace(factors=Factors(left, right))


def _resettled(search: Search, state: Sweep, nit: int) -> tuple[Sweep, int]:
    """Return the state after a few sweeps, the first of them for the l1 norm.

    That is convex in a row: it leaves places where forgetful weights are stuck, and leaves rows
    alone that agree already.
    """
    settings, rule = search.settings, search.rule
    convex = rule._replace(method="subgradient", q=MEDIAN, eta=0.5)
    for _ in range(CONVEX_SWEEPS):
        state = sweep(search.entries, convex, settings.floor, state)
    for _ in range(RESETTLE):
        state, nit = sweep(search.entries, rule, settings.floor, state), nit + 1
        if _typical(state) <= settings.tol / 10:
            break
    return state, nit + CONVEX_SWEEPS


def _suspect(state: Sweep) -> int:
    """Return a lower rank that may explain as much, 0 if nothing speaks for one."""
    if state.factors.rank == 1:
        return 0
    return state.factors.rank - 1 if _localized(state) else _gap(state, GAP)


def _localized(state: Sweep) -> bool:
    """Return whether the last component lies in a few rows or columns more than chance has it."""
    frame = frame_of(state.factors)
    xp = array_namespace(frame.values)
    sides = (frame.left, frame.right)
    typical = [math.log(side.shape[0] + 1) / side.shape[0] for side in sides]
    largest = [float(xp.max(side[:, -1] ** 2)) for side in sides]
    return any(share > LOCALIZED * usual for share, usual in zip(largest, typical, strict=True))


def _attempts(search: Search, unit: float) -> Iterator[tuple[Rule, Sweep]]:
    """Yield rules with starts: as asked for, with narrower weights, then at lower ranks.

    An attempt at the true rank hardly ever fails, one above it may: ranks are tried in the order
    of the gaps in the spectrum that the last attempt left.
    """
    settings, x0 = search.settings, search.settings.x0
    if x0 is not None:
        factors = Factors(x0.left / unit**0.5, x0.right / unit**0.5)
        yield settings.rule, zero_state(search.entries)._replace(factors=factors)
        return
    start = _start(search, settings.rank)
    yield settings.rule, start
    if settings.rule.method != "reweighted" or not settings.prune:
        return
    yield settings.rule._replace(q=max(0.4, settings.rule.q), width=1.0), start
    for rank in _ranks_by_gap(search.spectrum, settings.rank):
        yield settings.rule, _start(search, rank)


def _ranks_by_gap(spectrum: list[float], below: int) -> list[int]:
    """Return the ranks below one, those before wide gaps of a spectrum first."""
    values = spectrum + [0.0] * (below - len(spectrum))
    least = 1e-3 * values[0] if values[0] > 0 else 1.0
    ratios = {k: max(values[k], least) / max(values[k - 1], least) for k in range(1, below)}
    return sorted(ratios, key=lambda k: (ratios[k], -k))


def _start(search: Search, rank: int) -> Sweep:
    """Return the start, around zero or around the median of the entries, that fits better."""
    entries, settings = search.entries, search.settings
    there = there_of(entries.rows)
    center = median_at(entries.rows.values, there)
    size = median_at(array_namespace(entries.rows.values).abs(entries.rows.values), there)
    centers = [0.0] if abs(center) < 0.05 * size else [0.0, center]
    states = []
    for value in centers:
        state = clipped_start(entries, rank, value, settings.generator)
        if len(centers) > 1:
            for _ in range(SETTLED):
                state = sweep(entries, settings.rule, settings.floor, state)
        states.append(state)
    return min(states, key=_typical) if len(states) > 1 else states[0]


def _attempt(search: Search, start: Sweep, nit: int) -> tuple[Sweep, int, int]:
    """Return where sweeps from a start lead to, the rank cut on the way, and why they ended."""
    state = start
    while True:
        run = _sweep_on(search, state, nit)
        nit = run.nit
        at_stall = run.status == Status.STALLED and not search.settings.noise
        if run.status == CUT or (at_stall and _gap(run.state, STALLED_GAP)):
            if not search.settings.prune:
                return run.best, Status.STALLED, nit
            state = truncated(
                run.state, _gap(run.state, STALLED_GAP if run.status == Status.STALLED else GAP)
            )
            search.ranks.append(state.factors.rank)
            search.begin()
            continue
        return (run.best if run.status != Status.CONVERGED else run.state), run.status, nit


def _sweep_on(search: Search, state: Sweep, nit: int) -> Run[Sweep]:
    if search.history:
        search.history.pop()
    settings = search.settings
    return iterate(
        state,
        partial(sweep, search.entries, search.rule, settings.floor),
        _measure,
        tol=settings.tol,
        maxiter=settings.maxiter,
        callback=settings.callback,
        give_up=partial(_interrupted, search),
        history=search.history,
        nit=nit,
    )


def _measure(state: Sweep) -> dict[str, Any]:
    """Return the record of a state: typical scale of the residual of a column."""
    scale = _typical(state)
    return {"error": scale, "scale": scale, "rank": state.factors.rank}


def _typical(state: Sweep) -> float:
    """Return the root mean square of the scales of the columns, the worst tenth left out."""
    xp, scales = array_namespace(state.column_scales), state.column_scales
    kept = xp.sort(scales)[: max(1, scales.shape[0] - scales.shape[0] // 10)]
    return math.sqrt(float(xp.mean(kept * kept)))


def _interrupted(search: Search, state: Sweep) -> int | None:
    """Return why to leave the loop for a moment, None to stay."""
    scale = _typical(state)
    search.since += 1
    search.idle = 0 if scale < 0.9 * search.lowest else search.idle + 1
    search.lowest = min(search.lowest, scale)
    if search.idle >= (NOISE_PATIENCE if search.settings.noise else PATIENCE):
        return Status.STALLED
    if search.since > SETTLED and search.settings.prune and state.factors.rank > 1:
        k = _gap(state, GAP)
        if k and scale < SMALL * _size(state, k):
            return CUT
    return None


def _gap(state: Sweep, ratio: float) -> int:
    """Return the rank in front of the widest gap of the spectrum, 0 if none is wide."""
    values = [float(value) for value in frame_of(state.factors).values]
    if len(values) < 2 or values[0] == 0:
        return 0
    ratios = [low / high if high > 0 else 1.0 for high, low in pairwise(values)]
    k = ratios.index(min(ratios)) + 1
    return k if ratios[k - 1] < ratio else 0


def _size(state: Sweep, rank: int) -> float:
    """Return the typical entry of the last component before a gap."""
    n, d = state.factors.left.shape[0], state.factors.right.shape[0]
    return float(frame_of(state.factors).values[rank - 1]) / math.sqrt(n * d)
