"""Training against perturbations: patterns that survive, bounds, and what is certified.

With radii `eps` a linear model q can be moved by ``eps . |q|``. Under ``robust="pattern"`` a neuron
stays so far inside its cone, ``E X v >= eps . |v|``, that no perturbation changes which samples it
is on for; the worst margin of sample k is then ``y x'q - eps . |q|`` for its own weights
``q = sum_i d_ik (v_i - w_i)``. Under ``robust="lipschitz"`` cones are as without perturbations, and
the worst margin is bounded by ``y x'q - eps . sum_i |v_i| + |w_i|``.
"""

from __future__ import annotations

import math

from .._core.namespace import Array, array_namespace, device_of
from .._kernels.relu import project_robust_cone, soft
from .._linalg import cholesky, cholesky_solve
from ._certificate import Lower, feasible_scale, worst_case_shift
from ._patterns import Patterns
from ._program import Program, combined, group_norms, predictions, responses

# Iterations of the search for a neuron that keeps its pattern, and between two looks at it.
_SEARCH, _LOOK_EVERY = 1000, 50
_RELAXATION = 1.6


def surviving_gates(X: Array, signs: Array, eps: Array, gates: Array) -> tuple[Array, Array]:
    """Return unit vectors (P, d) that keep their patterns under perturbation, and which do.

    Splitting for ``min |v|^2 / 2`` subject to ``E X v >= 1 + eps . |v|``, whose solution is as deep
    in the cone as possible. That a gate survives is seen on the gate itself; that none does is
    only not found.
    """
    xp = array_namespace(X)
    row = math.sqrt(float(xp.max(xp.sum(X * X, axis=1)))) or 1.0
    X, eps = X / row, eps / row
    d = X.shape[1]
    L = cholesky(3 * xp.eye(d, dtype=X.dtype, device=device_of(X)) + xp.matmul(X.T, X))
    best, depth, least = gates, _depth(X, signs, eps, gates), 64 * float(xp.finfo(X.dtype).eps)
    A = gates / xp.clip(depth, 0.01, None)[:, None]
    T = signs * xp.matmul(A, X.T)
    for count in range(_SEARCH):
        S, B = project_robust_cone(T, A, eps, 1.0)
        goal = xp.matmul(signs * (2 * S - T), X) + 2 * B - A
        # The unit of the objective is free: v only matters up to its length.
        v = cholesky_solve(L, goal.T).T
        T = T + _RELAXATION * (signs * xp.matmul(v, X.T) - S)
        A = A + _RELAXATION * (v - B)
        if count % _LOOK_EVERY == _LOOK_EVERY - 1:
            for tried in (v, B):
                found = _depth(X, signs, eps, tried)
                better = found > depth
                best = xp.where(better[:, None], tried, best)
                depth = xp.where(better, found, depth)
            if bool(xp.all(depth > least)):
                break
    norms = group_norms(best)
    best = best / xp.where(norms > 0, norms, xp.ones_like(norms))[:, None]
    return best, depth > least


def _depth(X: Array, signs: Array, eps: Array, v: Array) -> Array:
    """Return the least slack of each vector (P, d), relative to its length."""
    xp = array_namespace(v)
    slack = xp.min(signs * xp.matmul(v, X.T), axis=1) - xp.sum(eps * xp.abs(v), axis=1)
    norms = group_norms(v)
    return slack / xp.where(norms > 0, norms, xp.ones_like(norms))


def with_surviving_patterns(patterns: Patterns, X: Array, eps: Array) -> Patterns:
    """Return the patterns that some neuron keeps under perturbation, with such gates."""
    xp = array_namespace(X)
    gates, survives = surviving_gates(X, 2 * patterns.active - 1, eps, patterns.gates)
    (index,) = xp.nonzero(survives)
    return Patterns(xp.take(patterns.active, index, axis=0), xp.take(gates, index, axis=0))


def certified_share(program: Program, V: Array) -> float | None:
    """Return the share of samples whose label no perturbation changes; None without labels."""
    if program.eps is None or program.loss.scales:
        return None
    xp = array_namespace(V)
    z = predictions(program, responses(program, V))
    worst = program.y * z - worst_case_shift(program, V)
    right = xp.astype(xp.all(worst > 0, axis=0), V.dtype)
    return float(xp.mean(right))


def robust_lower(
    program: Program,
    theta: Array,
    center: Array,
    mu: Array,
    slopes: Array | None,
    longest: float = math.inf,
) -> Lower:
    """Return the lower bound of multipliers of the worst margins or residuals.

    `center` (C, n) are slopes in the prediction, `theta` (C, n) their sizes or, for squared loss,
    more; `mu` (C, 2, P, n) are not negative. Under "pattern", `slopes` (C, n, d) are those in the
    weights of each sample, moved to within ``theta eps`` of ``center x``. A neuron's gradient is
    ``soft(X' D center + ... + X' E mu, eps sum)``, and all is scaled, by no more than `longest`,
    until none exceeds beta.
    """
    xp, eps, X = array_namespace(theta), program.eps, program.X
    if program.loss.scales:
        theta = xp.maximum(theta, xp.abs(center))
    else:
        theta = xp.minimum(xp.clip(program.y * center, 0.0, None), program.weights + 0 * center)
        center = program.y * theta
    if slopes is None:
        half = combined(program, program.active * center[:, None, :])
        price = xp.sum(theta, axis=1)[:, None, None] + 0 * xp.sum(mu, axis=-1)
    else:
        middle, room = center[..., None] * X, theta[..., None] * eps
        slopes = middle + xp.minimum(xp.maximum(slopes - middle, -room), room)
        half = xp.matmul(program.active, slopes)
        price = xp.sum(mu, axis=-1)
    force = xp.stack([half, -half], axis=1) + combined(program, program.signs * mu)
    limit = feasible_scale(group_norms(soft(force, price[..., None] * eps)), program.beta, longest)
    if program.loss.scales:
        linear = xp.sum(center * program.y, axis=-1)
        square = xp.sum(theta * theta / program.weights, axis=-1)
        best = xp.where(square > 0, linear / xp.where(square > 0, square, 1.0), 0.0)
        scale = xp.clip(xp.minimum(best, limit), 0.0, None)
        value = scale * linear - 0.5 * scale**2 * square
    else:
        scale, value = program.loss.dual(center, program.y, program.weights, limit)
    proof: tuple[Array, ...] = (scale[:, None] * theta, scale[:, None, None, None] * mu)
    if slopes is not None:
        proof = (*proof, scale[:, None, None] * slopes)
    return Lower(value, scale[:, None] * center, proof)
