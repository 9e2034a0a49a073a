"""One pass over a source of rows: chunk by chunk, or one summary for each chunk of a Dask array."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import array_api_compat
import numpy as np  # noqa: TID251 - the generators of the starts

from .._core.iterate import Callback, closing
from .._core.namespace import Array
from .._core.outcome import Result
from .._core.random import generator
from .._core.settings import is_sparse
from .._core.validate import at_least_one, optional_callable
from .._rows import RowBlocks, dask_array, row_blocks
from ._estimator import StreamingEigenvector
from ._storage import Checkpoint

# Entries of a chunk that is cut from an array: it stays in the cache while the tracks read it.
CHUNK_ENTRIES = 1 << 17
# Rows that stay together where a source in memory is read in random order.
SHUFFLED_ROWS = 64
# Tells the numbers drawn here from those of the same seed elsewhere.
PURPOSE = 0x5E16


class Reading(NamedTuple):
    """How a source is read, and who is told on the way."""

    chunk_rows: int | None
    shuffle: bool
    callback: Callback | None
    saved: Checkpoint


def reading_of(
    chunk_rows: int | None,
    shuffle: bool,
    callback: Callback | None,
    checkpoint: str | os.PathLike[str] | None,
    checkpoint_every: int | None,
) -> Reading:
    """Return how a source is to be read, validated."""
    optional_callable("callback", callback)
    if chunk_rows is not None:
        chunk_rows = at_least_one("chunk_rows", chunk_rows)
    saved = Checkpoint(checkpoint, checkpoint_every, chunk_rows or 0)
    return Reading(chunk_rows, shuffle, callback, saved)


def read_through(
    model: StreamingEigenvector, source: Any, reading: Reading
) -> tuple[StreamingEigenvector, bool]:
    """Return the summary of a source, begun as `model`, and whether the callback ended it."""
    chunk_rows, shuffle, callback, saved = reading
    # What follows the rows from the first to the last reads the chunks one after the other.
    chunked = dask_array(source)
    if chunked is not None and not (shuffle or callback or saved.path):
        rows = chunk_rows or max(1, CHUNK_ENTRIES // max(1, chunked.shape[-1]))
        return _of_dask_chunks(source, model.get_params(), rows), False
    seed = int(generator(model.rng).integers(2**62)) if shuffle else 0
    model, done, seed = saved.resumed(model, seed)
    with closing(callback):
        for chunk in _chunks(source, chunk_rows, seed, done):
            for piece in [chunk] if chunk_rows else _pieces(chunk):
                model.partial_fit(piece)
            saved.count(model, seed)
            if callback is not None and _stops(callback, model):
                return model, True
    if not model.__sklearn_is_fitted__():
        raise ValueError("`source` must not be empty, got no chunks.")
    return model, False


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


def _of_dask_chunks(source: Any, options: dict[str, Any], chunk_rows: int) -> StreamingEigenvector:
    """Return the summary of all rows: each chunk is read on its own, in one barrier.

    The start of a chunk is drawn from a key of its own, so that a chunk that is read again on
    another worker gives the same summary.
    """
    seed = [int(key) for key in generator(options["rng"]).integers(2**32, size=4)]
    summarize = partial(_summary, {**options, "rng": None}, seed, chunk_rows)
    summary: StreamingEigenvector = RowBlocks("source", source).fold(summarize, merge=_merged)
    return summary


def _summary(
    options: dict[str, Any], seed: list[int], chunk_rows: int, block: Array, rows: slice
) -> StreamingEigenvector:
    key = np.random.default_rng([*seed, PURPOSE, rows.start])
    model = StreamingEigenvector(**{**options, "rng": key})
    for start in range(0, block.shape[0], chunk_rows):
        model.partial_fit(block[start : start + chunk_rows, :])
    # Compared where summaries are merged, and no number is drawn any more.
    model.rng = None
    return model


def _merged(first: StreamingEigenvector, second: StreamingEigenvector) -> StreamingEigenvector:
    """Return a summary of both, which are left alone: another task may want them."""
    return copy.copy(first).merge(second)
