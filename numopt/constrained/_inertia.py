"""How much the Newton system is shifted: until its inertia is (n, m, 0), and to damp steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.namespace import Array, inner
from ._factor import Factor

# Sizes and growth of the shift of the Hessian, as in Waechter and Biegler (2006, algorithm IC).
FIRST_W, SMALLEST_W, LARGEST_W = 1e-4, 1e-20, 1e20
GROWTH_FIRST, GROWTH, DECREASE = 30.0, 8.0, 3.0
# Shift of the zero block where the Jacobian is rank deficient.
RANK_SHIFT = 1e-8
# Damping after short steps, see `Shifts.after_step`.
DAMP_W, DAMP_C, MOST_W, MOST_C = 1e-4, 1e-6, 1e4, 1e2
SHORT, LONG = 1 / 8, 1 / 2
CURVATURE = 1e-8
RESIDUAL = 1e-6


class Shifts(NamedTuple):
    """What is remembered of shifts from one iteration to the next."""

    last_w: float = 0.0
    damp_w: float = 0.0
    damp_c: float = 0.0
    short: int = 0

    def after_step(self, length: float) -> Shifts:
        """Return the damping after an accepted step of some length.

        Two short steps in a row raise it, a long one lowers it.
        """
        short = self.short + 1 if length <= SHORT else 0
        w, c = self.damp_w, self.damp_c
        if short >= 2:
            w, c = min(max(DAMP_W, 10 * w), MOST_W), min(max(DAMP_C, 5 * c), MOST_C)
        elif length >= LONG:
            w, c = w / 10, c / 10
        return self._replace(
            damp_w=w if w >= 1e-8 else 0.0, damp_c=c if c >= 1e-10 else 0.0, short=short
        )


class Regularized(NamedTuple):
    """A factor of the shifted system that leads downhill, and its shifts."""

    factor: Factor
    delta_w: float
    delta_c: float
    tries: int


def regularize(kkt: Any, rhs: Array, shifts: Shifts) -> Regularized | None:
    """Return the factor with the smallest shift tried that gives the inertia (n, m, 0)."""
    delta_w, delta_c = shifts.damp_w, shifts.damp_c
    tries = 0
    while delta_w <= LARGEST_W:
        tries += 1
        factor = kkt.factor(delta_w, delta_c)
        verdict = _judge(kkt, factor, rhs, delta_w, delta_c)
        if verdict == "good" and factor is not None:
            return Regularized(factor, delta_w, delta_c, tries)
        if verdict == "singular" and kkt.m and delta_c < RANK_SHIFT:
            delta_c = RANK_SHIFT
        else:
            delta_w = larger(delta_w, shifts.last_w)
    return None


def _judge(kkt: Any, factor: Factor | None, rhs: Array, delta_w: float, delta_c: float) -> str:
    """Return whether a factor is good, singular, or has too many negative eigenvalues."""
    if factor is None or factor.zero:
        return "singular"
    if factor.negative is not None:
        if factor.negative == kkt.m:
            return "good"
        return "singular" if factor.negative < kkt.m else "indefinite"
    d = factor.solve(rhs)
    return judge_step(kkt, d, rhs, delta_w, delta_c)


def judge_step(kkt: Any, d: Array, rhs: Array, delta_w: float, delta_c: float) -> str:
    """Judge a system by its solution: curvature along the step, and the residual."""
    product = kkt.product(d, delta_w, delta_c)
    residual = product - rhs
    if not inner(residual, residual) <= RESIDUAL**2 * inner(rhs, rhs):
        return "singular"
    dx = d[: kkt.n]
    curvature = inner(dx, kkt.H @ dx) + delta_w * inner(dx, dx)
    good = kkt.m == kkt.n or curvature >= CURVATURE * inner(dx, dx)
    return "good" if good else "indefinite"


def larger(delta_w: float, last: float) -> float:
    """Return the next shift to try."""
    if delta_w == 0:
        return FIRST_W if last == 0 else max(SMALLEST_W, last / DECREASE)
    return delta_w * (GROWTH_FIRST if last == 0 else GROWTH)
