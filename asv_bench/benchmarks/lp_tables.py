"""Tables of l_p scores and coresets: loss and distortion, sums, and sizes of samples."""

import warnings

import numpy as np

import numopt

from .lp_cases import FAMILIES, QUICK, matrix

POWERS = (1, 1.5, 3, 4)
METHODS = ("uniform", "leverage", "lewis", "sensitivity", "combined")
SEEDS = 2 if QUICK else 11
ROWS, COLUMNS = (300, 4) if QUICK else (3000, 10)
SIZES = (60,) if QUICK else (100, 300, 1000)


def excess_rows():
    """Yield the median excess loss of a regression on a coreset, and the median distortion."""
    for family in FAMILIES:
        A = matrix(family, ROWS, COLUMNS)
        rng = np.random.default_rng(1)
        b = A @ rng.normal(size=COLUMNS) + rng.standard_t(3, size=ROWS)
        directions = np.concatenate(
            [rng.normal(size=(COLUMNS + 1, 200)), heavy_directions(np.c_[A, b])], axis=1
        )
        for p in POWERS:
            best = numopt.lp_regression(A, b, p).fun
            for size in SIZES:
                row = {"family": family, "p": p, "rows": size}
                for method in METHODS:
                    losses, distortions = samples(A, b, p, method, size, best, directions)
                    row[method] = f"{np.median(losses):.3g}"
                    row[f"{method}, distortion"] = f"{np.median(distortions):.2f}"
                yield row


def heavy_directions(A, count=100):
    """Directions in which single rows are largest compared with all."""
    inverse = np.linalg.pinv(A)
    tau = np.einsum("ij,ji->i", A, inverse)
    return inverse[:, np.argsort(tau)[-count:]]


_SCORES = {}


def scores_of(A, b, p, method):
    """Scores by which a method draws; those of a matrix are computed once."""
    key = (A.tobytes(), p, method)
    if key not in _SCORES:
        _SCORES.clear() if len(_SCORES) > 40 else None
        _SCORES[key] = numopt.lp_coreset(A, b, p, method=method, rng=0).scores
    return _SCORES[key]


def samples(A, b, p, method, size, best, directions):
    """Excess losses and distortions of a few samples."""
    scores = scores_of(A, b, p, method)
    joined = np.c_[A, b]
    powers = (np.abs(joined @ directions) ** p).sum(axis=0)
    losses, distortions = [], []
    for seed in range(SEEDS):
        drawn = numopt.lp_coreset(A, b, p, scores=scores, sample_size=size, rng=seed)
        x = numopt.lp_regression(drawn.A, drawn.b, p, weights=drawn.weights, tol=1e-7).x
        losses.append((np.abs(b - A @ x) ** p).sum() / best - 1)
        estimate = drawn.weights @ np.abs(joined[drawn.indices] @ directions) ** p
        distortions.append(np.abs(estimate / powers - 1).max())
    return losses, distortions


def total_rows():
    """Yield sums of sensitivities next to their limits and to their estimates from few rows."""
    n, d = (200, 4) if QUICK else (600, 10)
    cases = {family: matrix(family, n, d) for family in FAMILIES} | real_tables()
    for name, A in cases.items():
        d = A.shape[1]
        for p in POWERS:
            exact = numopt.lp_scores(A, p, kind="sensitivity", method="exact", tol=1e-4).total
            errors, solves = [], []
            for seed in range(3):
                found = numopt.total_sensitivity(A, p, rng=seed)
                errors.append(abs(found.total / exact - 1))
                solves.append(found.n_solves)
            yield {
                "matrix": name,
                "shape": f"{A.shape[0]} x {d}",
                "p": p,
                "sum": f"{exact:.2f}",
                "limit": f"{d ** max(1.0, p / 2):.0f}",
                "largest error": f"{100 * max(errors):.2f} %",
                "solves": max(solves),
                "met": "yes" if max(errors) <= 0.1 and max(solves) <= 200 else "no",
            }


def real_tables():
    """Two data sets that scikit-learn comes with, columns standardized, and a constant one."""
    try:
        from sklearn import datasets
    except ImportError:
        return {}
    tables = {}
    for name in ("diabetes", "wine"):
        X = getattr(datasets, f"load_{name}")().data
        tables[name] = np.c_[np.ones(len(X)), (X - X.mean(axis=0)) / X.std(axis=0)]
    return tables


# One family where a few rows decide and scores find them, two where some rows matter more than
# others, and one where all are alike and nothing can be gained.
GROWING = ("spiked", "one-hot", "vandermonde", "gaussian")
GROWING_METHODS = ("sensitivity", "combined", "lewis", "leverage")


def size_rows():
    """Yield how many rows a distortion of 0.25 takes as the number of columns grows."""
    p, n = 4, 400 if QUICK else 6000
    for family in GROWING:
        found = []
        for d in (3, 5) if QUICK else (5, 10, 20, 40):
            A = matrix(family, n, d)
            rng = np.random.default_rng(2)
            directions = np.concatenate([rng.normal(size=(d, 200)), heavy_directions(A)], axis=1)
            row = {"family": family, "columns": d}
            for method in GROWING_METHODS:
                scores = numopt.lp_coreset(A, None, p, method=method, rng=0).scores
                row[method] = rows_needed(A, p, scores, directions)
            row["sum of sensitivities"] = f"{numopt.total_sensitivity(A, p, rng=0).total:.1f}"
            found.append(row)
            yield row
        slopes = {"family": family, "columns": "slope, log-log"}
        logarithms = np.log([row["columns"] for row in found])
        for name in (*GROWING_METHODS, "sum of sensitivities"):
            counts = np.log([float(row[name]) for row in found])
            slopes[name] = f"{np.polyfit(logarithms, counts, 1)[0]:.2f}"
        yield slopes


def rows_needed(A, p, scores, directions, target=0.25):
    """Smallest expected size, in steps of 20 %, whose median distortion is at most the target."""
    powers = (np.abs(A @ directions) ** p).sum(axis=0)
    size = A.shape[1]
    while size < len(A):
        worst = []
        for seed in range(SEEDS):
            drawn = numopt.lp_coreset(A, None, p, scores=scores, sample_size=size, rng=seed)
            estimate = drawn.weights @ np.abs(drawn.A @ directions) ** p
            worst.append(np.abs(estimate / powers - 1).max())
        if np.median(worst) <= target:
            return size
        size = int(np.ceil(1.2 * size))
    return len(A)


TABLES = {
    "sampling_excess": excess_rows,
    "sampling_totals": total_rows,
    "sampling_sizes": size_rows,
}
warnings.filterwarnings("ignore", module="sklearn")
