"""Matrix completion as published: fresh entries for the start and for every half sweep."""

from itertools import pairwise

import numpy as np
import pytest
from completion_problems import error, sampled
from libraries import to_numpy

import numopt
from numopt.completion import _published

SHAPE, RANK, SWEEPS = (800, 700), 2, 10
PARTS = 2 * SWEEPS + 1


def problem(per_part, seed=0, noise=0.0):
    """Return a problem with so many entries in each part for each degree of freedom."""
    return sampled(*SHAPE, RANK, PARTS * per_part, seed=seed, noise=noise)


def by_parts(M, **options):
    options = {"rank": RANK, "maxiter": SWEEPS, "tol": 1e-8, "rng": 0, **options}
    return numopt.matrix_completion(M, sample_splitting=True, **options)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", ["auto", "pcg"])
def test_found_from_fresh_entries(method, seed):
    M, truth = problem(8.0, seed)
    result = by_parts(M, method=method, rng=seed)
    assert result.success
    assert error(result, truth) < 2e-8
    assert result.nit <= SWEEPS
    residuals = [record["residual"] for record in result.history]
    assert all(b < 0.5 * a for a, b in pairwise(residuals[1:]))  # linear, from the start on


def test_costs_as_many_times_the_entries_as_there_are_parts():
    M, truth = problem(8.0)
    assert by_parts(M).success
    few = *(x[: M[2].size // (2 * PARTS)] for x in M[:3]), SHAPE
    assert error(numopt.matrix_completion(few, RANK, tol=1e-8, rng=0), truth) < 2e-8
    with pytest.raises(ValueError, match="lower `maxiter`"):
        by_parts(few)
    quarter = *(x[: M[2].size // 4] for x in M[:3]), SHAPE
    failed = by_parts(quarter)
    assert not failed.success
    assert error(failed, truth) > 1e-3
    assert "sample_splitting=False" in failed.message
    assert "raise maxiter" not in failed.message


def coordinates(side):
    """Return rows, columns and values of a sparse matrix."""
    rows = np.repeat(np.arange(side.indptr.size - 1), np.diff(side.indptr))
    return rows, side.indices, side.data


@pytest.fixture
def watched(monkeypatch):
    """Return where the parts of the start and of all half sweeps, and the start, are kept."""
    seen = {"parts": []}

    def start(task, rank):
        seen["parts"].append(coordinates(task.problem.seen.rows))
        seen["start"] = found = watched_start(task, rank)
        return found

    def half_sweep(problem, solver, side, model, level):
        rows, columns, values = coordinates(side)
        of_columns = len(seen["parts"]) % 2 == 0  # the start, rows, columns, rows, ...
        seen["parts"].append((columns, rows, values) if of_columns else (rows, columns, values))
        return watched_half(problem, solver, side, model, level)

    watched_start, watched_half = _published.start, _published.half_sweep
    monkeypatch.setattr(_published, "start", start)
    monkeypatch.setattr(_published, "half_sweep", half_sweep)
    return seen


def test_parts_are_disjoint_of_equal_size_and_random(watched):
    (rows, columns, values, shape), _ = sampled(60, 50, 1, 20.0)
    by_parts((rows, columns, values, shape), rank=1, maxiter=5, tol=1e-300)
    parts = watched["parts"]
    assert len(parts) == 11
    sizes = [part[2].size for part in parts]
    assert max(sizes) - min(sizes) <= 1
    keys = np.concatenate([part[0] * 50 + part[1] for part in parts])
    np.testing.assert_array_equal(np.sort(keys), np.sort(rows * 50 + columns))
    whole = np.full(shape, np.nan)
    whole[rows, columns] = values
    for part in parts:
        unit = part[2][0] / whole[part[0][0], part[1][0]]  # values are scaled by one number
        np.testing.assert_allclose(part[2], unit * whole[part[0], part[1]])
        assert np.unique(part[0]).size > 40  # 200 of 60 rows, at random


def test_each_half_sweep_solves_least_squares_on_its_own_part(watched):
    """Replayed row by row by NumPy, from the recorded start."""
    M, _ = sampled(60, 50, 1, 25.0)
    result = by_parts(M, rank=1, maxiter=3, method="exact", tol=1e-300)
    X, Y = (F.copy() for F in watched["start"][0][:2])
    for number, (rows, columns, values) in enumerate(watched["parts"][1:]):
        own, other, F, G = (rows, columns, X, Y) if number % 2 == 0 else (columns, rows, Y, X)
        for i in range(F.shape[0]):
            here = own == i
            F[i] = np.linalg.lstsq(G[other[here]], values[here])[0]
    wanted = X @ Y.T
    ratio = result.matrix()[0, 0] / wanted[0, 0]  # the unit of the solver, a power of four
    assert np.log2(ratio) == pytest.approx(2 * round(np.log2(ratio) / 2), abs=1e-6)
    np.testing.assert_allclose(result.matrix(), ratio * wanted, atol=1e-8 * np.abs(wanted).max())


def test_success_is_measured_on_all_entries():
    M, truth = problem(8.0, noise=0.1)
    rows, columns, values, _ = M
    result = by_parts(M)
    left = values - result.predict(rows, columns)
    assert result.residual == pytest.approx(np.linalg.norm(left) / np.linalg.norm(values))
    assert result.fun == pytest.approx(left @ left)
    assert (result.status, result.success) == (1, False)
    assert f"one of {PARTS} parts" in result.message
    # The last half sweep averages the noise of one part only, not of all.
    assert error(result, truth) > 3 * error(numopt.matrix_completion(M, RANK, rng=0), truth)


def test_same_seed_same_result():
    M, _ = sampled(60, 50, 1, 25.0)
    first, again, other = (by_parts(M, rank=1, maxiter=4, rng=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.X, again.X)
    assert np.abs(first.X - other.X).max() > 0


def test_no_sweeps_start_from_all_entries():
    M, _ = sampled(60, 50, 1, 20.0)
    split = by_parts(M, rank=1, maxiter=0)
    plain = numopt.matrix_completion(M, 1, maxiter=0, rng=0, polish=None)
    np.testing.assert_allclose(split.matrix(), plain.matrix(), atol=1e-3 * np.abs(M[2]).max())


def test_weights_and_held_out_entries():
    M, truth = problem(8.0)
    held, M = tuple(x[:100] for x in M[:3]), (*(x[100:] for x in M[:3]), SHAPE)
    weights = np.random.default_rng(0).random(M[2].size) + 0.5
    result = by_parts(M, weights=weights, validation=held, early_stopping=3, tol=1e-7)
    assert (result.status, result.success) == (0, True)
    assert error(result, truth) < 2e-7
    assert result.history[-1]["rmse"] < 1e-6 * result.history[0]["rmse"]


DENSE = np.outer(np.arange(1.0, 21), np.arange(1.0, 16))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"sample_splitting": 1}, TypeError, "`sample_splitting` must be True or False, got int"),
        ({"rank": "auto"}, ValueError, "`rank` must be a number with `sample_splitting`"),
        ({"reg": 1.0}, ValueError, "`reg` must be its default with `sample_splitting`"),
        ({"init": "random"}, ValueError, "`init` must be its default"),
        ({"x0": (DENSE[:, :1], DENSE.T[:, :1])}, ValueError, "`x0` must be its default"),
        ({"path_factor": 0.5}, ValueError, "`path_factor` must be its default"),
        ({"momentum": 0.5}, ValueError, "`momentum` must be its default"),
        ({"bias": True}, ValueError, "`bias` must be its default"),
        ({"nonneg": True}, ValueError, "`nonneg` must be its default"),
        ({"polish": "gauss-newton"}, ValueError, "`polish` must be its default"),
        ({"certify": True}, ValueError, "`certify` needs reg > 0"),
        (
            {"maxiter": 1000},
            ValueError,
            r"`sample_splitting` needs 2 maxiter \+ 1 = 2001 parts of rank \* max\(m, n\) = 20 "
            "entries at least, got 300 entries; lower `maxiter`",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_contradicts_is_named(options, kind, message):
    options = {"rank": 1, "maxiter": 2, "sample_splitting": True, **options}
    with pytest.raises(kind, match=message):
        numopt.matrix_completion(DENSE, **options)


def test_what_is_off_anyway_may_be_said():
    options = {"continuation": False, "momentum": 0.0, "polish": None}
    said, left = (by_parts(DENSE, rank=1, maxiter=2, **given) for given in (options, {}))
    np.testing.assert_array_equal(said.X, left.X)
    assert not by_parts(0 * DENSE, rank=1, maxiter=2).matrix().any()


def test_all_libraries_agree(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict returns int64 indices on a device that has none")
    M, truth = sampled(80, 70, 1, 35.0)
    given = *(lib.asarray(x) for x in M[:3]), M[3]
    options = {"rank": 1, "maxiter": 2, "tol": 1e-3}
    result, wanted = by_parts(given, **options), by_parts(M, **options)
    assert lib.holds(result.X, lib.widest)
    assert error(result, truth) < 0.1
    scale = np.abs(wanted.matrix()).max()
    accuracy = 1e-8 if lib.widest == "float64" else 1e-3
    np.testing.assert_allclose(to_numpy(result.matrix()), wanted.matrix(), atol=accuracy * scale)
