"""The fast Walsh-Hadamard transform."""

from __future__ import annotations

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._kernels import sketching as kernels


def fwht(X: Array, axis: int = 0) -> Array:
    """Fast Walsh-Hadamard transform along an axis: the product with the Hadamard matrix.

    The matrix is unnormalized, with entries ``H[r, i] = (-1) ** popcount(r & i)``, so that applying
    it twice multiplies by the length.

    Parameters
    ----------
    X : array_like
        Real array of any number of dimensions; the length N of the axis is a power of two. Integers
        become the default float of the library.
    axis : int, default 0
        Axis to transform.

    Returns
    -------
    array
        Of the shape of X. The input is not modified.

    Raises
    ------
    TypeError
        If `X` is not a real array.
    ValueError
        If the length of the axis is not a power of two, or there is no such axis.

    See Also
    --------
    SRHT : an embedding that samples the transform of random signs times a matrix.

    Notes
    -----
    N log2(N) additions for each vector.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> numopt.sketching.fwht(np.array([1.0, 0.0, 2.0, 0.0]))
    array([ 3.,  3., -1., -1.])
    """
    (X,) = validate.arrays(X=X)
    xp = array_namespace(X)
    X = xp.astype(X, validate.common_float(X=X), copy=False)
    if not -X.ndim <= axis < X.ndim:
        raise ValueError(f"`axis` must be an axis of `X`, which has {X.ndim}, got {axis}.")
    n = X.shape[axis]
    if n == 0 or n & (n - 1):
        raise ValueError(f"`X` must have a power of two entries along `axis`, got {n}.")
    moved = xp.moveaxis(X, axis, 0)
    columns = xp.reshape(moved, (n, -1)) if moved.ndim > 1 else moved[:, None]
    result = xp.reshape(kernels.fwht_rows(validate.contiguous(columns)), moved.shape)
    return xp.moveaxis(result, 0, axis)


def padded_length(n: int) -> int:
    """Return the next power of two, the length of the transform of n entries."""
    return 1 << (n - 1).bit_length()
