"""Many small problems at once: ``min ||C x||_p^p`` with ``a_k'x = 1`` for each of many rows a_k.

Arrays have a leading axis B, one entry for each problem; u = C x_k is (B, m). The largest share
of row a_k in ``||C x||_p^p`` is one over the minimum. A feasible x gives a lower bound of it,
any y with ``C'y = a_k`` an upper bound, ``||y||_q^p`` with 1/p + 1/q = 1.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ..._core.iterate import Record, iterate
from ..._core.namespace import Array, array_namespace
from ..._kernels.sampling import batched_gram, root_power
from ..regression.newton import FIRST_SMOOTHING, LEAST_CURVATURE, SHRINK, SLOPE_SHARE

SEARCH_STEPS = 8
TO_BOUNDARY = 0.9995


class Batch(NamedTuple):
    """C (m, d) with well-conditioned columns and the rows a (B, d)."""

    C: Array
    a: Array
    p: float
    tol: float


class Bounds(NamedTuple):
    """Best bounds so far (B,), and the feasible points (B, d) they come from."""

    lower: Array
    upper: Array
    x: Array
    nit: int


class _Newton(NamedTuple):
    x: Array
    u: Array
    smoothing: Array
    lower: Array
    upper: Array
    step: Array
    image: Array
    decrement: Array
    value: Array


def bracket(batch: Batch, maxiter: int) -> Bounds:
    """Return bounds of the largest shares, which agree to ``batch.tol`` if `maxiter` suffices."""
    start = batch.a
    if batch.p == 1:
        return _bracket_linear(batch, start, maxiter)
    u = start @ batch.C.T
    xp = array_namespace(u)
    scale = xp.sqrt(xp.mean(u * u, axis=1))
    smoothing = FIRST_SMOOTHING * scale if batch.p < 2 else 0 * scale
    ones = xp.ones_like(scale)
    first = _evaluated(batch, start, smoothing, 0 * ones, ones + float("inf"))
    run = iterate(first, partial(_newton_step, batch), _difference, tol=batch.tol, maxiter=maxiter)
    return Bounds(run.state.lower, run.state.upper, run.state.x, run.nit)


def _difference(state: _Newton | _Linear) -> Record:
    xp = array_namespace(state.lower)
    return {"error": float(xp.max(1 - state.lower / state.upper))}


def _powers(u: Array, p: float, smoothing: Array) -> tuple[Array, Array]:
    """Return slope over u and curvature of ``(u^2 + s^2)^(p/2) / p``."""
    xp = array_namespace(u)
    square = u * u + (smoothing * smoothing)[:, None]
    positive = square > 0 if p != 2 else square >= 0
    safe = xp.where(square > 0, square, xp.ones_like(square))
    slope = xp.where(positive, root_power(safe, p - 2), xp.zeros_like(square))
    return slope, slope * (1 + (p - 2) * u * u / safe)


def _evaluated(batch: Batch, x: Array, smoothing: Array, lower: Array, upper: Array) -> _Newton:
    """Return the state at x with both bounds and the Newton step within ``a'x = 1``."""
    C, a, p, _ = batch
    xp = array_namespace(C)
    # Rounding must not move a point off its constraint.
    x = x / xp.vecdot(a, x)[:, None]
    u = x @ C.T
    slope, curvature = _powers(u, p, smoothing)
    if p > 2:
        curvature = xp.maximum(curvature, LEAST_CURVATURE * xp.max(curvature, axis=1)[:, None])
    terms = slope * u
    gradient = terms @ C
    step, multiplier = _within(_regular(batched_gram(C, curvature), a), a, gradient)
    image = step @ C.T
    y = xp.abs(terms + curvature * image) / xp.abs(multiplier)[:, None]
    largest = xp.max(y, axis=1)
    q = p / (p - 1)
    norm = largest * xp.sum((y / largest[:, None]) ** q, axis=1) ** (1 / q)
    value = xp.sum(xp.abs(u) ** p, axis=1)
    decrement = -xp.vecdot(step, gradient)
    return _Newton(
        x,
        u,
        smoothing,
        xp.maximum(lower, 1 / value),
        xp.minimum(upper, norm**p),
        step,
        image,
        decrement,
        value,
    )


def _regular(gram: Array, a: Array) -> Array:
    """Return matrices with a multiple of ``a a'`` added, which steps with ``a'dx = 0`` do not see.

    At an optimum for p = 1 the matrix itself is singular along one direction other than these.
    """
    xp = array_namespace(gram)
    size = xp.linalg.trace(gram) / xp.vecdot(a, a)
    return gram + size[:, None, None] * (a[:, :, None] * a[:, None, :])


def _within(gram: Array, a: Array, gradient: Array) -> tuple[Array, Array]:
    """Return the solutions of ``gram dx + gradient = multiplier a`` with ``a'dx = 0``."""
    xp = array_namespace(gram)
    solved = xp.linalg.solve(gram, xp.stack([gradient, a], axis=2))
    multiplier = xp.vecdot(a, solved[:, :, 0]) / xp.vecdot(a, solved[:, :, 1])
    return multiplier[:, None] * solved[:, :, 1] - solved[:, :, 0], multiplier


def _newton_step(batch: Batch, state: _Newton) -> _Newton:
    """Return the next state: problems whose step is small lower their smoothing instead."""
    xp, p = array_namespace(state.u), batch.p
    left = state.u.shape[1] * state.smoothing**p
    small = (state.smoothing > 0) & (state.decrement <= 1e-2 * xp.minimum(state.value, 10 * left))
    t = xp.where(small, xp.zeros_like(left), _search(state, p))
    smoothing = xp.where(small, SHRINK * state.smoothing, state.smoothing)
    return _evaluated(batch, state.x + t[:, None] * state.step, smoothing, state.lower, state.upper)


