"""What users rely on in `lstsq`, `lstsq_factor` and their results, on every array library."""

import math

import numpy as np
import pytest
from libraries import to_numpy
from regression_problems import (
    EPS,
    METHODS,
    assert_consistent,
    augmented,
    conditioned,
    random_problem,
)
from scipy.sparse import coo_array, csc_matrix, csr_array, random_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import numopt

EVERY = pytest.mark.parametrize("method", ["auto", *METHODS, "sketch"])


@EVERY
@pytest.mark.parametrize("columns", [None, 2])
def test_libraries(lib, method, columns):
    A, b = random_problem(1200, 5, seed=0, columns=columns)
    single = lib.widest == "float32"
    rng = np.random.default_rng(1)
    for weights, ridge in ((None, 0.0), (rng.random(1200), 0.5)):
        given = None if weights is None else lib.asarray(weights)
        result = numopt.lstsq(
            lib.asarray(A), lib.asarray(b), method=method, weights=given, ridge=ridge, rng=2
        )
        assert lib.holds(result.x, lib.widest)
        assert result.success
        rows, right = augmented(A, b, weights, ridge)
        expected = np.linalg.lstsq(rows, right)[0]
        if method == "sketch":
            expected = numopt.lstsq(A, b, method=method, weights=weights, ridge=ridge, rng=2).x
        scale = np.abs(expected).max()
        tolerance = 2e-5 if single else 1e-12
        np.testing.assert_allclose(to_numpy(result.x), expected, rtol=0, atol=tolerance * scale)
        for matrix in (result.covariance(), result.standard_errors()):
            assert lib.holds(matrix, lib.widest)


@EVERY
def test_libraries_agree_on_rank(lib, method):
    A, b = random_problem(900, 6, seed=3)
    A[:, 4] = 2 * A[:, 1]
    result = numopt.lstsq(lib.asarray(A), lib.asarray(b), method=method, rng=0)
    assert result.rank == 5
    if method != "sketch":
        expected = np.linalg.lstsq(A, b)[0]
        tolerance = 1e-4 if lib.widest == "float32" else 1e-12
        np.testing.assert_allclose(to_numpy(result.x), expected, rtol=0, atol=tolerance)


@EVERY
def test_float32_is_computed_in_float64(method):
    A, b = (X.astype("float32") for X in random_problem(3000, 6, seed=4))
    single = numopt.lstsq(A, b, method=method, rng=0)
    double = numopt.lstsq(A.astype(float), b.astype(float), method=method, rng=0)
    assert single.x.dtype == "float32"
    np.testing.assert_array_equal(single.x, double.x.astype("float32"))
    assert single.tol == np.finfo("float32").eps
    assert single.success
    # The norms are those of what is returned, after rounding.
    residual = b.astype(float) - A.astype(float) @ single.x.astype(float)
    np.testing.assert_allclose(single.residual_norm, np.linalg.norm(residual), rtol=1e-12)
    gradient = np.linalg.norm(A.astype(float).T @ residual)
    np.testing.assert_allclose(single.grad_norm, gradient, rtol=1e-6)


def test_float32_of_a_condition_number_beyond_its_own():
    A, b = conditioned(3000, 8, 1e6, 1e-3, seed=5)
    A, b = A.astype("float32"), b.astype("float32")
    exact = np.linalg.lstsq(A.astype(float), b.astype(float))[0]
    for method in METHODS:
        assert numopt.lstsq(A, b, method=method, rng=0).success
        # To the rounding of x where more is asked for than float32 can be certified to.
        x = numopt.lstsq(A, b, method=method, rng=0, tol=1e-15).x
        np.testing.assert_allclose(x, exact, rtol=1e-6, atol=1e-6 * np.abs(exact).max())


