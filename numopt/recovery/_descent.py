"""The subgradient method: steps as long as the residual is large, however many outliers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from .._kernels.recovery import order_statistics
from .._namespace import Array, array_namespace, device_of
from ._factors import Factors
from ._problem import Problem, Settings, magnitudes, objective, places_of
from ._scale import to_deviation
from ._start import Start, offset_of

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


def step_for(
    problem: Problem, settings: Settings, start: Start, eta: float, scaled: bool
) -> Callable[[State], State]:
    """Return the function that takes one step, scaled by inverse Gram matrices or not."""
    return partial(_step, problem, settings, start, (eta, scaled))


def _step(
    problem: Problem, settings: Settings, start: Start, rule: tuple[float, bool], state: State
) -> State:
    """Return the state after one subgradient step.

    Along the leading direction of a start with slope w at scale s0, the error of scale s falls by
    the share 2 eta: the subgradient is ``phi E / |E|``, and ``w / s0`` estimates phi over the
    square of the largest singular value.
    """
    xp = array_namespace(state.residual)
    eta, scaled = rule
    length = eta / (2 * start.slope) * _decayed(settings, state, start)
    left, right = state.factors
    G_left = state.direction.times(right)
    G_right = G_left
    if problem.symmetric:
        G_left = 2 * G_left
    else:
        G_right = state.direction.transposed_times(left)
    if scaled:
        square, damp = _largest_square(state, start), DAMPING * state.scale
        G_left = square * _scaled(G_left, right, damp)
        G_right = G_left if problem.symmetric else square * _scaled(G_right, left, damp)
    left = left - length * G_left
    factors = Factors(left, left if problem.symmetric else right - length * G_right)
    after = sensed(problem, settings, factors, state.step + 1)
    return after._replace(lowest=xp.minimum(state.lowest, after.scale))


def _decayed(settings: Settings, state: State, start: Start) -> Array | float:
    """Return the scale of the step relative to that at the start."""
    if settings.step == "geometric":
        return decay_of(settings) ** state.step
    return state.scale / start.scale


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
