"""What the top eigenvector of a stream is returned in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._core import validate
from .._core.namespace import Array
from .._core.outcome import Check, Result
from .._rows import row_blocks
from ._certificate import squared_sine
from ._inputs import as_rows, as_source, root_weights
from ._rows import Rows


class EigenvectorResult(Result):
    """Outcome of `top_eigenvector` and of `StreamingEigenvector.result`.

    Attributes
    ----------
    x : array, shape (d,) or (d, rank)
        Unit vector, or orthonormal columns for a rank above 1. The entry of largest absolute value
        is positive. Zero where there is no answer.
    fun : float
        Estimate of the largest eigenvalue of A'A, ``eigenvalues[0]``.
    eigenvalues : array, shape (rank,)
        Estimates of the leading eigenvalues of A'A, or of the weighted scatter about the mean.
    success : bool
        Whether the error is at most the tolerance, by the bound or by the estimate.
    checks : list of Check
        One, the bound of the squared sine, if it is at most ``tol``. Otherwise three: the estimate
        of the squared sine, the negative decimal logarithm of ``order_pvalue``, at most 4, and the
        heavy rows that found no room, none. Or the number of eigenvectors that are missing.
    status : Status
        0 accurate, 12 not accurate enough yet, 13 the order of the rows is not random and the
        bound is too weak, 14 no answer (no rows, only zeros, or no admissible rate), 98 a number
        that is not finite, 99 stopped by the callback.
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
        Bound of the squared sine of the angle to the true eigenvector, or for a rank above 1 of the
        sum of the squared sines to the true subspace. Holds for every order; 1 where it says
        nothing.
    sin2_estimate : float
        Estimate of that squared sine from held-out rows, two standard errors up; for rows in
        random order. 1 where there is none.
    order_pvalue : float
        Probability of changes as large as those seen, if the order of the rows is random.
    gap_estimate : float
        Estimate of the ratio of the two largest eigenvalues that matter, at least 1.
    mean : array, shape (d,) or None
        Mean of the rows if they are centered.
    history : list of dict
        One record for each block, with ``nit``, ``error`` (the estimate), ``n_rows`` and
        ``method_used``.
    stats : dict
        ``residual2``, an unbiased estimate of ``||A'A c / (c'A'A c) - c||^2`` for the answer c
        before the last block, which may be negative, and ``residual2_stderr``, its standard error,
        both infinite where there is none; ``selection_z``, by track the lead of "truncate" on
        held-out rows in standard errors, negative if behind; ``n_heavy``, rows that are kept
        exactly, and ``n_heavy_overflow``, rows as long that found no room; ``memory_rows_used``,
        vectors of length d that the summary may hold.

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

    eigenvalues: Array
    n_rows: int
    frobenius2: float
    method_used: str
    lambda1_bounds: tuple[float, float]
    sin2_bound: float
    sin2_estimate: float
    order_pvalue: float
    gap_estimate: float
    mean: Array | None

    def verify(
        self,
        source: Any,
        rank: int = 1,
        *,
        weights: Any = None,
        decay: float | None = None,
        chunk_rows: int | None = None,
        **options: Any,
    ) -> list[Check]:
        """Return one check, the squared sine to the true eigenvectors, measured in another pass.

        `checks` are about a stream that is gone, so that they cannot be had again; this one says
        what both the bound and the estimate are about. It goes through `source` once, in blocks of
        `chunk_rows`, with the `weights` (n,) of the rows and those that `decay` gives. Up to 2048
        columns A'A is formed, and the value is exact; beyond it is a bound from the residual, which
        says something where the other eigenvalues together are below those of the `rank` returned.
        Other `options` of the solver change nothing.
        """
        del options
        rank = validate.at_least_one("rank", rank)
        if self.x.ndim == 2 and self.x.shape[1] > rank:
            raise ValueError(
                f"`rank` must be {self.x.shape[1]}, as it was of the solve, got {rank}."
            )
        source = row_blocks(as_source(source), rows=chunk_rows)

        def chunks() -> Iterator[tuple[Rows, Array]]:
            for where, chunk in source.blocks():
                rows = as_rows(chunk, self.x.dtype)
                yield rows, root_weights(None if weights is None else weights[where], rows)

        value = squared_sine(chunks(), self.x, rank, self.mean, decay)
        return [Check("squared sine", value, self.tol)]
