"""Projections onto the cones of patterns, for all neurons at once.

``min |v - target|^2 / 2`` subject to ``E_i X v >= offset`` by a primal-dual interior-point method
whose steps are taken for each neuron on its own. The multipliers bound the projection:
``|target + X' E mu|`` is at least its norm for any ``mu >= 0``, and equals it for the right one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..._conic.cones import orthant_residual
from ..._conic.predictor_corrector import Pairs, mean_product, predictor_corrector, selected
from ..._conic.systems import inverse_factors
from ..._core.namespace import Array, array_namespace, device_of
from .._program import Program, group_norms

# A projection of all neurons that takes more operations a step is not done.
_FLOPS = 2e11
_STEPS = 60
# Mean product of slacks and multipliers, relative to the precision, at which a projection ends.
_SMALL = 1e-3
_CHUNK_ENTRIES = 16_000_000
# Ratios of multipliers to slacks beyond this are past what a factor in double precision resolves.
_LARGEST_RATIO = 1e25


class _Point(NamedTuple):
    V: Array
    slack: Array
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


def affordable(program: Program, outputs: int) -> bool:
    """Tell whether the neurons of so many outputs are few enough to be projected."""
    n, d, patterns = program.shape
    return bool(4 * patterns * outputs * n * d * d <= _FLOPS)


def closest_inside(program: Program, V: Array, margin: float = 0.0) -> Array | None:
    """Return the points closest to neurons (C, 2, P, d) in their cones, zero where they are.

    Each is as deep inside as `margin` relative to the length of the neuron. None if a projection
    takes too long or fails.
    """
    if not affordable(program, V.shape[0]):
        return None
    xp, (n, d, _) = array_namespace(V), program.shape
    signs = xp.broadcast_to(program.signs, (*V.shape[:-1], n))
    lengths = group_norms(V)[..., None]
    lengths = xp.where(lengths > 0, lengths, xp.ones_like(lengths))
    flat = xp.reshape(V / lengths, (-1, d))
    points, _ = project(program.X, xp.reshape(signs, (-1, n)), flat, margin)
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
    floor = 64 * _eps(X) * row
    return V, finite[:, 0] & (room > floor)


def _project_some(X: Array, signs: Array, targets: Array, offset: float) -> tuple[Array, Array]:
    xp = array_namespace(X)
    size = xp.sqrt(xp.sum(targets * targets, axis=1, keepdims=True)) + offset
    size = xp.where(size > 0, size, xp.ones_like(size))
    row = math.sqrt(float(xp.max(xp.sum(X * X, axis=1)))) or 1.0
    scaled_X, goal = X / row, targets / size
    ones = xp.ones(signs.shape, dtype=X.dtype, device=device_of(X))
    slack = xp.maximum(signs * xp.matmul(goal, scaled_X.T), 0 * ones) + 0.1
    floor = offset / row / size
    now = _Point(goal, slack, ones)
    for _ in range(_STEPS):
        after = _step(scaled_X, signs, goal, floor, now)
        if after is None:
            break
        now = after
        if float(xp.max(mean_product(_in_cones(now), batched=True))) < _SMALL * _eps(X):
            break
    return now.V * size, now.mu * (size / row)


def _step(X: Array, signs: Array, goal: Array, floor: Array, now: _Point) -> _Point | None:
    """Return the next iterate, for each neuron with a step of its own."""
    xp, d = array_namespace(X), X.shape[1]
    ratio = now.mu / now.slack
    H = xp.matmul((ratio[:, :, None] * X[None, :, :]).mT, X[None, :, :])
    inverse = inverse_factors(H + xp.eye(d, dtype=X.dtype, device=device_of(X)))
    if inverse is None:
        return None
    residual = goal + xp.matmul(signs * now.mu, X) - now.V
    missing = signs * xp.matmul(now.V, X.T) - floor - now.slack

    def direction(target: Any, affine: _Point | None) -> _Point:
        pair = None if affine is None else (affine.slack, affine.mu)
        products = orthant_residual((now.slack, now.mu), target, pair)
        b = residual + xp.matmul(signs * (products / now.slack - ratio * missing), X)
        V = xp.matmul(inverse.mT, xp.matmul(inverse, b[:, :, None]))[:, :, 0]
        slack = signs * xp.matmul(V, X.T) + missing
        return _Point(V, slack, (products - now.mu * slack) / now.slack)

    after = predictor_corrector(now, _in_cones, direction, batched=True).point
    # A cone without an interior drives its own iterates out of range, and only them.
    fine = xp.max(ratio, axis=1, keepdims=True) < _LARGEST_RATIO
    kept: _Point = selected(fine, after, now)
    return kept


def _in_cones(point: _Point) -> Pairs:
    return ((point.slack, point.mu),)


def _eps(X: Array) -> float:
    return float(array_namespace(X).finfo(X.dtype).eps)
