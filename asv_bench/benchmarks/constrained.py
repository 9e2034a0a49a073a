"""Equality-constrained programs: time, accuracy, evaluations, ratios to other solvers."""

import os
import time

import numpy as np

from . import constrained_large as large
from .constrained_named import NAMED, PAPER, Named
from .constrained_peers import PEERS, installed

QUICK = "NUMOPT_BENCH_QUICK" in os.environ
LARGE = {
    "control-16": lambda: large.EllipticControl(16),
    "chained-1000": lambda: large.ChainedRosenbrock(1000),
    "logistic-2000x30": lambda: large.synthetic_logistic(2000, 30),
    "control-64": lambda: large.EllipticControl(64),
    "control-128": lambda: large.EllipticControl(128),
    "chained-10000": lambda: large.ChainedRosenbrock(10_000),
    "logistic-20000x300": large.synthetic_logistic,
}


def residual(problem, x):
    """Return the violation of a point, and its gradient along the constraints."""
    from scipy.sparse.linalg import lsmr

    g, c, G = problem.grad(x), problem.con(x), problem.jac(x)
    lam = lsmr(G.T, -g, atol=1e-15, btol=1e-15, maxiter=20_000)[0]
    return float(max(np.abs(g + G.T @ lam).max() / max(1, np.abs(g).max()), np.abs(c).max()))


class Large:
    params = (tuple(LARGE),)
    param_names = ("problem",)
    timeout = 120

    def setup(self, name):
        self.problem = LARGE[name]()

    def time_solve(self, name):
        PEERS["numopt"](self.problem)

    def peakmem_solve(self, name):
        PEERS["numopt"](self.problem)

    def track_certificate(self, name):
        return residual(self.problem, PEERS["numopt"](self.problem))

    track_certificate.unit = "residual"


class LargeAgainstIpopt:
    params = (tuple(LARGE),)
    param_names = ("problem",)
    timeout = 120

    def setup(self, name):
        if not installed("ipopt"):
            raise NotImplementedError("ipyopt is not installed")
        self.problem = LARGE[name]()

    def track_ratio_to_ipopt(self, name):
        structure = self.problem.structure()
        begin = time.perf_counter()
        PEERS["numopt"](self.problem)
        middle = time.perf_counter()
        PEERS["ipopt"](self.problem, structure=structure)
        return (middle - begin) / (time.perf_counter() - middle)

    track_ratio_to_ipopt.unit = "time of numopt / time of IPOPT"


class NamedProblems:
    """The sixty named problems together."""

    timeout = 300

    def setup(self):
        self.problems = [Named(name) for name in (NAMED[:6] if QUICK else NAMED)]
        self.paper = [Named(name) for name in (PAPER[:3] if QUICK else PAPER)]

    def track_solved(self):
        return sum(residual(p, PEERS["numopt"](p)) <= 1e-8 for p in self.problems)

    def track_overhead(self):
        overhead = []
        for problem in self.problems:
            problem.reset()
            begin = time.perf_counter()
            PEERS["numopt"](problem)
            overhead.append(time.perf_counter() - begin - problem.seconds)
        return float(np.median(overhead))

    def track_sketches(self):
        from scipy.optimize import NonlinearConstraint

        import numopt

        return float(
            np.median(
                [
                    numopt.minimize_equality(
                        p.fun,
                        p.x0,
                        jac=p.grad,
                        lagrangian_hess=p.hess_lagrangian,
                        constraints=NonlinearConstraint(p.con, 0, 0, jac=p.jac),
                        sketch="kaczmarz",
                        tol=1e-4,
                        rng=0,
                    ).stats["n_inner"]
                    for p in self.paper
                ]
            )
        )

    track_solved.unit = "problems"
    track_overhead.unit = "s"
    track_sketches.unit = "rows"


class Sweep:
    """Projections onto all rows of a dense matrix, next to one product with it."""

    params = ((400, 2000),)
    param_names = ("N",)

    def setup(self, N):
        from numopt._kernels.kaczmarz import kaczmarz_sweep

        rng = np.random.default_rng(0)
        self.K, self.b, self.d = rng.normal(size=(N, N)), rng.normal(size=N), np.zeros(N)
        self.norms, self.rows = (self.K**2).sum(axis=1), rng.permutation(N)
        self.sweep = kaczmarz_sweep
        self.time_sweep(N)  # compiles

    def time_sweep(self, N):
        self.sweep(self.K, self.b, self.d, self.norms, self.rows)

    def time_product(self, N):
        self.K @ self.d
