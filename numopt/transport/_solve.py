"""Entropic transport: validation, one problem end to end, batches."""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import NamedTuple

from .._core.iterate import Callback
from .._core.namespace import Array, array_namespace, filled
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK
from .._kernels.transport import semidual_pass
from ._costs import (
    KernelCost,
    PointCloudCost,
    locality_order,
    restricted,
    shape_of,
    transposed,
)
from ._coupling import Certificate, Coupling, certify
from ._paper import paper_step
from ._path import (
    NO_PROGRESS,
    PATH_START,
    PRECISION_FLOOR,
    Limits,
    Solution,
    Step,
    follow_path,
    precision_floor,
    sinkhorn_step,
    sns_step,
    symmetric_step,
)
from ._result import TransportResult
from ._semidual import Counts, NewtonOptions, Problem, evaluate

METHODS = ("sns", "sinkhorn", "sns-paper")
# Moves without progress after which a method gives up. Plain sweeps always make some.
PATIENCE = {"sns": 200, "symmetric": 200, "sns-paper": 20, "sinkhorn": None}


# Pairs of points from which on it pays to sort the clouds.
ORDERING_ENTRIES = 65_536


# Where even this is below the precision floor, a default tolerance would mean nothing.
LOOSEST_DEFAULT = 1e-2


class Settings(NamedTuple):
    """Validated options of a solve."""

    reg: float
    method: str
    tol: float | None
    maxiter: int
    scaling: float
    newton: NewtonOptions
    density: float | None
    callback: Callback | None


class Instance(NamedTuple):
    """One validated problem in the orientation and on the support the user gave."""

    cost: KernelCost
    a: Array
    b: Array
    low: float
    high: float
    points: PointCloudCost | None


def solve(instance: Instance, settings: Settings, start: Array | None) -> TransportResult:
    """Return the certified solution of one problem; `start` is a column potential or None."""
    limits = _limits(instance, settings)
    support = _support(instance.a), _support(instance.b)
    cost = restricted(instance.cost, *support)
    # A common offset of the cost would eat digits of cost / reg; it moves the potentials only.
    offset = instance.low if abs(instance.low) > instance.high - instance.low else 0.0
    if offset:
        cost = cost - offset
    a, b = _taken(instance.a, support[0]), _taken(instance.b, support[1])
    start = None if start is None else _taken(start, support[1])
    rows, columns = _orders(cost)
    ordered = restricted(cost, rows, columns), _taken(a, rows), _taken(b, columns)
    begin = None if start is None else _taken(start, columns)
    solution, u, v = _search(*ordered, instance, settings, limits, begin)
    coupling = _balanced(*ordered, u, v, settings.reg)
    certificate = certify(coupling, instance.high - offset)
    f, g = _put_back(coupling.f, rows), _put_back(coupling.g, columns)
    coupling = Coupling(cost, a, b, f, g, settings.reg)
    f, g = _extended(instance, coupling, support, offset)
    result = _report(solution, coupling, certificate, offset, f, g, settings.method, limits.tol)
    result._attach(coupling, (instance.a, instance.b), support, instance.points)
    return result


def _orders(cost: KernelCost) -> tuple[Array | None, Array | None]:
    """Return orders of two point clouds that let kernels skip what is far away."""
    if not isinstance(cost, tuple) or math.prod(shape_of(cost)) < ORDERING_ENTRIES:
        return None, None
    return locality_order(cost[0]), locality_order(cost[1])


def _put_back(values: Array, order: Array | None) -> Array:
    """Return values in the order they had before they were taken in the given one."""
    return values if order is None else _taken(values, array_namespace(order).argsort(order))


