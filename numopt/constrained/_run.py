"""From a validated program to a certified result."""

from __future__ import annotations

import time
from typing import Any

from .._core.iterate import Run, iterate
from .._core.namespace import Array, array_namespace
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK, Result
from ._curvature import Curvature, Given, choose_curvature, exact_rule
from ._inertia import Shifts
from ._krylov import Auto, Krylov
from ._linear import SKETCHES, Counts, Direct, operators_given
from ._matrices import as_vector, is_operator, largest
from ._merit import Penalties
from ._newton import INFEASIBLE, NO_STEP, Newton, State
from ._problem import Point, Problem, lagrangian_gradient
from ._restore import restore, stationary
from ._result import EqualityResult
from ._settings import Settings
from ._sketch import Sketches
from ._theory import DELTA, Theory, TheoryState

# Largest penalty on the gradient of the Lagrangian where its Hessian is a quasi-Newton matrix.
UPDATED_ETA2 = 1e-6


def solve(problem: Problem, given: Given, settings: Settings, x0: Array) -> EqualityResult:
    """Return the certified result of a program from a start."""
    point = problem.first_point(x0)
    if point is None:
        return _not_finite(problem, settings, x0)
    if problem.m > problem.n and not settings.allow_overdetermined:
        raise ValueError(
            f"`constraints` must not be more than the variables, got {problem.m} equations for "
            f"{problem.n} variables; allow_overdetermined=True looks for a point all the same."
        )
    lam0 = _first_lam(problem, settings, point)
    if settings.scale and not settings.theory:
        point = problem.scale(point)
    curvature = choose_curvature(problem, given)
    counts = Counts()
    if problem.m > problem.n:
        run, name = _least_squares(problem, settings, counts, curvature, point), "direct"
    else:
        run, name = _search(problem, settings, counts, curvature, point, lam0)
    return _report(problem, settings, counts, run, curvature, name)


def _search(
    problem: Problem,
    settings: Settings,
    counts: Counts,
    curvature: Curvature,
    point: Point,
    lam0: Array | None,
) -> tuple[Run[Any], str]:
    """Return how the iteration went, and the name of its linear solver."""
    name = _linear_solver(settings, curvature, point)
    method: Newton | Theory
    state: State | TheoryState
    if settings.theory:
        method, state = _published(problem, settings, counts, curvature, point, lam0, name)
    else:
        method, state = _production(problem, settings, counts, curvature, point, lam0, name)
    clock = _Clock(method, settings)
    run: Run[Any] = iterate(
        state,
        method.step,
        clock.measure,
        tol=settings.tol,
        maxiter=settings.maxiter,
        callback=clock.callback,
        give_up=clock.give_up,
    )
    return run, getattr(getattr(method, "linear", None), "name", name)


class _Clock:
    """What wraps the methods of a solver: the time limit, and x for the callback."""

    def __init__(self, method: Newton | Theory, settings: Settings) -> None:
        self._method, self._settings = method, settings
        self._x: Array | None = None
        self.callback = None if settings.callback is None else self._call

    def measure(self, state: Any) -> dict[str, Any]:
        self._x = state.point.x
        return self._method.measure(state)

    def _call(self, record: Result) -> None:
        callback = self._settings.callback
        if callback is not None:
            callback(Result(x=self._x, **record))

    def give_up(self, state: Any) -> int | None:
        limit = self._settings.time_limit
        if limit is not None and time.perf_counter() - self._settings.begin > limit:
            return ITERATION_LIMIT
        return self._method.give_up(state)


def _production(
    problem: Problem,
    settings: Settings,
    counts: Counts,
    curvature: Curvature,
    point: Point,
    lam0: Array | None,
    name: str,
) -> tuple[Newton, State]:
    penalties = settings.penalty
    if curvature.approximate:
        # The slope of the gradient term takes a product with the true Hessian.
        penalties = penalties._replace(eta2=min(penalties.eta2, UPDATED_ETA2))
        settings = settings._replace(penalty=penalties)
    newton = Newton(problem, _make_linear(name, settings, counts), counts, settings)
    shifts = Shifts()
    if settings.warm is not None:
        penalties = Penalties(*settings.warm.penalty)
        shifts = Shifts(last_w=settings.warm.regularization)
    lam = newton.first_multipliers(point) if lam0 is None else problem.scaled_multipliers(lam0)
    return newton, State(point, lam, curvature, penalties, shifts)


