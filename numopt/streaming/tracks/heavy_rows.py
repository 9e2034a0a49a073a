"""The few rows that are kept exactly because they are too long to be sampled."""

from __future__ import annotations

from typing import NamedTuple

from ..._core.namespace import Array, array_namespace, device_of, host_list
from .._rows import Rows, place_like, wide

# Squared norms of heavy rows without room that are remembered, to tell later whether they still
# are heavy; more of them count as this many.
REMEMBERED = 64

# Two rows with a squared cosine above this are kept as one where there is no room for both.
PARALLEL = 0.98


class Heavy(NamedTuple):
    """Rows kept exactly, and what is known of those that found no room."""

    rows: Array  # (m, d)
    squares: tuple[float, ...]  # (m,) squared norms
    overflow: tuple[float, ...]  # squared norms of heavy rows without room, the largest first
    seen: int  # rows that were kept at some time


def no_heavy(like: Array, d: int) -> Heavy:
    """Return a store without rows."""
    xp = array_namespace(like)
    return Heavy(xp.zeros((0, d), dtype=like.dtype, device=device_of(like)), (), (), 0)


def divided(
    heavy: Heavy, rows: Rows, squares: Array, before: float, share: float, capacity: int
) -> tuple[Heavy, Rows]:
    """Return the store after a chunk, and the chunk without the rows that are kept.

    A row is heavy if its squared norm (n,) is at least `share` of the sum over all rows up to it,
    `before` being the sum before the chunk. A row that another one displaces takes its place in
    the chunk. Rows come in the same order whatever the size of the chunks.
    """
    xp = array_namespace(squares)
    long = squares >= share * (before + xp.cumulative_sum(squares))
    long = long & (squares > 0)
    if capacity == 0 or not bool(xp.any(long)):
        return _overflown(heavy, squares, long, bool(capacity == 0)), rows
    sizes = host_list(xp.where(long, squares, xp.zeros_like(squares)))
    kept = [(square, heavy.rows[i : i + 1, :]) for i, square in enumerate(heavy.squares)]
    changes: dict[int, Array | None] = {}
    overflow, seen = [], heavy.seen
    twins = _twins(kept, rows, sizes, 0) if len(kept) == capacity else []
    for index, size in enumerate(sizes):
        if size == 0.0:
            continue
        full, row = len(kept) == capacity, rows.part(index, index + 1)
        if full and twins[index] >= 0:
            kept[twins[index]] = _merged(kept[twins[index]], row.dense(), size)
            changes[index] = None
        else:
            least = min(range(len(kept)), key=lambda i: kept[i][0]) if full else 0
            if full and size <= kept[least][0]:
                overflow.append(size)
                continue
            changes[index] = None
            if full:
                square, changes[index] = kept.pop(least)
                overflow.append(square)
            kept.append((size, xp.asarray(row.dense(), copy=True)))
            seen += 1
        if len(kept) == capacity:
            twins = _twins(kept, rows, sizes, index + 1)
    if changes:
        rows = rows.replaced(changes)
    stored = xp.concat([row for _, row in kept])
    merged = tuple(sorted((*heavy.overflow, *overflow), reverse=True)[:REMEMBERED])
    return Heavy(stored, tuple(square for square, _ in kept), merged, seen), rows


def _twins(
    kept: list[tuple[float, Array]], rows: Rows, sizes: list[float], start: int
) -> list[int]:
    """Return for each row from `start` on which kept row has nearly its direction, or -1."""
    if not any(sizes[start:]):
        return [-1] * len(sizes)
    xp = array_namespace(kept[0][1])
    held = xp.concat([row for _, row in kept])
    images = wide(rows.part(start, rows.n).images(held.T))
    squares = place_like([square for square, _ in kept], images)
    lengths = place_like([size or 1.0 for size in sizes[start:]], images)
    cosines = images / xp.sqrt(squares)[None, :] / xp.sqrt(lengths)[:, None]
    found = [-1] * len(sizes)
    if bool(xp.any(xp.abs(cosines) >= PARALLEL**0.5)):
        for k in range(len(kept)):
            for i, cosine in enumerate(host_list(cosines[:, k]), start):
                if sizes[i] > 0 and abs(cosine) >= PARALLEL**0.5:
                    found[i] = k
    return found


def _merged(item: tuple[float, Array], row: Array, size: float) -> tuple[float, Array]:
    """Return one row for two that are nearly parallel: the leading part of both."""
    xp, (square, kept) = array_namespace(row), item
    pair = xp.concat([kept, row])
    values, U = xp.linalg.eigh(xp.matmul(pair, pair.T))
    return min(float(values[1]), square + size), xp.matmul(U[:, 1:].T, pair)


def _overflown(heavy: Heavy, squares: Array, long: Array, any_room: bool) -> Heavy:
    """Return the store with heavy rows counted that cannot be kept at all."""
    if not any_room:
        return heavy
    xp = array_namespace(squares)
    largest = xp.sort(xp.where(long, squares, xp.zeros_like(squares)), descending=True)
    new = [square for square in host_list(largest[:REMEMBERED]) if square > 0]
    merged = tuple(sorted((*heavy.overflow, *new), reverse=True)[:REMEMBERED])
    return heavy._replace(overflow=merged)


def demoted(heavy: Heavy, least: float) -> tuple[Heavy, Array]:
    """Return the store without the rows whose squared norm is below `least`, and those rows."""
    xp = array_namespace(heavy.rows)
    stay = [i for i, square in enumerate(heavy.squares) if square >= least]
    leave = [i for i, square in enumerate(heavy.squares) if square < least]
    if not leave:
        return heavy, heavy.rows[:0, :]

    def chosen(which: list[int]) -> Array:
        parts = [heavy.rows[i : i + 1, :] for i in which]
        return xp.concat(parts) if parts else heavy.rows[:0, :]

    left = heavy._replace(rows=chosen(stay), squares=tuple(heavy.squares[i] for i in stay))
    return left, chosen(leave)


def without_room(heavy: Heavy, least: float) -> int:
    """Return how many rows found no room that are heavy still, up to what is remembered."""
    return sum(square >= least for square in heavy.overflow)
