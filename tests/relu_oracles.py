"""The convex program of ReLU training written out once more, for a general solver."""

import numpy as np


def program(X, y, patterns, beta, loss, *, eps=None, robust="pattern", weights=None):
    """Return the optimal value found by Clarabel through CVXPY; X has its bias column."""
    import cvxpy as cp

    (n, d), P = X.shape, patterns.shape[1]
    active, signs = patterns.astype(float), 2.0 * patterns - 1
    V, W = cp.Variable((d, P)), cp.Variable((d, P))
    models = active @ (V - W).T
    z = cp.sum(cp.multiply(X, models), axis=1)
    room, cost = 0, 0
    if eps is not None and robust == "pattern":
        cost = cp.abs(models) @ eps
        room = 1
    elif eps is not None:
        cost = cp.sum(eps @ (cp.abs(V) + cp.abs(W))) * np.ones(n)
    weights = np.ones(n) if weights is None else weights
    if loss == "squared":
        fit = 0.5 * cp.sum(cp.multiply(weights, cp.square(cp.abs(z - y) + cost)))
    elif loss == "logistic":
        fit = cp.sum(cp.multiply(weights, cp.logistic(cost - cp.multiply(y, z))))
    else:
        fit = cp.sum(cp.multiply(weights, cp.pos(1 + cost - cp.multiply(y, z))))
    constraints = []
    for U in (V, W):
        inside = cp.multiply(signs, X @ U)
        if room:
            inside = inside - np.ones((n, 1)) @ cp.reshape(eps @ cp.abs(U), (1, P), order="C")
        constraints.append(inside >= 0)
    norms = cp.sum(cp.norm(V, 2, axis=0)) + cp.sum(cp.norm(W, 2, axis=0))
    problem = cp.Problem(cp.Minimize(fit + beta * norms), constraints)
    accuracy = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-9)
    problem.solve(solver=cp.CLARABEL, **accuracy)
    assert problem.status == "optimal"
    return problem.value


def loss_values(z, y, loss):
    """Return the loss of each sample."""
    if loss == "squared":
        return 0.5 * (z - y) ** 2
    return np.logaddexp(0, -y * z) if loss == "logistic" else np.maximum(0, 1 - y * z)


def primal(X, y, result, beta, loss, weights=1.0):
    """Return the objective of the program at the neurons of a result, and their worst slack."""
    active = result.patterns.astype(float)
    difference = result.coef_pos - result.coef_neg
    z = (active * (X @ difference)).sum(axis=1)
    norms = np.linalg.norm(result.coef_pos, axis=0) + np.linalg.norm(result.coef_neg, axis=0)
    slacks = [(2 * active - 1) * (X @ c) for c in (result.coef_pos, result.coef_neg)]
    value = (weights * loss_values(z, y, loss)).sum() + beta * norms.sum()
    return value, float(np.min(slacks))


def dual(y, theta, loss):
    """Return the dual value ``-l*(-theta)``."""
    if loss == "squared":
        return theta @ y - 0.5 * theta @ theta
    share = theta * y
    assert share.min() > -1e-12
    assert share.max() < 1 + 1e-12
    if loss == "hinge":
        return share.sum()
    share = np.clip(share, 1e-300, 1 - 1e-16)
    return -(share * np.log(share) + (1 - share) * np.log1p(-share)).sum()


def largest_pull(X, patterns, theta):
    """Return the largest norm of a projection of ``+-X' D theta`` onto the cone of its pattern."""
    from scipy.optimize import nnls

    pulls = []
    for active in patterns.T.astype(float):
        edges = ((2 * active - 1)[:, None] * X).T
        for sign in (1, -1):
            # The distance from the polar cone, which the rows generate.
            pulls.append(nnls(edges, -sign * (X.T @ (active * theta)), maxiter=10_000)[1])
    return max(pulls)


def with_ones(X):
    return np.concatenate([X, np.ones((len(X), 1))], axis=1)


def sample(n=60, d=4, seed=0):
    """Return samples, targets that a line cannot fit, and their signs."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = np.abs(X[:, 0]) - 0.5 * X[:, -1] + 0.1 * rng.normal(size=n)
    return X, y, np.where(y > np.median(y), 1.0, -1.0)
