"""Sketching operators against their matrices, and what they promise on average."""

import itertools
import math

import numpy as np
import pytest
from libraries import to_numpy
from scipy.linalg import hadamard
from scipy.sparse import csr_array, csr_matrix, random_array

from numopt.sketching import (
    SRHT,
    CountSketch,
    Gaussian,
    Sketch,
    SparseSign,
    TensorSRHT,
    fwht,
)

OPERATORS = {
    "srht": lambda m, n, rng=0: SRHT(m, n, rng=rng),
    "srht-without-replacement": lambda m, n, rng=0: SRHT(m, n, rng=rng, replace=False),
    "sparse-sign": lambda m, n, rng=0: SparseSign(m, n, rng=rng),
    "sparse-sign-3": lambda m, n, rng=0: SparseSign(m, n, rng=rng, nnz=3),
    "countsketch": lambda m, n, rng=0: CountSketch(m, n, rng=rng),
    "gaussian": lambda m, n, rng=0: Gaussian(m, n, rng=rng),
}
BY_BLOCKS = pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS.keys())
EVERY = pytest.mark.parametrize(
    "make",
    [*OPERATORS.values(), lambda m, n, rng=0: TensorSRHT(m, (n // 10, 10), rng=rng)],
    ids=[*OPERATORS, "tensor"],
)


def dense(S):
    """Return the matrix of an operator from its random numbers, by its definition."""
    m, n = S.shape
    if isinstance(S, TensorSRHT):
        rows = np.ones((m, 1))
        for length, signs, index in zip(S.dims, S.signs, S.rows, strict=True):
            part = hadamard(1 << (length - 1).bit_length())[index, :length] * signs
            rows = (rows[:, :, None] * part[:, None, :]).reshape(m, -1)
        return rows / math.sqrt(m)
    if isinstance(S, SRHT):
        return hadamard(1 << (n - 1).bit_length())[S.rows, :n] * S.signs / math.sqrt(m)
    if isinstance(S, SparseSign):
        matrix = np.zeros((m, n))
        nonzeros = S.signs.shape[1]
        for column in range(n):
            for z in range(nonzeros):
                value = S.signs[column, z] / math.sqrt(nonzeros)
                matrix[S.buckets[column, z], column] += value
        return matrix
    return S.to_dense()


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "reference"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("d", [1, 7, 33, 100])
@pytest.mark.parametrize("n", [37, 1000, 4097, 9000])
def test_srht_is_the_sampled_hadamard_matrix(n, d, order, compiled, monkeypatch):
    from numopt._core import dispatch

    monkeypatch.setattr(dispatch, "size_of", lambda _: 2**62 if compiled else 0)
    A = np.asarray(np.random.default_rng(1).normal(size=(n, d)), order=order)
    S = SRHT(19, n, rng=2)
    index = np.arange(n)
    H = 1 - 2 * (np.bitwise_count(S.rows[:, None] & index) % 2).astype(float)
    expected = (H * S.signs) @ A / math.sqrt(19)
    np.testing.assert_allclose(S.apply(A), expected, rtol=0, atol=1e-13 * math.sqrt(n))
    single = S.apply(A.astype("float32"))
    assert single.dtype == "float32"
    np.testing.assert_allclose(single, expected, rtol=0, atol=4e-6 * math.sqrt(n))


@EVERY
@pytest.mark.parametrize("n", [10, 60, 130])
@pytest.mark.parametrize("m", [9, 16])
def test_operator_is_its_matrix(lib, make, n, m):
    S, rng = make(m, n), np.random.default_rng(3)
    matrix = dense(S)
    assert S.shape == matrix.shape == (m, n)
    np.testing.assert_allclose(S.to_dense(), matrix, rtol=0, atol=1e-15 * n)
    A, Y = rng.normal(size=(n, 4)), rng.normal(size=(m, 3))
    for given, product, of in ((A, S.apply, matrix @ A), (Y, S.adjoint, matrix.T @ Y)):
        for x, wanted in ((given, of), (given[:, 1], of[:, 1])):
            result = product(lib.asarray(x))
            assert lib.holds(result, lib.widest)
            bound = 8 * lib.eps * np.abs(matrix).max() * np.abs(given).sum()
            np.testing.assert_allclose(to_numpy(result), wanted, rtol=0, atol=bound)


@EVERY
def test_adjoint_is_the_adjoint(make):
    rng = np.random.default_rng(4)
    S = make(40, 4200)
    x, y = rng.normal(size=4200), rng.normal(size=40)
    left, right = S.apply(x) @ y, x @ S.adjoint(y)
    assert abs(left - right) <= 1e-13 * np.linalg.norm(S.apply(x)) * np.linalg.norm(y)


@BY_BLOCKS
@pytest.mark.parametrize("cuts", [[5000], [1], [4096, 8192], [100, 101, 4100, 4101, 9999]])
def test_parts_of_the_rows_add_up(make, cuts):
    n = 10_000
    rng = np.random.default_rng(5)
    A, b, scale = rng.normal(size=(n, 6)), rng.normal(size=(n, 2)), rng.random(n)
    S = make(50, n)
    edges = [0, *cuts, n]
    total = sum(
        S.partial(A[low:high], b[low:high], scale[low:high], low)
        for low, high in itertools.pairwise(edges)
    )
    expected = S.apply(np.hstack([A, b]) * scale[:, None])
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-12)


@EVERY
def test_same_seed_same_operator(make):
    A = np.random.default_rng(6).normal(size=(300, 5))
    first = make(30, 300, rng=7).apply(A)
    np.testing.assert_array_equal(first, make(30, 300, rng=7).apply(A))
    np.testing.assert_array_equal(first, make(30, 300, rng=np.random.default_rng(7)).apply(A))
    assert not np.allclose(first, make(30, 300, rng=8).apply(A))
    assert not np.allclose(make(30, 300, rng=None).apply(A), make(30, 300, rng=None).apply(A))
    shared = np.random.default_rng(7)
    make(30, 300, rng=shared)
    assert not np.allclose(first, make(30, 300, rng=shared).apply(A))


@EVERY
@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "read-only", "transposed"])
def test_memory_layout_does_not_matter(make, layout):
    A = np.random.default_rng(8).normal(size=(600, 9))
    made = {
        "fortran": np.asfortranarray(A),
        "strided": np.repeat(np.repeat(A, 2, axis=0), 3, axis=1)[::2, ::3],
        "reversed": A[::-1][::-1],
        "read-only": A.copy(),
        "transposed": A.T.copy().T,
    }[layout]
    made.flags.writeable = layout != "read-only"
    before = made.copy()
    S = make(50, 600)
    np.testing.assert_allclose(S.apply(made), S.apply(A), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(made, before)


@EVERY
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32"])
def test_dtypes(make, dtype):
    A = np.random.default_rng(9).integers(0, 120, size=(200, 4)).astype(dtype)
    S = make(20, 200)
    result, expected = S.apply(A), S.apply(A.astype(float))
    assert result.dtype == (dtype if dtype == "float32" else "float64")
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@EVERY
def test_norms_are_right_on_average(make):
    """E[S'S] = I: the mean of 2000 values of known variance; each is 5 deviations off by 6e-7."""
    rng = np.random.default_rng(10)
    g, h = rng.normal(size=(2, 70))
    products = []
    for seed in range(2000):
        sketch = make(16, 70, rng=seed).apply(np.stack([g, h], axis=1))
        products.append((sketch.T @ sketch).ravel())
    products = np.array(products)
    error = products.mean(axis=0) - (np.stack([g, h]) @ np.stack([g, h]).T).ravel()
    assert np.all(np.abs(error) <= 5 * products.std(axis=0) / math.sqrt(2000))


@pytest.mark.parametrize("n", [64, 60])
def test_rows_without_replacement_are_orthogonal(n):
    S = SRHT(48, n, rng=11, replace=False)
    assert np.unique(S.rows).size == 48
    gram = S.apply(S.to_dense().T)
    if n == 64:
        np.testing.assert_allclose(gram, 64 / 48 * np.eye(48), rtol=0, atol=1e-13)
    whole = SRHT(64, n, rng=12, replace=False).to_dense()
    np.testing.assert_allclose(whole.T @ whole, np.eye(n), rtol=0, atol=1e-13)


def test_gaussian_entries_are_normal():
    """Entries over several blocks of columns; a true p-value below 1e-4 is a false alarm."""
    from scipy.stats import kstest  # takes long to import

    entries = Gaussian(40, 9000, rng=13).to_dense()
    assert kstest(entries.ravel() * math.sqrt(40), "norm").pvalue > 1e-4
    assert not np.array_equal(entries[:, :4096], entries[:, 4096:8192])


@pytest.mark.parametrize("kind", [csr_array, csr_matrix])
@pytest.mark.parametrize("make", [CountSketch, SparseSign])
def test_sparse_matrix(make, kind):
    A = random_array((500, 30), density=0.05, rng=np.random.default_rng(14), format="csr")
    S = make(60, 500, rng=15)
    result = S.apply(kind(A))
    assert type(result) is np.ndarray
    np.testing.assert_allclose(result, S.apply(A.toarray()), rtol=0, atol=1e-14)


def test_coordinates_are_embedded_obliviously():
    """``|g'S'Sh - g'h| sqrt(m)`` of a heavy pair: CountSketch fails by a collision, SRHT does not.

    For 200 seeds; normal deviations beyond 4.5 in one of them have a probability of 1.4e-3.
    """
    n, m = 2048, 64
    g, h = np.zeros(n), np.zeros(n)
    g[0], h[1:9] = 1.0, 1 / math.sqrt(8)

    def deviations(make):
        sketches = [make(m, n, rng=seed).apply(np.stack([g, h], axis=1)) for seed in range(200)]
        return np.abs([s[:, 0] @ s[:, 1] for s in sketches]) * math.sqrt(m)

    assert deviations(SRHT).max() <= 4.5
    # A collision has probability 8/64 and costs sqrt(m / 8) = 2.8 whatever m is.
    hits = deviations(CountSketch)
    assert 0.05 <= np.mean(hits > 2.8 - 1e-9) <= 0.25
    assert np.median(hits) == 0


def tensor_factors(dims=(13, 6, 9), widths=(2, 3, 2), seed=16):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in zip(dims, widths, strict=True)]


