"""What least squares says of bad inputs, and what it does with unusual ones."""

import numpy as np
import pytest
from regression_problems import METHODS, random_problem
from scipy.sparse import csr_array, random_array
from scipy.sparse.linalg import aslinearoperator

import numopt

A, B = random_problem(600, 5, seed=0)
NAN, INF = float("nan"), float("inf")
EVERY = pytest.mark.parametrize("method", ["auto", *METHODS, "sketch"])


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


# Each row: arguments, the error, its message.
BAD = {
    "A-vector": ((B, B), ValueError, r"`A` must be a matrix, got shape \(600,\)"),
    "A-3d": ((A[None], B), ValueError, r"`A` must be a matrix, got shape \(1, 600, 5\)"),
    "A-no-rows": ((A[:0], B[:0]), ValueError, r"`A` must not be empty, got shape \(0, 5\)"),
    "A-no-columns": ((A[:, :0], B), ValueError, r"`A` must not be empty, got shape \(600, 0\)"),
    "A-complex": ((A + 0j, B), TypeError, "`A` must hold real numbers, got dtype complex128"),
    "A-object": ((A.astype(object), B), TypeError, "`A` must hold real numbers, got dtype object"),
    "A-masked": ((np.ma.array(A), B), TypeError, "`A` must not be a masked array"),
    "A-none": ((None, B), TypeError, "`A` must be an array or blocks of its rows, got NoneType"),
    "b-length": (
        (A, B[:-1]),
        ValueError,
        r"`b` must have shape \(600,\) or \(600, k\) to match `A`, got \(599,\)",
    ),
    "b-transposed": ((A, np.ones((2, 600))), ValueError, r"`b` must have shape .* got \(2, 600\)"),
    "b-3d": ((A, B[:, None, None]), ValueError, "`b` must be a vector or a matrix"),
    "b-no-columns": ((A, np.ones((600, 0))), ValueError, "`b` must not be empty"),
    "b-nan": ((A, changed(B, 3, NAN)), ValueError, r"`b` must be finite, got nan at \[3\]"),
    "b-inf": ((A, changed(B, 0, -INF)), ValueError, r"`b` must be finite, got -inf at \[0\]"),
    "b-complex": ((A, B + 0j), TypeError, "`b` must hold real numbers, got dtype complex128"),
    "b-text": ((A, "b"), TypeError, "`b` must be an array or a sequence of real numbers, got str"),
    "b-ragged": ((A, [[1.0], [1.0, 2.0]]), ValueError, "`b` .* all rows of one length"),
    "b-huge": ((A, 1e200 * B), ValueError, "`b` must have entries whose squares neither overflow"),
    "b-tiny": ((A, 1e-200 * B), ValueError, "`b` must have entries whose squares neither"),
    "b-column-tiny": (
        (A, np.stack([B, 1e-180 * B], axis=1)),
        ValueError,
        "`b` must have entries whose squares .* e-180|`b` must have entries .*e-180: divide it",
    ),
    "sparse-complex": ((csr_array(A * 1j), B), TypeError, "`A` must hold real numbers"),
    "operator-complex": (
        (aslinearoperator(A * 1j), B),
        TypeError,
        "`A` must hold real numbers, got dtype complex128",
    ),
}
BAD_OPTIONS = {
    "method": ({"method": "qr"}, ValueError, "`method` must be one of 'auto', .* got 'qr'"),
    "sketch": ({"sketch": "sign"}, ValueError, "`sketch` must be one of 'srht', .* got 'sign'"),
    "precision": ({"precision": "half"}, ValueError, "`precision` must be one of 'auto', "),
    "eps-zero": ({"eps": 0.0}, ValueError, r"`eps` must be in \(0, 1\), got 0.0"),
    "eps-one": ({"eps": 1}, ValueError, r"`eps` must be in \(0, 1\), got 1"),
    "eps-negative": ({"eps": -0.1}, ValueError, r"`eps` must be in \(0, 1\), got -0.1"),
    "eps-nan": ({"eps": NAN}, ValueError, r"`eps` must be in \(0, 1\), got nan"),
    "eps-text": ({"eps": "small"}, TypeError, "`eps` must be a real number, got str"),
    "delta-zero": ({"delta": 0.0}, ValueError, r"`delta` must be in \(0, 1\), got 0.0"),
    "delta-one": ({"delta": 1.0}, ValueError, r"`delta` must be in \(0, 1\), got 1.0"),
    "both-sizes": (
        {"method": "sketch", "eps": 0.5, "sketch_size": 100},
        ValueError,
        "`sketch_size` and `eps` exclude one another",
    ),
    "sketch-size-small": (
        {"sketch_size": 9},
        ValueError,
        r"`sketch_size` must be between 10 \(twice the columns of `A`\) and 600 .* got 9",
    ),
    "sketch-size-large": (
        {"sketch_size": 601},
        ValueError,
        r"`sketch_size` must be between 10 .* and 600 \(its rows\), got 601",
    ),
    "sketch-size-float": ({"sketch_size": 50.0}, TypeError, "`sketch_size` must be an integer"),
    "tol-zero": ({"tol": 0.0}, ValueError, "`tol` must be positive and finite, got 0.0"),
    "tol-nan": ({"tol": NAN}, ValueError, "`tol` must be positive and finite, got nan"),
    "maxiter-negative": ({"maxiter": -1}, ValueError, "`maxiter` must be non-negative, got -1"),
    "maxiter-float": ({"maxiter": 1.0}, TypeError, "`maxiter` must be an integer, got float"),
    "ridge-negative": ({"ridge": -1.0}, ValueError, "`ridge` must be non-negative and finite"),
    "ridge-nan": ({"ridge": NAN}, ValueError, "`ridge` must be non-negative and finite, got nan"),
    "ridge-inf": ({"ridge": INF}, ValueError, "`ridge` must be non-negative and finite, got inf"),
    "ridge-text": ({"ridge": "1"}, TypeError, "`ridge` must be a real number, got str"),
    "rcond-zero": ({"rcond": 0.0}, ValueError, r"`rcond` must be in \(0, 1\], got 0.0"),
    "rcond-large": ({"rcond": 1.5}, ValueError, r"`rcond` must be in \(0, 1\], got 1.5"),
    "weights-negative": (
        {"weights": changed(np.ones(600), 7, -1.0)},
        ValueError,
        r"`weights` must be non-negative, got -1.0 at \[7\]",
    ),
    "weights-nan": (
        {"weights": changed(np.ones(600), 7, NAN)},
        ValueError,
        r"`weights` must be finite, got nan at \[7\]",
    ),
    "weights-zero": ({"weights": np.zeros(600)}, ValueError, "`weights` must not be zero every"),
    "weights-length": (
        {"weights": np.ones(599)},
        ValueError,
        r"`weights` must have shape \(600,\) to match `A`, got \(599,\)",
    ),
    "weights-matrix": ({"weights": np.eye(600)}, ValueError, "`weights` must be a vector"),
    "weights-dict": (
        {"weights": {0: 1.0}},
        TypeError,
        "`weights` must be an array or .*, got dict",
    ),
    "weights-complex": ({"weights": np.ones(600) + 0j}, TypeError, "`weights` must hold real"),
    "x0-length": (
        {"x0": np.ones(4)},
        ValueError,
        r"`x0` must have shape \(5,\) to match `A`, got \(4,\)",
    ),
    "x0-matrix": ({"x0": np.ones((5, 1))}, ValueError, r"`x0` must have shape \(5,\) to match"),
    "x0-complex": ({"x0": np.ones(5) + 0j}, TypeError, "`x0` must hold real numbers"),
    "x0-words": ({"x0": ["a"] * 5}, TypeError, "`x0` must be an array or a sequence of real"),
    "x0-nan": ({"x0": changed(np.ones(5), 2, NAN)}, ValueError, r"`x0` must be finite, got nan"),
    "rng": ({"rng": "seed"}, TypeError, "`rng` must be None, an integer seed or"),
    "callback": ({"callback": 3}, TypeError, "`callback` must be callable, got int"),
}


