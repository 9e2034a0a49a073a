"""Problems, peers and the independent evaluation of convex ReLU training.

Every solver gets the same samples, patterns and weight decay. What comes back is judged here: the
objective at the neurons, by how much they leave their cones, and the objective once they have
been projected onto them.
"""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import numopt


class Case(NamedTuple):
    """Samples with a column of ones, targets, weight decay, loss, gates."""

    X: np.ndarray
    y: np.ndarray
    beta: float
    loss: str
    gates: np.ndarray

    @property
    def patterns(self):
        return self.X @ self.gates >= 0


class Judged(NamedTuple):
    """Objective of neurons, relative infeasibility, and objective of their projections."""

    value: float
    infeasibility: float
    feasible_value: float


class Peer(NamedTuple):
    """A solver: its package, and a function of case and tolerance that returns both neurons."""

    package: str
    solve: Callable[[Case, float], Any]

    def available(self):
        return importlib.util.find_spec(self.package) is not None


CASES = {
    "small": ("random", "squared", 4, 0.5),
    **{
        f"breast-cancer-{loss}-{P}": ("breast_cancer", loss, P, 0.1)
        for loss in ("squared", "logistic", "hinge")
        for P in (20, 100)
    },
    "digits-squared-50": ("digits", "squared", 50, 0.1),
}


def case_of(name):
    """Return a case by name."""
    source, loss, P, beta = CASES[name]
    rng = np.random.default_rng(0)
    if source == "random":
        X, y = rng.normal(size=(30, 3)), rng.choice([-1.0, 1.0], size=30)
    else:
        from sklearn import datasets

        X, target = getattr(datasets, f"load_{source}")(return_X_y=True)
        y = 2.0 * (target % 2) - 1
        spread = X.std(axis=0)
        X = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)
    X = np.concatenate([X, np.ones((len(X), 1))], axis=1)
    return Case(X, y, beta, loss, rng.standard_normal((X.shape[1], P)))


def losses(z, y, loss):
    """Return the loss of each sample."""
    if loss == "squared":
        return 0.5 * (z - y) ** 2
    return np.logaddexp(0, -y * z) if loss == "logistic" else np.maximum(0, 1 - y * z)


def objective(case, V, W):
    """Return the objective of the program at neurons."""
    z = (case.patterns * (case.X @ (V - W))).sum(axis=1)
    norms = np.linalg.norm(V, axis=0).sum() + np.linalg.norm(W, axis=0).sum()
    return losses(z, case.y, case.loss).sum() + case.beta * norms


def evaluated(case, V, W):
    """Return the judgment on neurons, made without the solver they come from."""
    from scipy.optimize import nnls

    signs = 2.0 * case.patterns - 1
    slacks = np.concatenate([(signs * (case.X @ U)).ravel() for U in (V, W)])
    infeasibility = np.linalg.norm(np.minimum(slacks, 0)) / max(np.linalg.norm(slacks), 1e-300)
    projected = []
    for U in (V, W):
        columns = []
        for sign, u in zip(signs.T, U.T, strict=True):
            edges = (sign[:, None] * case.X).T
            weights = nnls(edges, -u, maxiter=100 * len(sign))[0] if u.any() else 0 * sign
            columns.append(u + edges @ weights)
        projected.append(np.stack(columns, axis=1))
    return Judged(objective(case, V, W), infeasibility, objective(case, *projected))


def by_numopt(case, tol, method="auto"):
    """Return the neurons of convex_relu."""
    result = numopt.convex_relu(
        case.X,
        case.y,
        beta=case.beta,
        loss=case.loss,
        patterns=case.gates,
        fit_intercept=False,
        tol=tol,
        method=method,
    )
    return result.coef_pos, result.coef_neg


def by_cvxpy(case, tol, solver="CLARABEL"):
    """Return the neurons of a general conic solver."""
    import cvxpy as cp

    D, E = case.patterns.astype(float), 2.0 * case.patterns - 1
    V, W = (cp.Variable((case.X.shape[1], D.shape[1])) for _ in range(2))
    z = cp.sum(cp.multiply(D, case.X @ (V - W)), axis=1)
    m = cp.multiply(case.y, z)
    fit = {
        "squared": lambda: 0.5 * cp.sum_squares(z - case.y),
        "logistic": lambda: cp.sum(cp.logistic(-m)),
        "hinge": lambda: cp.sum(cp.pos(1 - m)),
    }[case.loss]()
    norms = cp.sum(cp.norm(V, 2, axis=0)) + cp.sum(cp.norm(W, 2, axis=0))
    inside = [cp.multiply(E, case.X @ U) >= 0 for U in (V, W)]
    options = {"tol_gap_rel": tol, "tol_gap_abs": tol, "tol_feas": 1e-6}
    if solver == "SCS":
        options = {"eps_abs": 1e-4, "eps_rel": 1e-4, "max_iters": 20_000, "time_limit_secs": 240}
    cp.Problem(cp.Minimize(fit + case.beta * norms), inside).solve(solver=solver, **options)
    return V.value, W.value


PEERS = {
    "numopt": Peer("numopt", by_numopt),
    "Clarabel": Peer("clarabel", by_cvxpy),
    "SCS": Peer("scs", lambda case, tol: by_cvxpy(case, tol, "SCS")),
}
