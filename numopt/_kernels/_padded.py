"""Rows of a sparse matrix in groups of similar length, each padded to a dense block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of

# Entries of the largest block that is gathered at once, unless a single row is longer.
BLOCK_ENTRIES = 1 << 20


class Block(NamedTuple):
    """Some rows: their numbers (B,), places of their entries (B, L) and which of these exist."""

    rows: Array
    places: Array
    valid: Array


def padded_blocks(indptr: Array, width: int) -> Iterator[Block]:
    """Yield all rows in blocks whose rows differ in length by a factor of two at most.

    `width` is how many numbers will be gathered for each entry. A few numbers reach the host for
    each block.
    """
    xp = array_namespace(indptr)
    lengths = indptr[1:] - indptr[:-1]
    order = xp.astype(xp.argsort(lengths), indptr.dtype, copy=False)
    lengths = xp.take(lengths, order)
    start, m = 0, lengths.shape[0]
    while start < m:
        limit = max(2 * int(lengths[start]), 8)
        similar = int(xp.count_nonzero(lengths <= limit))
        stop = min(similar, start + max(1, BLOCK_ENTRIES // (limit * width)))
        longest = max(int(lengths[stop - 1]), 1)
        offsets = xp.arange(longest, dtype=indptr.dtype, device=device_of(indptr))
        rows = order[start:stop]
        valid = offsets[None, :] < lengths[start:stop][:, None]
        places = xp.take(indptr, rows)[:, None] + offsets[None, :]
        yield Block(rows, xp.where(valid, places, places * 0), valid)
        start = stop


def gathered(x: Array, block: Block, index: Array | None = None) -> Array:
    """Return what belongs to each entry of a block: ``x[places]``, or ``x[index[places]]``."""
    xp = array_namespace(x)
    flat = xp.reshape(block.places, (-1,))
    if index is not None:
        flat = xp.take(index, flat)
    return xp.reshape(xp.take(x, flat, axis=0), (*block.places.shape, *x.shape[1:]))


def in_order(parts: list[Array], blocks: list[Block]) -> Array:
    """Return results of all blocks, put back into the order of the rows."""
    xp = array_namespace(parts[0])
    order = xp.concat([block.rows for block in blocks])
    return xp.take(xp.concat(parts), xp.argsort(order), axis=0)