def _search(state: _Newton, p: float) -> Array:
    """Return steps (B,) at which the slopes along the directions are small."""
    xp = array_namespace(state.u)

    def slope(t: Array) -> Array:
        moved = state.u + t[:, None] * state.image
        return xp.vecdot(_powers(moved, p, state.smoothing)[0] * moved, state.image)

    low, high = 0 * state.value, 0 * state.value + float("inf")
    first = slope(low)
    slope_low, slope_high = first, -first
    t = low + 1.0
    for _ in range(SEARCH_STEPS):
        here = slope(t)
        done = xp.abs(here) <= SLOPE_SHARE * xp.abs(first)
        rising = here >= 0
        low, slope_low = xp.where(rising, low, t), xp.where(rising, slope_low, here)
        high, slope_high = xp.where(rising, t, high), xp.where(rising, here, slope_high)
        open_end = high == float("inf")
        end = xp.where(open_end, t, high)
        rise = slope_high - slope_low
        secant = low - (end - low) * slope_low / xp.where(rise > 0, rise, xp.ones_like(rise))
        inset = 0.1 * (end - low)
        inside = xp.minimum(xp.maximum(secant, low + inset), end - inset)
        t = xp.where(done, t, xp.where(open_end, 2 * t, inside))
        if bool(xp.all(done)):
            return t
    return xp.where(done, t, low)


# p = 1: the method of `regression.interior`, with the constraint and without a response.


class _Linear(NamedTuple):
    x: Array
    y: Array
    positive: Array
    negative: Array
    lower: Array
    upper: Array


def _bracket_linear(batch: Batch, x: Array, maxiter: int) -> Bounds:
    xp = array_namespace(x)
    x = x / xp.vecdot(batch.a, x)[:, None]
    u = x @ batch.C.T
    margin = 0.1 * xp.mean(xp.abs(u), axis=1)[:, None]
    positive = xp.clip(u, 0.0, None) + margin
    zero = 0 * x[:, 0]
    first = _bounded(batch, _Linear(x, 0 * u, positive, positive - u, zero, zero + float("inf")))
    run = iterate(first, partial(_linear_step, batch), _difference, tol=batch.tol, maxiter=maxiter)
    return Bounds(run.state.lower, run.state.upper, run.state.x, run.nit)


def _bounded(batch: Batch, state: _Linear) -> _Linear:
    """Return the state with the bounds that x and y give, y corrected to ``C'y = a``."""
    C, a, *_ = batch
    xp = array_namespace(C)
    level = xp.vecdot(state.y @ C, a) / xp.vecdot(a, a)
    level = xp.where(level > 0, level, xp.ones_like(level))
    y = state.y / level[:, None]
    off = a - y @ C
    y = y + xp.linalg.solve(C.T @ C, off.T).T @ C.T
    lower = 1 / xp.sum(xp.abs(state.x @ C.T), axis=1)
    return state._replace(
        lower=xp.maximum(state.lower, lower),
        upper=xp.minimum(state.upper, xp.max(xp.abs(y), axis=1)),
    )


def _linear_step(batch: Batch, state: _Linear) -> _Linear:
    """Return the state after one predictor and one corrector step of each problem."""
    C, a, *_ = batch
    x, y, p, n, *_ = state
    xp = array_namespace(C)
    up, down = 1 - y, 1 + y
    curvature = 1 / (p / up + n / down)
    gram = _regular(batched_gram(C, curvature), a)
    residual = x @ C.T
    gradient = y @ C

    def direction(right: Array) -> tuple[Array, Array]:
        dx, _ = _within(gram, a, gradient + (curvature * right) @ C)
        return dx, curvature * (right + dx @ C.T)

    _, dy = direction(residual)
    dp, dn = p * dy / up - p, -n * dy / down - n
    primal, dual = _lengths(p, n, up, down, dp, dn, dy, 1.0)
    mean = xp.vecdot(p, up) + xp.vecdot(n, down)
    after = xp.vecdot(p + primal * dp, up - dual * dy) + xp.vecdot(
        n + primal * dn, down + dual * dy
    )
    share = xp.clip(after / mean, 0.0, 1.0) ** 3
    center = (share * mean / (2 * C.shape[0]))[:, None]
    aim_up, aim_down = center + dp * dy, center - dn * dy
    dx, dy = direction(residual - aim_up / up + aim_down / down)
    dp, dn = (aim_up + p * dy) / up - p, (aim_down - n * dy) / down - n
    primal, dual = _lengths(p, n, up, down, dp, dn, dy, TO_BOUNDARY)
    # A solved problem would come so close to the boundary that nothing is left of its rooms.
    going = xp.astype(1 - state.lower / state.upper > batch.tol, C.dtype)[:, None]
    primal, dual = going * primal, going * dual
    after_step = _Linear(
        x + primal * dx, y + dual * dy, p + primal * dp, n + primal * dn, *state[4:]
    )
    return _bounded(batch, after_step)


def _lengths(
    p: Array, n: Array, up: Array, down: Array, dp: Array, dn: Array, dy: Array, share: float
) -> tuple[Array, Array]:
    """Return how long both steps of each problem may be, (B, 1)."""
    xp = array_namespace(p)
    shrink = xp.maximum(xp.max(-dp / p, axis=1), xp.max(-dn / n, axis=1))
    primal = xp.where(shrink > share, share / xp.where(shrink > 0, shrink, 1.0), 1.0)
    shrink = xp.maximum(xp.max(dy / up, axis=1), xp.max(-dy / down, axis=1))
    dual = xp.where(shrink > share, share / xp.where(shrink > 0, shrink, 1.0), 1.0)
    return primal[:, None], dual[:, None]
