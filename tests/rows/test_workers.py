"""What workers compute: the same bits, wherever a block was made and however it came there."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pytest

from numopt._kernels.least_squares import gram
from numopt._rows.summaries import Work, add, aligned
from numopt._rows.workers import call, merged, run


def moved(x, offset=5):
    """Return an array as it lies in a message: its entries begin anywhere."""
    memory = np.empty(x.nbytes + 64, dtype="u1")
    y = np.ndarray(x.shape, x.dtype, buffer=memory, offset=offset)
    y[...] = x
    assert not y.flags.aligned
    return y


def summary(P, block, _rows, b):
    product = block @ P
    return gram(product, None, None), block.T @ b, (b * b).sum()


@pytest.mark.parametrize(("n", "d"), [(1500, 8), (1500, 3), (40_000, 9)])
def test_a_block_that_came_over_the_network(n, d):
    rng = np.random.default_rng(0)
    wide, P, b = rng.standard_normal((n, d + 1)), rng.standard_normal((d, d)), rng.random(n)
    made = wide[:, :d]  # where it was made, the rows of a block have gaps
    here = run(Work(partial(summary, P), add, np.dtype("f8")), made, 0, b)
    there = run(Work(partial(summary, moved(P)), add, np.dtype("f8")), moved(made), 0, moved(b))
    for left, right in zip(here, there, strict=True):
        np.testing.assert_array_equal(left, right)


def test_sums_of_what_lies_beside_the_rows():
    b = np.random.default_rng(1).random(30_001)
    assert call(np.sum, b) == call(np.sum, moved(b))
    parts = [b[:8] * k for k in range(5)]
    np.testing.assert_array_equal(merged(add, parts), merged(add, list(map(moved, parts))))


class Pair(NamedTuple):
    x: object
    y: object


def test_arrays_are_aligned_wherever_they_are():
    x = np.arange(6.0)
    assert aligned(x) is x
    assert aligned("text") == "text"
    nested = aligned(partial(max, Pair(moved(x), (1, moved(x))), key=None))
    (pair,) = nested.args
    assert type(pair) is Pair
    assert pair.x.flags.aligned
    assert pair.y[1].flags.aligned
    assert nested.keywords == {"key": None}
