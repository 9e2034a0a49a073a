"""Least squares and sketches: time, memory, measured errors, passes, ratios to other libraries."""

import math

import numpy as np

import numopt

from . import regression_cases as cases
from . import regression_contest as contest
from . import regression_table as table
from .cases import QUICK

SIZE = table.METHOD_SIZE


class Solve:
    """A well-conditioned problem in each array library and precision."""

    param_names = ("d", "dtype", "library")
    params = ([10] if QUICK else [50, 200], ["float64", "float32"], ["numpy", "torch"])

    def setup(self, d, dtype, library):
        xp = np
        if library == "torch":
            try:
                import torch as xp
            except ImportError:
                raise NotImplementedError from None
        rng = np.random.default_rng(0)
        A, b = rng.standard_normal((SIZE[0], d)), rng.standard_normal(SIZE[0])
        self.arrays = [xp.asarray(array, dtype=getattr(xp, dtype)) for array in (A, b)]
        self.solve()

    def solve(self):
        return numopt.lstsq(*self.arrays, rng=0)

    def time_solve(self, d, dtype, library):
        self.solve()

    def peakmem_solve(self, d, dtype, library):
        self.solve()


class Methods:
    """Every method as the condition number grows; its error is measured apart from it."""

    param_names = ("method", "cond")
    params = (table.METHODS, table.CONDITIONS)

    def setup(self, method, cond):
        case = cases.Case("dense", *SIZE, cond, {}, cases.TARGET)
        self.problem = cases.make(case)
        self.result = self.solve(method)

    def solve(self, method):
        return numopt.lstsq(*self.problem, method=method, rng=0)

    def time_solve(self, method, cond):
        self.solve(method)

    def peakmem_solve(self, method, cond):
        self.solve(method)

    def track_backward_error(self, method, cond):
        return cases.Yardstick("dense", self.problem).error(self.result.x)

    def track_passes(self, method, cond):
        return self.result.n_passes


class Sparse:
    """Three entries a row, badly scaled columns or second differences."""

    param_names = ("case",)
    params = ([name for name, case in cases.CASES.items() if case.kind == "sparse"],)

    def setup(self, name):
        self.problem = cases.make(cases.CASES[name])

    def time_solve(self, name):
        numopt.lstsq(*self.problem, rng=0)

    def peakmem_solve(self, name):
        numopt.lstsq(*self.problem, rng=0)


class Sketches:
    """Sketching a tall matrix, and how far lengths in its column space change."""

    param_names = ("kind",)
    params = (["SRHT", "SparseSign", "CountSketch"],)

    def setup(self, kind):
        self.A = cases.make(cases.CASES["B5"]).A
        make = getattr(numopt.sketching, kind)
        self.sketch = make(cases.SKETCH_ROWS, self.A.shape[0], rng=0)
        self.sketch.apply(self.A)

    def time_apply(self, kind):
        self.sketch.apply(self.A)

    def peakmem_apply(self, kind):
        self.sketch.apply(self.A)

    def track_distortion(self, kind):
        return cases.distortion(cases.triangle(self.A), self.sketch.apply(self.A))


class FusedPass:
    """The product ``A.T @ (A @ p)``, in one pass and in two."""

    param_names = ("contender",)
    params = (["numopt fused", "A @ p, A.T @ r"],)

    def setup(self, name):
        self.call = contest.CONTENDERS[name].prepare(*cases.make(cases.CASES["B6-50"]))
        self.call()

    def time_product(self, name):
        self.call()


class Statistic:
    """Largest error of a coordinate: 95th percentile over seeds, on the adversarial instance."""

    param_names = ("sketch",)
    params = (table.STATISTIC_SKETCHES,)
    timeout = 600

    def setup(self, sketch):
        """Nothing is shared between the sketches."""

    def track_p95(self, sketch):
        d = table.STATISTIC_SIZES[0]
        return float(np.quantile(table.ratios(table.adversarial, d, sketch), 0.95))


class _Ratio:
    """Time of the best of a group over numopt's on each case, both accurate to the last bit.

    Not a number where none of the group gets there within the limit of the case.
    """

    param_names = ("case",)
    group, timeout = "", 600

    def setup(self, name):
        """Every contender makes its own process."""

    def ratio(self, name):
        case = cases.CASES[name]
        own, *others = contest.outcomes_of(name, [self.group]).items()
        best = table.fastest(dict(others), case)
        return best[1].seconds / own[1].seconds if best else math.nan


def cases_against(group):
    return ([name for name, case in cases.CASES.items() if group in case.goals],)


class RatioToLAPACK(_Ratio):
    group, params = "LAPACK", cases_against("LAPACK")

    def track_ratio_to_lapack(self, name):
        return self.ratio(name)


class RatioToKrylov(_Ratio):
    group, params = "Krylov", cases_against("Krylov")

    def track_ratio_to_krylov(self, name):
        return self.ratio(name)


class RatioToCountSketch(_Ratio):
    group, params = "CountSketch", cases_against("CountSketch")

    def track_ratio_to_countsketch(self, name):
        return self.ratio(name)
