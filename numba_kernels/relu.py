"""Convex ReLU training: passes over constraints and samples."""

from __future__ import annotations

import math

import numpy as np

from ._jit import jit
from ._pool import run_rows

_STEPS = 52


@jit()
def _reflect(rows, steps, signs, relaxation, first, last, moved):
    patterns, n = signs.shape
    zero = rows.dtype.type(0)
    for row in range(first, last):
        pattern = row % patterns
        for k in range(n):
            t = rows[row, k]
            step = signs[pattern, k] * steps[row, k] - max(t, zero)
            moved[row, k] = t + relaxation * step


def reflect_slacks(T, XU, signs, relaxation):
    n = signs.shape[1]
    rows, steps, moved = T.reshape(-1, n), XU.reshape(-1, n), np.empty((T.size // n, n), T.dtype)
    given = rows, steps, signs, T.dtype.type(relaxation)
    run_rows(len(rows), n, lambda _, first, last: _reflect(*given, first, last, moved))
    return moved.reshape(T.shape)


@jit()
def _fold(rows, shift, signs, first, last, folded):
    patterns, n = signs.shape
    zero = rows.dtype.type(0)
    for row in range(first, last):
        pattern, pair = row % patterns, row // patterns
        side = rows.dtype.type(1 - 2 * (pair % 2))
        for k in range(n):
            sign = signs[pattern, k]
            pull = side * shift[pair // 2, k]
            folded[row, k] = sign * abs(rows[row, k]) + (pull if sign > 0 else zero)


def fold_slacks(T, shift, signs):
    n = signs.shape[1]
    rows, folded = T.reshape(-1, n), np.empty((T.size // n, n), T.dtype)
    run_rows(len(rows), n, lambda _, first, last: _fold(rows, shift, signs, first, last, folded))
    return folded.reshape(T.shape)


@jit(inner=True)
def _soft(x, threshold):
    if x > threshold:
        return x - threshold
    if x < -threshold:
        return x + threshold
    return x * 0


@jit(inner=True, reorder=True)
def _pressure(T, g, level):
    total = 0.0
    for k in range(T.shape[1]):
        total += max(level - T[g, k], 0.0)
    return total


@jit(inner=True, reorder=True)
def _reach(A, g, eps, eta):
    total = 0.0
    for j in range(A.shape[1]):
        total += eps[j] * max(abs(A[g, j]) - eta * eps[j], 0.0)
    return total


@jit()
def _project(T, A, eps, offset, first, last, points, cones):
    for g in range(first, last):
        low, high = 0.0, _reach(A, g, eps, 0.0)
        if _pressure(T, g, high + offset) == 0:
            for k in range(T.shape[1]):
                points[g, k] = T[g, k]
            for j in range(A.shape[1]):
                cones[g, j] = A[g, j]
            continue
        for _ in range(_STEPS):
            tau = 0.5 * (low + high)
            if tau in (low, high):
                break
            if _reach(A, g, eps, _pressure(T, g, tau + offset)) > tau:
                low = tau
            else:
                high = tau
        eta = _pressure(T, g, high + offset)
        reach = 0.0
        for j in range(A.shape[1]):
            cones[g, j] = _soft(A[g, j], eta * eps[j])
            reach += eps[j] * abs(cones[g, j])
        for k in range(T.shape[1]):
            points[g, k] = max(T[g, k], reach + offset)


def project_robust_cone(T, A, eps, offset):
    points, cones = np.empty_like(T), np.empty_like(A)
    given = T, A, eps, float(offset)
    # Some fifty passes over each row.
    width = 50 * (T.shape[1] + A.shape[1])
    run_rows(len(T), width, lambda _, first, last: _project(*given, first, last, points, cones))
    return points, cones


@jit(inner=True, reorder=True)
def _worst_margin(Q, X, k, y, eps, share):
    product, size = 0.0, 0.0
    for j in range(Q.shape[1]):
        shifted, threshold = Q[k, j] + share * y * X[k, j], share * eps[j]
        value = math.copysign(max(abs(shifted) - threshold, 0.0), shifted)
        product += X[k, j] * value
        size += eps[j] * abs(value)
    return y * product - size


@jit()
def _margin_rows(Q, X, y, weights, eps, rho, logistic, first, last, points, multipliers):
    for k in range(first, last):
        low, high = 0.0, weights[k] * 1.0
        for _ in range(_STEPS):
            theta = 0.5 * (low + high)
            if theta in (low, high):
                break
            m = _worst_margin(Q, X, k, y[k], eps, theta / rho)
            if logistic:
                small = math.exp(-abs(m))
                slope = weights[k] * (small if m >= 0 else 1.0) / (1 + small)
                below = theta < slope
            else:
                below = m < 1
            if below:
                low = theta
            else:
                high = theta
        multipliers[k] = high
        share = high / rho
        for j in range(Q.shape[1]):
            points[k, j] = _soft(Q[k, j] + share * y[k] * X[k, j], share * eps[j])


def prox_robust_margin(Q, X, y, weights, eps, rho, logistic):
    points, multipliers = np.empty_like(Q), np.empty_like(y)
    given = Q, X, y, weights, eps, float(rho), bool(logistic)
    run_rows(
        len(Q),
        50 * Q.shape[1],
        lambda _, first, last: _margin_rows(*given, first, last, points, multipliers),
    )
    return points, multipliers


@jit(inner=True, reorder=True)
def _residual(Q, X, k, eps, pull, threshold):
    product, size, bend = 0.0, 0.0, 0.0
    for j in range(Q.shape[1]):
        shifted = Q[k, j] - pull * X[k, j]
        excess = abs(shifted) - threshold * eps[j]
        if excess > 0:
            product += X[k, j] * math.copysign(excess, shifted)
            size += eps[j] * excess
            bend += X[k, j] * X[k, j]
    return product, size, bend


@jit(inner=True)
def _slope(Q, X, k, y, eps, theta, rho):
    # Newton on a piecewise linear function, which ends on the right piece; bisection outside the
    # bracket.
    low, high = -theta, theta
    if _residual(Q, X, k, eps, high / rho, theta / rho)[0] >= y:
        return high
    if _residual(Q, X, k, eps, low / rho, theta / rho)[0] <= y:
        return low
    t = 0.0
    for _ in range(_STEPS):
        product, _, bend = _residual(Q, X, k, eps, t / rho, theta / rho)
        if product > y:
            low = t
        else:
            high = t
        newton = t + (product - y) * rho / bend if bend > 0 else low
        if not low < newton < high:
            newton = 0.5 * (low + high)
        if abs(newton - t) <= 1e-15 * theta:
            break
        t = newton
    return t


@jit(inner=True)
def _excess(Q, X, k, y, weight, eps, theta, rho):
    """Return by how much the loss of the residual exceeds theta, and the slope there."""
    t = _slope(Q, X, k, y, eps, theta, rho)
    product, size, _ = _residual(Q, X, k, eps, t / rho, theta / rho)
    return weight * (abs(product - y) + size) - theta, t


@jit()
def _square_rows(Q, X, y, weights, eps, rho, first, last, points, multipliers, slopes):
    for k in range(first, last):
        # The Illinois method: secants, with the end that stays too long made less of.
        low, high, theta, side, whole, above = 0.0, 0.0, 0.0, 0, 0.0, 0.0
        below, t = _excess(Q, X, k, y[k], weights[k], eps, 0.0, rho)
        for step in range(2 * _STEPS):
            if step == 0:
                high = theta = whole = below
            elif below <= 0 or above >= 0:
                break
            else:
                theta = (low * above - high * below) / (above - below)
            value, t = _excess(Q, X, k, y[k], weights[k], eps, theta, rho)
            if step == 0:
                above = value
                continue
            if abs(value) <= 1e-15 * whole or high - low <= 1e-15 * whole:
                break
            if value > 0:
                above = 0.5 * above if side == 1 else above
                low, below, side = theta, value, 1
            else:
                below = 0.5 * below if side == -1 else below
                high, above, side = theta, value, -1
        multipliers[k], slopes[k] = theta, t
        for j in range(Q.shape[1]):
            points[k, j] = _soft(Q[k, j] - t / rho * X[k, j], theta / rho * eps[j])


def prox_robust_square(Q, X, y, weights, eps, rho):
    points, multipliers, slopes = np.empty_like(Q), np.empty_like(y), np.empty_like(y)
    given, out = (Q, X, y, weights, eps, float(rho)), (points, multipliers, slopes)
    run_rows(
        len(Q), 50 * Q.shape[1], lambda _, first, last: _square_rows(*given, first, last, *out)
    )
    return out
