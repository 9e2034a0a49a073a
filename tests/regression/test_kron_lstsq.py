"""Least squares with a Kronecker product against the explicit one."""

import functools
import math

import numpy as np
import pytest
from libraries import to_numpy
from regression_problems import EPS, backward_error

import numopt

NAN = float("nan")


def problem(shapes=((13, 3), (9, 2), (7, 4)), seed=0):
    rng = np.random.default_rng(seed)
    factors = [rng.normal(size=shape) for shape in shapes]
    return factors, rng.normal(size=[shape[0] for shape in shapes])


def explicit(factors):
    return functools.reduce(np.kron, factors)


@pytest.mark.parametrize(
    "shapes", [((13, 3),), ((13, 3), (9, 2)), ((5, 2), (4, 1), (6, 3), (3, 2))]
)
@pytest.mark.parametrize("flat", [False, True])
def test_solution_of_the_explicit_product(lib, shapes, flat):
    factors, b = problem(shapes)
    given = b.ravel() if flat else b
    result = numopt.kron_lstsq([lib.asarray(A) for A in factors], lib.asarray(given))
    A = explicit(factors)
    expected = np.linalg.lstsq(A, b.ravel())[0]
    assert lib.holds(result.x, lib.widest)
    assert result.x.shape == tuple(shape[1] for shape in shapes)
    scale = 1e3 * lib.eps * np.abs(expected).max()
    np.testing.assert_allclose(to_numpy(result.x).ravel(), expected, rtol=0, atol=scale)
    assert result.success
    assert result.status == 0
    assert result.rank == A.shape[1]
    residual = b.ravel() - A @ expected
    tight = 50 * lib.eps
    np.testing.assert_allclose(result.residual_norm, np.linalg.norm(residual), rtol=tight)
    np.testing.assert_allclose(result.fun, 0.5 * residual @ residual, rtol=tight)
    assert result.grad_norm <= 1e3 * lib.eps * np.linalg.norm(A) * np.linalg.norm(b)
    assert (result.nit, result.method, result.stats["sketch_size"]) == (0, "exact", 0)


@pytest.mark.parametrize("cond", [1e0, 1e3, 1e6])
def test_backward_error(cond):
    rng = np.random.default_rng(1)
    factors = [
        np.linalg.qr(rng.normal(size=(n, d)))[0] * np.logspace(0, -np.log10(cond), d)
        for n, d in ((14, 3), (11, 4))
    ]
    b = rng.normal(size=(14, 11))
    result = numopt.kron_lstsq(factors, b)
    exact = backward_error(explicit(factors), b.ravel(), result.x.ravel())
    assert result.success
    assert exact <= 2.5 * result.backward_error + 2 * EPS
    assert result.backward_error <= 2.5 * exact + 2 * EPS
    wrong = numopt.kron_lstsq(factors, b, tol=1e-30)
    assert not wrong.success
    assert wrong.status is numopt.Status.PRECISION_LIMIT
    assert "raise tol" in wrong.message


def test_rank_deficient_factor():
    factors, b = problem()
    factors[1] = np.stack([factors[1][:, 0], 2 * factors[1][:, 0]], axis=1)
    result = numopt.kron_lstsq(factors, b)
    expected = np.linalg.lstsq(explicit(factors), b.ravel())[0]
    np.testing.assert_allclose(result.x.ravel(), expected, rtol=0, atol=1e-12)
    assert result.rank == 12
    assert result.status is numopt.Status.RANK_DEFICIENT
    assert result.success
    assert "rank 12 of 24" in result.message


@pytest.mark.parametrize("zero", ["factor", "b"])
def test_zeros(zero):
    factors, b = problem()
    if zero == "b":
        b = 0 * b
    else:
        factors[0] = 0 * factors[0]
    result = numopt.kron_lstsq(factors, b)
    assert not result.x.any()
    assert result.success
    np.testing.assert_allclose(result.residual_norm, np.linalg.norm(b))


def test_wide_factors_give_the_shortest_solution():
    factors, b = problem(((3, 5), (4, 2)))
    result = numopt.kron_lstsq(factors, b)
    expected = np.linalg.lstsq(explicit(factors), b.ravel())[0]
    np.testing.assert_allclose(result.x.ravel(), expected, rtol=0, atol=1e-12)


def test_dtypes():
    factors, b = problem()
    single = numopt.kron_lstsq([A.astype("float32") for A in factors], b.astype("float32"))
    assert single.x.dtype == "float32"
    assert single.success
    integers = [np.arange(6).reshape(3, 2) % 4, np.eye(2, dtype=int)]
    assert numopt.kron_lstsq(integers, np.ones((3, 2), dtype=int)).x.dtype == "float64"


def test_input_is_not_modified():
    factors, b = problem()
    for array in (*factors, b):
        array.flags.writeable = False
    numopt.kron_lstsq(factors, b)
    numopt.kron_lstsq(factors, b, method="sketch", sketch_size=200, rng=0)


