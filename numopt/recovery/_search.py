"""The course of a solve: descend, try to finish, and verify."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import partial

from .._core.iterate import Record, Run, iterate
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE
from .._linalg.lowrank import Factors
from ._descent import DEFAULT_ETA, DIVERGENCE, State, measure, sensed, step_for
from ._finish import Finish, attempt, grow, noisy_fit, pruned
from ._problem import Problem, Settings
from ._start import Start

NOISE_FLOOR = 2
DIVERGED = 3
# Internal reasons to leave the loop for a moment.
BACK = -1
FINISH = -2

CHECK_EVERY = 10
# Fall of the scale since the last attempt to finish that makes another one worthwhile.
PROGRESS = 0.7
# Iterations without that after which an attempt is made all the same, and the fall over them below
# which the descent has come to a floor.
STALL = 40
FLOOR = 0.98
HALVINGS = 6


@dataclass
class Search:
    """A solve under way."""

    problem: Problem
    settings: Settings
    start: Start
    eta: float
    scaled: bool = False
    nit: int = 0
    history: list[Record] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    attempted: float = math.inf
    waited: int = 0
    halvings: int = 0
    begun: float = field(default_factory=time.perf_counter)


@dataclass
class Outcome:
    """How a solve ended."""

    factors: Factors
    status: int
    nit: int
    history: list[Record]
    ranks: list[int]
    step: float


def search(problem: Problem, settings: Settings, start: Start) -> Outcome:
    """Return the factors that a solve ends with, verified by consensus if status is 0.

    Scaled steps forgive a matrix of any condition, plain ones more outliers: the second are tried
    where the first come to a floor, and growing ranks where neither solves.
    """
    solve = Search(problem, settings, start, settings.eta or DEFAULT_ETA)
    factors, status = start.factors, ITERATION_LIMIT
    for solve.scaled in _scalings(problem, settings):
        factors, status = _descended(solve, start.factors)
        if status not in (NOISE_FLOOR, DIVERGED, NON_FINITE) or settings.noise:
            break
    if status in (NOISE_FLOOR, DIVERGED, NON_FINITE, ITERATION_LIMIT) and settings.polish:
        factors, status = _completed(solve, factors, status)
    return Outcome(factors, status, solve.nit, solve.history, solve.ranks, solve.eta)


def _scalings(problem: Problem, settings: Settings) -> tuple[bool, ...]:
    """Return whether steps are scaled, in the order in which that is tried."""
    if settings.scaling == "auto":
        return (True, False) if problem.operator.centered else (False,)
    return (bool(settings.scaling),)


def _descended(solve: Search, factors: Factors) -> tuple[Factors, int]:
    """Return the factors that one descent ends with, and why it ended."""
    solve.attempted, solve.waited, solve.halvings = solve.start.scale, 0, 0
    solve.eta = solve.settings.eta or DEFAULT_ETA
    state = sensed(solve.problem, solve.settings, factors)
    while True:
        run = _run(solve, state)
        solve.nit = run.nit
        if run.status == BACK and solve.halvings < HALVINGS:
            solve.eta, solve.halvings = solve.eta / 2, solve.halvings + 1
            state = run.best._replace(lowest=run.best.scale)
        elif run.status == FINISH:
            before = solve.attempted
            finish = _attempted(solve, run.state)
            if finish.verified:
                return _found(solve, finish), CONVERGED
            if _at_rest(solve.settings, float(run.state.scale), before):
                return run.best.factors, NOISE_FLOOR
            state = _cut(solve, run.state)
        else:
            return _stopped(solve, run)


def _at_rest(settings: Settings, scale: float, before: float) -> bool:
    """Return whether a descent is over whose scale hardly fell since the last attempt.

    The published method goes on for as long as it is let.
    """
    return scale >= FLOOR * before and (settings.polish or settings.noise)


def _stopped(solve: Search, run: Run[State]) -> tuple[Factors, int]:
    """Return the factors of a run that left the loop for good."""
    if run.status == CONVERGED:
        finish = _attempted(solve, run.state)
        return (_found(solve, finish) if finish.verified else run.state.factors), CONVERGED
    return run.best.factors, DIVERGED if run.status == BACK else run.status


def _run(solve: Search, state: State) -> Run[State]:
    problem, settings = solve.problem, solve.settings
    if solve.history and solve.history[-1]["nit"] == solve.nit:
        solve.history.pop()  # the state is measured again
    return iterate(
        state,
        step_for(problem, settings, solve.start, solve.eta, solve.scaled),
        partial(measure, problem, solve.start, solve.begun),
        tol=settings.tol,
        maxiter=settings.maxiter,
        callback=settings.callback,
        give_up=partial(_leave, solve),
        history=solve.history,
        nit=solve.nit,
    )


def _leave(solve: Search, state: State) -> int | None:
    """Return why to leave the loop for a moment, None to stay."""
    scale = float(state.scale)
    if scale > DIVERGENCE * float(state.lowest):
        return BACK
    solve.waited += 1
    if solve.waited < CHECK_EVERY:
        return None
    return FINISH if scale < PROGRESS * solve.attempted or solve.waited >= STALL else None


def _attempted(solve: Search, state: State) -> Finish:
    """Return the outcome of an attempt to finish from a state."""
    solve.attempted, solve.waited = float(state.scale), 0
    if not solve.settings.polish or solve.settings.noise:
        return Finish(None, False, 0)
    finish = attempt(solve.problem, solve.settings, solve.start, state.factors)
    solve.nit += finish.steps
    return finish


def _found(solve: Search, finish: Finish) -> Factors:
    factors: Factors = finish.refined.factors  # type: ignore[union-attr]
    solve.ranks.append(factors.rank)
    return factors


def _cut(solve: Search, state: State) -> State:
    """Return the state to go on from: at the rank its spectrum shows where that loses nothing."""
    problem, settings = solve.problem, solve.settings
    if not settings.prune or settings.polish:
        return state
    factors = pruned(problem, settings, state.factors, float(state.scale))
    if factors.rank == state.factors.rank:
        return state
    solve.ranks.append(factors.rank)
    return sensed(problem, settings, factors, state.step)


def _completed(solve: Search, factors: Factors, status: int) -> tuple[Factors, int]:
    """Return the factors after what is left to try where the descent did not solve."""
    problem, settings, start = solve.problem, solve.settings, solve.start
    if settings.noise:
        finish = noisy_fit(problem, settings, start, factors)
        solve.nit += finish.steps
        return _found(solve, finish), NOISE_FLOOR
    if solve.nit >= settings.maxiter:
        return factors, ITERATION_LIMIT
    finish = grow(problem, settings, start)
    solve.nit += finish.steps
    return (_found(solve, finish), CONVERGED) if finish.verified else (factors, status)