def _published(
    problem: Problem,
    settings: Settings,
    counts: Counts,
    curvature: Curvature,
    point: Point,
    lam0: Array | None,
    name: str,
) -> tuple[Theory, TheoryState]:
    theory = Theory(problem, curvature, name, counts, settings)
    lam = array_namespace(point.c).zeros_like(point.c) if lam0 is None else lam0
    return theory, TheoryState(point, lam, settings.penalty, DELTA)


def _linear_solver(settings: Settings, curvature: Curvature, point: Point) -> str:
    """Return the name of the linear solver, having checked that it can be used."""
    name = settings.linear_solver
    operators = curvature.mode == "operator" or is_operator(point.G)
    if operators and (name in SKETCHES or name == "direct"):
        raise operators_given(name)
    if settings.theory and operators:
        raise ValueError("`accuracy` = 'theory' needs matrices, but derivatives are operators.")
    if name == "auto" and settings.theory:
        return "direct"
    if settings.theory and name not in (*SKETCHES, "direct"):
        raise ValueError(
            "`linear_solver` must be one of 'direct', 'kaczmarz', 'gaussian', 'block-kaczmarz' "
            f"with accuracy='theory', got {name!r}."
        )
    return name


def _make_linear(name: str, settings: Settings, counts: Counts) -> Any:
    if name == "direct":
        return Direct(counts)
    if name in SKETCHES:
        return Sketches(
            name,
            counts,
            settings.rng,
            size=settings.sketch_size,
            max_inner=settings.max_inner,
            fallback=settings.linear_solver_fallback,
        )
    if name == "auto":
        return Auto(counts, max_inner=settings.max_inner, fallback=settings.linear_solver_fallback)
    return Krylov(
        name, counts, max_inner=settings.max_inner, fallback=settings.linear_solver_fallback
    )


def _first_lam(problem: Problem, settings: Settings, point: Point) -> Array | None:
    """Return the multipliers to start with in the user's units, None if they are to be found."""
    lam0 = settings.lam0
    if lam0 is None and settings.warm is not None:
        lam0 = settings.warm.lam_flat
    if lam0 is None:
        return None
    if isinstance(lam0, list | tuple) and lam0 and hasattr(lam0[0], "shape"):
        lam0 = array_namespace(point.x).concat(list(lam0))
    lam0 = as_vector("lam0", lam0, point.x)
    if lam0.shape[0] != problem.m:
        raise ValueError(f"`lam0` must have shape ({problem.m},), got {tuple(lam0.shape)}.")
    return lam0


def _least_squares(
    problem: Problem, settings: Settings, counts: Counts, curvature: Curvature, point: Point
) -> Run[State]:
    """Return a run for more equations than variables: the constraints alone decide."""
    newton, state = _production(problem, settings, counts, curvature, point, None, "direct")
    history = [{"nit": 0, **newton.measure(state)}]
    nit = 0
    if settings.maxiter:
        point = restore(problem, point, settings.tol, goal=0.1 * settings.feas_tol)
        state = state._replace(point=point, lam=newton.first_multipliers(point))
        nit = 1
        history.append({"nit": nit, **newton.measure(state)})
    error = history[-1]["error"]
    status = CONVERGED if error <= settings.tol else ITERATION_LIMIT if not nit else NO_STEP
    if status == NO_STEP and stationary(point, max(settings.tol, 1e-6)):
        status = INFEASIBLE
    return Run(state, state, error, nit, status, history)


