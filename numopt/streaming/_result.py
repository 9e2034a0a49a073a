"""What the top eigenvector of a stream is returned in."""

from __future__ import annotations

from .._core.outcome import Result


class EigenvectorResult(Result):
    """Outcome of `top_eigenvector` and of `StreamingEigenvector.result`.

    Attributes
    ----------
    x : array, shape (d,) or (d, k)
        Unit vector, or orthonormal columns for k > 1. The entry of largest absolute value is
        positive. Zero where there is no answer.
    fun : float
        Estimate of the largest eigenvalue of A'A, ``eigenvalues[0]``.
    eigenvalues : array, shape (k,)
        Estimates of the leading eigenvalues of A'A, or of the weighted scatter about the mean.
    success : bool
        Whether the error is at most the tolerance, by the certificate or by the estimate.
    status : int
        0 accurate, 1 not accurate enough yet, 2 the order of the rows is not random and the
        certificate is too weak, 3 no answer (no rows, only zeros, or no admissible rate), 98 a
        number that is not finite, 99 stopped by the callback.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Blocks finished, which are steps of the power method.
    n_rows : int
        Rows read.
    frobenius2 : float
        Sum of the squares of all entries.
    method_used : str
        Track that the answer is from: "truncate", "block-power", "oja", "fd" or "gram".
    lambda1_bounds : tuple of float
        Interval that holds the largest eigenvalue of A'A, whatever the order of the rows.
    sin2_bound : float
        Bound of the squared sine of the angle to the true eigenvector, or for k > 1 of the sum
        of the squared sines to the true subspace. Holds for every order; 1 where it says nothing.
    sin2_estimate : float
        Estimate of that squared sine from held-out rows, two standard errors up; for rows in
        random order. 1 where there is none.
    residual2, residual2_stderr : float
        Unbiased estimate of ``||A'A c / (c'A'A c) - c||^2`` for the answer c before the last
        block, which may be negative, and its standard error. Infinite where there is none.
    order_pvalue : float
        Probability of changes as large as those seen, if the order of the rows is random.
    gap_estimate : float
        Estimate of the ratio of the two largest eigenvalues that matter, at least 1.
    race_z : dict of float
        By track, the lead of "truncate" on held-out rows in standard errors; negative if behind.
    n_heavy, n_heavy_overflow : int
        Rows that are kept exactly, and rows as long that found no room.
    memory_rows_used : int
        Vectors of length d that the summary may hold.
    mean : array, shape (d,) or None
        Mean of the rows if they are centered.
    history : list of dict
        One record for each block, with ``nit``, ``error`` (the estimate), ``n_rows`` and
        ``method_used``.

    See Also
    --------
    top_eigenvector : the function that returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.random.default_rng(0).normal(size=(3000, 10)) * np.array([1, 1, 3] + 7 * [1])
    >>> result = numopt.top_eigenvector(A, rng=0)
    >>> result.success, int(np.argmax(result.x))
    (True, 2)
    """
