"""What all stops share: checks, lines of the table, and timing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).parents[1] / "data"
TOL = 1e-8


class Check(NamedTuple):
    """A figure computed from a result without the solver, and the range it must be in."""

    name: str
    value: float
    high: float
    low: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the figure is in its range; not a number never is."""
        return self.low <= self.value <= self.high


class Row(NamedTuple):
    """A line of the table."""

    solver: str
    problem: str
    size: str
    seconds: tuple[float, float]  # of the first and of the second call
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether all checks passed; no check is no certificate."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def timed(solve: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """Return what `solve` returns, and how long its first and second call took."""
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        result = solve()
        seconds.append(time.perf_counter() - begin)
    return result, (seconds[0], seconds[1])
