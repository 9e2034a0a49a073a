"""Convex ReLU training: passes over constraints and samples.

`eps` (d,) are the radii of perturbations; ``eps . |a|`` is what they can do to a linear model a.
"""

from __future__ import annotations

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace

# Bisection steps that use up the digits of a double.
_STEPS = 52


@kernel(min_size=65_536)
def reflect_slacks(T: Array, XU: Array, signs: Array, relaxation: float) -> Array:
    """Move the reflected slacks of a splitting method.

    `T` and `XU` (C, 2, P, n), `signs` (P, n). Returns ``T + relaxation * (signs * XU - max(T, 0))``
    of the shape of `T`, in one pass.
    """
    xp = array_namespace(T, XU, signs)
    return T + relaxation * (signs * XU - xp.clip(T, 0.0, None))


@kernel(min_size=65_536)
def fold_slacks(T: Array, shift: Array, signs: Array) -> Array:
    """Reflect the slacks of a splitting method, and add what pulls at the active samples.

    `T` (C, 2, P, n), `shift` (C, n), `signs` (P, n). Returns ``signs * |T|`` plus, where a sign is
    positive, `shift` for the first of the two and minus `shift` for the second, in one pass.
    """
    xp = array_namespace(T, shift, signs)
    pull = xp.where(signs > 0, shift[:, None, :], 0 * shift[:, None, :])
    return signs * xp.abs(T) + xp.stack([pull, -pull], axis=1)


def soft(x: Array, threshold: Array) -> Array:
    """Return the soft threshold of x: the prox of ``threshold |x|``."""
    xp = array_namespace(x)
    return xp.sign(x) * xp.clip(xp.abs(x) - threshold, 0.0, None)


@kernel(min_size=512)
def project_robust_cone(T: Array, A: Array, eps: Array, offset: float) -> tuple[Array, Array]:
    """Project pairs (t, a) onto ``t_k >= eps . |a| + offset`` for all k.

    `T` (G, n), `A` (G, d), `eps` (d,) non-negative. Returns (G, n) and (G, d). With
    ``tau = eps . |a|`` the projection is ``max(t, tau + offset)`` and ``soft(a, eta eps)``,
    ``eta = sum_k (tau + offset - t_k)_+``; tau is found by bisection.
    """
    xp = array_namespace(T, A, eps)
    low = 0 * A[:, 0]
    high = xp.sum(eps * xp.abs(A), axis=1)

    def pressure(tau: Array) -> Array:
        return xp.sum(xp.clip(tau[:, None] + offset - T, 0.0, None), axis=1)

    for _ in range(_STEPS):
        tau = 0.5 * (low + high)
        size = xp.sum(eps * xp.clip(xp.abs(A) - pressure(tau)[:, None] * eps, 0.0, None), axis=1)
        low, high = xp.where(size > tau, tau, low), xp.where(size > tau, high, tau)
    a = soft(A, pressure(high)[:, None] * eps)
    reach = xp.sum(eps * xp.abs(a), axis=1)
    return xp.maximum(T, reach[:, None] + offset), a


@kernel(min_size=512)
def prox_robust_margin(
    Q: Array, X: Array, y: Array, weights: Array, eps: Array, rho: float, logistic: bool
) -> tuple[Array, Array]:
    """Compute the proximal map of a loss of the worst margin ``y x'q - eps . |q|`` of each sample.

    `Q` and `X` (n, d), `y` and `weights` (n,). Minimizes, for each row,
    ``weights l(y x'q - eps . |q|) + rho / 2 |q - Q|^2`` with l the logistic or the hinge loss.
    Returns the minimizers (n, d) and the multipliers (n,) of the margins, minus the slope of the
    loss, between 0 and the weight: with them ``q = soft(Q + theta y x / rho, theta eps / rho)``,
    whose margin rises with theta. By bisection, O(n d) time a step.
    """
    xp = array_namespace(Q, X, y, weights, eps)

    def weights_at(theta: Array) -> Array:
        share = theta[:, None] / rho
        return soft(Q + share * y[:, None] * X, share * eps)

    def margin(q: Array) -> Array:
        return y * xp.sum(X * q, axis=1) - xp.sum(eps * xp.abs(q), axis=1)

    low, high = 0 * weights, weights + 0 * y
    for _ in range(_STEPS):
        theta = 0.5 * (low + high)
        m = margin(weights_at(theta))
        if logistic:
            small = xp.exp(-xp.abs(m))
            slope = weights * xp.where(m >= 0, small / (1 + small), 1 / (1 + small))
            below = theta < slope
        else:
            below = m < 1
        low, high = xp.where(below, theta, low), xp.where(below, high, theta)
    return weights_at(high), high


@kernel(min_size=64)
def prox_robust_square(
    Q: Array, X: Array, y: Array, weights: Array, eps: Array, rho: float
) -> tuple[Array, Array, Array]:
    """Compute the proximal map of the square of the worst residual of each sample.

    `Q` and `X` (n, d), `y` and `weights` (n,). Minimizes, for each row,
    ``weights / 2 (|x'q - y| + eps . |q|)^2 + rho / 2 |q - Q|^2``. Returns the minimizers (n, d),
    the multipliers theta (n,) of the worst residuals, and the slopes t (n,) in the prediction,
    ``|t| <= theta``: with them ``q = soft(Q - t x / rho, theta eps / rho)``. Where the prediction
    meets its target, t lies inside. Two nested bisections, O(n d) time a step.
    """
    xp = array_namespace(Q, X, y, weights, eps)

    def weights_at(theta: Array, t: Array) -> Array:
        return soft(Q - (t / rho)[:, None] * X, (theta / rho)[:, None] * eps)

    def slope_at(theta: Array) -> Array:
        low, high = -theta, theta
        for _ in range(_STEPS):
            t = 0.5 * (low + high)
            above = xp.sum(X * weights_at(theta, t), axis=1) > y
            low, high = xp.where(above, t, low), xp.where(above, high, t)
        return 0.5 * (low + high)

    worst = xp.abs(xp.sum(X * Q, axis=1) - y) + xp.sum(eps * xp.abs(Q), axis=1)
    low, high = 0 * worst, weights * worst
    for _ in range(_STEPS):
        theta = 0.5 * (low + high)
        q = weights_at(theta, slope_at(theta))
        residual = xp.abs(xp.sum(X * q, axis=1) - y) + xp.sum(eps * xp.abs(q), axis=1)
        below = theta < weights * residual
        low, high = xp.where(below, theta, low), xp.where(below, high, theta)
    t = slope_at(high)
    return weights_at(high, t), high, t
