"""Arguments of the kernels on rows of a linear system; see `families`."""

import numpy as np


def arguments(rows, columns, idx, seed=0):
    rng = np.random.default_rng(seed)
    K = rng.normal(size=(rows, columns))
    return K, rng.normal(size=rows), rng.normal(size=columns), (K * K).sum(axis=1), np.array(idx)


def cases():
    """Yield the name, labels and arguments."""
    for label, given in systems():
        yield "kaczmarz_sweep", label, given


def large():
    """Yield the name and arguments that take some time."""
    yield "kaczmarz_sweep", arguments(300, 300, np.random.default_rng(1).permutation(300))


def systems():
    yield "plain", arguments(9, 9, [3, 0, 7, 1, 8, 2, 4, 6, 5])
    yield "repeated", arguments(5, 5, [2, 2, 1, 2])
    yield "none", arguments(4, 4, np.zeros(0, dtype=np.int64))
    yield "one-entry", arguments(1, 1, [0, 0])
    yield "wide", arguments(3, 70, [0, 1, 2, 0, 1, 2])
    yield "tall", arguments(40, 3, np.arange(40)[::-1].copy())
    K, b, d, norms, idx = arguments(6, 6, [0, 4, 1])
    K[4], norms[4] = 0.0, 0.0
    yield "zero-row", (K, b, d, norms, idx)
