"""Random numbers: drawn on the host, the same for every library."""

import numpy as np
import pytest
from conftest import to_numpy

from numopt import _random


def test_seed_gives_the_generator_of_numpy():
    expected = np.random.default_rng(7).random(5)
    for seed in (7, np.int64(7)):
        np.testing.assert_array_equal(_random.generator(seed).random(5), expected)


def test_generator_is_used_as_it_is():
    rng = np.random.default_rng(0)
    assert _random.generator(rng) is rng


def test_none_is_not_repeatable():
    # Equal with probability 2**-320.
    assert (_random.generator(None).random(5) != _random.generator(None).random(5)).any()


@pytest.mark.parametrize("value", ["7", 1.5, True, np.random])
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError, match="`rng` must be None, an integer seed or a"):
        _random.generator(value)


def test_numbers_are_placed_on_the_device(lib):
    draw = _random.generator(0).random(4)
    for dtype in lib.floats:
        like = lib.asarray(np.zeros(1), dtype)
        placed = _random.place(draw, like)
        assert lib.holds(placed, dtype)
        # Both precisions see one stream.
        np.testing.assert_array_equal(to_numpy(placed), draw.astype(dtype))
    integers = _random.place(np.arange(3), like, lib.xp.int32)
    assert lib.holds(integers, "int32")
