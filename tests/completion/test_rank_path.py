"""The rank of a completion, chosen by the error on entries held out."""

import pytest
from completion_problems import sampled

import numopt


def test_rank_is_that_of_the_smallest_error():
    M, _ = sampled(200, 150, 4, 6.0, noise=0.3)
    path = numopt.rank_path(M, range(1, 9), rng=0)
    assert path.rank == path.best.rank == 4
    assert path.rmse[3] == min(path.rmse) == path.fun
    assert path.ranks == list(range(1, 9))


def test_rank_path_in_all_libraries(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict returns int64 indices on a device that has none")
    rows, columns, values, shape = sampled(40, 30, 2, 5.0, noise=0.1)[0]
    given = lib.asarray(rows), lib.asarray(columns), lib.asarray(values), shape
    path = numopt.rank_path(given, [1, 2, 3], rng=0, holdout=0.15)
    assert path.rank == 2
    assert path.success
    assert lib.holds(path.best.X, lib.widest)
