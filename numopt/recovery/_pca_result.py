"""What `robust_pca` returns."""

from __future__ import annotations

from .._core.namespace import Array, array_namespace
from .._core.outcome import Result


class RobustPCAResult(Result):
    """A matrix of low rank, and the entries that do not agree with it.

    Attributes
    ----------
    x : array, shape (n + d, k)
        ``L`` with ``R`` below it.
    L, R : array, shape (n, k) and (d, k)
        Factors of the matrix ``L R'``, balanced, with orthogonal columns in falling order.
    sparse : array, shape (n, d), or scipy.sparse matrix
        ``M - L R'`` at the outliers, zero elsewhere; sparse if `M` was.
    outlier_mask : array, shape (n, d), or scipy.sparse matrix
        True where an observed entry does not agree: exactly for status 0, otherwise within 6
        `sigma`.
    fun : float
        Mean of the (weighted) magnitudes of the residual over the observed entries.
    success : bool
        Whether enough entries agree exactly: status 0, or status 2 with ``noise=True``.
    status : int
        0 exact consensus, 1 iteration limit, 2 noise floor: the residual came to rest above zero,
        98 a number that is not finite, 99 stopped by the callback.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Sweeps, all attempts together.
    rank : int
        Columns of the factors.
    rank_history : list of int
        Ranks on the way, the one started with first.
    singular_values : array, shape (k,)
        Of the matrix, largest first.
    sigma : float
        Robust standard deviation of the residual.
    n_inliers : int
        Observed entries that agree.
    outlier_fraction : float
        Share of the others among the observed entries.
    consensus : float
        Entries that agree exactly for each unknown. At 1.5 or more the solution is verified.
    outlier_rows, outlier_columns : list of int
        Rows and columns with enough entries, next to none of which agrees: nothing is known of the
        matrix there.
    empty_rows, empty_columns : list of int
        Rows and columns without an observed entry; their factors are zero.
    history : list of dict
        For every sweep ``nit``, ``error``, ``scale`` (typical scale of the residual of a column,
        relative to the entries) and ``rank``.

    See Also
    --------
    robust_pca : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> M = np.outer(np.arange(1.0, 11), np.ones(8))
    >>> M[2, 3] = 50
    >>> result = numopt.robust_pca(M, 1)
    >>> float(result.sparse[2, 3].round(6)), result.n_inliers
    (47.0, 79)
    """

    def matrix(self) -> Array:
        """Return the matrix of low rank, array (n, d)."""
        return array_namespace(self.L).matmul(self.L, self.R.T)
