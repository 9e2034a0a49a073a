"""What makes a point a solution: the residuals of its optimality conditions, in the user's units.

Pure functions of the program as it was given, the point and the multipliers.
"""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array
from .._core.outcome import Check
from ._matrices import largest
from ._problem import Point, Problem, lagrangian_gradient


class Residuals(NamedTuple):
    """How far a point is from the conditions ``g + G'lam = 0`` and ``c = 0``.

    Largest absolute entries: of the gradient of the Lagrangian, of the constraints, and of g.
    """

    optimality: float
    infeasibility: float
    gradient: float

    @property
    def relative(self) -> float:
        """The gradient of the Lagrangian relative to ``max(1, |g|)``."""
        return self.optimality / max(1.0, self.gradient)

    def checks(self, tol: float, feas_tol: float) -> list[Check]:
        """Return what makes the point a success."""
        return [
            Check("relative gradient of the Lagrangian", self.relative, tol, "max(1, |g|)"),
            Check("infeasibility", self.infeasibility, feas_tol, "unit of the constraints"),
        ]


NOWHERE = Residuals(float("nan"), float("nan"), float("nan"))


def residuals(point: Point, lam: Array) -> Residuals:
    """Return the residuals of a point and multipliers (m,), both in the user's units."""
    gradient = lagrangian_gradient(point, lam)
    return Residuals(largest(gradient), largest(point.c), largest(point.g))


def residuals_at(problem: Problem, x: Array, lam: Array) -> Residuals:
    """Return the residuals at x of a program that was not scaled, from its functions alone."""
    point = problem.first_point(x)
    if point is None:
        return NOWHERE
    if lam.shape[0] != problem.m:
        raise ValueError(
            f"`constraints` must be those of the result, which has {lam.shape[0]} multipliers, "
            f"got {problem.m} equations."
        )
    return residuals(point, lam)
