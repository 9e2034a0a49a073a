"""Convex ReLU training: passes over constraints and samples."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ._jit import jit

_STEPS = 52


@jit(parallel=True)
def reflect_slacks(T, XU, signs, relaxation):
    patterns, n = signs.shape
    rows, steps = T.reshape((-1, n)), XU.reshape((-1, n))
    moved = np.empty_like(rows)
    relaxation, zero = T.dtype.type(relaxation), T.dtype.type(0)
    for row in prange(rows.shape[0]):
        pattern = row % patterns
        for k in range(n):
            t = rows[row, k]
            moved[row, k] = t + relaxation * (signs[pattern, k] * steps[row, k] - max(t, zero))
    return moved.reshape(T.shape)


@jit(parallel=True)
def fold_slacks(T, shift, signs):
    patterns, n = signs.shape
    rows = T.reshape((-1, n))
    folded = np.empty_like(rows)
    for row in prange(rows.shape[0]):
        pattern, pair = row % patterns, row // patterns
        side = T.dtype.type(1 - 2 * (pair % 2))
        for k in range(n):
            sign = signs[pattern, k]
            pull = side * shift[pair // 2, k]
            folded[row, k] = sign * abs(rows[row, k]) + (pull if sign > 0 else T.dtype.type(0))
    return folded.reshape(T.shape)


@jit()
def _soft(x, threshold):
    if x > threshold:
        return x - threshold
    if x < -threshold:
        return x + threshold
    return x * 0


@jit(reorder=True)
def _pressure(t, level):
    total = 0.0
    for k in range(t.shape[0]):
        total += max(level - t[k], 0.0)
    return total


@jit(reorder=True)
def _reach(a, eps, eta):
    total = 0.0
    for j in range(a.shape[0]):
        total += eps[j] * max(abs(a[j]) - eta * eps[j], 0.0)
    return total


@jit(parallel=True)
def project_robust_cone(T, A, eps, offset):
    points, cones = np.empty_like(T), np.empty_like(A)
    for g in prange(T.shape[0]):
        low, high = 0.0, _reach(A[g], eps, 0.0)
        if _pressure(T[g], high + offset) == 0:
            points[g], cones[g] = T[g], A[g]
            continue
        for _ in range(_STEPS):
            tau = 0.5 * (low + high)
            if tau in (low, high):
                break
            if _reach(A[g], eps, _pressure(T[g], tau + offset)) > tau:
                low = tau
            else:
                high = tau
        eta = _pressure(T[g], high + offset)
        reach = 0.0
        for j in range(A.shape[1]):
            cones[g, j] = _soft(A[g, j], eta * eps[j])
            reach += eps[j] * abs(cones[g, j])
        for k in range(T.shape[1]):
            points[g, k] = max(T[g, k], reach + offset)
    return points, cones


@jit(reorder=True)
def _worst_margin(q, x, y, eps, share):
    product, size = 0.0, 0.0
    for j in range(q.shape[0]):
        shifted, threshold = q[j] + share * y * x[j], share * eps[j]
        value = math.copysign(max(abs(shifted) - threshold, 0.0), shifted)
        product += x[j] * value
        size += eps[j] * abs(value)
    return y * product - size


@jit(parallel=True)
def prox_robust_margin(Q, X, y, weights, eps, rho, logistic):
    points, multipliers = np.empty_like(Q), np.empty_like(y)
    for k in prange(Q.shape[0]):
        low, high = 0.0, weights[k] * 1.0
        for _ in range(_STEPS):
            theta = 0.5 * (low + high)
            if theta in (low, high):
                break
            m = _worst_margin(Q[k], X[k], y[k], eps, theta / rho)
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
    return points, multipliers


@jit(reorder=True)
def _residual(q, x, eps, pull, threshold):
    product, size, bend = 0.0, 0.0, 0.0
    for j in range(q.shape[0]):
        shifted = q[j] - pull * x[j]
        excess = abs(shifted) - threshold * eps[j]
        if excess > 0:
            product += x[j] * math.copysign(excess, shifted)
            size += eps[j] * excess
            bend += x[j] * x[j]
    return product, size, bend


@jit()
def _slope(q, x, y, eps, theta, rho):
    # Newton on a piecewise linear function, which ends on the right piece; bisection outside the
    # bracket.
    low, high = -theta, theta
    if _residual(q, x, eps, high / rho, theta / rho)[0] >= y:
        return high
    if _residual(q, x, eps, low / rho, theta / rho)[0] <= y:
        return low
    t = 0.0
    for _ in range(_STEPS):
        product, _, bend = _residual(q, x, eps, t / rho, theta / rho)
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


@jit()
def _excess(q, x, y, weight, eps, theta, rho):
    t = _slope(q, x, y, eps, theta, rho)
    product, size, _ = _residual(q, x, eps, t / rho, theta / rho)
    return weight * (abs(product - y) + size) - theta


@jit(parallel=True)
def prox_robust_square(Q, X, y, weights, eps, rho):
    points, multipliers, slopes = np.empty_like(Q), np.empty_like(y), np.empty_like(y)
    for k in prange(Q.shape[0]):
        # The Illinois method: secants, with the end that stays too long made less of.
        low, below = 0.0, _excess(Q[k], X[k], y[k], weights[k], eps, 0.0, rho)
        high, above = below, _excess(Q[k], X[k], y[k], weights[k], eps, below, rho)
        theta, side, whole = high, 0, below
        for _ in range(2 * _STEPS):
            if below <= 0 or above >= 0:
                break
            theta = (low * above - high * below) / (above - below)
            value = _excess(Q[k], X[k], y[k], weights[k], eps, theta, rho)
            if abs(value) <= 1e-15 * whole or high - low <= 1e-15 * whole:
                break
            if value > 0:
                above = 0.5 * above if side == 1 else above
                low, below, side = theta, value, 1
            else:
                below = 0.5 * below if side == -1 else below
                high, above, side = theta, value, -1
        t = _slope(Q[k], X[k], y[k], eps, theta, rho)
        multipliers[k], slopes[k] = theta, t
        for j in range(Q.shape[1]):
            points[k, j] = _soft(Q[k, j] - t / rho * X[k, j], theta / rho * eps[j])
    return points, multipliers, slopes