@pytest.mark.parametrize(("arguments", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_input(arguments, kind, match):
    with pytest.raises(kind, match=match):
        numopt.lstsq(*arguments)


@pytest.mark.parametrize(("options", "kind", "match"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_option(options, kind, match):
    with pytest.raises(kind, match=match):
        numopt.lstsq(A, B, **options)


FACTOR_OPTIONS = {
    "method",
    "sketch",
    "sketch_size",
    "weights",
    "ridge",
    "rcond",
    "precision",
    "rng",
}
BAD_FACTORS = {name: row for name, row in BAD_OPTIONS.items() if set(row[0]) <= FACTOR_OPTIONS}


@pytest.mark.parametrize(("options", "kind", "match"), BAD_FACTORS.values(), ids=BAD_FACTORS.keys())
def test_bad_option_of_a_factor(options, kind, match):
    with pytest.raises(kind, match=match):
        numopt.lstsq_factor(A, **options)


def test_a_factor_is_not_made_by_a_sketch():
    with pytest.raises(ValueError, match="`method` must not be 'sketch' here"):
        numopt.lstsq_factor(A, method="sketch")


def test_bad_right_hand_side_of_a_factor():
    factor = numopt.lstsq_factor(A)
    for name in ("b-length", "b-nan", "b-text", "b-huge", "b-tiny", "b-complex"):
        (_, b), kind, match = BAD[name]
        with pytest.raises(kind, match=match):
            factor.solve(b)
    for name in ("x0-length", "x0-nan", "tol-zero", "maxiter-float", "callback"):
        options, kind, match = BAD_OPTIONS[name]
        with pytest.raises(kind, match=match):
            factor.solve(B, **options)


@pytest.mark.parametrize("method", ["sketch", "cholqr", "iterative", "gram"])
def test_wide_matrix(method):
    with pytest.raises(ValueError, match="`A` must have at least as many rows as columns for meth"):
        numopt.lstsq(A[:4], B[:4], method=method)
    assert numopt.lstsq(A[:5], B[:5], method="gram").success


@EVERY
@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("n", [600, 9000])
def test_entries_that_are_not_finite(value, n, method):
    """An error that names the place, or a failure where the check was given up; no warning."""
    X, y = random_problem(n, 5, seed=1)
    X[7, 2] = value
    with pytest.raises(ValueError, match=rf"`A` must be finite, got {value} at \[7, 2\]"):
        numopt.lstsq(X, y, method=method, rng=0)
    result = numopt.lstsq(X, y, method=method, rng=0, check_finite=False)
    assert not result.success
    assert np.isfinite(result.x).all()
    if method != "sketch":
        with pytest.raises(ValueError, match="`A` must be finite"):
            numopt.lstsq_factor(X, method=method)
        assert result.status == 98
        assert "not finite" in result.message


@EVERY
def test_entries_that_are_not_finite_in_products(method):
    X = random_array((900, 5), density=0.5, rng=np.random.default_rng(2), format="csr")
    X.data[3] = NAN
    y = np.ones(900)
    with pytest.raises(ValueError, match="`A` must be finite, got nan"):
        numopt.lstsq(X, y, method=method, rng=0)
    with pytest.raises(ValueError, match="`A` must be finite, got nan"):
        numopt.lstsq(aslinearoperator(X), y, method=method, rng=0)


@EVERY
@pytest.mark.parametrize("size", [1e200, 1e-200, 1e300])
def test_entries_whose_squares_overflow_or_vanish(size, method):
    with pytest.raises(ValueError, match="`A` must have entries whose squares neither overflow"):
        numopt.lstsq(size * A, B, method=method, rng=0)


@EVERY
@pytest.mark.parametrize("sizes", [(1e140, 1.0), (1e-140, 1.0), (1.0, 1e150), (1.0, 1e-140)])
def test_entries_of_extreme_size(sizes, method):
    """Short of overflow, scaling A or b by a power of two or ten changes nothing but the scale."""
    left, right = sizes
    result = numopt.lstsq(left * A, right * B, method=method, rng=0)
    plain = numopt.lstsq(A, B, method=method, rng=0)
    assert result.success
    np.testing.assert_allclose(result.x / (right / left), plain.x, rtol=1e-11)


def test_libraries_must_not_be_mixed():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="`A` and `b` must be of one library on one device"):
        numopt.lstsq(A, strict.asarray(B))
    with pytest.raises(TypeError, match="`A` and `weights` must be of one library on one device"):
        numopt.lstsq(A, B, weights=strict.asarray(np.ones(600)))
    with pytest.raises(TypeError, match="`A` and `b` must be of one library on one device"):
        numopt.lstsq_factor(A).solve(strict.asarray(B))
    with pytest.raises(TypeError, match="`A` and `x0` must be of one library on one device"):
        numopt.lstsq(A, B, x0=strict.asarray(np.ones(5)))
    one = strict.Device("device1")
    with pytest.raises(TypeError, match="on one device"):
        numopt.lstsq(strict.asarray(A), strict.asarray(B, device=one))


def test_extended_precision_needs_entries():
    with pytest.raises(ValueError, match="`precision` 'extended' needs the entries of `A`"):
        numopt.lstsq(csr_array(A), B, precision="extended")


class Table:
    """What NumPy can make an array of, as data frames are."""

    def __init__(self, values):
        self.values, self.dtype = values, values.dtype

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


@pytest.mark.parametrize("make", [np.ndarray.tolist, Table, list], ids=["lists", "table", "rows"])
def test_array_likes(make):
    weights, x0 = np.linspace(0.5, 1.5, 600), np.ones(5)
    expected = numopt.lstsq(A, B, weights=weights, x0=x0)
    result = numopt.lstsq(make(A), make(B), weights=make(weights), x0=make(x0))
    np.testing.assert_array_equal(result.x, expected.x)
    np.testing.assert_array_equal(
        numopt.lstsq_factor(make(A)).solve(make(B)).x, numopt.lstsq(A, B).x
    )
    both = numopt.kron_lstsq([make(A), make(A)], make(np.outer(B, B)))
    np.testing.assert_allclose(both.x, np.outer(*2 * [numopt.lstsq(A, B).x]), rtol=0, atol=1e-12)


def test_array_likes_join_the_library_of_an_array(lib):
    result = numopt.lstsq(A.tolist(), lib.asarray(B), x0=[0.0] * 5)
    assert lib.holds(result.x, lib.widest)


@pytest.mark.parametrize("dtype", ["bool", "float16"])
def test_booleans_and_half_precision(dtype):
    design = (A > 0).astype(dtype)
    result = numopt.lstsq(design, B)
    expected = np.linalg.lstsq(design.astype(float), B)[0]
    np.testing.assert_allclose(result.x, expected, rtol=0, atol=1e-12)
    assert numopt.lstsq(design, B.astype("float16")).x.dtype == (
        "f4" if dtype == "float16" else "f8"
    )
