"""What robust recovery refuses, and how it says so."""

import warnings

import numpy as np
import pytest
from recovery_problems import sensing
from scipy.sparse import coo_array, csr_array

import numopt
from numopt import recovery

A, Y = sensing(1, d=6, r=1, over=8)[:2]
M = np.random.default_rng(2).normal(size=(12, 10))
LIKE = np.empty(0)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((A, Y[:-1]), {}, ValueError, r"`y` must have 48 entries to match `A`, got shape \(47,\)"),
        ((A, np.full(48, np.nan)), {}, ValueError, r"`y` must be finite, got nan at \[0\]"),
        ((A * np.inf, Y), {}, ValueError, "`A` must be finite"),
        ((A, Y + 1j), {}, TypeError, "`y` must hold real numbers"),
        ((A + 1j, Y), {}, TypeError, "`A` must hold real numbers"),
        ((A, "text"), {}, TypeError, "`y` must be an array or a sequence .*, got str"),
        ((A, [1.0]), {}, ValueError, r"`y` must have 48 entries to match `A`, got shape \(1,\)"),
        ((A[:, :, :4], Y), {}, ValueError, "must hold square matrices if symmetric=True"),
        ((A.reshape(48, 36)[:, :30], Y), {}, ValueError, "`shape` must be given"),
        ((A.reshape(48, 36), Y), {"shape": (5, 6)}, ValueError, "`A` must have 30 columns"),
        ((A, Y), {"shape": (5, 6)}, ValueError, "`shape` is"),
        ((A, Y, 0), {}, ValueError, "`rank` must be between 1 and 6, got 0"),
        ((A, Y, 7), {}, ValueError, "`rank` must be between 1 and 6, got 7"),
        ((A, Y, 2.0), {}, TypeError, "`rank` must be an integer"),
        ((A, Y), {"q": 0.0}, ValueError, r"`q` must be in \(0, 1\), got 0.0"),
        ((A, Y), {"q": 1}, ValueError, r"`q` must be in \(0, 1\), got 1"),
        ((A, Y), {"alpha": 0}, ValueError, "`alpha` must be positive"),
        ((A, Y), {"eta": -1}, ValueError, "`eta` must be positive"),
        ((A, Y), {"tol": 0}, ValueError, "`tol` must be positive"),
        ((A, Y), {"maxiter": -1}, ValueError, "`maxiter` must be non-negative"),
        ((A, Y), {"x0": "zero"}, ValueError, "`x0` must be one of 'spectral', 'random'"),
        ((A, Y), {"step": "armijo"}, ValueError, "`step` must be one of"),
        ((A, Y), {"step": "polyak"}, ValueError, "`fun_star` must be given with step 'polyak'"),
        ((A, Y), {"fun_star": 0.5}, ValueError, "`fun_star` must be .* with no other"),
        ((A, Y), {"step": "polyak", "fun_star": -1.0}, ValueError, "`fun_star` must be between"),
        ((A, Y), {"step": "polyak", "fun_star": np.nan}, ValueError, "`fun_star` .* got nan"),
        ((A, Y), {"step": "polyak", "fun_star": abs(Y).sum()}, ValueError, "`fun_star` .* mean"),
        ((A, Y), {"step": "polyak", "fun_star": "0"}, TypeError, "`fun_star` must be a real"),
        ((A, Y), {"decay": 0.9}, ValueError, "`decay` is an option of step 'geometric' only"),
        ((A, Y), {"step": "geometric", "decay": 1.5}, ValueError, "`decay` must be in"),
        ((A, Y), {"scaling": "yes"}, ValueError, "`scaling` must be"),
        ((A, Y), {"prune": 1}, TypeError, "`prune` must be True or False"),
        ((A, Y), {"symmetric": 1}, TypeError, "`symmetric` must be True or False"),
        ((A, Y), {"rng": "seed"}, TypeError, "`rng` must be"),
        ((A, Y), {"callback": 3}, TypeError, "`callback` must be callable"),
        ((A, Y), {"weights": -np.ones(48)}, ValueError, "`weights` must be non-negative"),
        ((A, Y), {"weights": np.ones(5)}, ValueError, r"`weights` must have shape \(48,\)"),
        ((A, Y), {"x0": np.ones((5, 2))}, ValueError, "`x0` must have 6 rows"),
        ((A, Y), {"symmetric": False, "x0": np.ones((6, 2))}, ValueError, "pair"),
        (
            (A, Y),
            {"symmetric": False, "x0": (np.ones((6, 2)), np.ones((6, 1)))},
            ValueError,
            "equally many columns",
        ),
        ((recovery.DenseSensing(A), Y), {"symmetric": False}, ValueError, "use symmetric=True"),
        (
            (recovery.DenseSensing(A, symmetric=False), Y),
            {},
            ValueError,
            "use symmetric=False",
        ),
        (
            (recovery.RankOneSensing(A[:, 0], A[:, 1, :4]), Y),
            {},
            ValueError,
            "must measure square matrices",
        ),
        (
            (recovery.DenseSensing(A.astype("f4")), Y),
            {},
            TypeError,
            "`y` must be float32 to match `A`",
        ),
        (
            (csr_array(np.eye(6)), np.ones(6)),
            {"shape": (2, 3)},
            ValueError,
            "square matrices|`shape`",
        ),
        (
            (recovery.FullEntrySensing((6, 8), like=LIKE), Y),
            {},
            ValueError,
            "use symmetric=False",
        ),
    ],
)
def test_bad_arguments_of_recovery(arguments, options, error, message):
    with pytest.raises(error, match=message):
        numopt.robust_low_rank_recovery(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((M[0],), {}, ValueError, "`M` must be a matrix"),
        ((M * np.nan,), {}, ValueError, "`M` must be finite"),
        ((M + 1j,), {}, TypeError, "`M` must hold real numbers"),
        (("text",), {}, TypeError, "`M` must be an array or a sequence"),
        (([[1.0], [1.0, 2.0]],), {}, ValueError, "`M` must be an array .* ragged"),
        ((M, 0), {}, ValueError, "`rank` must be between 1 and 10"),
        ((M, 11), {}, ValueError, "`rank` must be between 1 and 10"),
        ((M, 2), {"q": 2}, ValueError, "`q` must be in"),
        ((M, 2), {"eta": 0}, ValueError, "`eta` must be positive"),
        ((M, 2), {"method": "ialm"}, ValueError, "`method` must be one of"),
        ((M, 2), {"noise": None}, TypeError, "`noise` must be True or False"),
        ((M, 2), {"mask": np.ones((3, 3), bool)}, ValueError, "`mask` must have shape"),
        ((M, 2), {"mask": np.ones((12, 10))}, TypeError, "`mask` must hold booleans"),
        ((M, 2), {"mask": np.zeros((12, 10), bool)}, ValueError, "`mask` must be true somewhere"),
        ((csr_array(M), 2), {"mask": M > 0}, ValueError, "`mask` goes with a dense `M` only"),
        ((M, 2), {"weights": M}, ValueError, "`weights` must be non-negative"),
        ((M, 2), {"weights": M[0] ** 2}, ValueError, "`weights` must have shape"),
        ((M, 2), {"weights": M[:, :5] ** 2}, ValueError, r"`weights` must have shape \(12, 10\)"),
        ((M, 2), {"weights": 0 * M}, ValueError, "`weights` must be positive where"),
        ((M, 2), {"weights": M + 1j}, TypeError, "`weights` must hold real numbers"),
        ((M, 2), {"weights": [[1.0]]}, ValueError, "`weights` must have shape"),
        ((csr_array(M), 2), {"weights": M**2}, ValueError, "`weights` must be a vector"),
        ((csr_array(M), 2), {"weights": np.zeros(120)}, ValueError, "must be positive where"),
        ((csr_array((3, 4)), 1), {}, ValueError, "`M` must have entries"),
        ((M, 2), {"x0": M}, ValueError, "`x0` must be a pair"),
        ((M, 2), {"x0": (M, M)}, ValueError, r"`x0\[1\]` must have 10 rows"),
        ((M, 2), {"x0": (M[:, :2], M.T[:, :1])}, ValueError, "equally many columns"),
        (
            (coo_array((np.ones(2), (np.zeros(2, int), np.zeros(2, int))), shape=(3, 3)), 1),
            {},
            ValueError,
            "twice",
        ),
    ],
)
def test_bad_arguments_of_robust_pca(arguments, options, error, message):
    with pytest.raises(error, match=message):
        numopt.robust_pca(*arguments, **options)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: recovery.DenseSensing(M), ValueError, "`A` must be a batch of matrices"),
        (lambda: recovery.RankOneSensing(M, M[1:]), ValueError, "`b` must have shape"),
        (lambda: recovery.SparseSensing(M, (2, 5)), TypeError, "`A` must be a sparse matrix"),
        (lambda: recovery.SparseSensing(csr_array(M), (2, 6)), ValueError, "must have 12 columns"),
        (lambda: recovery.SeededGaussianSensing(0, 3, like=LIKE), ValueError, "must be positive"),
        (lambda: recovery.FullEntrySensing((0, 3), like=LIKE), ValueError, "must be positive"),
        (lambda: recovery.FullEntrySensing(3, like=LIKE), ValueError, "pair of integers"),
        (
            lambda: recovery.MatrixFreeSensing(1, abs, (2, 2), 3, like=LIKE),
            TypeError,
            "`forward` must be callable",
        ),
        (
            lambda: recovery.MatrixFreeSensing(abs, abs, (2, 3), 3, like=LIKE, symmetric=True),
            ValueError,
            "`shape` must be square",
        ),
        (
            lambda: recovery.EntrySensing(np.array([0, 3]), np.array([0, 1]), (3, 3), like=LIKE),
            ValueError,
            "`rows` must be between 0 and 2",
        ),
        (
            lambda: recovery.EntrySensing(np.array([0.0]), np.array([1]), (3, 3), like=LIKE),
            TypeError,
            "`rows` must hold integers",
        ),
        (
            lambda: recovery.EntrySensing(np.array([1, 1]), np.array([2, 2]), (3, 3), like=LIKE),
            ValueError,
            "must not name an entry twice",
        ),
    ],
)
def test_bad_operators(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_fewer_measurements_than_unknowns_are_pointed_out():
    planted = sensing(3, d=6, r=1, over=1)
    with pytest.warns(UserWarning, match="5 measurements are fewer than the unknowns"):
        result = numopt.robust_low_rank_recovery(planted.A[:5], planted.y[:5], 1)
    assert not result.success
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        numopt.robust_low_rank_recovery(A, Y)


def test_measurements_without_a_positive_direction_are_refused():
    A = np.broadcast_to(np.eye(4), (30, 4, 4)).copy()
    with pytest.raises(ValueError, match="symmetric=False"):
        numopt.robust_low_rank_recovery(A, -np.ones(30))


def test_matrices_too_large_for_the_memory_are_refused(monkeypatch):
    from numopt.recovery.measurements import dense

    monkeypatch.setattr(dense, "available_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"`A` needs .* of memory.*SeededGaussianSensing"):
        recovery.DenseSensing(A)
