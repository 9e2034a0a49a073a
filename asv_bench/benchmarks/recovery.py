"""Robust recovery: time, error and iterations, and against principal component pursuit."""

import importlib.util

import numopt

from . import recovery_cases as cases
from .cases import QUICK


class Recover:
    """A matrix from dense measurements, the rank allowed to be anything."""

    param_names = ("share", "condition")
    params = ([0.2, 0.4], [1.0, 10.0])

    def setup(self, share, condition):
        d, r = (8, 1) if QUICK else (24, 3)
        self.A, self.y, self.X = cases.sensing(0, d, r, share, 15, condition)
        self.solve()

    def solve(self):
        return numopt.robust_low_rank_recovery(self.A, self.y)

    def time_solve(self, share, condition):
        self.solve()

    def peakmem_solve(self, share, condition):
        self.solve()

    def track_error(self, share, condition):
        return cases.error(self.solve().matrix(), self.X)

    track_error.unit = "relative error"

    def track_iterations(self, share, condition):
        return self.solve().nit

    track_iterations.unit = "iterations"


class Split:
    """A matrix from its entries, some of them wrong."""

    param_names = ("size", "share")
    params = ([60] if QUICK else [300, 500], [0.1, 0.3])

    def setup(self, size, share):
        self.M, self.X, _ = cases.table(0, size, 5, share)
        self.solve()

    def solve(self):
        return numopt.robust_pca(self.M, 5, rng=0)

    def time_solve(self, size, share):
        self.solve()

    def track_error(self, size, share):
        return cases.error(self.solve().matrix(), self.X)

    track_error.unit = "relative error"


class AgainstPyrpca:
    """The same next to an augmented Lagrangian method for the convex program."""

    param_names, params = Split.param_names, Split.params

    def setup(self, size, share):
        if importlib.util.find_spec("pyrpca") is None:
            raise NotImplementedError("pyrpca is not installed")
        self.M, _, _ = cases.table(0, size, 5, share)
        numopt.robust_pca(self.M, 5, rng=0)

    def track_ratio(self, size, share):
        import pyrpca

        own, _ = cases.clock(lambda: numopt.robust_pca(self.M, 5, rng=0), 3)
        its, _ = cases.clock(lambda: pyrpca.rpca_pcp_ialm(self.M, size**-0.5, verbose=False))
        return its / own

    track_ratio.unit = "times as long"
