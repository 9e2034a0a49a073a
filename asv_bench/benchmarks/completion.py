"""Matrix completion: time, memory, accuracy."""

import numopt

from .completion_cases import QUICK, Case, exact, make, relative_error
from .completion_peers import fit_cmfrec

SIZES = {
    "small": Case(1_000, 800, 60_000, 10, 0.0, 0.3, 1.0),
    "skewed": Case(12_000, 6_000, 2_300_000, 20, 0.7, 0.5, 10.0),
}


class Completion:
    """A regularized completion, by size and method."""

    param_names = ("size", "method")
    params = (["small"] if QUICK else list(SIZES), ["auto", "pcg", "exact"])

    def setup(self, size, method):
        self.M, self.case = make(SIZES[size])
        self.solve(method)

    def solve(self, method):
        case = self.case
        return numopt.matrix_completion(self.M, case.rank, reg=case.reg, method=method, rng=0)

    def time_solve(self, size, method):
        self.solve(method)

    def peakmem_solve(self, size, method):
        self.solve(method)

    def track_certificate(self, size, method):
        result = self.solve(method)
        assert result.success
        return result.stats["gradient"]

    track_certificate.unit = "relative gradient"


class Recovery:
    """Exact data: the error that is reached."""

    param_names = ("condition",)
    params = ([1.0, 1e3],)

    def setup(self, condition):
        self.M, self.truth = exact(150 if QUICK else 800, 8, 5.0, condition, 0)

    def solve(self):
        return numopt.matrix_completion(self.M, 8, tol=1e-10, rng=0)

    def time_solve(self, condition):
        self.solve()

    def track_error(self, condition):
        result = self.solve()
        return relative_error(result.X, result.Y, self.truth)

    track_error.unit = "relative error"


class RatioToCmfrec:
    """Time of cmfrec's fit over ours, thirty sweeps there, the default tolerance here."""

    def setup(self):
        try:
            import cmfrec  # noqa: F401
        except ImportError as error:
            raise NotImplementedError from error
        self.M, self.case = make(SIZES["small" if QUICK else "skewed"])

    def track_ratio_to_cmfrec(self):
        import time

        case = self.case
        solve = lambda: numopt.matrix_completion(self.M, case.rank, reg=case.reg, rng=0)  # noqa: E731
        solve()
        began = time.perf_counter()
        solve()
        own = time.perf_counter() - began
        return fit_cmfrec(self.M, case.rank, case.reg, 30)[1] / own

    track_ratio_to_cmfrec.unit = "times"
