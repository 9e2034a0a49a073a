"""What the definitions of kernels share."""

import numpy as np


def extended(*arrays):
    """Return arrays in extended precision."""
    return tuple(np.asarray(x, dtype=np.longdouble) for x in arrays)


def pair(value, bound, terms=1):
    """Return a value with its scale, for sums of some number of terms.

    Rounding errors of a plain sum add up like a random walk; up to 64 terms that is no issue.
    """
    growth = max(1.0, terms**0.5 / 8)
    return value, float(growth * np.max(np.abs(bound), initial=0.0))