def _report(
    problem: Problem,
    settings: Settings,
    counts: Counts,
    run: Run[Any],
    curvature: Curvature,
    name: str,
) -> EqualityResult:
    """Return the result; the certificate is measured on the point and multipliers returned."""
    state = run.state if run.status in (CONVERGED, INFEASIBLE) else run.best
    point, lam = state.point, problem.user_multipliers(state.lam)
    xp = array_namespace(point.x)
    c = point.c if problem.scale_c is None else point.c / problem.scale_c
    g = point.g / problem.scale_f
    optimality = largest(lagrangian_gradient(point, state.lam)) / problem.scale_f
    violation, peak = largest(c), largest(g)
    success = optimality <= settings.tol * max(1.0, peak) and violation <= settings.feas_tol
    status = _final_status(success, run.status)
    result = EqualityResult(
        x=xp.asarray(point.x, copy=True),
        fun=point.fun / problem.scale_f,
        success=success,
        status=status,
        message=_message(status, run.nit, optimality / max(1.0, peak), violation, settings),
        nit=run.nit,
        jac=g,
        lam=problem.split(lam),
        lam_flat=lam,
        constr=problem.split(c),
        constr_violation=violation,
        optimality=optimality,
        tol=settings.tol,
        feas_tol=settings.feas_tol,
        **problem.work,
        n_factorizations=counts.factorizations,
        n_inner=counts.inner,
        n_fallback=counts.fallbacks,
        penalty=tuple(state.penalties),
        regularization=getattr(getattr(state, "shifts", None), "last_w", state.delta_w),
        hess_mode=curvature.mode,
        linear_solver=name,
        history=run.history,
        execution_time=time.perf_counter() - settings.begin,
    )
    rule = exact_rule(problem, getattr(state, "curvature", curvature))
    result._attach((problem, point, state.lam, rule))
    return result


def _not_finite(problem: Problem, settings: Settings, x0: Array) -> EqualityResult:
    """Return the result for a start where f, c or their derivatives are not finite."""
    nan = float("nan")
    empty = array_namespace(x0).zeros_like(x0[:0])
    return EqualityResult(
        x=x0,
        fun=nan,
        success=False,
        status=NON_FINITE,
        message="The objective, a constraint or one of their derivatives is not finite at x0; "
        "start from another point.",
        nit=0,
        jac=x0 * nan,
        lam=[],
        lam_flat=empty,
        constr=[],
        constr_violation=nan,
        optimality=nan,
        tol=settings.tol,
        feas_tol=settings.feas_tol,
        **problem.work,
        n_factorizations=0,
        n_inner=0,
        n_fallback=0,
        penalty=tuple(settings.penalty),
        regularization=0.0,
        hess_mode="none",
        linear_solver=settings.linear_solver,
        history=[],
        execution_time=time.perf_counter() - settings.begin,
    )


def _final_status(success: bool, status: int) -> int:
    """Return the status, given what the certificate says of the point that is returned."""
    if success and status != STOPPED_BY_CALLBACK:
        return CONVERGED
    return NO_STEP if status == CONVERGED and not success else status


def _message(status: int, nit: int, optimality: float, violation: float, settings: Settings) -> str:
    """Return what happened and, where it failed, what to try."""
    count = f"{nit} iteration" + ("" if nit == 1 else "s")
    reached = (
        f"with a constraint violation of {violation:.1e} and a relative gradient of the "
        f"Lagrangian of {optimality:.1e} (tol {settings.tol:.1e})"
    )
    if settings.theory and status == NO_STEP:
        return (
            f"Stopped after {count} {reached}: the Jacobian of the constraints is nearly rank "
            "deficient or no step descends; use accuracy='adaptive'."
        )
    return {
        CONVERGED: f"Converged after {count} {reached}.",
        ITERATION_LIMIT: f"Stopped after {count} {reached}; raise maxiter or time_limit, or give "
        "exact derivatives.",
        NO_STEP: f"Stopped after {count} {reached}: no step made progress; try another x0, check "
        "the derivatives, or raise tol.",
        INFEASIBLE: f"Stopped after {count} {reached}: the squared constraints are stationary at a "
        "point where they do not hold, so they are infeasible nearby; try another x0.",
        STOPPED_BY_CALLBACK: f"Stopped by the callback after {count} {reached}.",
        NON_FINITE: f"Stopped after {count} because a number was not finite; try another x0.",
    }[status]