def test_tensor_sketch_of_kronecker_product(lib):
    S = TensorSRHT(25, (13, 6, 9), rng=17)
    A, B, C = tensor_factors()
    expected = dense(S) @ np.kron(np.kron(A, B), C)
    result = S.apply_kron([lib.asarray(X) for X in (A, B, C)])
    assert lib.holds(result, lib.widest)
    scale = lib.eps * np.abs(expected).max()
    np.testing.assert_allclose(to_numpy(result), expected, rtol=0, atol=64 * scale)


def test_tensor_sketch_of_khatri_rao_product():
    S = TensorSRHT(25, (13, 6, 9), rng=18)
    factors = tensor_factors(widths=(4, 4, 4))
    columns = [np.kron(np.kron(a, b), c) for a, b, c in zip(*(X.T for X in factors), strict=True)]
    expected = dense(S) @ np.stack(columns, axis=1)
    np.testing.assert_allclose(S.apply_khatri_rao(factors), expected, rtol=0, atol=1e-12)


def test_tensor_sketch_of_one_factor_is_the_srht():
    S = TensorSRHT(12, [50], rng=19)
    A = np.random.default_rng(20).normal(size=(50, 3))
    np.testing.assert_allclose(S.apply_kron([A]), S.apply(A), rtol=0, atol=1e-13)
    np.testing.assert_allclose(S.apply(A), dense(S) @ A, rtol=0, atol=1e-13)


