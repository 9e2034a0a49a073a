"""l_p regression and scores against other libraries, at equal accuracy measured here."""

import contextlib
import time
import warnings

import numpy as np

import numopt

from .lp_cases import QUICK, duplicates, groups, regression, ties

ROWS = 300 if QUICK else 20_000
LARGE = 3000 if QUICK else 2**20
MIDDLE = 2000 if QUICK else 400_000
TALL = 2000 if QUICK else 2**17
REPEATS = 1 if QUICK else 5


def timed(function, repeats=REPEATS, limit=5.0):
    """Best time of a few calls, and what the last returned; a slow one is called once."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
        if best > limit:
            break
    return best, result


def peer_time(function):
    """Best time of a peer with one and with two BLAS threads."""
    from threadpoolctl import threadpool_limits

    best, result = np.inf, None
    for threads in (1, 2):
        with threadpool_limits(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds, result = timed(function, repeats=3, limit=2.0)
        best = min(best, seconds)
        if seconds > 10:
            break
    return best, result


def row(case, peer, own, other, goal, gap, excess):
    ratio = other / own
    return {
        "case": case,
        "other": peer,
        "numopt, s": f"{own:.4f}",
        "other, s": f"{other:.3f}",
        "ratio": f"{ratio:.1f}",
        "goal": "" if goal is None else f"{goal:g}",
        "gap": f"{gap:.0e}",
        "excess of the other": excess,
        "met": "" if goal is None else "yes" if ratio >= goal else "no",
    }


def excess_of(loss, best):
    return f"{max(loss / best - 1, 0):.0e}"


def statsmodels_fit(A, b, best):
    """Fit with the loosest stopping rule that reaches 1e-9, so that it is not slowed down."""
    from statsmodels.regression.quantile_regression import QuantReg

    model = QuantReg(b, A)
    for tol in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12):

        def fit(tol=tol):
            return model.fit(q=0.5, p_tol=tol, max_iter=5000).params

        seconds, x = timed(fit, repeats=1)
        if np.abs(b - A @ x).sum() <= best * (1 + 1e-9) or seconds > 20:
            return fit
    return fit


def lad_peers(A, b, best):
    from scipy.optimize import linprog

    def highs():
        d = A.shape[1]
        bounds = [(-1, 1)] * len(b)
        solved = linprog(-b, A_eq=A.T, b_eq=np.zeros(d), bounds=bounds, method="highs")
        return -solved.eqlin.marginals

    def sklearn_highs():
        from sklearn.linear_model import QuantileRegressor

        model = QuantileRegressor(quantile=0.5, alpha=0, fit_intercept=False, solver="highs")
        return model.fit(A, b).coef_

    yield "statsmodels QuantReg", 3, statsmodels_fit(A, b, best)
    yield "HiGHS, dual LP", 25, highs
    yield "scikit-learn, highs", 300, sklearn_highs


def least_absolute_deviations():
    """L1: all rows, and peers to the same gap."""
    A, b = regression(ROWS, 10)
    own, result = timed(lambda: numopt.lp_regression(A, b, method="exact"))
    for peer, goal, fit in lad_peers(A, b, result.fun):
        seconds, x = peer_time(fit)
        loss = min(np.abs(b - A @ x).sum(), np.abs(b + A @ x).sum())
        yield row(
            f"L1 LAD {ROWS} x 10", peer, own, seconds, goal, result.gap, excess_of(loss, result.fun)
        )


def many_rows():
    """L2: the reduced problem against all rows, and against statsmodels."""
    for n in (MIDDLE, LARGE):
        A, b = regression(n, 20)
        own, result = timed(lambda A=A, b=b: numopt.lp_regression(A, b, rng=0, method="reduce"))
        whole, _ = timed(lambda A=A, b=b: numopt.lp_regression(A, b, method="exact"), repeats=2)
        label = f"L2 LAD {n} x 20, reduce"
        yield row(label, "numopt, all rows", own, whole, 3 if n == LARGE else None, result.gap, "")
        if n == MIDDLE:
            fit = statsmodels_fit(A, b, result.fun)
            seconds, x = peer_time(fit)
            loss = np.abs(b - A @ x).sum()
            excess = excess_of(loss, result.fun)
            yield row(label, "statsmodels QuantReg", own, seconds, 5, result.gap, excess)


def degenerate():
    """L2 on data with ties, at a million rows: that it is exact, and how long it takes."""
    for name, make in {"ties": ties, "groups": groups, "duplicates": duplicates}.items():
        A, b = make(LARGE, 20)
        own, result = timed(lambda A=A, b=b: numopt.lp_regression(A, b, rng=0), repeats=2)
        whole, _ = timed(lambda A=A, b=b: numopt.lp_regression(A, b, method="exact"), repeats=1)
        label = f"L2 LAD {LARGE} x 20, {name}"
        yield row(label, "numopt, all rows", own, whole, None, result.gap, "")


def powers():
    """L3: cvxpy with Clarabel."""
    import cvxpy

    for p in (1.5, 3, 8):
        A, b = regression(ROWS, 20, tail=5)
        own, result = timed(lambda A=A, b=b, p=p: numopt.lp_regression(A, b, p, tol=1e-8))
        x = cvxpy.Variable(20)
        problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.norm(A @ x - b, p)))

        def fit(problem=problem, x=x):
            with contextlib.suppress(cvxpy.error.SolverError):
                problem.solve(solver="CLARABEL", tol_gap_rel=1e-8, tol_feas=1e-8)
            return x.value

        seconds, values = timed(fit, repeats=2)
        failed = values is None
        loss = np.inf if failed else (np.abs(b - A @ values) ** p).sum() ** (1 / p)
        excess = "failed" if failed else excess_of(loss, result.norm)
        label = f"L3 p = {p}, {ROWS} x 20"
        yield row(label, "cvxpy + Clarabel", own, seconds, 100, result.gap, excess)


def leverage():
    """L4: row norms of Q."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(TALL, 64))
    seconds, tau = peer_time(lambda: np.sum(np.linalg.qr(A)[0] ** 2, axis=1))
    for method, goal in (("exact", 20), ("sketch", 50)):
        own, result = timed(
            lambda method=method: numopt.lp_scores(A, 2, kind="leverage", method=method, rng=0)
        )
        error = np.abs(result.scores / tau - 1).max()
        yield row(f"L4 leverage {TALL} x 64, {method}", "numpy qr", own, seconds, goal, error, "")


def lewis():
    """L5: the same iteration with a QR decomposition in every step."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(TALL, 32)) * rng.lognormal(size=(TALL, 1))
    own, result = timed(lambda: numopt.lp_scores(A, 4, tol=1e-6), repeats=2)

    def by_qr():
        w = np.full(len(A), 32 / len(A))
        for _ in range(100):
            Q = np.linalg.qr(A * (w**0.25)[:, None])[0]
            tau = np.sum(Q * Q, axis=1)
            if np.abs(tau / w - 1).max() <= 1e-6:
                return w
            w = w * (tau / w) ** (4 / 3)
        return w

    seconds, w = timed(by_qr, repeats=1)
    error = np.abs(result.scores / w - 1).max()
    yield row(f"L5 Lewis p = 4, {TALL} x 32", "the same with QR", own, seconds, 10, error, "")


CASES = {
    "L1": least_absolute_deviations,
    "L2": many_rows,
    "L2-ties": degenerate,
    "L3": powers,
    "L4": leverage,
    "L5": lewis,
}
