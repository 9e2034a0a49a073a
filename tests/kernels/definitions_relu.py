"""What the kernels of convex ReLU training compute, in extended precision; see `families`."""

import numpy as np
from arithmetic import extended


def _soft(x, threshold):
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0)


def _root(low, high, rising):
    """Return where a function that tells whether its root is above changes its mind."""
    for _ in range(80):
        middle = (low + high) / 2
        above = rising(middle)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def reflect_slacks(T, XU, signs, relaxation):
    T, XU, signs = extended(T, XU, signs)
    moved = T + relaxation * (signs * XU - np.maximum(T, 0))
    return ((moved, float(np.abs(T).max() + relaxation * (np.abs(XU).max() + np.abs(T).max()))),)


def fold_slacks(T, shift, signs):
    T, shift, signs = extended(T, shift, signs)
    sides = np.array([1, -1])[:, None, None]
    folded = signs * np.abs(T) + sides * shift[:, None, None, :] * (signs > 0)
    return ((folded, float(np.abs(T).max() + np.abs(shift).max())),)


def project_robust_cone(T, A, eps, offset):
    T, A, eps = extended(T, A, eps)

    def reach(tau):
        eta = np.maximum(tau[:, None] + offset - T, 0).sum(axis=1)
        return (eps * np.maximum(np.abs(A) - eta[:, None] * eps, 0)).sum(axis=1)

    tau = _root(0 * A[:, 0], (eps * np.abs(A)).sum(axis=1), lambda t: reach(t) > t)
    eta = np.maximum(tau[:, None] + offset - T, 0).sum(axis=1)
    magnitude = float(np.abs(T).max() + np.abs(A).max() * (1 + eps.sum()) + abs(offset))
    magnitude *= 1 + float(T.shape[1] * eps.max(initial=0))
    return (
        (np.maximum(T, tau[:, None] + offset), magnitude),
        (_soft(A, eta[:, None] * eps), magnitude),
    )


def prox_robust_margin(Q, X, y, weights, eps, rho, logistic):
    Q, X, y, weights, eps = extended(Q, X, y, weights, eps)

    def point(theta):
        share = theta[:, None] / rho
        return _soft(Q + share * y[:, None] * X, share * eps)

    def below(theta):
        q = point(theta)
        m = y * (X * q).sum(axis=1) - (eps * np.abs(q)).sum(axis=1)
        return theta < weights / (1 + np.exp(m)) if logistic else m < 1

    theta = _root(0 * weights, weights, below)
    # A margin's rounding errors, over the slope by which the margin rises with theta.
    size = (np.abs(X) * np.abs(Q)).sum(axis=1).max() + (X**2).sum(
        axis=1
    ).max() * weights.max() / rho
    slope = ((X**2).sum(axis=1) / rho).min()
    error = float(4 * size / slope)
    return (point(theta), float(np.abs(Q).max() + error * np.abs(X).max() / rho)), (theta, error)


def prox_robust_square(Q, X, y, weights, eps, rho):
    Q, X, y, weights, eps = extended(Q, X, y, weights, eps)

    def point(theta, t):
        return _soft(Q - t[:, None] * X / rho, theta[:, None] * eps / rho)

    def slope(theta):
        return _root(-theta, theta, lambda t: (X * point(theta, t)).sum(axis=1) > y)

    def below(theta):
        q = point(theta, slope(theta))
        residual = np.abs((X * q).sum(axis=1) - y) + (eps * np.abs(q)).sum(axis=1)
        return theta < weights * residual

    worst = np.abs((X * Q).sum(axis=1) - y) + (eps * np.abs(Q)).sum(axis=1)
    theta = _root(0 * worst, weights * worst, below)
    t = slope(theta)
    size = (np.abs(X) * np.abs(Q)).sum(axis=1).max() + np.abs(y).max()
    error = float(8 * size * (weights.max() + rho / (X**2).sum(axis=1).min()))
    spread = float(np.abs(Q).max() + error * np.abs(X).max() / rho)
    return (point(theta, t), spread), (theta, error), (t, error)
