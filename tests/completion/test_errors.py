"""What matrix completion says of bad inputs."""

import array_api_strict
import numpy as np
import pytest
from scipy import sparse

import numopt

ROWS, COLS, VALUES = np.array([0, 1, 2]), np.array([0, 1, 0]), np.array([1.0, 2.0, 3.0])
M = np.arange(20.0).reshape(5, 4)
NAN = np.full((5, 4), np.nan)
SPARSE = sparse.coo_array((VALUES, (ROWS, COLS)), shape=(5, 4))
COORDINATES = (ROWS, COLS, VALUES, (5, 4))
HELD = (ROWS, COLS, VALUES)

# Each row: the matrix, the rank, options, the error, its message.
BAD = {
    "rank-zero": (M, 0, {}, ValueError, "`rank` must be at least 1, got 0"),
    "rank-large": (M, 5, {}, ValueError, "`rank` must be at most 4 for `M`, got 5"),
    "rank-word": (M, "all", {}, ValueError, "`rank` must be one of 'auto'"),
    "rank-float": (M, 2.0, {}, TypeError, "`rank` must be an integer"),
    "max_rank": (M, "auto", {"max_rank": 9}, ValueError, "`max_rank` must be at most 4"),
    "nothing": (NAN, 1, {}, ValueError, "`M` must have at least one observed entry, got none"),
    "nothing-sparse": (sparse.csr_array((5, 4)), 1, {}, ValueError, "at least one observed"),
    "ragged": ([[1.0], [1.0, 2.0]], 1, {}, ValueError, "`M` must be an array or .* ragged"),
    "words": ([["a"]], 1, {}, TypeError, "`M` must be an array or a sequence of real numbers"),
    "vector": (VALUES, 1, {}, ValueError, r"`M` must be a matrix, got shape \(3,\)"),
    "empty": (np.zeros((0, 4)), 1, {}, ValueError, "`M` must not be empty"),
    "complex": (M + 0j, 1, {}, TypeError, "`M` must hold real numbers, got dtype complex128"),
    "complex-sparse": (SPARSE * 1j, 1, {}, TypeError, "`M` must hold real numbers"),
    "inf": (np.where(M == 3, np.inf, M), 1, {}, ValueError, "`M` must be finite, got inf"),
    "nan-sparse": (SPARSE * np.nan, 1, {}, ValueError, "`M` must be finite, got nan"),
    "nan-tuple": ((ROWS, COLS, VALUES * np.nan, (5, 4)), 1, {}, ValueError, "`M` must be finite"),
    "tuple": ((ROWS, COLS, VALUES), 1, {}, ValueError, r"must be \(rows, columns, values, shape\)"),
    "outside": ((ROWS + 3, COLS, VALUES, (5, 4)), 1, {}, ValueError, r"`rows` must be in \[0, 5\)"),
    "negative": ((ROWS, COLS - 1, VALUES, (5, 4)), 1, {}, ValueError, "`columns` must be in"),
    "places": ((ROWS * 1.0, COLS, VALUES, (5, 4)), 1, {}, TypeError, "`rows` must hold integers"),
    "lengths": ((ROWS[:2], COLS, VALUES, (5, 4)), 1, {}, ValueError, "`rows` must have shape"),
    "twice": ((0 * ROWS, 0 * COLS, VALUES, (5, 4)), 1, {}, ValueError, "every entry once"),
    "duplicates": (
        (0 * ROWS, 0 * COLS, VALUES, (5, 4)),
        1,
        {"duplicates": "sum"},
        ValueError,
        "`duplicates`",
    ),
    "mask-shape": (M, 1, {"mask": M[:3] > 1}, ValueError, r"`mask` must have shape \(5, 4\)"),
    "mask-floats": (M, 1, {"mask": M}, TypeError, "`mask` must hold booleans"),
    "mask-sparse": (SPARSE, 1, {"mask": M > 1}, ValueError, "`mask` goes with a dense `M` only"),
    "weights-shape": (M, 1, {"weights": M[:3]}, ValueError, r"`weights` must have shape \(5, 4\)"),
    "weights-negative": (M, 1, {"weights": -M}, ValueError, "`weights` must be non-negative"),
    "weights-zero": (M, 1, {"weights": 0 * M}, ValueError, "at least one observed entry"),
    "weights-length": (COORDINATES, 1, {"weights": VALUES[:2]}, ValueError, "`weights` must have"),
    "weights-entries": (
        SPARSE,
        1,
        {"weights": SPARSE.T.tocsr().reshape((5, 4))},
        ValueError,
        "`weights` must have the entries of `M`",
    ),
    "library": (M, 1, {"mask": array_api_strict.asarray(M > 1)}, TypeError, "of one library"),
    "reg": (M, 1, {"reg": -1.0}, ValueError, "`reg` must be non-negative and finite, got -1.0"),
    "reg-word": (M, 1, {"reg": "count"}, TypeError, "`reg` must be a real number, got str"),
    "reg-pair": (M, 1, {"reg": ("rows", 1.0)}, ValueError, "`reg` must be a number or"),
    "bias": (M, 1, {"bias": 1.0}, ValueError, "`bias` must be True or False where `reg` is 0"),
    "bias-nonneg": (M, 1, {"bias": True, "nonneg": True}, ValueError, "exclude one another"),
    "nonneg": (M, 1, {"nonneg": 1}, TypeError, "`nonneg` must be True or False"),
    "init": (M, 1, {"init": "svd"}, ValueError, "`init` must be one of 'spectral', 'random'"),
    "x0-kind": (M, 1, {"x0": M}, TypeError, "`x0` must be a pair of arrays"),
    "x0-three": (M, 1, {"x0": (M, M, M)}, ValueError, "a pair"),
    "x0-shape": (M, 1, {"x0": (M, M)}, ValueError, r"`x0\[1\]` must have shape \(4, 4\)"),
    "method": (M, 1, {"method": "cg"}, ValueError, "`method` must be one of 'auto'"),
    "inner_maxiter": (M, 1, {"inner_maxiter": 0}, ValueError, "`inner_maxiter` must be at least 1"),
    "inner_tol": (M, 1, {"inner_tol": -1.0}, ValueError, "`inner_tol` must be non-negative"),
    "path_factor": (M, 1, {"path_factor": 1.0}, ValueError, r"`path_factor` must be in \(0, 1\)"),
    "momentum": (M, 1, {"momentum": 1.0}, ValueError, r"`momentum` must be in \[0, 1\)"),
    "polish": (M, 1, {"polish": "newton"}, ValueError, "`polish` must be one of"),
    "polish-reg": (M, 1, {"polish": "gauss-newton", "reg": 1.0}, ValueError, "is for reg = 0"),
    "certify": (M, 1, {"certify": True}, ValueError, "`certify` needs reg > 0"),
    "certify-bias": (
        M,
        1,
        {"certify": True, "reg": 1.0, "bias": True},
        ValueError,
        "`certify` is for",
    ),
    "patience": (M, 1, {"early_stopping": 2}, ValueError, "`early_stopping` needs `validation`"),
    "validation": (M, 1, {"validation": HELD[:2]}, TypeError, "`validation` must be a tuple"),
    "validation-out": (
        M,
        1,
        {"validation": (ROWS + 9, COLS, VALUES)},
        ValueError,
        r"`rows` must be in \[0, 5\)",
    ),
    "validation-nan": (
        M,
        1,
        {"validation": (ROWS, COLS, VALUES * np.nan)},
        ValueError,
        "`values` must be finite",
    ),
    "tol": (M, 1, {"tol": 0.0}, ValueError, "`tol` must be positive"),
    "maxiter": (M, 1, {"maxiter": -1}, ValueError, "`maxiter` must be non-negative"),
    "rng": (M, 1, {"rng": "seed"}, TypeError, "`rng` must be None, an integer"),
    "callback": (M, 1, {"callback": 3}, TypeError, "`callback` must be callable"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    given, rank, options, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        numopt.matrix_completion(given, rank, **options)


@pytest.mark.parametrize(
    ("ranks", "options", "kind", "message"),
    [
        ([], {}, ValueError, "`ranks` must be ascending and not empty"),
        ([2, 1], {}, ValueError, "`ranks` must be ascending"),
        ([0, 1], {}, ValueError, "`ranks` must be at least 1"),
        (3, {}, TypeError, "`ranks` must be a sequence of integers"),
        ([1], {"holdout": 1.0}, ValueError, r"`holdout` must be in \(0, 1\)"),
    ],
)
def test_bad_rank_path(ranks, options, kind, message):
    with pytest.raises(kind, match=message):
        numopt.rank_path(M, ranks, **options)


def test_too_few_entries_are_said_and_solved():
    rng = np.random.default_rng(0)
    given = np.where(rng.random((30, 20)) < 0.1, rng.normal(size=(30, 20)), np.nan)
    with pytest.warns(UserWarning, match="cannot determine a matrix of rank 4"):
        result = numopt.matrix_completion(given, 4, rng=0, maxiter=20)
    assert np.isfinite(result.matrix()).all()
    assert result.oversampling < 1


def test_little_evidence_is_said_in_the_message():
    rng = np.random.default_rng(0)
    given = np.outer(rng.random(30), rng.random(20))
    given[rng.random(given.shape) < 0.9] = np.nan
    result = numopt.matrix_completion(given, 1, rng=0)
    assert result.oversampling < 1.5
    assert "no proof that the matrix has been found" in result.message


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda r: r.predict(ROWS + 9, COLS), ValueError, r"`rows` must be in \[0, 5\)"),
        (lambda r: r.predict(ROWS * 1.0, COLS), TypeError, "`rows` must hold integers"),
        (lambda r: r.predict(ROWS, COLS[:2]), ValueError, "`cols` must have shape"),
        (lambda r: r.top_n(5, 2), ValueError, r"`row` must be in \[0, 5\)"),
        (lambda r: r.top_n(0, -1), ValueError, "`n` must be non-negative"),
        (lambda r: r.fold_in(M[:, :3]), ValueError, "`new_rows` must have 4 columns"),
    ],
)
def test_methods_check_their_arguments(call, kind, message):
    result = numopt.matrix_completion(M, 1, rng=0)
    with pytest.raises(kind, match=message):
        call(result)
