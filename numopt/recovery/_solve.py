"""The course of a solve: descend, try to finish, and verify."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import partial

from .._core.iterate import Record, Run, iterate
from .._core.namespace import array_namespace, device_of
from .._core.outcome import Status
from .._linalg import Factors, factors_of, frame_of
from ._descent import DEFAULT_ETA, DIVERGENCE, State, measure, sensed, stepped
from ._problem import Ended, Problem, Settings
from ._rank_search import Finish, attempt, grow, noisy_fit, pruned
from ._robust_scale import middle
from ._spectral_init import Start, spectral_start

# Reasons to leave the loop for a moment, besides those to end the solve.
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
# Ends of a descent after which something else is tried.
UNSOLVED = (Status.NOISE_FLOOR, Status.NO_STRUCTURE, Status.NON_FINITE)


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


def solve(problem: Problem, settings: Settings) -> Ended:
    """Return the matrix that a solve ends with, all zero where the measurements are.

    Scaled steps forgive a matrix of any condition, plain ones more outliers: the second are tried
    where the first come to a floor, and growing ranks where neither solves.
    """
    if problem.n_nonzero == 0:
        return _zero(problem)
    start = spectral_start(problem, settings)
    begin = start.factors if settings.x0 is None else settings.x0
    search = Search(problem, settings, start, settings.eta or DEFAULT_ETA)
    factors, status = begin, int(Status.ITERATION_LIMIT)
    for search.scaled in _scalings(problem, settings):
        factors, status = _descended(search, begin)
        if status not in UNSOLVED or settings.noise:
            break
    if status in (*UNSOLVED, Status.ITERATION_LIMIT) and settings.polish:
        factors, status = _completed(search, factors, status)
    frame, intercept = frame_of(factors), 0.0
    if problem.intercept:
        residual = problem.operator.forward(factors.left, factors.right) - problem.y
        intercept = -float(middle(residual))
    return Ended(
        factors_of(frame),
        frame.values,
        status,
        search.nit,
        search.history,
        search.ranks,
        float(search.eta),
        intercept,
        start.indefinite,
    )


def _zero(problem: Problem) -> Ended:
    """Return the matrix of zeros, with one column in its factors."""
    xp, like = array_namespace(problem.y), problem.y
    left, right = (
        xp.zeros((d, 1), dtype=like.dtype, device=device_of(like)) for d in problem.operator.shape
    )
    frame = frame_of(Factors(left, left if problem.symmetric else right))
    record = {"nit": 0, "error": 0.0, "fun": 0.0, "scale": 0.0, "rank": 1, "seconds": 0.0}
    return Ended(factors_of(frame), frame.values, Status.CONVERGED, 0, [record], [], step=0.0)


def _scalings(problem: Problem, settings: Settings) -> tuple[bool, ...]:
    """Return whether steps are scaled, in the order in which that is tried."""
    if settings.scaling == "auto":
        return (True, False) if problem.operator.centered else (False,)
    return (bool(settings.scaling),)


def _descended(search: Search, factors: Factors) -> tuple[Factors, int]:
    """Return the factors that one descent ends with, and why it ended."""
    search.attempted, search.waited, search.halvings = search.start.scale, 0, 0
    search.eta = search.settings.eta or DEFAULT_ETA
    state = sensed(search.problem, search.settings, factors)
    while True:
        run = _run(search, state)
        search.nit = run.nit
        if run.status == BACK and search.halvings < HALVINGS:
            search.eta, search.halvings = search.eta / 2, search.halvings + 1
            state = run.best._replace(lowest=run.best.scale)
        elif run.status == FINISH:
            before = search.attempted
            finish = _attempted(search, run.state)
            if finish.verified:
                return _found(search, finish), Status.CONVERGED
            if _at_rest(search.settings, float(run.state.scale), before):
                return run.best.factors, Status.NOISE_FLOOR
            state = _cut(search, run.state)
        else:
            return _stopped(search, run)


def _at_rest(settings: Settings, scale: float, before: float) -> bool:
    """Return whether a descent is over whose scale hardly fell since the last attempt.

    The published method goes on for as long as it is let.
    """
    return scale >= FLOOR * before and (settings.polish or settings.noise)


def _stopped(search: Search, run: Run[State]) -> tuple[Factors, int]:
    """Return the factors of a run that left the loop for good."""
    if run.status == Status.CONVERGED:
        finish = _attempted(search, run.state)
        return (_found(search, finish) if finish.verified else run.state.factors), Status.CONVERGED
    return run.best.factors, Status.NO_STRUCTURE if run.status == BACK else run.status


def _run(search: Search, state: State) -> Run[State]:
    problem, settings = search.problem, search.settings
    if search.history and search.history[-1]["nit"] == search.nit:
        search.history.pop()  # the state is measured again
    return iterate(
        state,
        partial(stepped, problem, settings, search.start, (search.eta, search.scaled)),
        partial(measure, problem, search.start, search.begun),
        tol=settings.tol,
        maxiter=settings.maxiter,
        callback=settings.callback,
        give_up=partial(_interrupted, search),
        history=search.history,
        nit=search.nit,
    )


def _interrupted(search: Search, state: State) -> int | None:
    """Return why to leave the loop for a moment, None to stay."""
    scale = float(state.scale)
    if scale > DIVERGENCE * float(state.lowest):
        return BACK
    search.waited += 1
    if search.waited < CHECK_EVERY:
        return None
    return FINISH if scale < PROGRESS * search.attempted or search.waited >= STALL else None


def _attempted(search: Search, state: State) -> Finish:
    """Return the outcome of an attempt to finish from a state."""
    search.attempted, search.waited = float(state.scale), 0
    if not search.settings.polish or search.settings.noise:
        return Finish(None, False, 0)
    finish = attempt(search.problem, search.settings, search.start, state.factors)
    search.nit += finish.steps
    return finish


def _found(search: Search, finish: Finish) -> Factors:
    factors: Factors = finish.refined.factors  # type: ignore[union-attr]
    search.ranks.append(factors.rank)
    return factors


def _cut(search: Search, state: State) -> State:
    """Return the state to go on from: at the rank its spectrum shows where that loses nothing."""
    problem, settings = search.problem, search.settings
    if not settings.prune or settings.polish:
        return state
    factors = pruned(problem, settings, state.factors, float(state.scale))
    if factors.rank == state.factors.rank:
        return state
    search.ranks.append(factors.rank)
    return sensed(problem, settings, factors, state.step)


def _completed(search: Search, factors: Factors, status: int) -> tuple[Factors, int]:
    """Return the factors after what is left to try where the descent did not solve."""
    problem, settings, start = search.problem, search.settings, search.start
    if settings.noise:
        finish = noisy_fit(problem, settings, start, factors)
        search.nit += finish.steps
        return _found(search, finish), Status.NOISE_FLOOR
    if search.nit >= settings.maxiter:
        return factors, Status.ITERATION_LIMIT
    finish = grow(problem, settings, start)
    search.nit += finish.steps
    return (_found(search, finish), Status.CONVERGED) if finish.verified else (factors, status)