def _search(
    cost: KernelCost,
    a: Array,
    b: Array,
    instance: Instance,
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
    span = instance.high - instance.low
    if start is not None and wide:
        # The reduced system lives on the other side: one exact sweep takes the start there.
        flipped = problem._replace(
            cost=transposed(cost), a=problem.b, log_a=log_b, b=problem.a, log_b=log_a
        )
        u = evaluate(flipped, flipped.v_from(start), Counts()).u
        start = problem.g_from(u)
    solution = _run(problem, span, settings, limits, start)
    u, v = solution.u, problem.v_from(solution.g)
    if u is None:
        u = evaluate(problem, v, Counts()).u
    u = u + xp.log(mass)
    return (solution, v, u) if wide else (solution, u, v)


def _limits(instance: Instance, settings: Settings) -> Limits:
    """Return when to stop; warn if the tolerance is below what the dtype can resolve."""
    span = instance.high - instance.low
    if not math.isfinite(span):
        raise ValueError(
            f"`cost` must have a finite range, got entries from {instance.low} to {instance.high}."
        )
    floor = precision_floor(instance.a, span, settings.reg)
    if floor >= 1:
        raise ValueError(
            f"`reg` must be above {floor * settings.reg:.1e}, below which no digit of cost / reg "
            f"is right in {instance.a.dtype}, got {settings.reg:g}."
        )
    tol = min(max(1e-8, floor), LOOSEST_DEFAULT) if settings.tol is None else settings.tol
    if tol < floor:
        warnings.warn(
            f"`tol` = {tol:g} is below {floor:.1e}, the marginal error that rounding in "
            f"{instance.a.dtype} can leave for this cost and `reg`.",
            RuntimeWarning,
            stacklevel=4,
        )
    return Limits(tol, settings.maxiter, floor, PATIENCE[settings.method], settings.callback)


def _run(
    problem: Problem, span: float, settings: Settings, limits: Limits, start: Array | None
) -> Solution:
    """Return the solution of a normalized problem by the method asked for."""
    step = _step(settings, shape_of(problem.cost))
    path_start = PATH_START * span if settings.method == "sns" else 0.0
    return follow_path(problem, step, limits, start, path_start, settings.scaling)


def _step(settings: Settings, shape: tuple[int, int]) -> Step:
    """Return the step of a method."""
    if settings.method == "sns-paper":
        density = 2 / min(shape) if settings.density is None else settings.density
        return partial(paper_step, density=min(density, 1.0))
    return {"sns": sns_step, "sinkhorn": sinkhorn_step, "symmetric": symmetric_step}[
        settings.method
    ]


def _support(mass: Array) -> Array | None:
    """Return the indices with positive mass, None if all have."""
    xp = array_namespace(mass)
    (index,) = xp.nonzero(mass)
    return None if index.shape[0] == mass.shape[0] else index


def _taken(x: Array, index: Array | None) -> Array:
    return x if index is None else array_namespace(x).take(x, index)


def _balanced(cost: KernelCost, a: Array, b: Array, u: Array, v: Array, reg: float) -> Coupling:
    """Return the coupling of log-scalings, with the constant chosen so that a.f = b.g."""
    xp = array_namespace(u, v)
    f, g = reg * (u - xp.log(a)), reg * (v - xp.log(b))
    shift = 0.5 * (xp.sum(a * f) - xp.sum(b * g)) / xp.sum(a)
    return Coupling(cost, a, b, f - shift, g + shift, reg)


def _extended(
    instance: Instance,
    coupling: Coupling,
    support: tuple[Array | None, Array | None],
    offset: float,
) -> tuple[Array, Array]:
    """Return the potentials everywhere: the soft c-transform where there is no mass."""
    f, g = coupling.f + 0.5 * offset, coupling.g + 0.5 * offset
    full_f, full_g = f, g
    if support[0] is not None:
        rows = restricted(instance.cost, None, support[1])
        full_f = _c_transform(rows, instance.a, f, g, coupling.b, coupling.reg)
    if support[1] is not None:
        columns = transposed(restricted(instance.cost, support[0], None))
        full_g = _c_transform(columns, instance.b, g, f, coupling.a, coupling.reg)
    return full_f, full_g


def _c_transform(
    cost: KernelCost,
    masses: Array,
    known: Array,
    other: Array,
    weights: Array,
    reg: float,
) -> Array:
    """Return ``-reg log sum_j weights[j] exp((other[j] - cost[i, j]) / reg)`` off the support."""
    xp = array_namespace(known, other)
    ones = xp.ones_like(masses)
    u, _ = semidual_pass(cost, other / reg + xp.log(weights), ones, 0 * ones, 1 / reg)
    return filled(masses > 0, known, reg * u)


def _report(
    solution: Solution,
    coupling: Coupling,
    certificate: Certificate,
    offset: float,
    f: Array,
    g: Array,
    method: str,
    tol: float,
) -> TransportResult:
    """Return the result: fields, certificate and message."""
    xp = array_namespace(f, g)
    mass = float(xp.sum(coupling.a))
    error = certificate.row_error + certificate.column_error
    success = error <= tol
    status = _final_status(success, solution.status)
    counts = solution.counts
    return TransportResult(
        x=xp.concat([f, g]),
        f=f,
        g=g,
        fun=certificate.primal + offset * mass,
        dual_fun=certificate.dual + offset * mass,
        gap=certificate.gap,
        cost=certificate.transport_cost + offset * mass,
        marginal_error=error,
        marginal_error_rows=certificate.row_error,
        marginal_error_cols=certificate.column_error,
        tol=tol,
        success=success,
        status=status,
        message=_message(status, solution.nit, error, tol, method),
        nit=solution.nit,
        nit_sinkhorn=counts.sweeps,
        nit_newton=counts.newton,
        nit_cg=counts.cg,
        npass=counts.passes + 1,
        nnz=counts.nnz,
        reg_path=solution.reg_path,
        history=solution.history,
    )


def _final_status(success: bool, status: int) -> int:
    """Return the status, given what the certificate says of the point the search returned."""
    if success and status != STOPPED_BY_CALLBACK:
        return CONVERGED
    if status == CONVERGED and not success:
        return PRECISION_FLOOR
    return status


def _message(status: int, nit: int, error: float, tol: float, method: str) -> str:
    """Return what happened and, where it failed, what to try."""
    reached = f"with a marginal error of {error:.1e} (tol {tol:.1e})"
    count = f"{nit} iteration" + ("" if nit == 1 else "s")
    return {
        CONVERGED: f"Converged after {count} {reached}.",
        ITERATION_LIMIT: f"Stopped after {count} {reached}; raise maxiter or reg.",
        NO_PROGRESS: f"Stopped after {count} {reached}: neither Newton steps nor sweeps made "
        "progress; raise reg" + ("." if method == "sns" else ", or use method='sns'."),
        PRECISION_FLOOR: f"Stopped after {count} {reached} at the precision of the dtype; "
        "raise reg or tol, or use float64.",
        NON_FINITE: f"Stopped after {count} because a number was not finite; "
        "rescale the cost or raise reg.",
        STOPPED_BY_CALLBACK: f"Stopped by the callback after {count} {reached}.",
    }[status]
