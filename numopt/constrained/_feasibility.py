"""Feasibility alone: Levenberg-Marquardt steps on the squared constraints, and what they leave."""

from __future__ import annotations

from .._core.namespace import Array, array_namespace, inner
from ._matrices import is_operator, largest
from ._problem import Point, Problem
from .kkt.system import identity_kkt

# Restoration is done when |c|^2 has come down by this factor.
ENOUGH = 1e-4
STEPS = 50
LARGEST_SHIFT = 1e16


def stationary(point: Point, tol: float) -> bool:
    """Tell whether the squared constraints have no slope although they are not zero."""
    size = inner(point.c, point.c) ** 0.5 if point.c.shape[0] else 0.0
    if size == 0:
        return False
    xp = array_namespace(point.c)
    slope = point.G.T @ (point.c / size)
    scale = 1.0 if is_operator(point.G) else max(1.0, largest(point.G))
    return float(xp.max(xp.abs(slope))) <= tol * scale


def restore(problem: Problem, point: Point, tol: float, *, goal: float | None = None) -> Point:
    """Return a point whose constraints are smaller by a hundred, or as small as steps get them.

    With a `goal`, go on until the largest violation is at most that.
    """
    start = size = inner(point.c, point.c)
    shift = 1e-6
    for _ in range(STEPS):
        near = size <= ENOUGH * start if goal is None else problem.violation(point.c) <= goal
        if near or stationary(point, tol):
            break
        trial = _step(problem, point, shift)
        if trial is not None and inner(trial.c, trial.c) < size:
            gained = inner(trial.c, trial.c) < 0.25 * size
            point, size = trial, inner(trial.c, trial.c)
            shift = shift / 10 if gained else shift
        elif shift > LARGEST_SHIFT:
            break
        else:
            shift = shift * 10
    return point


def _step(problem: Problem, point: Point, shift: float) -> Point | None:
    """Return the point one step away, None where a number is not finite."""
    dx = levenberg(point, shift)
    return None if dx is None else problem.point(point.x + dx)


def levenberg(point: Point, shift: float) -> Array | None:
    """Return ``-G'(G G' + shift |G|^2 I)^-1 c``, by the system with the identity as its Hessian."""
    xp = array_namespace(point.x)
    if is_operator(point.G):
        return _by_products(point, shift)
    scale = largest(point.G) ** 2 + 1e-300
    kkt = identity_kkt(point.x, point.G)
    factor = kkt.factor(0.0, shift * scale)
    if factor is None:
        return None
    d = factor.solve(-xp.concat([xp.zeros_like(point.x), point.c]))
    dx = d[: point.x.shape[0]]
    return dx if bool(xp.all(xp.isfinite(dx))) else None


def _by_products(point: Point, shift: float) -> Array:
    """Return the same for an operator G, whose size is that of ``G'c / |c|``."""
    from scipy.sparse.linalg import lsmr

    size = inner(point.c, point.c) ** 0.5
    slope = point.G.T @ (point.c / size)
    damp = (shift * inner(slope, slope)) ** 0.5
    return lsmr(point.G, -point.c, damp=damp, atol=1e-8, btol=1e-8)[0]
