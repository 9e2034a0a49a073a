"""Projections onto the cones of patterns, for all neurons at once.

``min |v - target|^2 / 2`` subject to ``E_i X v >= offset`` by a primal-dual interior-point method
whose steps are taken for each neuron on its own. The multipliers tell how far a neuron pulls in
its cone: ``|target + X' E mu|`` is at least the norm of the projection for any ``mu >= 0``, and
equals it for the right one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._linalg import cholesky
from ._program import Program, group_norms

# A projection of all neurons that takes more operations a step is not done.
_FLOPS = 2e11
_STEPS = 60
_TO_BOUNDARY = 0.99
_CHUNK_ENTRIES = 16_000_000
# Ratios of multipliers to slacks beyond this are past what a factor in double precision resolves.
_LARGEST_RATIO = 1e25


class _Iterate(NamedTuple):
    V: Array
    S: Array
    mu: Array


def project(X: Array, signs: Array, targets: Array, offset: float = 0.0) -> tuple[Array, Array]:
    """Return the points (G, d) closest to `targets` with ``signs * X v >= offset``, and mu (G, n).

    `signs` (G, n). The points are feasible to rounding only. O(G n d^2) time a step, 15 to 30
    steps.
    """
    xp = array_namespace(X)
    G, (n, d) = targets.shape[0], X.shape
    size = max(1, _CHUNK_ENTRIES // (n * d))
    parts = [
        _project_some(X, signs[k : min(k + size, G), :], targets[k : min(k + size, G), :], offset)
        for k in range(0, G, size)
    ]
    return xp.concat([V for V, _ in parts]), xp.concat([mu for _, mu in parts])


def affordable(problem: Program, outputs: int) -> bool:
    """Tell whether the neurons of so many outputs are few enough to be projected."""
    n, d, patterns = problem.shape
    return bool(4 * patterns * outputs * n * d * d <= _FLOPS)


def closest_inside(problem: Program, V: Array, margin: float = 0.0) -> Array | None:
    """Return the points closest to neurons (C, 2, P, d) in their cones, zero where they are.

    Each is as deep inside as `margin` relative to the length of the neuron. None if a projection
    takes too long or fails.
    """
    if not affordable(problem, V.shape[0]):
        return None
    xp, (n, d, _) = array_namespace(V), problem.shape
    signs = xp.broadcast_to(problem.signs, (*V.shape[:-1], n))
    lengths = group_norms(V)[..., None]
    lengths = xp.where(lengths > 0, lengths, xp.ones_like(lengths))
    flat = xp.reshape(V / lengths, (-1, d))
    points, _ = project(problem.X, xp.reshape(signs, (-1, n)), flat, margin)
    if not bool(xp.all(xp.isfinite(points))):
        return None
    return xp.where(V == 0, 0 * V, xp.reshape(points, V.shape) * lengths)


def hard_margin_gates(X: Array, signs: Array) -> tuple[Array, Array]:
    """Return unit vectors as deep in the cones of `signs` (P, n) as possible, and which exist."""
    xp = array_namespace(X)
    zeros = xp.zeros((signs.shape[0], X.shape[1]), dtype=X.dtype, device=device_of(X))
    row = math.sqrt(float(xp.max(xp.sum(X * X, axis=1)))) or 1.0
    V, _ = project(X / row, signs, zeros, 1.0)
    norms = xp.sqrt(xp.sum(V * V, axis=1, keepdims=True))
    finite = xp.isfinite(norms) & (norms > 0)
    V = xp.where(finite, V, 0 * V) / xp.where(finite, norms, xp.ones_like(norms))
    room = xp.min(signs * xp.matmul(V, X.T), axis=1)
    floor = 64 * float(xp.finfo(X.dtype).eps) * row
    return V, finite[:, 0] & (room > floor)


def _project_some(X: Array, signs: Array, targets: Array, offset: float) -> tuple[Array, Array]:
    xp = array_namespace(X)
    size = xp.sqrt(xp.sum(targets * targets, axis=1, keepdims=True)) + offset
    size = xp.where(size > 0, size, xp.ones_like(size))
    row = math.sqrt(float(xp.max(xp.sum(X * X, axis=1)))) or 1.0
    scaled_X, goal = X / row, targets / size
    ones = xp.ones(signs.shape, dtype=X.dtype, device=device_of(X))
    start = _Iterate(goal, xp.maximum(signs * xp.matmul(goal, scaled_X.T), 0 * ones) + 0.1, ones)
    floor = offset / row / size
    now = start
    for _ in range(_STEPS):
        after = _step(scaled_X, signs, goal, floor, now)
        if after is None:
            break
        now = after
        if float(xp.max(xp.mean(now.S * now.mu, axis=1))) < 1e-3 * float(xp.finfo(X.dtype).eps):
            break
    return now.V * size, now.mu * (size / row)


def _step(X: Array, signs: Array, goal: Array, floor: Array, now: _Iterate) -> _Iterate | None:
    """Return the next iterate: a predictor for each neuron, then its corrected step."""
    xp = array_namespace(X)
    ratio = now.mu / now.S
    d = X.shape[1]
    identity = xp.eye(d, dtype=X.dtype, device=device_of(X))
    H = xp.matmul((ratio[:, :, None] * X[None, :, :]).mT, X[None, :, :])
    trace = xp.sum(H * identity, axis=(1, 2))
    jitter = 1 + 4 * float(xp.finfo(X.dtype).eps) * trace
    L = cholesky(H + jitter[:, None, None] * identity)
    if L is None:
        return None
    inverse = xp.linalg.inv(L)
    rest = goal + xp.matmul(signs * now.mu, X) - now.V
    short = signs * xp.matmul(now.V, X.T) - floor - now.S

    def change(products: Array) -> _Iterate:
        b = rest + xp.matmul(signs * (products / now.S - ratio * short), X)
        dV = xp.matmul(inverse.mT, xp.matmul(inverse, b[:, :, None]))[:, :, 0]
        dS = signs * xp.matmul(dV, X.T) + short
        return _Iterate(dV, dS, (products - now.mu * dS) / now.S)

    affine = change(-now.S * now.mu)
    length = xp.minimum(_reach(now.S, affine.S), _reach(now.mu, affine.mu))
    before = xp.mean(now.S * now.mu, axis=1, keepdims=True)
    after = xp.mean(
        (now.S + length * affine.S) * (now.mu + length * affine.mu), axis=1, keepdims=True
    )
    share = xp.clip(after / xp.where(before > 0, before, xp.ones_like(before)), 0.0, 1.0) ** 3
    step = change(share * before - now.S * now.mu - affine.S * affine.mu)
    length = xp.minimum(_reach(now.S, step.S), _reach(now.mu, step.mu)) * _TO_BOUNDARY
    # A cone without an interior drives its own iterates out of range, and only them.
    fine = xp.isfinite(
        xp.sum(step.V, axis=1, keepdims=True) + xp.sum(step.mu, axis=1, keepdims=True)
    )
    fine = fine & (xp.max(ratio, axis=1, keepdims=True) < _LARGEST_RATIO)
    return _Iterate(*[xp.where(fine, x + length * dx, x) for x, dx in zip(now, step, strict=True)])


def _reach(x: Array, change: Array) -> Array:
    """Return, for each row, the longest step up to 1 / _TO_BOUNDARY that keeps `x` positive."""
    xp = array_namespace(x)
    falling = change < 0
    ratios = xp.where(falling, -x / xp.where(falling, change, -xp.ones_like(x)), math.inf + 0 * x)
    return xp.clip(xp.min(ratios, axis=1, keepdims=True), None, 1 / _TO_BOUNDARY)