@pytest.mark.parametrize(
    "dtypes",
    [
        ("float32", "float64"),
        ("float64", "float32"),
        ("int32", "float64"),
        ("uint8", "int64"),
        (">f8", ">f8"),
    ],
)
@pytest.mark.parametrize("method", ["auto", "cholqr"])
def test_mixed_dtypes(dtypes, method):
    rng = np.random.default_rng(6)
    A, b = (
        rng.integers(0, 200, size=s).astype(t) for s, t in zip(((900, 4), 900), dtypes, strict=True)
    )
    result = numopt.lstsq(A, b, method=method)
    assert result.x.dtype == "float64"
    expected = np.linalg.lstsq(A.astype(float), b.astype(float))[0]
    np.testing.assert_allclose(result.x, expected, rtol=1e-12)


def layouts(A):
    yield "fortran", np.asfortranarray(A)
    yield "strided", np.repeat(np.repeat(A, 2, axis=0), 3, axis=1)[::2, ::3]
    yield "reversed", A[::-1, ::-1].copy()[::-1, ::-1]
    yield "transposed", A.T.copy().T


@EVERY
def test_memory_layout_and_read_only_input(method):
    A, b = random_problem(5000, 7, seed=7)
    weights, x0 = np.random.default_rng(8).random(5000), np.ones(7)
    expected = numopt.lstsq(A, b, method=method, rng=0, weights=weights, x0=x0).x
    for label, given in layouts(A):
        for array in (given, b, weights, x0):
            array.flags.writeable = False
        before = given.copy()
        result = numopt.lstsq(given, b, method=method, rng=0, weights=weights, x0=x0)
        np.testing.assert_allclose(result.x, expected, rtol=0, atol=1e-13, err_msg=label)
        np.testing.assert_array_equal(given, before)
    strided = np.stack([b, b], axis=1)[:, 0]
    np.testing.assert_allclose(
        numopt.lstsq(A, strided, method=method, rng=0, weights=weights, x0=x0).x,
        expected,
        rtol=0,
        atol=1e-13,
    )


