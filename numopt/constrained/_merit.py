"""The exact augmented Lagrangian: its value, its slope, and penalties that make steps descend.

``M(x, lam) = f + lam'c + eta1/2 |c|^2 + eta2/2 |g + G'lam|^2``. Along a step d = (dx, dlam) its
slope is linear in the two penalties, ``a0 + eta1 a1 + eta2 a2``, with three numbers that take one
product with the Hessian of the Lagrangian.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.namespace import Array, inner
from ._problem import Point

LARGEST_ETA1 = 1e10
SMALLEST_ETA2 = 1e-14
# Lowered penalties are tried in steps of ten.
SMALLEST_ETA1 = 1e-8
LOWERINGS = 6


class Penalties(NamedTuple):
    """Weights of the two squared terms of the merit function."""

    eta1: float
    eta2: float


class Slope(NamedTuple):
    """The slope of the merit function as a function of the penalties, and ``|F|^2``."""

    a0: float
    a1: float
    a2: float
    residual: float
    gradient: float  # the part |gL|^2 of the residual

    def along(self, penalties: Penalties) -> float:
        """Return the slope."""
        return self.a0 + penalties.eta1 * self.a1 + penalties.eta2 * self.a2

    def descends(self, penalties: Penalties) -> bool:
        """Tell whether the slope is at most ``-eta2/2 |F|^2``."""
        return self.along(penalties) <= -0.5 * penalties.eta2 * self.residual

    def adapted(self, penalties: Penalties, rate: float) -> Penalties | None:
        """Return penalties with which the step descends, None if there are none within bounds.

        ``eta1`` grows by ``rate^2`` as long as c decreases along the step, ``eta2`` shrinks by
        ``rate`` as long as its term is what prevents descent. Neither takes an evaluation.
        """
        eta1, eta2 = penalties
        while not self.descends(Penalties(eta1, eta2)):
            raises = self.a1 < 0 and eta1 < LARGEST_ETA1
            lowers = self.a2 > -0.5 * self.gradient and eta2 > SMALLEST_ETA2
            if not (raises or lowers):
                return None
            eta1 = min(eta1 * rate**2, LARGEST_ETA1) if raises else eta1
            eta2 = max(eta2 / rate, SMALLEST_ETA2) if lowers else eta2
        return Penalties(eta1, eta2)

    def lowered(self, penalties: Penalties, excess: Terms, slack: float) -> Penalties | None:
        """Return lower penalties that accept a trial and keep the step a descent, if there are any.

        `excess` is how much each term of the trial is above the line that it must stay below.
        """
        if penalties.eta1 * excess.violation < 0 and penalties.eta2 * excess.gradient < 0:
            return None
        for k in range(1, LOWERINGS + 1):
            share = 10.0**-k
            lower = Penalties(
                max(penalties.eta1 * (share if excess.violation > 0 else 1.0), SMALLEST_ETA1),
                max(penalties.eta2 * (share if excess.gradient > 0 else 1.0), SMALLEST_ETA2),
            )
            if excess.value(lower) <= slack and self.descends(lower):
                return lower
        return None


class Terms(NamedTuple):
    """What the merit function is made of: ``f + lam'c``, ``|c|^2 / 2`` and ``|gL|^2 / 2``."""

    lagrangian: float
    violation: float
    gradient: float
    fun: float = 0.0

    def value(self, penalties: Penalties) -> float:
        """Return the merit function for some penalties."""
        return self.lagrangian + penalties.eta1 * self.violation + penalties.eta2 * self.gradient

    def minus(self, start: Terms, slope: Slope, length: float) -> Terms:
        """Return what is above the line of some length that starts with a slope."""
        return Terms(
            self.lagrangian - start.lagrangian - length * slope.a0,
            self.violation - start.violation - length * slope.a1,
            self.gradient - start.gradient - length * slope.a2,
        )


def terms_of(point: Point, gL: Array, lam: Array) -> Terms:
    """Return the terms of the merit function at a point."""
    gradient = 0.5 * inner(gL, gL)
    if not lam.shape[0]:
        return Terms(point.fun, 0.0, gradient, point.fun)
    c = point.c
    return Terms(point.fun + inner(lam, c), 0.5 * inner(c, c), gradient, point.fun)


def slope_of(point: Point, gL: Array, H: Any, dx: Array, dlam: Array) -> Slope:
    """Return the slope of the merit function along a step."""
    along = H @ dx
    gradient = inner(gL, gL)
    if not point.c.shape[0]:
        return Slope(inner(gL, dx), 0.0, inner(gL, along), gradient, gradient)
    return Slope(
        inner(gL, dx) + inner(point.c, dlam),
        inner(point.c, point.G @ dx),
        inner(gL, along + point.G.T @ dlam),
        gradient + inner(point.c, point.c),
        gradient,
    )
