"""Path following: solve at a large regularization first, and let each level start the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from .._core.iterate import Callback, Record, Run, iterate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Status
from ._problem import Problem
from ._semidual import Counts, State, evaluate, newton_step, sweep

# The path starts at this share of the range of the cost, where a few sweeps are enough.
PATH_START = 0.05
# Relative error at which a level hands over to the next.
LEVEL_TOLERANCE = 0.02
# A start from outside is used at the target if its error there is below this.
WARM_ERROR = 0.1
# A last level closer to the target than this factor would be a level for nothing.
SHORTEST_STEP = 1.3
# Moves without progress after which the first path is given up.
FIRST_PATIENCE = 40

# What a level may end with that the next one still starts from.
HANDED_OVER = (Status.CONVERGED, Status.STALLED, Status.PRECISION_LIMIT)

# Averaged updates of a symmetric problem, which are usually enough, before Newton steps.
AVERAGED_UPDATES = 20

Step = Callable[[Problem, State], State]


class Limits(NamedTuple):
    """When to stop, and who is told on the way."""

    tol: float
    maxiter: int
    floor: float  # error that rounding of the cost leaves; see precision_floor
    patience: int | None  # moves without progress after which to give up, None for never
    callback: Callback | None


class Solution(NamedTuple):
    """The best column potential found, how the search for it ended, and what it cost."""

    g: Any
    u: Array | None  # exact row log-scalings for g, if the target was reached
    status: int
    nit: int
    counts: Counts
    reg_path: list[float]
    history: list[Record]


def sns_step(problem: Problem, state: State) -> State:
    """Return the next state of Sinkhorn-Newton-Sparse: sweeps where they are due, else Newton."""
    move = sweep if state.sweeps_due > 0 else newton_step
    return _tracked(state, move(problem, state))


def sinkhorn_step(problem: Problem, state: State) -> State:
    """Return the state after a Sinkhorn sweep."""
    return _tracked(state, sweep(problem, state))


def _tracked(old: State, new: State) -> State:
    if new.error < 0.9 * old.best_error:
        return new._replace(best_error=new.error, stalled=0)
    return new._replace(best_error=old.best_error, stalled=old.stalled + 1)


def symmetric_step(problem: Problem, state: State) -> State:
    """Return the next state for a cloud and itself: averaged updates, then Newton steps."""
    if state.counts.sweeps >= AVERAGED_UPDATES:
        return sns_step(problem, state)
    counts = state.counts._replace(sweeps=state.counts.sweeps + 1)
    return _tracked(state, evaluate(problem, 0.5 * (state.v + state.u), counts))


def precision_floor(like: Array, span: float, reg: float) -> float:
    """Return the marginal error that rounding in log P leaves: 4 eps (max C - min C) / reg."""
    return 4 * float(array_namespace(like).finfo(like.dtype).eps) * span / reg


def follow_path(
    problem: Problem,
    step: Step,
    limits: Limits,
    g: Array | None,
    path_start: float,
    scaling: float,
) -> Solution:
    """Solve at decreasing regularizations, from `path_start` to that of the problem.

    A start `g` that is good at the target already is used there at once. Where blocks of the plan
    are so far apart that a small excess of mass cannot cross any more at the target, a second
    path solves every level to the end, from where the blocks still communicate.
    """
    has_levels = path_start > problem.reg
    first = limits._replace(patience=FIRST_PATIENCE) if has_levels else limits
    begin = Solution(None, None, Status.CONVERGED, 0, Counts(), [], [])
    level_tol = max(limits.tol, LEVEL_TOLERANCE)
    solution = _descend(problem, step, first, g, path_start, scaling, level_tol, begin)
    if not has_levels or solution.status != Status.STALLED:
        return solution
    return _descend(problem, step, limits, None, 4 * path_start, scaling, limits.tol, solution)


def _descend(
    problem: Problem,
    step: Step,
    limits: Limits,
    g: Array | None,
    path_start: float,
    scaling: float,
    level_tol: float,
    before: Solution,
) -> Solution:
    """Follow the path once, each level but the last to `level_tol`, and add to what was before."""
    target, reg, ratio = problem.reg, max(path_start, problem.reg), scaling
    history, counts, nit, begun = before.history, before.counts, before.nit, None
    if g is None:
        g = array_namespace(problem.b).zeros_like(problem.b)
    elif reg > target:
        begun = evaluate(problem, problem.v_from(g), counts)
        counts = begun.counts
        if begun.error < WARM_ERROR:
            reg = target
        else:
            begun = None
    earlier: tuple[float, Array] | None = None
    path = list(before.reg_path)
    while True:
        last = reg <= target
        path.append(reg)
        level = problem._replace(reg=reg, tol=limits.tol if last else level_tol)
        if begun is None:
            begun = evaluate(level, level.v_from(g), counts)._replace(sweeps_due=1, sweeps_spare=6)
        run = _solve_level(level, step, limits, begun, nit, history)
        state = run.best if last else run.state
        solved = level.g_from(state.v)
        if last or run.status not in HANDED_OVER:
            u = state.u if last else None
            return Solution(solved, u, run.status, run.nit, run.state.counts, path, history)
        ratio = _adapted(ratio, run.state.counts.newton - counts.newton)
        following = reg / ratio if reg / ratio > SHORTEST_STEP * target else target
        g = solved if earlier is None else _secant(earlier, (reg, solved), following)
        counts, nit, begun = run.state.counts, run.nit, None
        earlier, reg = (reg, solved), following


def _adapted(ratio: float, newton_steps: int) -> float:
    """Return the ratio of the next two regularizations, given the work of the last level.

    On the benchmark families this saves a sixth of the passes of a constant ratio of 2.
    """
    if newton_steps <= 2:
        return max(ratio, min(4.0, 1.5 * ratio))
    return ratio if newton_steps == 3 else max(1.5, 0.6 * ratio)


def _secant(older: tuple[float, Array], newer: tuple[float, Array], target: float) -> Array:
    """Extrapolate the column potential linearly in the regularization."""
    (reg_older, g_older), (reg_newer, g_newer) = older, newer
    return g_newer + (g_newer - g_older) * ((target - reg_newer) / (reg_newer - reg_older))


def _solve_level(
    problem: Problem,
    step: Step,
    limits: Limits,
    start: State,
    nit: int,
    history: list[Record],
) -> Run[State]:
    def measure(state: State) -> dict[str, Any]:
        return {
            "error": state.error,
            "marginal_error": state.error,
            "reg": problem.reg,
            "nnz": state.counts.nnz,
        }

    def give_up(state: State) -> Status | None:
        if state.stalled >= 5 and state.best_error <= limits.floor:
            return Status.PRECISION_LIMIT
        if limits.patience is None or state.stalled < limits.patience:
            return None
        near = state.best_error <= 1e3 * limits.floor
        return Status.PRECISION_LIMIT if near else Status.STALLED

    return iterate(
        start._replace(best_error=start.error),
        partial(step, problem),
        measure,
        tol=problem.tol,
        maxiter=limits.maxiter,
        callback=limits.callback,
        give_up=give_up,
        history=history,
        nit=nit,
    )
