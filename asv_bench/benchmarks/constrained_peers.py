"""The peers, on a problem given as plain functions: what each returns is measured by the caller."""

import importlib.util
from functools import partial

import numpy as np
from scipy.optimize import BFGS, NonlinearConstraint, minimize

LIMIT = 25.0


def takes(name, problem):
    """Tell whether a peer can be given a problem."""
    return installed(name) and (name not in BY_ROWS or hasattr(problem, "A"))


def installed(name):
    """Tell whether a peer can be run."""
    return name != "ipopt" or importlib.util.find_spec("ipyopt") is not None


def numopt(problem, exact=True, **options):
    import numopt

    constraint = NonlinearConstraint(problem.con, 0.0, 0.0, jac=problem.jac)
    hessian = {"lagrangian_hess": problem.hess_lagrangian} if exact else {}
    return numopt.minimize_equality(
        problem.fun,
        problem.x0,
        jac=problem.grad,
        constraints=constraint,
        time_limit=LIMIT,
        rng=0,
        **(hessian | options),
    ).x


def numopt_rows(problem, exact=True, sketch=None, **options):
    """Solve a regression by handing over its rows, in place of functions.

    With a sketch of so many rows for each column in place of its Hessian.
    """
    import numopt

    size = None if sketch is None else sketch * problem.n
    objective = numopt.RowSum(
        problem.A, problem.y, loss="logistic", mean=True, sketch_size=size, rng=0
    )
    constraint = NonlinearConstraint(
        problem.con, 0.0, 0.0, jac=problem.jac, hess=problem.hess_c if exact else "2-point"
    )
    settings = {"time_limit": LIMIT, "rng": 0} | ({} if exact else {"hess": "l-bfgs"})
    result = numopt.minimize_equality(
        objective, problem.x0, constraints=constraint, **(settings | options)
    )
    problem.calls["H"] = result.nhev
    return result.x


def trust_constr(problem, exact=True):
    hess = {"hess": problem.hess_c} if exact else {}
    constraint = NonlinearConstraint(problem.con, 0.0, 0.0, jac=problem.jac, **hess)
    last = [problem.x0]
    try:
        return minimize(
            problem.fun,
            problem.x0,
            jac=problem.grad,
            hess=problem.hess_f if exact else BFGS(),
            method="trust-constr",
            constraints=constraint,
            callback=lambda x, _: last.append(x.copy()),
            options={"gtol": 1e-9, "xtol": 1e-14, "maxiter": 1000},
        ).x
    except TimeoutError:
        return last[-1]


def slsqp(problem, exact=True):
    constraint = {"type": "eq", "fun": problem.con, "jac": problem.jac}
    last = [problem.x0]
    try:
        return minimize(
            problem.fun,
            problem.x0,
            jac=problem.grad,
            method="SLSQP",
            constraints=constraint,
            callback=lambda x: last.append(x.copy()),
            options={"ftol": 1e-14, "maxiter": 1000},
        ).x
    except TimeoutError:
        return last[-1]


def ipopt(problem, exact=True, structure=None, **options):
    """Run IPOPT through ipyopt; dense derivatives unless a sparsity `structure` is given."""
    import ipyopt

    n, m = problem.n, problem.m
    rows, columns = np.indices((m, n)).reshape(2, -1)
    lower = np.tril_indices(n)

    def gradient(x, out):
        out[()] = problem.grad(x)

    def constraints(x, out):
        out[()] = problem.con(x)

    def jacobian(x, out):
        out[()] = problem.jac(x).ravel() if structure is None else problem.jac_values(x)

    def hessian(x, lam, factor, out):
        if structure is not None:
            out[()] = problem.hess_values(x, lam, factor)
        elif factor == 1.0:
            out[()] = problem.hess_lagrangian(x, lam)[lower]
        else:
            total = factor * problem.hess_f(x)
            out[()] = (total + problem.hess_c(x, lam))[lower]

    free = np.full(n, 1e30)
    zeros = np.zeros(m)
    jacobian_at, hessian_at = structure or ((rows, columns), lower)
    settings = {
        "print_level": 0,
        "sb": "yes",
        "tol": 1e-9,
        "constr_viol_tol": 1e-9,
        "dual_inf_tol": 1e-9,
        "acceptable_iter": 0,
        "max_iter": 3000,
        "max_cpu_time": LIMIT,
    }
    solver = ipyopt.Problem(
        n,
        -free,
        free,
        m,
        zeros,
        zeros,
        jacobian_at,
        hessian_at,
        problem.fun,
        gradient,
        constraints,
        jacobian,
        *((hessian,) if exact else ()),
        ipopt_options=settings
        | ({} if exact else {"hessian_approximation": "limited-memory"})
        | options,
    )
    return solver.solve(x0=problem.x0.copy())[0]


PEERS = {
    "numopt": numopt,
    "numopt-rows": numopt_rows,
    "numopt-sketch": partial(numopt_rows, sketch=8),
    "ipopt": ipopt,
    "trust-constr": trust_constr,
    "slsqp": slsqp,
}
# Who takes the rows of a regression: no others are problems for it.
BY_ROWS = {"numopt-rows", "numopt-sketch"}
