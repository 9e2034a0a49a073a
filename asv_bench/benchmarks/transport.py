"""Entropic transport: time, memory, accuracy, iteration counts, and ratios to other libraries."""

import math
import os
import subprocess
import sys
import tempfile

import numpy as np

import numopt

from . import contest, counts, peers, problems
from .accuracy import marginal_error
from .cases import CASES, COUNT_FAMILIES, QUICK, SEEN, TOLERANCES

ETA = 1200.0
FIRST_CALL = """
import numpy as np, numopt
cost = np.random.default_rng(0).random((300, 300))
assert numopt.entropic_transport(cost, reg=1 / 1200).success
"""


class Solve:
    """Random assignment in each array library; float32 stops above the floor of its precision."""

    param_names = ("n", "dtype", "library")
    params = ([60] if QUICK else [500, 1000, 2000], ["float64", "float32"], ["numpy", "torch"])

    def setup(self, n, dtype, library):
        xp = np
        if library == "torch":
            try:
                import torch as xp
            except ImportError:
                raise NotImplementedError from None
        self.problem = problems.make("assign", n, ETA)
        named = self.problem.cost, self.problem.a, self.problem.b
        self.arrays = [xp.asarray(array, dtype=getattr(xp, dtype)) for array in named]
        self.tol = max(1e-8, 16 * float(np.finfo(dtype).eps) * ETA)
        self.solve()

    def solve(self):
        return numopt.entropic_transport(*self.arrays, reg=1 / ETA, tol=self.tol)

    def time_solve(self, n, dtype, library):
        self.solve()

    def peakmem_solve(self, n, dtype, library):
        self.solve()

    def track_certificate(self, n, dtype, library):
        result = self.solve()
        answer = peers.from_potentials(self.problem, result.f, result.g)
        return marginal_error(self.problem, answer)

    track_certificate.unit = "L1 marginal error"


class Large:
    """Cases whose memory matters: a large matrix, a cost that is never stored, a batch."""

    param_names = ("case",)
    params = (
        [name for name, c in CASES.items() if c.n >= 4000 or c.family in ("points", "batch")],
    )
    timeout = 900

    def setup(self, name):
        case = CASES[name]
        self.solve = peers.numopt_solver(
            problems.make(case.family, case.n, case.eta), target=TOLERANCES[0]
        )

    def time_solve(self, name):
        self.solve(effort=1.0)

    def peakmem_solve(self, name):
        self.solve(effort=1.0)


class Counts:
    """Medians over seeds, for solves to 1e-10."""

    param_names = ("family", "eta")
    params = (COUNT_FAMILIES, tuple(SEEN))

    def setup(self, family, eta):
        self.counts = counts.median_counts(family, eta)

    def track_n_passes(self, family, eta):
        return self.counts["n_passes"]

    def track_nit_newton(self, family, eta):
        return self.counts["nit_newton"]

    def track_nit_cg(self, family, eta):
        return self.counts["nit_cg"]


class WarmStart:
    """A cloud that moved by 1e-4 and a `reg` one percent smaller, started from the old answer."""

    def setup(self):
        self.passes = counts.warm_start_passes(ETA)

    def track_fewer_passes(self):
        return self.passes["cold"] / self.passes["warm"]

    track_fewer_passes.unit = "cold / warm"


class FirstCall:
    """A small solve in a fresh interpreter, with compiled kernels on disk and without."""

    param_names = ("cache",)
    params = (["warm", "empty"],)
    number, repeat = 1, 3
    timeout = 300

    def setup(self, cache):
        self.folder = tempfile.TemporaryDirectory()
        if cache == "warm":
            self.time_first_call(cache)

    def teardown(self, cache):
        self.folder.cleanup()

    def time_first_call(self, cache):
        environment = os.environ.copy()
        if cache == "empty":
            self.folder.cleanup()
            environment["NUMOPT_CACHE_DIR"] = self.folder.name
        subprocess.run([sys.executable, "-c", FIRST_CALL], env=environment, check=True)


class _Ratio:
    """Time of the fastest solver of a peer over numopt's, both to the same measured error.

    Not a number where no solver of the peer gets there within the limit of the case.
    """

    param_names = ("case", "error")
    params = (list(CASES), TOLERANCES)
    timeout = 7200
    peer = ""

    def setup(self, name, error):
        if not peers.is_installed(self.peer) or error not in CASES[name].goals:
            raise NotImplementedError

    def ratio(self, name, error):
        case = CASES[name]
        task = contest.Task(case.family, case.n, case.eta, "numopt", error, limit=case.limit)
        own = contest.measure(task).seconds
        best = contest.fastest(contest.measure_peer(task, self.peer))
        return best[1].seconds / own if best and own else math.nan


class RatioToPOT(_Ratio):
    peer = "POT"

    def track_ratio_to_pot(self, name, error):
        return self.ratio(name, error)


class RatioToRegOT(_Ratio):
    peer = "regot"

    def track_ratio_to_regot(self, name, error):
        return self.ratio(name, error)


class RatioToOTT(_Ratio):
    peer = "ott"

    def track_ratio_to_ott(self, name, error):
        return self.ratio(name, error)


class RatioToGeomLoss(_Ratio):
    peer = "geomloss"

    def track_ratio_to_geomloss(self, name, error):
        return self.ratio(name, error)
