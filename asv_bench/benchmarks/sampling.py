"""l_p regression, scores and coresets: time, memory, certificates."""

import numopt

from .lp_cases import QUICK, matrix, regression


class Regression:
    """A certified fit, by power and number of rows."""

    param_names = ("n", "p")
    params = ([500] if QUICK else [20_000, 400_000], [1, 1.5, 3])

    def setup(self, n, p):
        self.A, self.b = regression(n, 10)
        self.solve(p)

    def solve(self, p):
        return numopt.lp_regression(self.A, self.b, p, rng=0)

    def time_solve(self, n, p):
        self.solve(p)

    def peakmem_solve(self, n, p):
        self.solve(p)

    def track_certificate(self, n, p):
        result = self.solve(p)
        assert result.success
        return result.gap

    track_certificate.unit = "relative duality gap"


class Scores:
    """Leverage scores, Lewis weights and sensitivities of a Gaussian matrix."""

    param_names = ("kind",)
    params = (["leverage", "lewis", "sensitivity"],)

    def setup(self, kind):
        n = 200 if QUICK else 1000 if kind == "sensitivity" else 100_000
        self.A = matrix("gaussian", n, 10)
        self.solve(kind)

    def solve(self, kind):
        return numopt.lp_scores(self.A, 4, kind=kind, tol=1e-6)

    def time_solve(self, kind):
        self.solve(kind)

    def track_residual(self, kind):
        return self.solve(kind).residual

    track_residual.unit = "relative difference"


class RatioToStatsmodels:
    """Time of an iteratively weighted fit over that of a certified one, both to 1e-9."""

    def setup(self):
        try:
            import statsmodels  # noqa: F401
        except ImportError:
            raise NotImplementedError from None
        self.A, self.b = regression(500 if QUICK else 20_000, 10)

    def track_ratio_to_statsmodels(self):
        from .lp_contest import statsmodels_fit, timed

        own, result = timed(lambda: numopt.lp_regression(self.A, self.b))
        return timed(statsmodels_fit(self.A, self.b, result.fun))[0] / own
