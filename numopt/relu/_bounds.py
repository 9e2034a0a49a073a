"""The best bounds seen on the way of a solve, and what it ends with."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.iterate import Record
from .._core.namespace import Array, array_namespace
from ._certificate import (
    Lower,
    Upper,
    better_lower,
    better_upper,
    infeasibility,
    lower_bound,
    objective,
    relative_gap,
    upper_bound,
)
from ._program import Program, zeros_like_neurons
from .interior.projection import closest_inside

# Neurons (C, 2, P, d) to start from, and multipliers (C, 2, P, n) if they are known.
Start = tuple[Array, Array | None] | None


class Outcome(NamedTuple):
    """Both bounds, the neurons behind them and how they were found, in normalized units.

    `V` are the neurons of the last iterate and `mu` its multipliers, None where it has none.
    """

    upper: Upper
    lower: Lower
    V: Array
    mu: Array | None
    nit: int
    n_factorizations: int
    status: int
    method: str
    rho: tuple[float, ...] | None
    history: list[Record]


class Bounds:
    """The best bounds seen so far. What it reports is relative to the units of the user."""

    def __init__(self, program: Program, output: int = -1) -> None:
        """Start from the zero network, whose objective bounds the optimum from above."""
        zero = zeros_like_neurons(program)
        self.program, self.output = program, output
        self.upper = Upper(objective(program, zero), zero)
        self.lower: Lower | None = None

    @property
    def gap(self) -> float:
        """The largest relative gap over the outputs."""
        return math.inf if self.lower is None else relative_gap(self.upper.value, self.lower.value)

    def see_multipliers(self, theta: Array, mu: Array) -> None:
        """Take note of a point of the dual problem."""
        self.see_lower(lower_bound(self.program, theta, mu))

    def see_lower(self, lower: Lower) -> None:
        """Take note of a lower bound."""
        self.lower = better_lower(self.lower, lower)

    def see_neurons(self, V: Array) -> None:
        """Take note of neurons in their cones, or so near that their gates take them in."""
        self.upper = better_upper(self.upper, upper_bound(self.program, V))

    def project(self, V: Array) -> None:
        """Take note of the closest neurons in their cones."""
        points = closest_inside(self.program, V)
        if points is not None:
            self.see_neurons(points)

    def record(self, V: Array) -> Record:
        """Return what the history keeps of a check."""
        xp, unit = array_namespace(V), self.program.value_unit
        lower = -math.inf if self.lower is None else float(xp.sum(self.lower.value))
        return {
            "error": self.gap,
            "fun": unit * float(xp.sum(self.upper.value)),
            "dual_fun": unit * lower,
            "infeasibility": infeasibility(self.program, V),
            "output": self.output,
        }
