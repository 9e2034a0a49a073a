"""Cases of the kernels on rows of a linear system, and what they compute in extended precision."""

import numpy as np


def kaczmarz_sweep(K, b, d, row_norms2, idx):
    K, b, d = (x.astype(np.longdouble) for x in (K, b, d))
    moved = np.abs(d)
    for i in idx:
        if row_norms2[i] > 0:
            step = (b[i] - K[i] @ d) / row_norms2[i] * K[i]
            d, moved = d + step, moved + np.abs(step)
    # Rounding of the products, of each step, and of the norms that were given.
    magnitude = K.shape[1] * (1 + len(idx))
    return ((d, float(magnitude * moved.max())),)


def arguments(rows, columns, idx, seed=0):
    rng = np.random.default_rng(seed)
    K = rng.normal(size=(rows, columns))
    return K, rng.normal(size=rows), rng.normal(size=columns), (K * K).sum(axis=1), np.array(idx)


def kaczmarz_cases():
    """Yield labels and arguments."""
    yield "plain", arguments(9, 9, [3, 0, 7, 1, 8, 2, 4, 6, 5])
    yield "repeated", arguments(5, 5, [2, 2, 1, 2])
    yield "none", arguments(4, 4, np.zeros(0, dtype=np.int64))
    yield "one-entry", arguments(1, 1, [0, 0])
    yield "wide", arguments(3, 70, [0, 1, 2, 0, 1, 2])
    yield "tall", arguments(40, 3, np.arange(40)[::-1].copy())
    K, b, d, norms, idx = arguments(6, 6, [0, 4, 1])
    K[4], norms[4] = 0.0, 0.0
    yield "zero-row", (K, b, d, norms, idx)


def large_kaczmarz():
    """Return arguments that take some time."""
    return arguments(300, 300, np.random.default_rng(1).permutation(300))
