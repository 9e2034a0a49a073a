"""The top eigenvector of a whole source, in one call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import array_api_compat

from .._core.iterate import Callback, closing
from .._core.outcome import STOPPED_BY_CALLBACK, Result
from .._core.random import generator
from .._core.validate import at_least_one, optional_callable
from .._rows import dask_array, row_blocks
from ._checkpoint import Checkpoint
from ._chunked import summary_of_chunks
from ._estimator import StreamingEigenvector
from ._inputs import is_sparse
from ._result import EigenvectorResult

# Entries of a chunk that is cut from an array: it stays in the cache while the tracks read it.
CHUNK_ENTRIES = 1 << 17
# Rows that stay together where a source in memory is read in random order.
SHUFFLED_ROWS = 64


def top_eigenvector(
    source: Any,
    k: int = 1,
    *,
    chunk_rows: int | None = None,
    shuffle: bool = False,
    callback: Callback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    **options: Any,
) -> EigenvectorResult:
    r"""Find the top eigenvector of A'A in one pass over the rows of A, with few rows of memory.

    .. math::

        \max_{\|x\| = 1} \; \|A x\|_2^2

    Parameters
    ----------
    source : array or object with rows
        The matrix A (n, d): an array, a sparse matrix, or whatever `row_blocks` reads in blocks,
        such as a memory map, files, a Dask array or an iterable of chunks.
    k : int, default 1
        Number of leading eigenvectors.
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
    **options
        Parameters of `StreamingEigenvector`: ``memory_rows``, ``method``, ``tol``, ``center``,
        ``rng`` and so on.

    Returns
    -------
    EigenvectorResult
        The unit vector ``x``, ``fun``, ``lambda1_bounds``, the certificate ``sin2_bound``, the
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
    model = StreamingEigenvector(k, **options)
    optional_callable("callback", callback)
    if chunk_rows is not None:
        chunk_rows = at_least_one("chunk_rows", chunk_rows)
    # What follows the rows from the first to the last reads the chunks one after the other.
    if dask_array(source) is not None and not (shuffle or callback or checkpoint):
        rows = chunk_rows or max(1, CHUNK_ENTRIES // max(1, dask_array(source).shape[-1]))
        return summary_of_chunks(source, k, options, rows).result()
    seed = int(generator(options.get("rng")).integers(2**62)) if shuffle else 0
    saved = Checkpoint(checkpoint, checkpoint_every, chunk_rows or 0)
    model, done, seed = saved.resumed(model, seed)
    stopped = False
    with closing(callback):
        for chunk in _chunks(source, chunk_rows, seed, done):
            for piece in [chunk] if chunk_rows else _pieces(chunk):
                model.partial_fit(piece)
            saved.count(model, seed)
            if callback is not None and _stops(callback, model):
                stopped = True
                break
    if not model.__sklearn_is_fitted__():
        raise ValueError("`source` must not be empty, got no chunks.")
    result = model.result()
    if stopped and not result.success:
        result.status = STOPPED_BY_CALLBACK
        result.message = f"Stopped by the callback after {result.n_rows} rows."
    return result


def _in_memory(source: Any) -> bool:
    if isinstance(source, Sequence) or not hasattr(source, "shape"):
        return False
    known = is_sparse(source) or array_api_compat.is_array_api_obj(source)
    mapped = any(kind.__name__ == "memmap" for kind in type(source).__mro__)
    return bool(known and not mapped and not array_api_compat.is_dask_array(source))


def _chunks(source: Any, chunk_rows: int | None, seed: int, start: int) -> Iterator[Any]:
    """Yield the chunks of a source from a row on."""
    if not _in_memory(source):
        if seed:
            raise ValueError("`shuffle` goes with a matrix in memory only.")
        for _, block in row_blocks(source, rows=chunk_rows).blocks(start):
            yield block
        return
    if len(source.shape) != 2:
        raise ValueError(f"`source` must be a matrix, got shape {tuple(source.shape)}.")
    height = chunk_rows or max(1, CHUNK_ENTRIES // max(1, source.shape[1]))
    if source.shape[0] == 0:
        yield source
    elif seed:
        matrix = source.tocsr() if is_sparse(source) else source
        yield from _shuffled(matrix, max(1, height // SHUFFLED_ROWS), seed, start)
    else:
        for _, block in row_blocks(source, rows=height, readahead=0).blocks(start):
            yield block


def _pieces(chunk: Any) -> Iterator[Any]:
    """Yield a chunk in pieces that stay in the cache."""
    if len(chunk.shape) != 2 or is_sparse(chunk):
        yield chunk
        return
    n, d = chunk.shape
    height = max(1, CHUNK_ENTRIES // max(1, d))
    for start in range(0, max(n, 1), height):
        yield chunk[start : min(n, start + height), :]


def _shuffled(matrix: Any, groups: int, seed: int, done: int) -> Iterator[Any]:
    """Yield chunks of some groups of rows each, in a random order, but for those before a row."""
    n, seen = matrix.shape[0], 0
    count = -(-n // SHUFFLED_ROWS)
    order = [int(g) * SHUFFLED_ROWS for g in generator(seed).permutation(count)]
    for first in range(0, count, groups):
        starts = order[first : first + groups]
        seen += sum(min(n - row, SHUFFLED_ROWS) for row in starts)
        if seen > done:
            yield _stacked([matrix[row : min(n, row + SHUFFLED_ROWS), :] for row in starts])


def _stacked(parts: list[Any]) -> Any:
    if is_sparse(parts[0]):
        from scipy.sparse import vstack

        return vstack(parts, format="csr")
    return array_api_compat.array_namespace(parts[0]).concat(parts)


def _stops(callback: Callback, model: StreamingEigenvector) -> bool:
    record = model._state.history[-1] if model._state and model._state.history else {}
    report = {
        "nit": record.get("nit", 0),
        "error": record.get("error", 1.0),
        "n_rows": model.n_rows_seen_,
    }
    try:
        callback(Result(report))
    except StopIteration:
        return True
    return False
