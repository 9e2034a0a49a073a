"""What all solvers of the Newton system have in common, and the one that factors it."""

from __future__ import annotations

from typing import Any, Protocol

from ..._core.namespace import Array
from .._matrices import is_operator
from ..kkt.regularize import Regularized, Shifts, regularize
from ..kkt.system import build_kkt


def need_entries(name: str, *matrices: Any) -> None:
    """Raise if a solver that works on entries or rows is given operators."""
    if any(is_operator(A) for A in matrices):
        raise operators_given(name)


def operators_given(name: str) -> ValueError:
    """Return the error for a solver that cannot work with operators."""
    option = "method" if name == "direct" else "sketch"
    return ValueError(
        f"`{option}` = {name!r} needs rows of matrices, but derivatives were given as operators; "
        "use method='gmres' (or 'minres')."
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
    primal_shift: float
    inner: int

    def solve(self, rtol: float) -> Array | None:
        """Return a solution with that relative residual, going on from the last one."""


class DirectWork:
    """A factored system."""

    exact = True
    inner = 0

    def __init__(self, regularized: Regularized, rhs: Array) -> None:
        self.primal_shift = regularized.primal_shift
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
