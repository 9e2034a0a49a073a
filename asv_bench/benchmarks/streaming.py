"""Benchmarks of the top eigenvector of a stream."""

import numpy as np

import numopt

from . import streaming_cases as cases
from .streaming_cases import QUICK


class TopEigenvector:
    """A pass over flat rows, which is cheap, and the error it ends with."""

    param_names = ("columns", "dtype", "method")
    params = ([64, 512], ["float64", "float32"], ["auto", "truncate", "block-power"])

    def setup(self, columns, dtype, method):
        rows = 2000 if QUICK else 40_000
        self.A = cases.flat(np.random.default_rng(0), rows, columns, 4.0).astype(dtype)
        self.v = cases.spectrum(self.A)[1][:, 0]
        self.solve(method)

    def solve(self, method):
        return numopt.top_eigenvector(self.A, method=method, rng=0)

    def time_solve(self, columns, dtype, method):
        self.solve(method)

    def peakmem_solve(self, columns, dtype, method):
        self.solve(method)

    def track_certificate(self, columns, dtype, method):
        result = self.solve(method)
        error = cases.sin2(result.x, self.v)
        assert error <= result.sin2_bound
        return error

    track_certificate.unit = "squared sine"


class RatioToIncrementalPCA:
    """Time of scikit-learn over that of the default, for each row."""

    def setup(self):
        try:
            import sklearn  # noqa: F401
        except ImportError:
            raise NotImplementedError from None
        self.A = cases.flat(np.random.default_rng(0), 1000 if QUICK else 20_000, 512, 4.0)
        numopt.top_eigenvector(self.A, rng=0)

    def track_ratio_to_incremental_pca(self):
        from .streaming_tables import timed

        few = self.A[: len(self.A) // 5]
        own, _ = timed(lambda: numopt.top_eigenvector(self.A, rng=0))
        other, _ = timed(lambda: cases.plain_incremental_pca(few, 32))
        return 5 * other / own
