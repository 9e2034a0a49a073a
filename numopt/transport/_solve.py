"""One transport problem end to end."""

from __future__ import annotations

import warnings
from functools import partial
from time import perf_counter

from .._core.namespace import Array, array_namespace, filled
from .._core.outcome import Outcome, Status, settle
from .._kernels.transport import semidual_pass
from ._certificate import Measures, checks_of, measured, objective_size
from ._continuation import (
    PATH_START,
    Limits,
    Solution,
    Step,
    follow_path,
    precision_floor,
    sinkhorn_step,
    sns_step,
    symmetric_step,
)
from ._costs import KernelCost, restricted, shape_of, transposed
from ._plan import Coupling
from ._problem import Instance, Problem, Reduced, Settings, reduced
from ._published import published_step
from ._result import TransportResult
from ._semidual import Counts, evaluate

# Moves without progress after which a method gives up. Plain sweeps always make some.
PATIENCE = {"sns": 200, "symmetric": 200, "sns-paper": 20, "sinkhorn": None}
# Where even this is below the precision floor, a default tolerance would mean nothing.
LOOSEST_DEFAULT = 1e-2

ADVICE = {
    Status.ITERATION_LIMIT: "raise maxiter or reg",
    Status.STALLED: "neither Newton steps nor sweeps helped; raise reg",
    Status.PRECISION_LIMIT: "raise reg or tol, or use float64",
    Status.NON_FINITE: "rescale the cost or raise reg",
}


def solve(instance: Instance, settings: Settings, start: Array | None) -> TransportResult:
    """Return the certified solution of one problem; `start` is a column potential or None."""
    begun = perf_counter()
    limits = _limits(instance, settings)
    problem = reduced(instance)
    ordered, begin = problem.ordered(), None if start is None else problem.begin(start)
    solution, u, v = _search(*ordered, instance.span, settings, limits, begin)
    f, g = _balanced(*ordered[1:], u, v, settings.reg)
    measures = measured(*ordered, f, g, settings.reg, instance.high - problem.offset)
    f, g = problem.put_back(f, g)
    coupling = Coupling(problem.cost, problem.a, problem.b, f, g, settings.reg)
    potentials = _extended(instance, coupling, problem)
    result = _report(solution, measures, potentials, problem, settings, limits.tol)
    result._attach(coupling, (instance.a, instance.b), problem.support, instance.points)
    result.execution_time = perf_counter() - begun
    return result


def _limits(instance: Instance, settings: Settings) -> Limits:
    """Return when to stop; warn if the tolerance is below what the dtype can resolve."""
    floor, dtype = precision_floor(instance.a, instance.span, settings.reg), instance.a.dtype
    if floor >= 1:
        raise ValueError(
            f"`reg` must be above {floor * settings.reg:.1e}, below which no digit of cost / reg "
            f"is right in {dtype}, got {settings.reg:g}."
        )
    tol = min(max(1e-8, floor), LOOSEST_DEFAULT) if settings.tol is None else settings.tol
    if tol < floor:
        warnings.warn(
            f"`tol` = {tol:g} is below {floor:.1e}, the marginal error that rounding in {dtype} "
            "can leave for this cost and `reg`.",
            RuntimeWarning,
            stacklevel=4,
        )
    return Limits(tol, settings.maxiter, floor, PATIENCE[settings.method], settings.callback)


def _search(
    cost: KernelCost,
    a: Array,
    b: Array,
    span: float,
    settings: Settings,
    limits: Limits,
    start: Array | None,
) -> tuple[Solution, Array, Array]:
    """Return how the search went, and log-scalings of both sides with exact rows or columns."""
    wide = shape_of(cost)[1] > shape_of(cost)[0]
    if wide:
        cost, a, b = transposed(cost), b, a
    xp = array_namespace(a)
    mass = xp.sum(a)
    log_a, log_b = xp.log(a / mass), xp.log(b / mass)
    problem = Problem(
        cost, a / mass, log_a, b / mass, log_b, settings.reg, limits.tol, settings.newton
    )
    if start is not None and wide:
        # The reduced system lives on the other side: one exact sweep takes the start there.
        other = problem._replace(
            cost=transposed(cost), a=problem.b, log_a=log_b, b=problem.a, log_b=log_a
        )
        start = problem.g_from(evaluate(other, other.v_from(start), Counts()).u)
    step = _step(settings, shape_of(cost))
    path_start = PATH_START * span if settings.method == "sns" else 0.0
    solution = follow_path(problem, step, limits, start, path_start, settings.scaling)
    u, v = solution.u, problem.v_from(solution.g)
    if u is None:
        u = evaluate(problem, v, Counts()).u
    u = u + xp.log(mass)
    return (solution, v, u) if wide else (solution, u, v)


