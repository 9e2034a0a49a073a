"""What makes a matrix of low rank a success: how exactly the data agree with it, counted anew."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from .._core.namespace import Array, array_namespace
from .._core.outcome import Check
from .._linalg import Factors, degrees_of_freedom
from ._problem import Problem, magnitudes, offset_of
from ._robust_scale import CONSENSUS, deviation, size_of

# Share of rows or of columns that a solution may leave unexplained.
UNEXPLAINED = 0.1
# Deviation of the residual, relative to that of the data, up to which noise is an explanation.
NOISE = 0.5


class Evidence(NamedTuple):
    """What the data say of a matrix; what only entries tell is None for other measurements."""

    residual: Array  # of everything observed, a vector
    tol: float  # largest residual that counts as agreement, in the unit of the data
    sigma: float  # robust deviation of the residual
    size: Callable[[], float]  # that of the data, which only noise needs
    agreeing: int  # how many of the data agree exactly
    unknowns: int  # degrees of freedom of the matrix, 0 if it is zero
    noun: str = "measurements"
    ties: float | None = None  # entries that two parts need between them, over those there are
    unexplained: float | None = None  # share of rows or columns next to none of which agrees

    @property
    def consensus(self) -> float:
        """Number of data that agree for each unknown of the rank."""
        return self.agreeing / (self.unknowns or 1)


def evidence_of(
    problem: Problem, factors: Factors, intercept: float, *, q: float, tol: float
) -> Evidence:
    """Return how exactly measurements agree with a matrix and an intercept.

    `q` is the quantile that scales are taken at, `tol` relative to the scale of the measurements.
    """
    xp, y = array_namespace(problem.y), problem.y
    residual = problem.operator.forward(factors.left, factors.right) - y + intercept
    size = size_of(y - offset_of(problem, y), q)
    return Evidence(
        residual,
        tol * size,
        deviation(residual, q),
        lambda: size,
        int(xp.count_nonzero(magnitudes(problem, residual) <= tol * size)),
        unknowns_of(factors, problem.operator.shape, problem.symmetric),
    )


def unknowns_of(factors: Factors, shape: tuple[int, int], symmetric: bool) -> int:
    """Return how many numbers a matrix of the rank of some factors takes, none for zero."""
    if not bool(array_namespace(factors.left).any(factors.left != 0)):
        return 0
    return degrees_of_freedom(shape, factors.rank, symmetric)


def exact_checks(evidence: Evidence) -> list[Check]:
    """Return whether enough data agree exactly, and hold the matrix together."""
    known = math.isfinite(evidence.sigma)
    ratio = evidence.unknowns / (evidence.agreeing or 1) if known else math.nan
    checks = [Check(f"ratio of unknowns to agreeing {evidence.noun}", ratio, 1 / CONSENSUS)]
    if evidence.ties is not None and evidence.unexplained is not None:
        checks += [
            Check("ratio of ties needed to ties found", evidence.ties, 1.0),
            Check("share of unexplained rows or columns", evidence.unexplained, UNEXPLAINED),
        ]
    return checks


def noise_check(evidence: Evidence) -> Check:
    """Return whether what is left is small enough to be noise; nothing is, of data of zero."""
    sigma, size = evidence.sigma, evidence.size()
    left = math.inf if sigma else 0.0
    return Check("residual", sigma / size if size > 0 else left, NOISE, "relative to the data")


def checks_of(evidence: Evidence, noise: bool) -> list[Check]:
    """Return what decides on success: exact agreement or, if there may be noise, a small rest."""
    checks = exact_checks(evidence)
    return [noise_check(evidence)] if noise and not passed(checks) else checks


def passed(checks: list[Check]) -> bool:
    """Return whether all checks are passed."""
    return all(check.passed for check in checks)


def checked_again(evidence: Evidence, given: list[Check]) -> list[Check]:
    """Return the same checks as some that were given, measured anew; their limits stay."""
    measured = [*exact_checks(evidence), noise_check(evidence)]
    values = {check.name: check.value for check in measured}
    return [check._replace(value=values[check.name]) for check in given]
