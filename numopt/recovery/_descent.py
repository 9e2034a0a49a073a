"""The subgradient method: steps as long as the residual is large, however many outliers."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._kernels.recovery import order_statistics
from .._linalg import Factors
from ._problem import Problem, Settings, magnitudes, objective, offset_of, places_of
from ._robust_scale import to_deviation
from ._spectral_init import Start

# Share of the largest error removed a step, near the solution of a well-conditioned problem.
DEFAULT_ETA = 0.5
# Damping of the scaled step, relative to the scale of the residual.
DAMPING = 0.1
# Growth of the scale over its minimum that counts as divergence.
DIVERGENCE = 4.0


class State(NamedTuple):
    """An iterate with its residual and subgradient."""

    factors: Factors
    residual: Array
    direction: Any
    scale: Array  # robust scale of the residual
    agreed: Array  # magnitude that enough residuals for a verification do not exceed
    lowest: Array  # smallest scale so far
    step: int  # steps taken, for a geometric decay


def sensed(problem: Problem, settings: Settings, factors: Factors, step: int = 0) -> State:
    """Return the state of some factors: one pass over the measurements, two around a median."""
    y, (left, right) = problem.y, factors
    if problem.intercept or not problem.operator.centered:
        y = y + offset_of(problem, problem.operator.forward(left, right) - y)
    residual, direction = problem.operator.sense(left, right, y, problem.weights)
    if not problem.intercept:
        residual = residual + (y - problem.y)
    place, within, _ = places_of(problem, settings.q, factors.rank)
    quantile, agreed = order_statistics(magnitudes(problem, residual), place, within)
    scale = quantile * to_deviation(settings.q)
    return State(factors, residual, direction, scale, agreed, scale, step)


def stepped(
    problem: Problem, settings: Settings, start: Start, rule: tuple[float, bool], state: State
) -> State:
    """Return the state after one subgradient step.

    Along the leading direction of a start with slope w at scale s0, the error of scale s falls by
    the share 2 eta: the subgradient is ``phi E / |E|``, and ``w / s0`` estimates phi over the
    square of the largest singular value.
    """
    xp = array_namespace(state.residual)
    eta, scaled = rule
    left, right = state.factors
    G = _subgradient(problem, state)
    H = _preconditioned(G, state, start) if scaled else G
    if settings.fun_star is None:
        length = eta / (2 * start.slope) * _decayed(settings, state, start)
    else:
        length = 2 * eta * _polyak(problem, settings.fun_star, state, start, (G, H))
    left = left - length * H.left
    factors = Factors(left, left if problem.symmetric else right - length * H.right)
    after = sensed(problem, settings, factors, state.step + 1)
    return after._replace(lowest=xp.minimum(state.lowest, after.scale))


def _subgradient(problem: Problem, state: State) -> Factors:
    """Return the subgradient of m times the objective with respect to the factors."""
    G = state.direction.times(state.factors.right)
    if problem.symmetric:
        G = 2 * G
        return Factors(G, G)
    return Factors(G, state.direction.transposed_times(state.factors.left))


def _decayed(settings: Settings, state: State, start: Start) -> Array | float:
    """Return the scale of the step relative to that at the start."""
    if settings.step == "geometric":
        return decay_of(settings) ** state.step
    return state.scale / start.scale


def _polyak(
    problem: Problem, fun_star: float, state: State, start: Start, sides: tuple[Factors, Factors]
) -> Array:
    """Return Polyak's step ``m (f - f*) / <G, H>`` along H, at most the first one of other rules.

    A small factor has a small gradient: alone, the step would throw it far beyond the solution.
    """
    residual, (G, H) = state.residual, sides
    xp = array_namespace(residual)
    # G belongs to the residual around its median where signs are taken around that.
    gap = objective(problem, residual - offset_of(problem, residual)) - fun_star
    slope = xp.sum(G.left * H.left)
    if not problem.symmetric:
        slope = slope + xp.sum(G.right * H.right)
    slope = slope + float(xp.finfo(residual.dtype).smallest_normal)
    return xp.clip(problem.operator.m * gap / slope, 0, 1 / (4 * start.slope))


def decay_of(settings: Settings) -> float:
    """Return the ratio of consecutive steps of the geometric rule.

    The default halves the step about every time the start would grow to the size of the solution.
    """
    if settings.decay is not None:
        return settings.decay
    growth = math.log(1 / min(settings.alpha, 0.5)) / math.log1p(2 * DEFAULT_ETA)
    return 1 - 0.5 / max(growth, 2.0)


def _largest_square(state: State, start: Start) -> Array:
    """Return the largest squared singular value of a factor, within bounds by the start."""
    xp = array_namespace(state.residual)
    left = state.factors.left
    square = xp.max(xp.linalg.svdvals(xp.matmul(left.T, left)))
    return xp.clip(square, 0.3 * start.scale, 1.5 * start.scale)


def _preconditioned(G: Factors, state: State, start: Start) -> Factors:
    """Return the subgradient times the inverse Gram matrices, as long as without them."""
    square, damp = _largest_square(state, start), DAMPING * state.scale
    left = square * _scaled(G.left, state.factors.right, damp)
    if G.tied:
        return Factors(left, left)
    return Factors(left, square * _scaled(G.right, state.factors.left, damp))


def _scaled(G: Array, factor: Array, damp: Array) -> Array:
    """Return ``G (factor' factor + damp I)^-1``."""
    xp = array_namespace(G)
    k = factor.shape[1]
    eye = xp.eye(k, dtype=G.dtype, device=device_of(G))
    return xp.linalg.solve(xp.matmul(factor.T, factor) + damp * eye, G.T).T


def measure(problem: Problem, start: Start, begun: float, state: State) -> dict[str, Any]:
    """Return the record of a state: the one place where the loop waits for the device."""
    enough = places_of(problem, DEFAULT_ETA, state.factors.rank)[2]
    scale, agreed = float(state.scale), float(state.agreed)
    # With too few measurements to verify this rank it never counts as solved.
    error = agreed / start.scale if enough else max(scale / start.scale, 1.0)
    return {
        "error": error,
        "fun": float(objective(problem, state.residual)),
        "scale": scale,
        "rank": state.factors.rank,
        "seconds": time.perf_counter() - begun,
    }