def _step(settings: Settings, shape: tuple[int, int]) -> Step:
    """Return the step of a method."""
    if settings.method == "sns-paper":
        density = 2 / min(shape) if settings.density is None else settings.density
        return partial(published_step, density=min(density, 1.0))
    return {"sns": sns_step, "sinkhorn": sinkhorn_step, "symmetric": symmetric_step}[
        settings.method
    ]


def _balanced(a: Array, b: Array, u: Array, v: Array, reg: float) -> tuple[Array, Array]:
    """Return the potentials of log-scalings, with the constant chosen so that a.f = b.g."""
    xp = array_namespace(u, v)
    f, g = reg * (u - xp.log(a)), reg * (v - xp.log(b))
    shift = 0.5 * (xp.sum(a * f) - xp.sum(b * g)) / xp.sum(a)
    return f - shift, g + shift


def _extended(instance: Instance, coupling: Coupling, problem: Reduced) -> tuple[Array, Array]:
    """Return the potentials everywhere: the soft c-transform where there is no mass."""
    rows, columns = problem.support
    f, g = coupling.f + 0.5 * problem.offset, coupling.g + 0.5 * problem.offset
    full_f, full_g = f, g
    if rows is not None:
        from_columns = restricted(instance.cost, None, columns)
        full_f = _c_transform(from_columns, instance.a, f, g, coupling.b, coupling.reg)
    if columns is not None:
        from_rows = transposed(restricted(instance.cost, rows, None))
        full_g = _c_transform(from_rows, instance.b, g, f, coupling.a, coupling.reg)
    return full_f, full_g


def _c_transform(
    cost: KernelCost, masses: Array, known: Array, other: Array, weights: Array, reg: float
) -> Array:
    """Return ``-reg log sum_j weights[j] exp((other[j] - cost[i, j]) / reg)`` off the support."""
    xp = array_namespace(known, other)
    ones = xp.ones_like(masses)
    u, _ = semidual_pass(cost, other / reg + xp.log(weights), ones, 0 * ones, 1 / reg)
    return filled(masses > 0, known, reg * u)


def _report(
    solution: Solution,
    measures: Measures,
    potentials: tuple[Array, Array],
    problem: Reduced,
    settings: Settings,
    tol: float,
) -> TransportResult:
    """Return the result: fields, certificate and message."""
    xp = array_namespace(*potentials)
    mass, counts = float(xp.sum(problem.a)), solution.counts
    fun = measures.primal + problem.offset * mass
    return TransportResult(
        x=xp.concat(list(potentials)),
        f=potentials[0],
        g=potentials[1],
        fun=fun,
        dual_fun=measures.dual + problem.offset * mass,
        gap=measures.bound / objective_size(fun, settings.reg, mass),
        cost=measures.transport_cost + problem.offset * mass,
        marginal_error=measures.row_error + measures.column_error,
        marginal_error_rows=measures.row_error,
        marginal_error_cols=measures.column_error,
        **outcome(solution.status, measures, tol, solution.nit, settings.method)._asdict(),
        nit=solution.nit,
        n_passes=counts.passes + 1,
        history=solution.history,
        tol=tol,
        stats={
            "nit_sinkhorn": counts.sweeps,
            "nit_newton": counts.newton,
            "nit_cg": counts.cg,
            "nnz": counts.nnz,
            "reg_path": solution.reg_path,
        },
    )


def outcome(status: int, measures: Measures, tol: float, nit: int, method: str) -> Outcome:
    """Return what the certificate says of the point that a search returned."""
    advice = dict(ADVICE)
    if method != "sns":
        advice[Status.STALLED] += ", or use method='sns'"
    return settle(
        status,
        checks_of(measures, tol),
        nit=nit,
        otherwise=Status.PRECISION_LIMIT,
        advice=advice,
    )
