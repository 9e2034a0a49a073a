"""What workers compute: the same bits, wherever a block was made and however it came there."""

import pickle
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest

from numopt._kernels.least_squares import gram
from numopt._rows.summaries import Work, add, aligned
from numopt._rows.workers import Carried, merged, run


def moved(x, offset=5):
    """Return an array as it lies in a message: its entries begin anywhere."""
    memory = np.empty(x.nbytes + 64, dtype="u1")
    y = np.ndarray(x.shape, x.dtype, buffer=memory, offset=offset)
    y[...] = x
    assert x.dtype.itemsize == 1 or not y.flags.aligned
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
    work = pickle.loads(pickle.dumps(Work(partial(summary, P), add, np.dtype("f8"))))
    there = run(work, moved(made), 0, moved(b))
    for left, right in zip(here, there, strict=True):
        np.testing.assert_array_equal(left, right)


def test_sums_of_what_lies_beside_the_rows():
    b = np.random.default_rng(1).random(30_001)
    assert Carried(np.sum)(b) == Carried(np.sum)(moved(b))
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


class Holder:
    def __init__(self, x):
        self.x = x


def test_what_travels_arrives_aligned():
    """Arrays of a message that is read in place, as those of a cluster are."""
    x = np.arange(2000.0)
    for kind in (Carried, lambda f: Work(f, add, np.dtype("f8"))):
        buffers = []
        sent = pickle.dumps(
            kind(partial(summary, Holder(x), (x,))), protocol=5, buffer_callback=buffers.append
        )
        (buffer, *rest) = (moved(np.frombuffer(b.raw(), "u1"), 3) for b in buffers)
        function = pickle.loads(sent, buffers=[buffer, *rest])._function
        holder, (y,) = function.args
        assert function.func is summary
        assert holder.x.flags.aligned
        assert y.flags.aligned
        np.testing.assert_array_equal(holder.x, x)
    assert merged(lambda a, _: a, [Holder(moved(x)), Holder(x)]).x.flags.aligned
