"""Transformations of a least squares problem that change its solution in a known way."""

import numpy as np
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from regression_problems import METHODS, conditioned

import numopt

SETTINGS = settings(derandomize=True, deadline=None, database=None, max_examples=30)
SEEDS = st.integers(0, 10_000)
methods = st.sampled_from(METHODS)


@st.composite
def problems(draw):
    """Return A, b, x and a bound on the error of a solution in working precision."""
    n, d = draw(st.integers(120, 900)), draw(st.integers(1, 8))
    cond = 10.0 ** draw(st.integers(0, 5)) if d > 1 else 1.0
    A, b = conditioned(n, d, cond, draw(st.sampled_from([1e-6, 0.1, 1.0])), seed=draw(SEEDS))
    x = np.linalg.lstsq(A, b)[0]
    sensitivity = np.linalg.norm(x) * cond + cond**2 * np.linalg.norm(b - A @ x)
    return A, b, x, 1e-14 * (sensitivity + np.linalg.norm(b) * cond)


def solve(A, b, method, **options):
    result = numopt.lstsq(A, b, method=method, rng=0, precision="working", **options)
    assert result.success
    return result.x


@SETTINGS
@given(problems(), methods, SEEDS)
def test_order_of_the_rows(problem, method, seed):
    A, b, x, bound = problem
    order = np.random.default_rng(seed).permutation(b.size)
    np.testing.assert_allclose(solve(A[order], b[order], method), x, rtol=0, atol=bound)


@SETTINGS
@given(problems(), methods, SEEDS)
def test_order_of_the_columns(problem, method, seed):
    A, b, x, bound = problem
    order = np.random.default_rng(seed).permutation(x.size)
    np.testing.assert_allclose(solve(A[:, order], b, method), x[order], rtol=0, atol=bound)


@SETTINGS
@given(problems(), methods, SEEDS, st.integers(1, 12))
def test_scale_of_the_columns(problem, method, seed, decades):
    """Columns are scaled before anything is decided, so that units do not matter."""
    A, b, x, bound = problem
    scale = 2.0 ** np.random.default_rng(seed).integers(-3 * decades, 3 * decades + 1, size=x.size)
    scaled = numopt.lstsq(A * scale, b, method=method, rng=0, precision="working")
    assert scaled.success
    assert scaled.rank == x.size
    # Backward stable for the matrix as a whole only: small columns have less of a say.
    if decades == 1:
        np.testing.assert_allclose(scaled.x * scale, x, rtol=0, atol=1e3 * bound)
    extended = numopt.lstsq(A * scale, b, method=method, rng=0, precision="extended")
    reference = numopt.lstsq(A, b, method=method, rng=0, precision="extended")
    np.testing.assert_allclose(
        extended.x * scale, reference.x, rtol=1e-9, atol=1e-9 * np.abs(reference.x).max()
    )


@SETTINGS
@given(problems(), methods, SEEDS)
def test_mixing_the_columns_orthogonally(problem, method, seed):
    A, b, x, bound = problem
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(x.size, x.size)))[0]
    np.testing.assert_allclose(Q @ solve(A @ Q, b, method), x, rtol=0, atol=4 * bound)


@SETTINGS
@given(problems(), methods)
def test_rotating_the_rows(problem, method):
    A, b, x, bound = problem
    n = 1 << (b.size - 1).bit_length()
    padded = np.zeros((n, x.size + 1))
    padded[: b.size] = np.hstack([A, b[:, None]])
    rotated = scipy.linalg.hadamard(n) @ padded / np.sqrt(n)
    np.testing.assert_allclose(
        solve(rotated[:, :-1], rotated[:, -1], method), x, rtol=0, atol=4 * bound
    )


@SETTINGS
@given(problems(), methods, st.integers(-30, 30), st.integers(-30, 30))
def test_scale_of_the_problem(problem, method, left, right):
    """Powers of two change no digit."""
    A, b, _, _ = problem
    plain = solve(A, b, method)
    scaled = solve(A * 2.0**left, b * 2.0**right, method)
    np.testing.assert_array_equal(scaled * 2.0 ** (left - right), plain)


@SETTINGS
@given(problems(), methods, SEEDS)
def test_shifting_the_right_hand_side(problem, method, seed):
    A, b, x, bound = problem
    z = np.random.default_rng(seed).normal(size=x.size)
    size = max(1.0, np.linalg.norm(z) / max(np.linalg.norm(x), 1e-300))
    np.testing.assert_allclose(solve(A, b + A @ z, method), x + z, rtol=0, atol=8 * bound * size)


@SETTINGS
@given(problems(), methods)
def test_rows_twice_weigh_two(problem, method):
    A, b, _, bound = problem
    weights = np.where(np.arange(b.size) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(b.size), weights.astype(int))
    np.testing.assert_allclose(
        solve(A, b, method, weights=weights),
        solve(A[twice], b[twice], method),
        rtol=0,
        atol=8 * bound,
    )


@SETTINGS
@given(problems(), st.sampled_from(["sketch", *METHODS]), SEEDS)
def test_the_residual_is_never_below_the_smallest(problem, method, seed):
    A, b, x, _ = problem
    options = {"sketch_size": min(b.size, 2 * x.size + 20)} if method == "sketch" else {}
    result = numopt.lstsq(A, b, method=method, rng=seed, **options)
    smallest = np.linalg.norm(b - A @ x)
    assert result.residual_norm >= smallest * (1 - 1e-10) - 1e-14 * np.linalg.norm(b)
    assert abs(result.residual_norm - np.linalg.norm(b - A @ result.x)) <= 1e-13 * np.linalg.norm(b)


@SETTINGS
@given(problems(), methods, st.floats(0.0, 10.0), st.floats(0.0, 10.0))
def test_more_ridge_gives_a_shorter_solution(problem, method, ridge, more):
    A, b, _, bound = problem
    small, large = (solve(A, b, method, ridge=r) for r in (ridge, ridge + more))
    assert np.linalg.norm(large) <= np.linalg.norm(small) * (1 + 1e-10) + 4 * bound
