"""Random numbers: drawn on the host, the same for every library."""

import numpy as np
import pytest
from libraries import to_numpy

from numopt._core import random


def test_seed_gives_the_generator_of_numpy():
    expected = np.random.default_rng(7).random(5)
    for seed in (7, np.int64(7)):
        np.testing.assert_array_equal(random.generator(seed).random(5), expected)


def test_generator_is_used_as_it_is():
    rng = np.random.default_rng(0)
    assert random.generator(rng) is rng


def test_none_is_not_repeatable():
    # Equal with probability 2**-320.
    assert (random.generator(None).random(5) != random.generator(None).random(5)).any()


@pytest.mark.parametrize("value", ["7", 1.5, True, np.random])
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError, match="`rng` must be None, an integer seed or a"):
        random.generator(value)


def test_numbers_are_placed_on_the_device(lib):
    draw = random.generator(0).random(4)
    for dtype in lib.floats:
        like = lib.asarray(np.zeros(1), dtype)
        placed = random.place(draw, like)
        assert lib.holds(placed, dtype)
        # Both precisions see one stream.
        np.testing.assert_array_equal(to_numpy(placed), draw.astype(dtype))
    integers = random.place(np.arange(3), like, lib.xp.int32)
    assert lib.holds(integers, "int32")
