"""One summary for each chunk of a Dask array, merged in a tree."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np  # noqa: TID251 - the generators of the starts

from .._core.namespace import Array
from .._core.random import generator
from .._rows import RowBlocks
from ._estimator import StreamingEigenvector

# Tells the numbers drawn here from those of the same seed elsewhere.
PURPOSE = 0x5E16


def summary_of_chunks(
    source: Any, k: int, options: dict[str, Any], chunk_rows: int
) -> StreamingEigenvector:
    """Return the summary of all rows: each chunk is read on its own, in one barrier.

    The start of a chunk is drawn from a key of its own, so that a chunk that is read again on
    another worker gives the same summary.
    """
    seed = [int(key) for key in generator(options.get("rng")).integers(2**32, size=4)]
    summarize = partial(_summary, k, {**options, "rng": None}, seed, chunk_rows)
    summary: StreamingEigenvector = RowBlocks("source", source).fold(summarize, merge=_merged)
    return summary


def _summary(
    k: int, options: dict[str, Any], seed: list[int], chunk_rows: int, block: Array, rows: slice
) -> StreamingEigenvector:
    key = np.random.default_rng([*seed, PURPOSE, rows.start])
    model = StreamingEigenvector(k, **{**options, "rng": key})
    for start in range(0, block.shape[0], chunk_rows):
        model.partial_fit(block[start : start + chunk_rows, :])
    # Compared where summaries are merged, and no number is drawn any more.
    model.rng = None
    return model


def _merged(first: StreamingEigenvector, second: StreamingEigenvector) -> StreamingEigenvector:
    """Return a summary of both, which are left alone: another task may want them."""
    return copy.copy(first).merge(second)
