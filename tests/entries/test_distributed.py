"""How observed entries are cut into parts for the tasks of a cluster."""

import itertools

import numpy as np

from numopt._entries import distributed


def test_parts_are_balanced():
    counts = np.array([0, 5, 0, 100, 0, 0, 3, 2, 40, 0])
    assert distributed.balanced(counts, 1) == [0, 10]
    for parts in range(2, 20):
        bounds = distributed.balanced(counts, parts)
        assert bounds[0] == 0
        assert bounds[-1] == 10
        assert len(bounds) <= parts + 1
        assert all(counts[a:b].sum() > 0 for a, b in itertools.pairwise(bounds))
    assert distributed.balanced(np.ones(1000, dtype=int), 4) == [0, 251, 501, 751, 1000]


def test_parts_stay_small_and_few():
    for size in (1, 10**6, 10**8, 10**9, 10**10):
        for things in (1, 10, 100, 1000):
            count = distributed.parts_of(size, things)
            assert count >= 1
            assert size / count <= distributed.LARGEST_PART
            needed = -(-size // distributed.LARGEST_PART)
            assert count * things <= max(10**4, 100 * things, needed * things)
            assert count <= distributed.parts_of(size, things, room=1e6)
    assert distributed.parts_of(10**6, 1) == 1
    assert distributed.parts_of(10**6, 1, room=64e5) == 10
