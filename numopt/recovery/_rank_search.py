"""From an iterate to a verified solution: the rank in its spectrum, refinement, growing ranks."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._linalg import Factors, Frame, degrees_of_freedom, factors_of, frame_of
from .._linalg.lowrank import extended
from ._problem import Problem, Settings, offset_of, residual_of, spread_of
from ._refine import QUANTILE, Refined, refine, sharpened
from ._spectral_init import Start, leading_pair

# Components below this share of the largest singular value are not looked at for a gap.
VISIBLE = 1e-2
# Tries of another rank above the one that the spectrum shows.
MORE_RANKS = 2
LIMIT = 25
# Components below this share of the largest may come from rounding and the tolerance alone.
NEGLIGIBLE = 1e-6
# Deviations from which on a residual counts the same in the choice of a rank.
CUT = 3.0


class Finish(NamedTuple):
    """Result of an attempt: refined factors, or None; whether they are verified; its steps."""

    refined: Refined | None
    verified: bool
    steps: int


def rank_in(frame: Frame) -> int:
    """Return the rank in front of the widest gap of a spectrum."""
    values = [float(value) for value in frame.values]
    visible = [value for value in values if value > VISIBLE * values[0]]
    if len(visible) == 0:
        return 1
    follow = [*values[1:], 0.0]
    tiny = 1e-3 * VISIBLE * values[0]
    gaps = [value / max(below, tiny) for value, below in zip(visible, follow, strict=False)]
    return gaps.index(max(gaps)) + 1


def attempt(problem: Problem, settings: Settings, start: Start, factors: Factors) -> Finish:
    """Return the outcome of refining an iterate at the rank its spectrum shows, and just above."""
    frame = frame_of(factors)
    k = rank_in(frame) if settings.prune else factors.rank
    highest = min(factors.rank, k + MORE_RANKS) if settings.prune else k
    return climb(problem, settings, start, factors_of(frame, k), highest)


def climb(
    problem: Problem, settings: Settings, start: Start, factors: Factors, highest: int
) -> Finish:
    """Return factors refined at growing ranks until they are verified.

    Each rank adds the leading direction of the subgradient at the refined residual. Stops where
    one more direction leaves the residual as it was.
    """
    steps, last, best = 0, math.inf, None
    floor = settings.tol * start.scale
    while True:
        refined = _refined(problem, settings, factors, floor)
        steps += refined.steps
        if refined.agreed <= floor:
            exact = sharpened(problem, _reduced(problem, settings, refined, floor), floor)
            return Finish(exact, True, steps + exact.steps - refined.steps)
        if best is None or refined.scale < best.scale:
            best = refined
        stuck = not refined.scale < 0.99 * last
        if refined.factors.rank >= highest or stuck:
            return Finish(best, False, steps)
        last = refined.scale
        factors = _with_direction(problem, settings, refined.factors, refined.residual)


def _reduced(problem: Problem, settings: Settings, refined: Refined, floor: float) -> Refined:
    """Return verified factors without components as small as their residual, if that is as good."""
    frame = frame_of(refined.factors)
    values = [float(value) for value in frame.values]
    keep = sum(value > NEGLIGIBLE * values[0] for value in values)
    if not settings.prune or not 0 < keep < len(values):
        return refined
    trial = factors_of(frame, keep)
    residual = residual_of(problem, trial)
    found = spread_of(problem, residual, QUANTILE, keep)
    if found.agreed > floor:
        return refined
    return refined._replace(
        factors=trial, residual=residual, scale=found.scale, agreed=found.agreed
    )


def _refined(problem: Problem, settings: Settings, factors: Factors, floor: float) -> Refined:
    """Return factors refined at the usual quantile and, where that fails, at the one asked for."""
    first = refine(problem, factors, floor=floor, limit=LIMIT, q=QUANTILE)
    if first.agreed <= floor:
        return first
    second = refine(problem, factors, floor=floor, limit=LIMIT, q=settings.q)
    second = second._replace(steps=first.steps + second.steps)
    if second.agreed <= floor:
        return second
    at_same = spread_of(problem, second.residual, QUANTILE, factors.rank).scale
    best = first if first.scale <= at_same else second
    return best._replace(steps=second.steps)


def grow(problem: Problem, settings: Settings, start: Start) -> Finish:
    """Return factors built up from one direction, up to the largest rank allowed."""
    xp = array_namespace(problem.y)
    (d1, d2), kind = problem.operator.shape, {"dtype": problem.y.dtype}
    left = xp.zeros((d1, 0), device=device_of(problem.y), **kind)
    right = left if problem.symmetric else xp.zeros((d2, 0), device=device_of(problem.y), **kind)
    empty = Factors(left, right)
    factors = _with_direction(problem, settings, empty, -problem.y)
    return climb(problem, settings, start, factors, settings.rank)


def _with_direction(
    problem: Problem, settings: Settings, factors: Factors, residual: Array
) -> Factors:
    """Return the factors with the leading direction of the subgradient, as long as l1 likes it."""
    xp = array_namespace(residual)
    signs = -problem.weights * xp.sign(residual - offset_of(problem, residual))
    u, v = leading_pair(problem, signs, settings)
    image = problem.operator.forward(u[:, None], v[:, None])
    length = _weighted_median(-residual, image)
    least = 1e-3 * float(xp.max(xp.abs(residual)))
    root = max(float(length), 1e-6 * least) ** 0.5
    return extended(factors, root * u, root * v)


def _weighted_median(values: Array, slopes: Array) -> Array:
    """Return the t that minimizes ``sum_i |values_i - t slopes_i|``."""
    xp = array_namespace(values)
    weights = xp.abs(slopes)
    safe = xp.where(weights > 0, slopes, 1 + 0 * slopes)
    ratios = xp.where(weights > 0, values / safe, xp.zeros_like(values))
    order = xp.argsort(ratios)
    total = xp.cumulative_sum(xp.take(weights, order))
    at = xp.sum(xp.astype(total < total[-1] / 2, xp.int32))
    return xp.take(ratios, order)[int(at)]


def pruned(problem: Problem, settings: Settings, factors: Factors, scale: float) -> Factors:
    """Return the factors without the components behind a gap, if the residual is small by then.

    Early in a descent small components are not yet visible; nothing is cut that raises the
    residual by a half.
    """
    frame = frame_of(factors)
    values = [float(value) for value in frame.values]
    keep = sum(value > 3 * scale for value in values)
    if scale > 1e-3 * values[0] or not 0 < keep < len(values):
        return factors
    trial = factors_of(frame, keep)
    residual = residual_of(problem, trial)
    after = spread_of(problem, residual, settings.q, keep).scale
    return trial if values[keep] < 0.3 * values[keep - 1] and after < 1.5 * scale else factors


def noisy_fit(problem: Problem, settings: Settings, start: Start, factors: Factors) -> Finish:
    """Return the refined factors of the rank that noise allows for, from one direction up.

    Ranks are compared by ``sum_i min(res_i^2 / scale^2, cut^2) + dof log(m)``, the Bayesian
    information criterion with a loss that outliers do not move, at the smallest scale seen.
    """
    m, floor, steps = problem.operator.m, settings.tol * start.scale, 0
    frame, tried = frame_of(factors), []
    for k in range(1, factors.rank + 1):
        if degrees_of_freedom(problem.operator.shape, k, problem.symmetric) > m:
            break
        refined = refine(problem, factors_of(frame, k), floor=floor, limit=LIMIT, q=QUANTILE)
        steps += refined.steps
        tried.append(refined)
        best = min(tried, key=partial(_criterion, problem, max(tried[-1].scale, floor)))
        if k >= best.factors.rank + 2:
            break
    scale = max(min(item.scale for item in tried), floor)
    return Finish(min(tried, key=partial(_criterion, problem, scale)), False, steps)


def _criterion(problem: Problem, scale: float, refined: Refined) -> float:
    """Return what ranks are compared by."""
    xp = array_namespace(refined.residual)
    loss = xp.sum(xp.clip(refined.residual**2 / scale**2, None, CUT**2))
    rank = refined.factors.rank
    dof = degrees_of_freedom(problem.operator.shape, rank, problem.symmetric)
    return float(loss) + dof * math.log(problem.operator.m)
