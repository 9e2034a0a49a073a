"""The cases every contender is measured on, and the goals set for numopt.

With ``NUMOPT_BENCH_QUICK`` in the environment they shrink until each takes a moment.
"""

import os
from typing import NamedTuple

QUICK = bool(os.environ.get("NUMOPT_BENCH_QUICK"))
TOLERANCES = (1e-6, 1e-10)
SEEDS = 2 if QUICK else 6


class Case(NamedTuple):
    """`goals` maps a marginal error to the wanted ratio of the best peer's time to numopt's."""

    family: str
    n: int
    eta: float
    goals: dict[float, float]
    limit: float = 30.0

    @property
    def seeds(self):
        """Number of problems: images and densities differ twentyfold in how hard they are."""
        if QUICK or self.n > 1000 or self.family == "batch":
            return 1
        return 6 if self.family.startswith(("img", "dens")) else 3

    @property
    def name(self):
        return f"{self.family}-{self.n}-{self.eta:g}"


def both(loose, tight=None):
    return dict(zip(TOLERANCES, (loose, tight or loose), strict=True))


def shrunk(case):
    n = {"imgL1": 64, "imgL2": 64, "batch": 8}.get(case.family, 40)
    return case._replace(n=n, eta=50.0, limit=5.0)


FULL = [
    Case("assign", 500, 1200, both(8)),
    Case("cloud", 500, 1200, both(5)),
    Case("assign", 1000, 1200, both(9, 17)),
    Case("cloud", 1000, 1200, both(7, 10)),
    Case("imgL1", 784, 1200, both(30)),
    Case("dens", 1000, 1200, both(8, 11)),
    Case("dens1", 1000, 1200, both(28)),
    Case("assign", 1000, 1e4, both(20)),
    Case("cloud", 1000, 1e4, both(20)),
    Case("imgL2", 784, 1e4, both(20)),
    Case("dens", 1000, 1e4, both(20)),
    Case("cloud", 2000, 1200, {1e-6: 6}),
    Case("cloud", 4000, 1200, {1e-6: 9}, limit=60),
    Case("points", 20_000, 1000, {1e-6: 5}, limit=200),
    Case("batch", 200, 100, both(3)),
]
CASES = {case.name: case for case in map(shrunk, FULL)} if QUICK else {c.name: c for c in FULL}

# What a solve to 1e-10 took when the method was designed: the range of its passes over the cost and
# the largest number of Newton steps. The ceiling for a median is 1.3 times the middle of the range.
COUNT_SIZE = 60 if QUICK else 1000
SEEN = {
    200: {"easy": ((15, 19), 5), "imgL2": ((16, 18), 6), "imgL1": ((21, 42), 11)},
    1200: {"easy": ((21, 28), 9), "imgL2": ((23, 33), 8), "imgL1": ((35, 149), 35)},
    10_000: {"easy": ((32, 47), 20), "imgL2": ((57, 165), 45), "imgL1": ((46, 357), 99)},
}
COUNT_FAMILIES = ("assign", "cloud", "cloudw3", "rect", "imgL2", "imgL1")


def ceilings(family, eta):
    """Most passes and most Newton steps allowed as medians over the seeds."""
    seen = SEEN[eta]
    (low, high), newton = seen.get(family, seen["easy"])
    return {"n_passes": 1.3 * (low + high) / 2, "nit_newton": newton}


# Ratio of passes of a cold start to those of a warm start on a slightly changed problem.
WARM_GOAL = 4.0
WARM_SIZE = 60 if QUICK else 1000
