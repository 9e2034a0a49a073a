"""Options of a solve, its outcome, and the best bounds seen on the way to it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core.iterate import Callback, Record
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
from ._network import network_objective, network_of
from ._program import Program, zeros_like_neurons
from ._projection import closest_inside

METHODS = ("auto", "interior", "rows", "cholesky", "sylvester", "rbcd")
STOPS = ("gap", "network")
NETWORK_SETTLED, PRECISION, NO_PATTERN, UNPROVED = 2, 3, 4, 5

# Checks without improvement after which a network counts as settled.
_PATIENCE = 5


# Neurons (C, 2, P, d) to start from, and multipliers (C, 2, P, n) if they are known.
Start = tuple[Array, Array | None] | None


class Settings(NamedTuple):
    """Validated options of a solve."""

    method: str
    tol: float
    maxiter: int
    stop: str
    polish: bool
    rho: float | None
    callback: Callback | None
    rng: Any


class Outcome(NamedTuple):
    """Both bounds, the neurons behind them and how they were found, in normalized units."""

    upper: Upper
    lower: Lower
    V: Array
    mu: Array | None
    nit: int
    factorizations: int
    status: int
    method: str
    rho: tuple[float, ...] | None
    history: list[Record]


class Verdict:
    """The best bounds seen so far. What it reports is relative to the units of the user."""

    def __init__(self, problem: Program, output: int = -1) -> None:
        """Start from the zero network, whose objective bounds the optimum from above."""
        zero = zeros_like_neurons(problem)
        self.problem, self.output = problem, output
        self.upper = Upper(objective(problem, zero), zero)
        self.lower: Lower | None = None
        self.settled = 0
        self.best_network: tuple[float, Array] | None = None

    @property
    def gap(self) -> float:
        """The largest relative gap over the outputs."""
        return math.inf if self.lower is None else relative_gap(self.upper.value, self.lower.value)

    def see_multipliers(self, theta: Array, mu: Array) -> None:
        """Take note of a point of the dual problem."""
        self.lower = better_lower(self.lower, lower_bound(self.problem, theta, mu))

    def see_neurons(self, V: Array) -> None:
        """Take note of neurons in their cones, or so near that their gates take them in."""
        self.upper = better_upper(self.upper, upper_bound(self.problem, V))

    def project(self, V: Array) -> None:
        """Take note of the closest neurons in their cones."""
        points = closest_inside(self.problem, V)
        if points is not None:
            self.see_neurons(points)

    def record(self, V: Array) -> Record:
        """Return what the history keeps of a check."""
        xp, unit = array_namespace(V), self.problem.value_unit
        lower = -math.inf if self.lower is None else float(xp.sum(self.lower.value))
        return {
            "error": self.gap,
            "fun": unit * float(xp.sum(self.upper.value)),
            "dual": unit * lower,
            "infeas": infeasibility(self.problem, V),
            "output": self.output,
        }

    def network_settled(self, V: Array, tol: float) -> bool:
        """Tell whether the network of neurons has not improved by `tol` for some checks."""
        p = self.problem
        value = network_objective(p.X, p.y, p.weights, *network_of(V), p.beta, p.loss)
        if self.best_network is None or value < self.best_network[0] * (1 - tol):
            self.best_network, self.settled = (value, V), 0
        else:
            self.settled += 1
        return self.settled >= _PATIENCE
