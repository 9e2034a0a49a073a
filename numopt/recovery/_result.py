"""What `robust_low_rank_recovery` returns."""

from __future__ import annotations

from .._core.namespace import Array, array_namespace
from .._core.outcome import Result


class RecoveryResult(Result):
    """A matrix of low rank behind corrupted measurements, and which of them agree with it.

    Attributes
    ----------
    x : array, shape (d, k) or (d1 + d2, k)
        ``U`` or, for a rectangular matrix, ``L`` with ``R`` below it.
    U : array or None, shape (d, k)
        Factor of the positive semidefinite matrix ``U U'``; None for a rectangular one.
    L, R : array, shape (d1, k) and (d2, k)
        Factors of the matrix ``L R'``, balanced, with orthogonal columns in falling order. Both are
        ``U`` for a positive semidefinite one.
    fun : float
        Mean of the (weighted) magnitudes of the residual.
    success : bool
        Whether enough measurements agree exactly: status 0, or status 2 with ``noise=True``.
    status : int
        0 exact consensus, 1 iteration limit, 2 noise floor: the residual came to rest above zero,
        3 no structure found: too few measurements or too many outliers, 98 a number that is not
        finite, 99 stopped by the callback.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Iterations: subgradient steps and refinement steps together.
    rank : int
        Columns of the factors.
    rank_history : list of int
        Ranks on the way, the one started with first.
    singular_values : array, shape (k,)
        Of the matrix, largest first.
    sigma : float
        Robust standard deviation of the residual, in the unit of `y`.
    residual : array, shape (m,)
        Measurements of the matrix, plus the intercept, minus `y`.
    inlier_mask : array, shape (m,)
        Measurements that agree: exactly for status 0, otherwise within 6 `sigma`.
    n_inliers : int
        How many those are.
    outlier_fraction : float
        Share of the others.
    consensus : float
        Measurements that agree exactly for each unknown. At 1.5 or more the solution is verified.
    intercept : float
        The number added to all measurements, 0 without ``fit_intercept``.
    step_final : float
        Relative length of the steps in the end, after what safeguards took off.
    history : list of dict
        For every iteration ``nit``, ``error`` (what decides on consensus, relative to the
        measurements), ``fun``, ``scale``, ``rank`` and ``seconds``.

    See Also
    --------
    robust_low_rank_recovery : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A, u = rng.normal(size=(60, 6, 6)), np.arange(6.0)
    >>> y = np.einsum("i,mij,j->m", u, A, u)
    >>> y[:12] += 100
    >>> result = numopt.robust_low_rank_recovery(A, y)
    >>> result.rank, int(result.n_inliers)
    (1, 48)
    >>> bool(np.allclose(result.matrix(), np.outer(u, u)))
    True
    """

    def matrix(self) -> Array:
        """Return the matrix, array (d1, d2)."""
        return array_namespace(self.L).matmul(self.L, self.R.T)
