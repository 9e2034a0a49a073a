"""How much the Newton system is shifted: until its inertia is (n, m, 0), and to damp steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._core.namespace import Array, inner
from .factor import Factor

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

    last_shift: float = 0.0
    primal_damping: float = 0.0
    dual_damping: float = 0.0
    short: int = 0

    def after_step(self, length: float) -> Shifts:
        """Return the damping after an accepted step of some length.

        Two short steps in a row raise it, a long one lowers it.
        """
        short = self.short + 1 if length <= SHORT else 0
        w, c = self.primal_damping, self.dual_damping
        if short >= 2:
            w, c = min(max(DAMP_W, 10 * w), MOST_W), min(max(DAMP_C, 5 * c), MOST_C)
        elif length >= LONG:
            w, c = w / 10, c / 10
        w, c = w if w >= 1e-8 else 0.0, c if c >= 1e-10 else 0.0
        return self._replace(primal_damping=w, dual_damping=c, short=short)

    def damped(self, *, first: bool) -> Shifts:
        """Return the damping where no step descends, for the first time or again."""
        w = max(1e-2, self.primal_damping) if first else max(1.0, 100 * self.primal_damping)
        return self._replace(primal_damping=w, dual_damping=max(1e-2 * w, self.dual_damping))


class Regularized(NamedTuple):
    """A factor of the shifted system that leads downhill, and its shifts."""

    factor: Factor
    primal_shift: float
    dual_shift: float
    tries: int


def regularize(kkt: Any, rhs: Array, shifts: Shifts) -> Regularized | None:
    """Return the factor with the smallest shift tried that gives the inertia (n, m, 0)."""
    primal_shift, dual_shift = shifts.primal_damping, shifts.dual_damping
    tries = 0
    while primal_shift <= LARGEST_W:
        tries += 1
        factor = kkt.factor(primal_shift, dual_shift)
        judged = _judge(kkt, factor, rhs, primal_shift, dual_shift)
        if judged == "good" and factor is not None:
            return Regularized(factor, primal_shift, dual_shift, tries)
        if judged == "singular" and kkt.m and dual_shift < RANK_SHIFT:
            dual_shift = RANK_SHIFT
        else:
            primal_shift = larger(primal_shift, shifts.last_shift)
    return None


def _judge(
    kkt: Any, factor: Factor | None, rhs: Array, primal_shift: float, dual_shift: float
) -> str:
    """Return whether a factor is good, singular, or has too many negative eigenvalues."""
    if factor is None or factor.zero:
        return "singular"
    if factor.negative is not None:
        if factor.negative == kkt.m:
            return "good"
        return "singular" if factor.negative < kkt.m else "indefinite"
    d = factor.solve(rhs)
    return judge_step(kkt, d, rhs, primal_shift, dual_shift)


def judge_step(kkt: Any, d: Array, rhs: Array, primal_shift: float, dual_shift: float) -> str:
    """Judge a system by its solution: curvature along the step, and the residual."""
    product = kkt.product(d, primal_shift, dual_shift)
    residual = product - rhs
    if not inner(residual, residual) <= RESIDUAL**2 * inner(rhs, rhs):
        return "singular"
    dx = d[: kkt.n]
    curvature = inner(dx, kkt.H @ dx) + primal_shift * inner(dx, dx)
    good = kkt.m == kkt.n or curvature >= CURVATURE * inner(dx, dx)
    return "good" if good else "indefinite"


def larger(primal_shift: float, last: float) -> float:
    """Return the next shift to try."""
    if primal_shift == 0:
        return FIRST_W if last == 0 else max(SMALLEST_W, last / DECREASE)
    return primal_shift * (GROWTH_FIRST if last == 0 else GROWTH)
