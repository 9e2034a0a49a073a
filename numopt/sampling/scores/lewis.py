"""Lewis weights: the scores that leverage scores of the rescaled rows agree with."""

from __future__ import annotations

from typing import NamedTuple

from ..._core.iterate import Record, Run, iterate
from ..._core.namespace import Array
from ..._rows import Rows, Whitening
from .._certificate import lewis_ratio


class LewisState(NamedTuple):
    """Logarithms of the weights w (n,) and of ``tau(W^(1/2 - 1/p) A) / w``."""

    log_weights: Array
    log_ratio: Array
    whitening: Whitening


def lewis_weights(
    rows: Rows, p: float, *, tol: float, maxiter: int, nonzero: Array
) -> Run[LewisState]:
    """Return the run of the damped fixed-point iteration from uniform weights.

    ``w <- w (tau / w)^(theta p / 2)``. With q_i the quadratic form of the row this is
    ``w^(1 - theta) q^(theta p / 2)``; theta =
    4 / (p + 2) has the best local rate, |p - 2| / (p + 2), while theta = 1 (Cohen and Peng 2015)
    diverges from p = 4 on. `nonzero` (n,) marks the rows that are not zero.
    """
    xp = rows.xp
    power = 2 * p / (p + 2)
    start = rows.ones() * 0.0

    def state_at(log_weights: Array) -> LewisState:
        return LewisState(log_weights, *lewis_ratio(rows, p, log_weights, nonzero))

    def step(state: LewisState) -> LewisState:
        return state_at(state.log_weights + power * state.log_ratio)

    def measure(state: LewisState) -> Record:
        error = xp.max(xp.abs(xp.expm1(state.log_ratio)))
        return {"error": float(error)}

    return iterate(state_at(start), step, measure, tol=tol, maxiter=maxiter)
