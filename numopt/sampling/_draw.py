"""Drawing rows: probabilities that sum to a sample size, and samples of given probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np  # noqa: TID251 - draws come from the host, as everywhere

from .._core.namespace import Array, array_namespace, device_of
from .._core.random import generator, place

# Tells the numbers drawn here from those of the same seed elsewhere.
STREAM = 0x6C70


class Sample(NamedTuple):
    """Sorted indices (m,) of the rows drawn, their weights and probabilities (m,)."""

    index: Array
    weights: Array
    probabilities: Array


def own_generator(rng: int | np.random.Generator | None) -> np.random.Generator:
    """Return the generator of an `rng` argument; a seed gives numbers of its own.

    Data are often made from the same small seeds: rows kept where ``random() < q`` would then
    depend on whatever ``random()`` has decided about the rows before.
    """
    if isinstance(rng, np.random.Generator) or rng is None:
        return generator(rng)
    generator(rng)  # refuses what is not a seed
    return np.random.default_rng(np.random.SeedSequence(int(rng), spawn_key=(STREAM,)))


def probabilities(scores: Array, size: float) -> Array:
    """Return ``min(1, c * scores)`` (n,) with the c for which they sum to `size`.

    Rows whose share would exceed 1 are certain, and the others share what is left. If `size` is
    at least the number of positive scores, all of those are certain.
    """
    xp = array_namespace(scores)
    n = scores.shape[0]
    if size >= int(xp.count_nonzero(scores)):
        return xp.astype(scores > 0, scores.dtype)
    ascending = xp.sort(scores)
    # With the k largest certain, c = (size - k) / (sum of the others); right for the smallest k
    # for which no other exceeds 1. Sums of the smallest scores lose no digits.
    sums = xp.cumulative_sum(ascending)
    others = xp.arange(1, n + 1, dtype=scores.dtype, device=device_of(scores))
    room = size - (n - others)
    fits = (room > 0) & (ascending * room <= sums) & (sums > 0)
    factor = xp.max(xp.where(fits, room / xp.where(sums > 0, sums, 1.0), 0.0))
    scaled = scores * factor
    largest_free = xp.max(xp.where(fits, ascending, 0.0))
    certain = (scores > 0) & ((scores > largest_free) | (scaled >= 1))
    return xp.where(certain, 1.0 + 0 * scores, scaled)


def poisson(q: Array, rng: np.random.Generator) -> Sample:
    """Return each row independently with its probability; the weight of a row is 1 / q.

    The numbers are drawn in the order of the rows, so that the sample does not depend on how the
    rows are split into blocks.
    """
    xp = array_namespace(q)
    (index,) = xp.nonzero(place(rng.random(q.shape[0]), q) < q)
    chosen = xp.take(q, index)
    return Sample(index, 1 / chosen, chosen)


def multinomial(scores: Array, size: int, rng: np.random.Generator) -> Sample:
    """Return `size` independent draws with replacement, those of one row merged."""
    xp = array_namespace(scores)
    sums = xp.cumulative_sum(scores)
    targets = place(rng.random(size), scores) * sums[-1]
    drawn = xp.clip(xp.searchsorted(sums, targets, side="right"), 0, scores.shape[0] - 1)
    index, counts = xp.unique_counts(drawn)
    order = xp.argsort(index)
    index, counts = xp.take(index, order), xp.take(counts, order)
    expected = xp.take(scores, index) / sums[-1] * size
    return Sample(index, xp.astype(counts, scores.dtype) / expected, expected)