@EVERY
def test_same_seed_same_bits(method):
    A, b = random_problem(9000, 12, seed=9)
    first = numopt.lstsq(A, b, method=method, rng=3)
    again = numopt.lstsq(A, b, method=method, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(first.x, again.x)
    assert first.history == again.history
    other = numopt.lstsq(A, b, method=method, rng=4)
    if method in ("sketch", "cholqr", "iterative"):
        assert not np.array_equal(first.stats["x_sketch"], other.stats["x_sketch"])
    if method == "sketch":
        unseeded = [numopt.lstsq(A, b, method=method).x for _ in range(2)]
        assert not np.array_equal(*unseeded)


@pytest.mark.parametrize("method", ["gram", "cholqr", "iterative", "sketch"])
def test_threads_change_nothing(method):
    A, b = random_problem(60_000, 20, seed=10)
    results = []
    for threads in (1, 2, 3):
        with numopt.num_threads(threads):
            results.append(numopt.lstsq(A, b, method=method, rng=0).x)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("method", METHODS)
def test_start(method):
    A, b = conditioned(4000, 6, 1e3, 0.5, seed=11)
    exact = np.linalg.lstsq(A, b)[0]
    warm = numopt.lstsq(A, b, method=method, x0=exact, rng=0, tol=1e-13)
    assert warm.nit == 0
    np.testing.assert_array_equal(warm.x, exact)
    far = numopt.lstsq(A, b, method=method, x0=exact + 1e4, rng=0)
    assert far.success
    np.testing.assert_allclose(far.x, exact, rtol=0, atol=1e-9 * np.abs(exact).max())
    B = np.stack([b, -b], axis=1)
    both = numopt.lstsq(A, B, method=method, x0=np.stack([exact, exact], axis=1), rng=0)
    np.testing.assert_allclose(both.x, np.stack([exact, -exact], axis=1), rtol=1e-8)


def test_start_in_the_null_space_does_not_lengthen_the_solution():
    A, b = random_problem(2000, 5, seed=12)
    A[:, 4] = A[:, 0]
    expected = np.linalg.lstsq(A, b)[0]
    for method in METHODS:
        result = numopt.lstsq(A, b, method=method, x0=np.array([5.0, 0, 0, 0, -3]), rng=0)
        np.testing.assert_allclose(result.x, expected, rtol=0, atol=1e-12)


@EVERY
def test_no_iterations(method):
    A, b = conditioned(4000, 6, 1e3, 0.5, seed=13)
    x0 = np.arange(6.0)
    result = numopt.lstsq(A, b, method=method, x0=x0, maxiter=0, rng=0)
    if method != "sketch":
        np.testing.assert_array_equal(result.x, x0)
        assert not result.success
        assert result.status == 1
        assert "raise maxiter" in result.message
    assert result.nit == 0
    assert len(result.history) == 1
    assert_consistent(result, A, b)
    without = numopt.lstsq(A, b, method=method, maxiter=0, rng=0)
    assert without.nit == 0
    assert_consistent(without, A, b)


def test_one_iteration_may_not_do():
    A, b = conditioned(4000, 6, 1e10, 1.0, seed=14)
    result = numopt.lstsq(A, b, method="cholqr", maxiter=1, rng=0, precision="extended")
    assert result.nit == 1
    assert result.success == (result.backward_error <= result.tol)


@pytest.mark.parametrize("method", ["cholqr", "iterative", "gram"])
def test_callback(method):
    A, b = conditioned(4000, 6, 1e4, 1.0, seed=15)
    seen = []
    result = numopt.lstsq(A, b, method=method, rng=0, callback=seen.append)
    assert [record.nit for record in seen] == list(range(result.nit + 1))
    for record, kept in zip(seen, result.history, strict=True):
        assert dict(record) == kept
        assert {"nit", "backward_error", "residual_norm", "grad_norm"} <= set(record)

    def stop(_):
        raise StopIteration

    stopped = numopt.lstsq(A, b, method=method, rng=0, callback=stop)
    assert stopped.status == 99
    assert stopped.nit == 0
    assert not stopped.success
    assert "Stopped by the callback" in stopped.message

    def fail(_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        numopt.lstsq(A, b, method=method, rng=0, callback=fail)


def test_tolerance():
    A, b = conditioned(4000, 6, 1e4, 1.0, seed=16)
    loose = numopt.lstsq(A, b, method="iterative", tol=1e-3, rng=0)
    assert loose.tol == 1e-3
    assert loose.success
    assert loose.nit <= 1
    hopeless = numopt.lstsq(A, b, method="iterative", tol=1e-30, rng=0)
    assert not hopeless.success
    assert hopeless.status is numopt.Status.STALLED
    assert hopeless.backward_error <= 4 * EPS
    assert "no further progress" in hopeless.message
    errors = [record["backward_error"] for record in hopeless.history]
    assert hopeless.backward_error == min(errors)


def test_reads_of_the_matrix():
    """What a method reads: at most what its documentation says."""
    A, b = random_problem(40_000, 30, seed=17)
    limits = {"gram": 3, "cholqr": 5, "iterative": 40, "sketch": 2, "direct": 3}
    for method, limit in limits.items():
        result = numopt.lstsq(A, b, method=method, rng=0)
        assert result.n_passes <= limit, method
        assert result.success


def test_reads_are_counted():
    A, b = random_problem(3000, 6, seed=18)
    reads = []

    def rows():
        reads.append(1)
        yield A[:1000]
        yield A[1000:]

    for method in ("gram", "cholqr", "iterative", "sketch", "direct"):
        reads.clear()
        result = numopt.lstsq(rows, b, method=method, rng=0)
        # One more to count the rows.
        assert len(reads) == result.n_passes + 1, method


@pytest.mark.parametrize(
    ("n", "d", "cond", "method"),
    [
        (100, 10, 1e1, "direct"),
        (30, 10, 1e1, "direct"),
        (3000, 10, 1e1, "gram"),
        (3000, 10, 1e10, "cholqr"),
        (6000, 200, 1e10, "iterative"),
    ],
)
def test_automatic_method(n, d, cond, method):
    A, b = conditioned(n, d, cond, 1.0, seed=19)
    result = numopt.lstsq(A, b, rng=0)
    assert result.method == method
    assert result.success
    assert repr(method) in result.message


def test_gram_is_refused_where_it_would_fail():
    """A sample of the rows looks well-conditioned; the whole is not, through a few rows."""
    rng = np.random.default_rng(20)
    A = np.zeros((20_000, 5))
    A[:, 0] = 1.0
    A[:, 1] = 1.0 + 1e-9 * rng.normal(size=20_000)
    A[:, 2:] = rng.normal(size=(20_000, 3))
    A[1, 1] += 1e-4
    b = rng.normal(size=20_000)
    for method in ("auto", "gram"):
        result = numopt.lstsq(A, b, method=method, rng=0)
        assert result.method == "cholqr"
        assert result.success
        expected = np.linalg.lstsq(A, b)[0]
        np.testing.assert_allclose(result.x, expected, rtol=1e-6)


def test_condition_number():
    for cond in (1e1, 1e5, 1e9):
        A, b = conditioned(5000, 10, cond, 1.0, seed=21)
        true = np.linalg.cond(A / np.linalg.norm(A, axis=0))
        for method in METHODS:
            result = numopt.lstsq(A, b, method=method, rng=0)
            assert 0.3 * true <= result.cond_estimate <= 2.0 * true


@pytest.mark.parametrize("method", ["auto", *METHODS])
@pytest.mark.parametrize("weighted", [False, True])
def test_factor(method, weighted):
    A, b = random_problem(4000, 6, seed=22)
    options = {"weights": np.random.default_rng(23).random(4000), "ridge": 0.1} if weighted else {}
    factor = numopt.lstsq_factor(A, method=method, rng=0, **options)
    assert factor.shape == (4000, 6)
    assert factor.rank == 6
    assert factor.method == ("gram" if method == "auto" else method)
    true = np.linalg.cond(A / np.linalg.norm(A, axis=0))
    assert 0.3 * true <= factor.cond_estimate <= 2 * true
    passes = []
    for k in range(3):
        right = np.roll(b, k)
        result = factor.solve(right)
        expected = numopt.lstsq(A, right, **options).x
        assert result.success
        np.testing.assert_allclose(result.x, expected, rtol=0, atol=1e-13)
        np.testing.assert_array_equal(result.x, factor.solve(right).x)
        passes.append(result.n_passes)
    together = factor.solve(np.stack([b, np.roll(b, 1)], axis=1))
    assert together.x.shape == (6, 2)
    warm = factor.solve(b, x0=expected, maxiter=0)
    np.testing.assert_array_equal(warm.x, expected)
    assert not warm.success
    seen = []
    factor.solve(b, tol=1e-3, callback=seen.append)
    assert seen
    with pytest.raises(ValueError, match=r"`b` must have shape \(4000,\) or \(4000, k\)"):
        factor.solve(b[:-1])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_covariance_and_standard_errors(method, weighted):
    """The textbook formulas, which statsmodels computes as well."""
    A, b = random_problem(2000, 5, seed=24)
    weights = np.random.default_rng(25).random(2000) + 0.1 if weighted else None
    result = numopt.lstsq(A, b, method=method, weights=weights, rng=0)
    W = np.diag(np.ones(2000) if weights is None else weights)
    residual = b - A @ result.x
    variance = residual @ W @ residual / (2000 - 5)
    expected = variance * np.linalg.inv(A.T @ W @ A)
    np.testing.assert_allclose(result.covariance(), expected, rtol=0, atol=1e-11 * expected.max())
    np.testing.assert_allclose(result.standard_errors(), np.sqrt(np.diag(expected)), rtol=1e-11)
    B = np.stack([b, 3 * b], axis=1)
    both = numopt.lstsq(A, B, method=method, weights=weights, rng=0)
    assert both.covariance().shape == (2, 5, 5)
    np.testing.assert_allclose(
        both.covariance()[1], 9 * expected, rtol=0, atol=1e-10 * expected.max()
    )
    np.testing.assert_allclose(
        both.standard_errors()[:, 1], 3 * result.standard_errors(), rtol=1e-11
    )


def test_covariance_with_ridge_and_of_a_deficient_matrix():
    A, b = random_problem(500, 4, seed=26)
    result = numopt.lstsq(A, b, ridge=7.0)
    variance = (np.sum((b - A @ result.x) ** 2) + 7 * result.x @ result.x) / (500 - 4)
    expected = variance * np.linalg.inv(A.T @ A + 7 * np.eye(4))
    np.testing.assert_allclose(result.covariance(), expected, rtol=1e-10)
    A[:, 3] = A[:, 0]
    result = numopt.lstsq(A, b)
    variance = np.sum((b - A @ result.x) ** 2) / (500 - 3)
    expected = variance * np.linalg.pinv(A.T @ A)
    np.testing.assert_allclose(result.covariance(), expected, rtol=0, atol=1e-14)


def test_standard_errors_against_statsmodels():
    api = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    A, b = random_problem(800, 5, seed=27)
    weights = np.random.default_rng(28).random(800) + 0.1
    fit = api.WLS(b, A, weights=weights).fit()
    result = numopt.lstsq(A, b, weights=weights)
    np.testing.assert_allclose(result.x, fit.params, rtol=1e-10)
    np.testing.assert_allclose(result.standard_errors(), fit.bse, rtol=1e-10)
    np.testing.assert_allclose(result.covariance(), fit.cov_params(), rtol=1e-8)


def test_interval_needs_a_sketch():
    A, b = random_problem(6000, 4, seed=29)
    with pytest.raises(TypeError, match="`sketch_interval` needs method 'sketch', but it was 'gra"):
        numopt.lstsq(A, b).sketch_interval()
    result = numopt.lstsq(A, b, method="sketch", rng=0)
    low, high = result.sketch_interval(0.9)
    assert np.all(low < result.x)
    assert np.all(result.x < high)
    np.testing.assert_allclose(high - result.x, result.x - low)
    with pytest.raises(ValueError, match="`confidence` must be in"):
        result.sketch_interval(1.5)
    both = numopt.lstsq(A, np.stack([b, b], axis=1), method="sketch", rng=0)
    assert both.sketch_interval()[0].shape == (4, 2)


@pytest.mark.parametrize("sketch", ["srht", "sparse_sign", "countsketch", "gaussian"])
@pytest.mark.parametrize("method", ["sketch", "cholqr", "iterative"])
def test_sketches(method, sketch):
    A, b = random_problem(5000, 8, seed=30)
    result = numopt.lstsq(A, b, method=method, sketch=sketch, sketch_size=200, rng=0)
    names = {
        "srht": "SRHT",
        "sparse_sign": "SparseSign",
        "countsketch": "CountSketch",
        "gaussian": "Gaussian",
    }
    assert result.stats["sketch"] == names[sketch]
    assert result.stats["sketch_size"] == 200
    assert result.success
    S = getattr(numopt.sketching, names[sketch])(200, 5000, rng=0)
    expected = np.linalg.lstsq(S.apply(A), S.apply(b))[0]
    np.testing.assert_allclose(result.stats["x_sketch"], expected, rtol=0, atol=1e-11)
    if method == "sketch":
        np.testing.assert_array_equal(result.x, result.stats["x_sketch"])
        assert "probability 0.99" in result.message
    assert (result.linf_bound is not None) == (method == "sketch")


def test_sketch_size_follows_from_eps_and_delta():
    A, b = random_problem(20_000, 5, seed=31)
    for eps, delta in ((0.5, 0.01), (0.1, 0.1), (0.3, 0.5)):
        result = numopt.lstsq(A, b, method="sketch", eps=eps, delta=delta, rng=0)
        assert result.stats["sketch_size"] == math.ceil(10 * math.log(10 / delta) / eps**2)


def test_a_sketch_as_large_as_the_matrix_is_solved_directly():
    A, b = random_problem(300, 5, seed=32)
    with pytest.warns(RuntimeWarning, match=r"A sketch of 277 rows .* `A` has 200: solving"):
        result = numopt.lstsq(A[:200], b[:200], method="sketch")
    assert result.method == "direct"
    assert result.status is numopt.Status.FELL_BACK
    assert result.success
    np.testing.assert_allclose(result.x, np.linalg.lstsq(A[:200], b[:200])[0], rtol=1e-11)
    assert numopt.lstsq(A, b, method="sketch").method == "sketch"


def sparse_problem(seed=33):
    rng = np.random.default_rng(seed)
    A = random_array((4000, 12), density=0.2, rng=rng, format="csr")
    return A, rng.normal(size=4000), rng.random(4000)


FORMS = {
    "csr": csr_array,
    "csc-matrix": csc_matrix,
    "coo": coo_array,
    "operator": aslinearoperator,
    "functions": lambda A: LinearOperator(
        A.shape, matvec=lambda x: A @ x, rmatvec=lambda y: A.T @ y, dtype=float
    ),
}


@EVERY
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_sparse_matrix_and_operator(form, method):
    A, b, weights = sparse_problem()
    for given, ridge in ((None, 0.0), (weights, 2.0)):
        rows, right = augmented(A.toarray(), b, given, ridge)
        expected = np.linalg.lstsq(rows, right)[0]
        result = numopt.lstsq(form(A), b, method=method, weights=given, ridge=ridge, rng=0)
        assert result.success
        assert result.method == ("iterative" if method == "auto" else method)
        if method == "sketch":
            assert result.stats["sketch"] == "SparseSign"
            assert np.abs(result.x - expected).max() <= result.linf_bound
            continue
        np.testing.assert_allclose(result.x, expected, rtol=0, atol=1e-13)
        assert_consistent(result, A.toarray(), b, given, ridge)
        factor = numopt.lstsq_factor(form(A), method=method, weights=given, ridge=ridge, rng=0)
        for column in (b, -b):
            sign = 1 if column is b else -1
            np.testing.assert_allclose(factor.solve(column).x, sign * expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("sketch", ["sparse_sign", "countsketch", "gaussian"])
@pytest.mark.parametrize("form", [csr_array, aslinearoperator])
def test_sparse_sketches(form, sketch):
    A, b, _ = sparse_problem(34)
    result = numopt.lstsq(form(A), b, sketch=sketch, rng=0)
    assert result.stats["sketch_size"] == 20 * 12 + 32
    S = getattr(numopt.sketching, result.stats["sketch"])(result.stats["sketch_size"], 4000, rng=0)
    expected = np.linalg.lstsq(S.apply(A.toarray()), S.apply(b))[0]
    np.testing.assert_allclose(result.stats["x_sketch"], expected, rtol=0, atol=1e-12)
    assert result.success


def test_sparse_float32():
    A, b, _ = sparse_problem(35)
    A, b = csr_array(A.astype("float32")), b.astype("float32")
    result = numopt.lstsq(A, b, rng=0)
    assert result.x.dtype == "float32"
    expected = np.linalg.lstsq(A.toarray().astype(float), b.astype(float))[0]
    np.testing.assert_allclose(result.x, expected, rtol=0, atol=2e-7 * np.abs(expected).max())


def test_ill_conditioned_operator():
    rng = np.random.default_rng(36)
    A, b, _ = sparse_problem(36)
    A = csr_array(A.toarray() @ np.linalg.qr(rng.normal(size=(12, 12)))[0] * np.logspace(0, -9, 12))
    result = numopt.lstsq(aslinearoperator(A), b, rng=0)
    assert result.success
    assert result.rank == 12
    # A backward error of one rounding unit, times the condition number of 1e9.
    np.testing.assert_allclose(result.x, np.linalg.lstsq(A.toarray(), b)[0], rtol=1e-6)


def test_result_prints_its_fields():
    A, b = random_problem(500, 3, seed=37)
    text = repr(numopt.lstsq(A, b))
    for field in ("message", "success", "backward_error", "rank"):
        assert f"{field}:" in text
    assert "_design" not in text
