"""From a validated program to a certified result."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from .._core.iterate import Record, Run, iterate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Result, Status, settle
from ._certificate import NOWHERE, residuals
from ._curvature import Curvature, Given, choose_curvature
from ._feasibility import restore, stationary
from ._inputs import Settings, Start
from ._matrices import is_operator
from ._newton import Newton, State
from ._problem import Point, Problem
from ._published import DELTA, Published, PublishedState, Sketches
from ._result import EqualityResult, Known
from .kkt.regularize import Shifts
from .linear.direct import Counts, Direct, operators_given
from .linear.krylov import Auto, Krylov

# Largest penalty on the gradient of the Lagrangian where its Hessian is a quasi-Newton matrix.
UPDATED_GRADIENT_PENALTY = 1e-6

_ADVICE = {
    Status.ITERATION_LIMIT: "raise maxiter or time_limit, or give exact derivatives",
    Status.STALLED: "try another x0, check the derivatives, or raise tol",
    Status.INFEASIBLE: "the squared constraints are stationary at a point where they do not hold; "
    "try another x0",
    Status.NON_FINITE: "try another x0",
}
_ADVICE_PUBLISHED = {
    Status.STALLED: "the Jacobian of the constraints is nearly rank deficient or no step descends; "
    "use method='auto'"
}
_ADVICE_START = {
    Status.NON_FINITE: "the objective, a constraint or one of their derivatives is not finite at "
    "x0; start from another point"
}


class Solution(NamedTuple):
    """How a search ended; there is no history where the start is not finite."""

    run: Run[Any]
    curvature: Curvature
    counts: Counts
    linear_solver: str


def solve(problem: Problem, given: Given, settings: Settings, start: Start) -> Solution:
    """Return how the search for a solution of a program ended."""
    point, counts = problem.first_point(start.x), Counts()
    curvature = choose_curvature(problem, given)
    if point is None:
        nowhere = _nowhere(start.x, curvature, settings)
        return Solution(nowhere, curvature, counts, settings.sketch or settings.method)
    _check_sizes(problem, settings, start)
    if settings.scale and not settings.published:
        point = problem.scale(point)
    if problem.m > problem.n:
        run = _least_squares(problem, settings, counts, curvature, point)
        return Solution(run, curvature, counts, "direct")
    _check_formats(settings, curvature, point)
    set_up = _published if settings.published else _recommended
    method, state = set_up(problem, settings, counts, curvature, point, start)
    clock = _Clock(method, settings)
    ended: Run[Any] = iterate(
        state,
        method.step,
        clock.measure,
        tol=settings.tol,
        maxiter=settings.maxiter,
        callback=clock.callback,
        give_up=clock.give_up,
    )
    return Solution(ended, curvature, counts, method.linear_solver)


def _nowhere(x: Array, curvature: Curvature, settings: Settings) -> Run[State]:
    """Return the run of a start that is not finite."""
    nan, none = float("nan"), x[:0]
    state = State(Point(x, nan, none, x * nan, None), none, curvature, settings.penalty, Shifts())
    return Run(state, state, nan, 0, Status.NON_FINITE, [])


def _check_sizes(problem: Problem, settings: Settings, start: Start) -> None:
    """Raise if there are too many equations, or not as many multipliers to start with."""
    if problem.m > problem.n and not settings.allow_overdetermined:
        raise ValueError(
            f"`constraints` must not be more than the variables, got {problem.m} equations for "
            f"{problem.n} variables; allow_overdetermined=True looks for a point all the same."
        )
    if start.dual is not None and start.dual.shape[0] != problem.m:
        raise ValueError(
            f"`x0` must have {problem.m} multipliers, one for each equation, got "
            f"{start.dual.shape[0]}."
        )


def _check_formats(settings: Settings, curvature: Curvature, point: Point) -> None:
    """Raise if derivatives are operators and the method needs matrices."""
    if not (curvature.mode == "operator" or is_operator(point.G)):
        return
    if settings.sketch is not None or settings.method == "direct":
        raise operators_given(settings.sketch or settings.method)
    if settings.published:
        raise ValueError("`method` = 'published' needs matrices, but derivatives are operators.")


class _Clock:
    """What wraps the methods of a solver: the time limit, and x for the callback."""

    def __init__(self, method: Any, settings: Settings) -> None:
        self._method, self._settings = method, settings
        self._x: Array | None = None
        self.callback = None if settings.callback is None else self._call

    def measure(self, state: State | PublishedState) -> Record:
        """Return the residuals of an iterate, and how the last step went."""
        self._x = state.point.x
        return {**self._method.measure(state), **_step_record(state)}

    def _call(self, record: Result) -> None:
        callback = self._settings.callback
        if callback is not None:
            callback(Result(x=self._x, **record))

    def give_up(self, state: State | PublishedState) -> Status | None:
        limit = self._settings.time_limit
        if limit is not None and time.perf_counter() - self._settings.begin > limit:
            return Status.ITERATION_LIMIT
        return state.status


def _step_record(state: State | PublishedState) -> Record:
    return {
        "step": state.length,
        "rtol": state.rtol,
        "inner": state.inner,
        "primal_shift": state.primal_shift,
        "constraint_penalty": state.penalties.eta1,
        "gradient_penalty": state.penalties.eta2,
    }


def _recommended(
    problem: Problem,
    settings: Settings,
    counts: Counts,
    curvature: Curvature,
    point: Point,
    start: Start,
) -> tuple[Newton, State]:
    """Return the method by whose rules programs are solved, and its first state."""
    if curvature.approximate:
        # The slope of the gradient term takes a product with the true Hessian.
        penalties = settings.penalty
        penalties = penalties._replace(eta2=min(penalties.eta2, UPDATED_GRADIENT_PENALTY))
        settings = settings._replace(penalty=penalties)
    newton = Newton(problem, _linear_solver(settings, counts), counts, settings)
    lam = (
        newton.first_multipliers(point)
        if start.dual is None
        else problem.scaled_multipliers(start.dual)
    )
    penalties = start.penalties or settings.penalty
    return newton, State(point, lam, curvature, penalties, Shifts(last_shift=start.shift))


def _published(
    problem: Problem,
    settings: Settings,
    counts: Counts,
    curvature: Curvature,
    point: Point,
    start: Start,
) -> tuple[Published, PublishedState]:
    """Return the method of the paper, and its first state."""
    zero = array_namespace(point.c).zeros_like(point.c)
    lam = zero if start.dual is None else start.dual
    method = Published(problem, curvature, counts, settings)
    return method, PublishedState(point, lam, settings.penalty, DELTA)


def _linear_solver(settings: Settings, counts: Counts) -> Any:
    name, options = settings.method, (settings.max_inner, settings.fallback)
    if settings.sketch is not None:
        return Sketches(settings.sketch, settings.sketch_size, settings.rng, counts, *options)
    if name == "direct":
        return Direct(counts)
    return Auto(counts, *options) if name == "auto" else Krylov(name, counts, *options)


def _least_squares(
    problem: Problem, settings: Settings, counts: Counts, curvature: Curvature, point: Point
) -> Run[State]:
    """Return a run for more equations than variables: the constraints alone decide."""
    newton, state = _recommended(
        problem, settings._replace(method="direct"), counts, curvature, point, Start(point.x)
    )
    history = [{"nit": 0, **newton.measure(state), **_step_record(state)}]
    nit = 0
    if settings.maxiter:
        point = restore(problem, point, settings.tol, goal=0.1 * settings.feas_tol)
        state = state._replace(point=point, lam=newton.first_multipliers(point))
        nit = 1
        history.append({"nit": nit, **newton.measure(state), **_step_record(state)})
    error = history[-1]["error"]
    status = Status.CONVERGED
    if not error <= settings.tol:
        status = Status.STALLED if nit else Status.ITERATION_LIMIT
    if status is Status.STALLED and stationary(point, max(settings.tol, 1e-6)):
        status = Status.INFEASIBLE
    return Run(state, state, error, nit, status, history)


def report(problem: Problem, settings: Settings, solution: Solution) -> EqualityResult:
    """Return the result, with what is measured on the point and the multipliers returned."""
    run, counts = solution.run, solution.counts
    # The last state where it says something, else the best.
    final = run.status in (Status.CONVERGED, Status.INFEASIBLE)
    state: State | PublishedState = run.state if final else run.best
    point, lam = problem.in_given_units(state.point), problem.user_multipliers(state.lam)
    found = residuals(point, lam) if run.history else NOWHERE
    advice = _ADVICE | (_ADVICE_PUBLISHED if settings.published else {})
    outcome = settle(
        run.status,
        found.checks(settings.tol, settings.feas_tol),
        nit=run.nit,
        advice=advice if run.history else _ADVICE_START,
    )
    work = problem.work
    result = EqualityResult(
        x=array_namespace(point.x).asarray(point.x, copy=True),
        fun=point.fun,
        success=outcome.success,
        status=outcome.status,
        message=outcome.message,
        checks=outcome.checks,
        nit=run.nit,
        jac=point.g,
        dual=problem.split(lam),
        constr=problem.split(point.c),
        infeasibility=found.infeasibility,
        optimality=found.optimality,
        tol=settings.tol,
        feas_tol=settings.feas_tol,
        **{name: work.pop(name) for name in ("nfev", "njev", "nhev", "n_passes")},
        n_factorizations=counts.factorizations,
        hess_mode=solution.curvature.mode,
        history=run.history,
        stats={
            **work,
            "n_inner": counts.inner,
            "n_fallbacks": counts.fallbacks,
            "penalty": tuple(state.penalties),
            "regularization": state.regularization,
            "linear_solver": solution.linear_solver,
        },
        execution_time=time.perf_counter() - settings.begin,
    )
    if run.history:
        rule = state.curvature if isinstance(state, State) else solution.curvature
        result._attach(Known(problem, state.point, state.lam, rule.sketch_of or rule))
    return result