def test_sketch_of_a_consistent_problem_is_exact():
    factors, _ = problem()
    x = np.random.default_rng(2).normal(size=(3, 2, 4))
    b = (explicit(factors) @ x.ravel()).reshape(13, 9, 7)
    result = numopt.kron_lstsq(factors, b, method="sketch", sketch_size=100, rng=0)
    np.testing.assert_allclose(result.x, x, rtol=0, atol=1e-11)
    assert result.method == "sketch"


def test_sketch_is_reproducible():
    factors, b = problem()
    options = {"method": "sketch", "sketch_size": 100}
    first = numopt.kron_lstsq(factors, b, rng=1, **options)
    np.testing.assert_array_equal(first.x, numopt.kron_lstsq(factors, b, rng=1, **options).x)
    assert not np.array_equal(first.x, numopt.kron_lstsq(factors, b, rng=2, **options).x)
    S = numopt.sketching.TensorSRHT(100, b.shape, rng=1)
    expected = np.linalg.lstsq(S.apply_kron(factors), S.apply(b.ravel()))[0]
    np.testing.assert_allclose(first.x.ravel(), expected, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_every_coordinate_of_a_tensor_sketch_is_accurate():
    """The statistic of the theorem at 64 by 64, d = 36: 97 of 100 seeds within the 99 % limit."""
    rng = np.random.default_rng(3)
    factors = [rng.normal(size=(64, 6)) for _ in range(2)]
    b = rng.normal(size=(64, 64))
    A, m, d = explicit(factors), 720, 36
    exact = np.linalg.lstsq(A, b.ravel())[0]
    unit = np.linalg.norm(b.ravel() - A @ exact) / np.linalg.svdvals(A)[-1] / math.sqrt(m)
    limit = math.sqrt(2 * math.log(2 * d / 0.01))
    largest, within = [], 0
    for seed in range(100):
        result = numopt.kron_lstsq(factors, b, method="sketch", sketch_size=m, rng=seed)
        error = np.abs(result.x.ravel() - exact).max()
        largest.append(error / unit)
        within += error <= result.linf_bound
    assert np.mean(np.array(largest) <= limit) >= 0.97
    assert 1.0 <= np.median(largest) <= 3.0
    assert within >= 97


FACTORS, RIGHT = problem()
BAD = {
    "factors-array": ((FACTORS[0], RIGHT), {}, TypeError, "`factors` must be a sequence of matr"),
    "factors-empty": (([], RIGHT), {}, TypeError, "`factors` must be a sequence of matrices"),
    "factor-vector": (
        ([FACTORS[0][0], *FACTORS[1:]], RIGHT),
        {},
        ValueError,
        r"`factors\[0\]` must be a matrix",
    ),
    "factor-nan": (
        ([NAN * FACTORS[0], *FACTORS[1:]], RIGHT),
        {},
        ValueError,
        r"`factors\[0\]` must be finite",
    ),
    "factor-complex": (([1j * FACTORS[0]], RIGHT), {}, TypeError, r"`factors\[0\]` must hold real"),
    "b-shape": (
        (FACTORS, RIGHT[:-1]),
        {},
        ValueError,
        r"`b` must have shape \(13, 9, 7\) or \(819,\) to match `factors`, got \(12, 9, 7\)",
    ),
    "b-nan": ((FACTORS, NAN * RIGHT), {}, ValueError, "`b` must be finite"),
    "method": ((FACTORS, RIGHT), {"method": "qr"}, ValueError, "`method` must be one of 'exact'"),
    "tol": ((FACTORS, RIGHT), {"tol": 0.0}, ValueError, "`tol` must be positive and finite"),
    "rcond": ((FACTORS, RIGHT), {"rcond": -1.0}, ValueError, "`rcond` must be in"),
    "eps": (
        (FACTORS, RIGHT),
        {"method": "sketch", "eps": 2.0},
        ValueError,
        r"`eps` must be in \(0, 1\), got 2.0",
    ),
    "delta": (
        (FACTORS, RIGHT),
        {"method": "sketch", "delta": 0.0},
        ValueError,
        r"`delta` must be in \(0, 1\), got 0.0",
    ),
    "both": (
        (FACTORS, RIGHT),
        {"method": "sketch", "eps": 0.5, "sketch_size": 100},
        ValueError,
        "`sketch_size` and `eps` exclude one another",
    ),
    "size": (
        (FACTORS, RIGHT),
        {"method": "sketch", "sketch_size": 47},
        ValueError,
        "`sketch_size` must be at least 48, twice the columns, got 47",
    ),
    "deficient-sketch": (
        ([0 * FACTORS[0], *FACTORS[1:]], RIGHT),
        {"method": "sketch"},
        ValueError,
        "`factors` must have full column rank for method 'sketch'",
    ),
}


@pytest.mark.parametrize(("arguments", "options", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_input(arguments, options, kind, match):
    with pytest.raises(kind, match=match):
        numopt.kron_lstsq(*arguments, **options)
