"""What the kernels on rows of a linear system compute; see `families`."""

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
