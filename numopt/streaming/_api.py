"""The top eigenvector of a whole source, in one call."""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

from .._core.iterate import Callback
from ._estimator import StreamingEigenvector
from ._inputs import as_source
from ._result import EigenvectorResult
from ._solve import read_through, reading_of


def top_eigenvector(
    source: Any,
    rank: int = 1,
    *,
    memory_rows: int = 24,
    method: str = "auto",
    tol: float = 1e-2,
    n_rows: int | None = None,
    blocks: str = "growing",
    growth: float = 1.5,
    heavy_threshold: float | None = None,
    center: bool = False,
    gram_limit: int = 2048,
    decay: float | None = None,
    dtype: Any = None,
    chunk_rows: int | None = None,
    shuffle: bool = False,
    callback: Callback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    rng: Any = None,
) -> EigenvectorResult:
    r"""Find the top eigenvector of A'A in one pass over the rows of A, with few rows of memory.

    .. math::

        \max_{\|x\| = 1} \; \|A x\|_2^2

    Parameters
    ----------
    source : array-like or object with rows
        The matrix A (n, d): an array, numbers in lists, a data frame, a sparse matrix, or whatever
        `row_blocks` reads in blocks, such as a memory map, files, a Dask array or an iterable of
        chunks.
    rank : int, default 1
        Number of leading eigenvectors.
    memory_rows : int, default 24
        Vectors of the length of a row that may be kept, at least ``2 rank + 2``.
    method : str, default "auto"
        "auto" runs three tracks side by side and lets held-out rows choose. "truncate" is the
        first of them alone, merge and truncate, which is incremental PCA. "block-power" is the
        second, the power method over blocks with the heaviest rows kept exactly. "oja" is Oja's
        method with a grid of fixed rates, "fd" is Frequent Directions, and "gram" keeps the exact
        matrix A'A, d rows.
    tol : float, default 0.01
        Squared sine of the angle to the true eigenvector that counts as success.
    n_rows : int, optional
        Length of the stream, for ``blocks="uniform"``.
    blocks : {"growing", "uniform"}, default "growing"
        Blocks of the power method: each `growth` times as long as the one before, or the
        ``2 log(d)`` equal blocks of the published algorithm.
    growth : float, default 1.5
        Ratio of the lengths of consecutive blocks.
    heavy_threshold : float, optional
        A row is kept exactly if its squared norm is this many times ``||A||_F^2 / d``. Default
        ``1 / log(d)``.
    center : bool, default False
        Subtract the mean of the rows, as in principal component analysis.
    gram_limit : int, default 2048
        Largest number of columns for method "gram".
    decay : float, optional
        Factor in (0, 1] by which older rows count less with every new one, for "truncate".
    dtype : dtype, optional
        Precision, float32 or float64. Default: that of the first chunk; integers become the
        default float.
    chunk_rows : int, optional
        Rows to read at once. Default: about 131072 entries of a matrix in memory, else what
        `row_blocks` takes.
    shuffle : bool, default False
        Read a matrix in memory in a random order of groups of 64 rows.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` after every chunk, with ``nit``, the blocks
        finished, ``error``, the estimate at the last of them, and ``n_rows``; `StopIteration`
        ends the pass. See `ProgressBar`.
    checkpoint : path, optional
        File (.npz) to write the summary to as the pass goes on. If it is there already, the pass
        goes on from it, and the result is bit for bit that of an unbroken one.
    checkpoint_every : int, optional
        Chunks between checkpoints. Default 100.
    rng : None, int or numpy.random.Generator, optional
        Source of the random starts.

    Returns
    -------
    EigenvectorResult
        The unit vector ``x``, ``fun``, ``lambda1_bounds``, the bound ``sin2_bound``, the
        estimate ``sin2_estimate`` and ``order_pvalue``.

    Raises
    ------
    TypeError
        If the source is neither a matrix nor an iterable of real arrays.
    ValueError
        If a shape, a range or an option is wrong, a number is not finite, or a checkpoint is
        damaged or of another call.

    See Also
    --------
    StreamingEigenvector : the summary itself, to feed, merge and save.
    row_blocks : the sources.

    Notes
    -----
    Three tracks read the rows side by side, and rows that none of them has seen tell which to
    trust; see `StreamingEigenvector`. The published algorithm [1]_ is
    ``method="block-power", blocks="uniform"``: for rows in random order and a ratio R of the
    two largest eigenvalues above a constant, its correlation with the eigenvector is
    ``1 - O(1 / sqrt(R))``. For rows in any order `sin2_bound` holds.

    The pass takes O(n d memory_rows) time. Runs on NumPy (compiled by Numba above some size),
    CuPy, PyTorch and any other Array API library, with float64 or float32.

    References
    ----------
    .. [1] P. Kacham, D. P. Woodruff, "Approximating the Top Eigenvector in Random Order
       Streams", NeurIPS 2024, arXiv:2412.11963.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.random.default_rng(0).normal(size=(3000, 10)) * np.arange(1, 11)
    >>> result = numopt.top_eigenvector(A, rng=0)
    >>> exact = np.linalg.eigh(A.T @ A)[1][:, -1]
    >>> bool(1 - (result.x @ exact) ** 2 < 1e-3)
    True
    """
    begun = perf_counter()
    model = StreamingEigenvector(
        rank,
        memory_rows=memory_rows,
        method=method,
        tol=tol,
        n_rows=n_rows,
        blocks=blocks,
        growth=growth,
        heavy_threshold=heavy_threshold,
        center=center,
        gram_limit=gram_limit,
        decay=decay,
        dtype=dtype,
        rng=rng,
    )
    reading = reading_of(chunk_rows, shuffle, callback, checkpoint, checkpoint_every)
    summary, stopped = read_through(model, as_source(source), reading)
    result = summary._answer(stopped=stopped)
    result.execution_time = perf_counter() - begun
    return result
