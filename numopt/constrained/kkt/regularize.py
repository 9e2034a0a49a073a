"""How much the Newton system is shifted: until its inertia is (n, m, 0), and to damp steps."""

from __future__ import annotations

from typing import NamedTuple

from ..._core.namespace import Array, inner
from .factor import Factor
from .system import Blocks

# Sizes and growth of the shift of the Hessian, as in Waechter and Biegler (2006, algorithm IC).
FIRST_SHIFT, SMALLEST_SHIFT, LARGEST_SHIFT = 1e-4, 1e-20, 1e20
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


def regularize(kkt: Blocks, rhs: Array, shifts: Shifts) -> Regularized | None:
    """Return the factor with the smallest shift tried that gives the inertia (n, m, 0)."""
    primal_shift, dual_shift = shifts.primal_damping, shifts.dual_damping
    tries = 0
    while primal_shift <= LARGEST_SHIFT:
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
    kkt: Blocks, factor: Factor | None, rhs: Array, primal_shift: float, dual_shift: float
) -> str:
    """Return whether a factor is good, singular, or has too many negative eigenvalues."""
    if factor is None or factor.zero:
        return "singular"
    if factor.negative is not None:
        if factor.negative == kkt.m:
            return "good"
        return "singular" if factor.negative < kkt.m else "indefinite"
    d = factor.solve(rhs)
    residual = kkt.product(d, primal_shift, dual_shift) - rhs
    if not inner(residual, residual) <= RESIDUAL**2 * inner(rhs, rhs):
        return "singular"
    return "good" if curves_up(kkt, d, primal_shift) else "indefinite"


def curves_up(kkt: Blocks, d: Array, primal_shift: float) -> bool:
    """Tell whether the shifted Hessian is positive along a step, or has no say in it."""
    dx = d[: kkt.n]
    size = inner(dx, dx)
    return kkt.m == kkt.n or inner(dx, kkt.H @ dx) + primal_shift * size >= CURVATURE * size


def larger(primal_shift: float, last: float) -> float:
    """Return the next shift to try."""
    if primal_shift == 0:
        return FIRST_SHIFT if last == 0 else max(SMALLEST_SHIFT, last / DECREASE)
    return primal_shift * (GROWTH_FIRST if last == 0 else GROWTH)
