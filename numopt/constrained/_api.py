"""The public solver of equality-constrained programs."""

from __future__ import annotations

import time
from typing import Any

from .. import _random, _validate
from .._iterate import Callback, closing, iterate
from .._namespace import Array, array_namespace
from ._constraints import read_constraints
from ._curvature import Given, check_hess, choose_curvature
from ._inertia import Shifts
from ._linear import Counts, Direct
from ._merit import Penalties
from ._newton import Newton, State
from ._problem import Objective, Problem
from ._result import EqualityResult


def minimize_equality(
    fun: Any,
    x0: Array,
    args: Any = (),
    *,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    constraints: Any = (),
    lagrangian_hess: Any = None,
    tol: float | None = None,
    feas_tol: float | None = None,
    maxiter: int = 500,
    scale: bool = True,
    penalty: tuple[float, float] = (1.0, 0.1),
    beta: float = 1e-4,
    nu: float = 1.5,
    rng: Any = None,
    superlinear: bool = True,
    callback: Callback | None = None,
) -> EqualityResult:
    """placeholder"""
    begin = time.perf_counter()
    tol = 1e-8 if tol is None else tol
    feas_tol = tol if feas_tol is None else feas_tol
    objective = Objective(fun, jac, tuple(args), None)
    blocks = read_constraints(constraints, x0, None)
    problem = Problem(objective, blocks, x0)
    point = problem.first_point(x0)
    if scale:
        point = problem.scale(point)
    curvature = choose_curvature(problem, Given(check_hess(hess), hessp, lagrangian_hess, args, None))
    counts = Counts()
    start = Penalties(*penalty)
    newton = Newton(problem, Direct(counts), counts, tol, feas_tol, start, beta, nu, superlinear, _random.generator(rng))
    state = State(point, newton.first_multipliers(point), curvature, start, Shifts())
    run = iterate(state, newton.step, newton.measure, tol=tol, maxiter=maxiter, callback=callback, give_up=newton.give_up)
    best = run.best
    lam = problem.user_multipliers(best.lam)
    rec = newton.measure(best)
    return EqualityResult(x=best.point.x, fun=rec["fun"], success=rec["error"]<=tol, status=run.status, message="", nit=run.nit, lam_flat=lam, constr_violation=rec["constr_violation"], optimality=rec["optimality"], history=run.history, execution_time=time.perf_counter()-begin, n_factorizations=counts.factorizations, hess_mode=curvature.mode, **problem.counts)
