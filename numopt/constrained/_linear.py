"""Who solves the Newton system: a factorization, a Krylov method, or row sketches."""

from __future__ import annotations

from typing import Any, Protocol

from .._core.namespace import Array
from ._inertia import Regularized, Shifts, regularize
from ._kkt import build_kkt
from ._matrices import is_operator

SOLVERS = ("auto", "direct", "gmres", "minres", "kaczmarz", "gaussian", "block-kaczmarz")
SKETCHES = ("kaczmarz", "gaussian", "block-kaczmarz")


def need_entries(name: str, *matrices: Any) -> None:
    """Raise if a solver that works on entries or rows is given operators."""
    if any(is_operator(A) for A in matrices):
        raise operators_given(name)


def operators_given(name: str) -> ValueError:
    """Return the error for a solver that cannot work with operators."""
    return ValueError(
        f"`linear_solver` = {name!r} needs rows of matrices, but derivatives were given as "
        "operators; use linear_solver='gmres' (or 'minres')."
    )


class Counts:
    """Work done by linear solvers over a whole run."""

    def __init__(self) -> None:
        self.factorizations = 0
        self.inner = 0
        self.fallbacks = 0


class Work(Protocol):
    """One Newton system being solved, to one accuracy after the other."""

    exact: bool
    delta_w: float
    delta_c: float
    inner: int

    def solve(self, rtol: float) -> Array | None:
        """Return a solution with that relative residual, going on from the last one."""


class DirectWork:
    """A factored system."""

    exact = True
    inner = 0

    def __init__(self, regularized: Regularized, rhs: Array) -> None:
        self.delta_w, self.delta_c = regularized.delta_w, regularized.delta_c
        self._solve, self._rhs = regularized.factor.solve, rhs

    def solve(self, _: float) -> Array:
        """Return the solution."""
        return self._solve(self._rhs)


class Direct:
    """Solve by a symmetric indefinite factorization, shifted until its inertia is right."""

    name = "direct"

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self._pattern: Any = None

    def begin(self, H: Any, G: Any, rhs: Array, shifts: Shifts) -> Work | None:
        """Return the factored system, None if no shift gives it the right inertia."""
        need_entries(self.name, H, G)
        kkt = build_kkt(H, G, self._pattern)
        self._pattern = getattr(kkt, "pattern", None)
        regularized = regularize(kkt, rhs, shifts)
        if regularized is None:
            return None
        self.counts.factorizations += regularized.tries
        return DirectWork(regularized, rhs)