def test_sketches_embed_a_subspace():
    """All singular values of S Q are near one, with 8 d rows and 100 seeds."""
    Q = np.linalg.qr(np.random.default_rng(21).normal(size=(900, 10)))[0]
    for make in OPERATORS.values():
        values = [np.linalg.svdvals(make(80, 900, rng=seed).apply(Q)) for seed in range(100)]
        assert 0.4 < np.min(values) < 0.9
        assert 1.1 < np.max(values) < 1.7


@pytest.mark.parametrize("n", [1, 2, 64, 512, 2048])
def test_fwht_is_the_hadamard_matrix(lib, n):
    x = np.random.default_rng(22).normal(size=(n, 3))
    given = lib.asarray(x)
    result = fwht(given)
    assert lib.holds(result, lib.widest)
    bound = 8 * lib.eps * np.abs(x).sum(axis=0).max()
    np.testing.assert_allclose(to_numpy(result), hadamard(n) @ x, rtol=0, atol=bound)
    np.testing.assert_array_equal(to_numpy(given), x.astype(lib.widest))
    np.testing.assert_allclose(to_numpy(fwht(result)), n * x, rtol=0, atol=bound * n)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_fwht_along_an_axis(axis):
    x = np.random.default_rng(23).normal(size=(4, 8, 16))
    moved = np.moveaxis(x, axis, 0)
    expected = np.moveaxis(np.tensordot(hadamard(moved.shape[0]), moved, axes=1), 0, axis)
    np.testing.assert_allclose(fwht(x, axis=axis), expected, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(fwht(np.array([1, 0, 2, 0])), [3.0, 3.0, -1.0, -1.0])


VECTOR = np.ones(10)
BAD = {
    "m-zero": (lambda: SRHT(0, 10), ValueError, "`m` must be at least 1, got 0"),
    "m-negative": (lambda: SRHT(-1, 10), ValueError, "`m` must be non-negative, got -1"),
    "m-float": (lambda: Gaussian(2.0, 10), TypeError, "`m` must be an integer, got float"),
    "n-zero": (lambda: CountSketch(5, 0), ValueError, "`n` must be at least 1, got 0"),
    "n-bool": (lambda: SparseSign(9, True), TypeError, "`n` must be an integer, got bool"),
    "m-without-replacement": (
        lambda: SRHT(17, 10, replace=False),
        ValueError,
        "`m` must be at most 16 without replacement, got 17",
    ),
    "nnz-large": (lambda: SparseSign(3, 10), ValueError, "`nnz` must be at most `m` = 3, got 8"),
    "nnz-zero": (lambda: SparseSign(3, 10, nnz=0), ValueError, "`nnz` must be at least 1, got 0"),
    "rng": (lambda: SRHT(3, 10, rng="a"), TypeError, "`rng` must be None, an integer seed or"),
    "rows": (
        lambda: SRHT(3, 10).apply(np.ones((9, 2))),
        ValueError,
        r"`A` must have 10 rows to match `n`, got shape \(9, 2\)",
    ),
    "adjoint-rows": (
        lambda: SRHT(3, 10).adjoint(VECTOR),
        ValueError,
        r"`Y` must have 3 rows to match `m`, got shape \(10,\)",
    ),
    "sparse-rows": (
        lambda: SparseSign(3, 10, nnz=1).apply(csr_array(np.eye(4))),
        ValueError,
        r"`A` must have 10 rows to match `n`, got shape \(4, 4\)",
    ),
    "sparse-srht": (
        lambda: SRHT(3, 10).apply(csr_array(np.eye(10))),
        TypeError,
        "`A` must be an array or .*, got csr_array",
    ),
    "three-axes": (
        lambda: Gaussian(3, 10).apply(np.ones((10, 2, 2))),
        ValueError,
        "`A` must be a vector or a matrix",
    ),
    "complex": (lambda: SRHT(3, 10).apply(VECTOR + 0j), TypeError, "`A` must hold real numbers"),
    "text": (lambda: SRHT(3, 10).apply("A"), TypeError, "`A` must be an array or .*, got str"),
    "no-columns": (lambda: SRHT(3, 10).apply(np.ones((10, 0))), ValueError, "not be empty"),
    "dims-number": (lambda: TensorSRHT(3, 10), TypeError, "`dims` must be a sequence of integers"),
    "dims-empty": (lambda: TensorSRHT(3, ()), TypeError, "`dims` must be a sequence of integers"),
    "dims-zero": (lambda: TensorSRHT(3, (4, 0)), ValueError, "`dims` must be at least 1, got 0"),
    "factors-count": (
        lambda: TensorSRHT(3, (4, 2)).apply_kron([np.eye(4)]),
        ValueError,
        "`factors` must hold 2 matrices to match `dims`, got 1",
    ),
    "factor-rows": (
        lambda: TensorSRHT(3, (4, 2)).apply_kron([np.eye(4), np.eye(3)]),
        ValueError,
        r"`factors\[1\]` must have 2 rows to match `dims`, got shape \(3, 3\)",
    ),
    "factor-vector": (
        lambda: TensorSRHT(3, (4, 2)).apply_kron([np.ones(4), np.eye(2)]),
        ValueError,
        r"`factors\[0\]` must be a matrix",
    ),
    "khatri-rao-columns": (
        lambda: TensorSRHT(3, (4, 2)).apply_khatri_rao([np.eye(4), np.eye(2)]),
        ValueError,
        r"`factors` must have the same number of columns, got \[4, 2\]",
    ),
    "tensor-blocks": (
        lambda: TensorSRHT(3, (4, 2)).partial(np.ones((2, 1)), np.ones((2, 0)), None, 4),
        ValueError,
        "A tensor sketch takes a matrix as a whole",
    ),
    "fwht-length": (lambda: fwht(VECTOR), ValueError, "`X` must have a power of two .* got 10"),
    "fwht-empty": (lambda: fwht(np.ones(0)), ValueError, "`X` must have a power of two .* got 0"),
    "fwht-axis": (lambda: fwht(VECTOR, axis=1), ValueError, "`axis` must be an axis of `X`"),
    "fwht-complex": (lambda: fwht(np.ones(4) + 0j), TypeError, "`X` must hold real numbers"),
    "fwht-words": (
        lambda: fwht(["a", "b"]),
        TypeError,
        "`X` must be an array or a sequence of real",
    ),
}


@pytest.mark.parametrize(("call", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_input(call, kind, match):
    with pytest.raises(kind, match=match):
        call()


def test_mixed_libraries():
    strict = pytest.importorskip("array_api_strict")
    factors = [np.eye(4), strict.asarray(np.eye(2))]
    with pytest.raises(
        TypeError, match=r"`factors\[0\]` and `factors\[1\]` must be of one library"
    ):
        TensorSRHT(3, (4, 2)).apply_kron(factors)


def test_base_class_is_abstract():
    with pytest.raises(NotImplementedError):
        Sketch(2, 3).apply(np.ones(3))
    with pytest.raises(NotImplementedError):
        Sketch(2, 3).adjoint(np.ones(2))


@EVERY
def test_array_likes(make, rng):
    S, A = make(20, 100), rng.normal(size=(100, 3))
    np.testing.assert_array_equal(S.apply(A.tolist()), S.apply(A))
    Y = rng.normal(size=20)
    np.testing.assert_array_equal(S.adjoint(list(Y)), S.adjoint(Y))


def test_array_likes_of_a_transform_and_of_factors(rng):
    np.testing.assert_array_equal(fwht([1, 0, 2, 0]), [3.0, 3.0, -1.0, -1.0])
    S, factors = TensorSRHT(9, (4, 6)), [rng.normal(size=(n, 2)) for n in (4, 6)]
    given = [A.tolist() for A in factors]
    np.testing.assert_array_equal(S.apply_kron(given), S.apply_kron(factors))


@pytest.mark.parametrize(
    ("S", "text"),
    [
        (SRHT(3, 10), "SRHT(3, 10)"),
        (SRHT(3, 10, replace=False), "SRHT(3, 10, replace=False)"),
        (SparseSign(4, 10, nnz=2), "SparseSign(4, 10, nnz=2)"),
        (CountSketch(4, 10), "CountSketch(4, 10)"),
        (Gaussian(4, 10), "Gaussian(4, 10)"),
        (TensorSRHT(4, (2, 5)), "TensorSRHT(4, (2, 5))"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_operators_print_what_they_are(S, text):
    assert repr(S) == text
