"""What an iteration of the splittings takes, next to nothing but its matrix products.

The published form of the Sylvester splitting stores the linear model of each sample and multiplies
with it, 12 n d P operations an iteration; here 8 n d P are left. Both products are timed on random
matrices of the same sizes, in the same process.
"""

import time

import numpy as np

import numopt

PATTERNS, SHAPES = 50, ((5000, 200), (20_000, 200), (5000, 500), (20_000, 500))
SMALL = ((120, 4),)
# The cached factor is of size n: beyond this its set-up alone takes a minute.
LARGEST_FACTOR = 6000
STEPS = 100


def rows(small=False):
    """Yield a row for each size."""
    for n, d in SMALL if small else SHAPES:
        X, y, gates = made(n, d)
        own, published = products(n, d, 2), products(n, d, 3)
        sylvester = seconds_per_step(X, y, gates, "sylvester")
        cached = ""
        if n <= LARGEST_FACTOR:
            cached = seconds_per_step(X, y, gates, "cholesky")
        yield {
            "size": f"{n} x {d}, {PATTERNS} patterns",
            "sylvester": f"{1e3 * sylvester:.2f}",
            "products": f"{1e3 * own:.2f}",
            "ratio": f"{sylvester / own:.2f}",
            "products as published": f"{1e3 * published:.2f}",
            "ratio as published": f"{sylvester / published:.2f}",
            "cholesky": cached and f"{1e3 * cached:.2f}",
            "cholesky / sylvester": cached and f"{cached / sylvester:.1f}",
        }


def made(n, d):
    """Return samples, targets of a random network, and gates."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)) / np.sqrt(d)
    y = np.maximum(X @ rng.standard_normal((d, 16)), 0) @ rng.standard_normal(16)
    return X, (y - y.mean()) / y.std(), rng.standard_normal((d, PATTERNS))


def seconds_per_step(X, y, gates, method):
    """Return the seconds of an iteration: those of a long run less those of a short one."""
    marks = {}

    def note(record):
        marks[record.nit] = time.perf_counter()
        if record.nit >= STEPS:
            raise StopIteration

    numopt.convex_relu(
        X,
        y,
        beta=1.0,
        patterns=gates,
        fit_intercept=False,
        method=method,
        tol=1e-12,
        polish=False,
        callback=note,
    )
    first, last = sorted(marks)[1], max(marks)
    return (marks[last] - marks[first]) / (last - first)


def products(n, d, pairs):
    """Return the least seconds of the products with X of an iteration, 4 n d P each pair."""
    rng = np.random.default_rng(1)
    X, slacks = rng.random((n, d)), rng.random((2 * PATTERNS, n))
    neurons, seconds = rng.random((2 * PATTERNS, d)), []
    half, weights = slacks[:PATTERNS], rng.random((n, d))
    for _ in range(7):
        begin = time.perf_counter()
        slacks @ X, neurons @ X.T
        if pairs == 3:
            half @ weights, half.T @ neurons[:PATTERNS]
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
