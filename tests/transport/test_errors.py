"""What entropic transport says of bad inputs, and what it does with unusual ones."""

import array_api_strict
import numpy as np
import pytest
import transport_oracles as oracles
from libraries import to_numpy

import numopt

SOLVE = numopt.entropic_transport
COST = np.random.default_rng(0).random((4, 3))
STRICT = array_api_strict.asarray(COST)
A, B = np.full(4, 1 / 4), np.full(3, 1 / 3)
NAN, INF = float("nan"), float("inf")


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def points(X, Y, *args, **kwargs):
    return numopt.PointCloudCost(np.asarray(X, float), np.asarray(Y, float), *args, **kwargs)


# Each row: what is given, the error, its message.
BAD = {
    "cost-vector": (
        (COST[0],),
        ValueError,
        r"`cost` must be a matrix or a batch .* got shape \(3,",
    ),
    "cost-4d": ((COST[None, None],), ValueError, r"`cost` must be a matrix .* \(1, 1, 4, 3\)"),
    "cost-text": (("ab",), TypeError, "`cost` must be an array or a sequence .* got str"),
    "cost-ragged": (([[1.0, 2.0], [3.0]],), ValueError, "all rows of one length; got ragged"),
    "cost-none": ((None, A, B), TypeError, "`cost` must be an array or a PointCloudCost, got None"),
    "cost-number": ((np.float64(2),), ValueError, r"`cost` must be a matrix .* got shape \(\)"),
    "cost-complex": (
        (COST + 0j,),
        TypeError,
        "`cost` must hold real numbers, got dtype complex128",
    ),
    "cost-empty": (
        (np.zeros((0, 3)),),
        ValueError,
        r"`cost` must not be empty, got shape \(0, 3\)",
    ),
    "cost-no-columns": ((np.zeros((3, 0)),), ValueError, r"`cost` must not be empty"),
    "cost-nan": (
        (changed(COST, (2, 1), NAN),),
        ValueError,
        r"`cost` must be finite, got nan at \[2, 1",
    ),
    "cost-inf": (
        (changed(COST, (0, 2), INF),),
        ValueError,
        r"`cost` must be finite, got inf at \[0, 2",
    ),
    "cost-minus-inf": ((changed(COST, (3, 0), -INF),), ValueError, r"finite, got -inf at \[3, 0\]"),
    "a-shape": ((COST, B), ValueError, r"`a` must have shape \(4,\) to match `cost`, got \(3,\)"),
    "b-shape": (
        (COST, A, A),
        ValueError,
        r"`b` must have shape \(3,\) to match `cost`, got \(4,\)",
    ),
    "a-matrix": ((COST, A[:, None]), ValueError, r"`a` must be a vector, got shape \(4, 1\)"),
    "a-dates": ((COST, np.full(4, "2026", "M8[Y]")), TypeError, "`a` must hold real numbers"),
    "a-complex": ((COST, A + 0j), TypeError, "`a` must hold real numbers"),
    "a-nan": ((COST, changed(A, 1, NAN)), ValueError, r"`a` must be finite, got nan at \[1\]"),
    "b-inf": ((COST, A, changed(B, 2, INF)), ValueError, r"`b` must be finite, got inf at \[2\]"),
    "a-negative": (
        (COST, changed(A, 3, -0.5)),
        ValueError,
        r"`a` must be non-negative, got -0.5 at \[3\]",
    ),
    "a-zero": ((COST, 0 * A), ValueError, "`a` must not be zero everywhere"),
    "b-zero": ((COST, A, 0 * B), ValueError, "`b` must not be zero everywhere"),
    "totals": ((COST, 2 * A, B), ValueError, "`a` and `b` must have equal totals, got 2 and 1"),
    "totals-slightly": ((COST, A, B * (1 + 2e-6)), ValueError, "equal totals, got 1 and 1"),
    "libraries": ((STRICT, A), TypeError, "`cost` and `a` must be of one library on one device"),
}
BAD_OPTIONS = {
    "reg-zero": ({"reg": 0}, ValueError, "`reg` must be positive and finite, got 0"),
    "reg-negative": ({"reg": -1.0}, ValueError, "`reg` must be positive and finite, got -1.0"),
    "reg-nan": ({"reg": NAN}, ValueError, "`reg` must be positive and finite, got nan"),
    "reg-inf": ({"reg": INF}, ValueError, "`reg` must be positive and finite, got inf"),
    "reg-text": ({"reg": "small"}, TypeError, "`reg` must be a real number, got str"),
    "reg-array": ({"reg": np.ones(2)}, TypeError, "`reg` must be a real number, got ndarray"),
    "reg-unresolvable": ({"reg": 1e-300}, ValueError, "`reg` must be above .* got 1e-300"),
    "tol-zero": ({"tol": 0.0}, ValueError, "`tol` must be positive and finite, got 0.0"),
    "tol-nan": ({"tol": NAN}, ValueError, "`tol` must be positive and finite, got nan"),
    "maxiter-negative": ({"maxiter": -1}, ValueError, "`maxiter` must be non-negative, got -1"),
    "maxiter-float": ({"maxiter": 1.5}, TypeError, "`maxiter` must be an integer, got float"),
    "scaling-one": (
        {"scaling": 1},
        ValueError,
        "`scaling` must be finite and greater than 1, got 1",
    ),
    "scaling-inf": ({"scaling": INF}, ValueError, "`scaling` must be finite and greater than 1"),
    "method": ({"method": "newton"}, ValueError, "`method` must be one of 'sns', .* got 'newton'"),
    "density-sns": ({"density": 0.1}, ValueError, "`density` is an option of method 'sns-paper'"),
    "density-range": (
        {"density": 2, "method": "sns-paper"},
        ValueError,
        r"`density` must be in \(0, 1\], got 2",
    ),
    "newton-options-kind": ({"newton_options": [1]}, TypeError, "`newton_options` must be a dict"),
    "newton-options-name": (
        {"newton_options": {"dampening": 1.0}},
        ValueError,
        "'dampening'.* is not an option; the options are mass_fraction, ",
    ),
    "newton-options-value": (
        {"newton_options": {"damping": -1.0}},
        ValueError,
        "'damping'.* must be positive and finite, got -1.0",
    ),
    "newton-options-count": (
        {"newton_options": {"cg_maxiter": 1.5}},
        TypeError,
        "'cg_maxiter'.* must be an integer",
    ),
    "callback": ({"callback": 3}, TypeError, "`callback` must be callable, got int"),
    "x0-shape": ({"x0": np.zeros(4)}, ValueError, r"`x0` must have shape \(3,\) to match `b`"),
    "x0-nan": ({"x0": changed(B, 1, NAN)}, ValueError, r"`x0` must be finite, got nan at \[1\]"),
    "x0-text": ({"x0": ["f", "g", "h"]}, TypeError, "`x0` must be an array or a sequence"),
    "x0-other-result": ({"x0": numopt.Result(x=A)}, TypeError, r"must hold potentials \(f, g\)"),
    "x0-triple": ({"x0": (A, B, B)}, ValueError, r"`x0` must be a pair \(f, g\), got 3 items"),
    "x0-f-shape": ({"x0": (B, B)}, ValueError, r"`x0` must have shape \(4,\)"),
    "x0-f-nan": (
        {"x0": (changed(A, 2, NAN), B)},
        ValueError,
        r"`x0` must be finite, got nan at \[2",
    ),
    "x0-library": ({"x0": STRICT[0, :]}, TypeError, "`b` and `x0` must be of one library"),
    "x0-complex": ({"x0": B + 0j}, TypeError, "`x0` must hold real numbers"),
}
BAD_POINTS = {
    "vectors": (
        lambda: points([1.0], [2.0]),
        ValueError,
        r"`X` must be a matrix, got shape \(1,\)",
    ),
    "empty": (lambda: points(np.zeros((0, 2)), [[1.0, 2.0]]), ValueError, "`X` must not be empty"),
    "dimensions": (
        lambda: points([[1.0]], [[1.0, 2.0]]),
        ValueError,
        r"points of one dimension, got shapes \(1, 1\) and \(1, 2\)",
    ),
    "nan": (lambda: points([[1.0]], [[NAN]]), ValueError, r"`Y` must be finite, got nan at \[0, 0"),
    "metric": (
        lambda: points([[1.0]], [[1.0]], "chebyshev"),
        ValueError,
        "`metric` must be one of 'sqeuclidean', 'euclidean', 'cityblock', got 'chebyshev'",
    ),
    "scale": (lambda: points([[1.0]], [[1.0]], scale=0), ValueError, "`scale` must be positive"),
    "library": (
        lambda: numopt.PointCloudCost(COST, STRICT),
        TypeError,
        "`X` and `Y` must be of one library",
    ),
    "complex": (
        lambda: numopt.PointCloudCost(COST + 0j, COST),
        TypeError,
        "`X` must hold real numbers",
    ),
}


@pytest.mark.parametrize(("arguments", "error", "message"), BAD.values(), ids=list(BAD))
def test_bad_arrays(arguments, error, message):
    with pytest.raises(error, match=message):
        SOLVE(*arguments, reg=0.1)


@pytest.mark.parametrize(
    ("options", "error", "message"), BAD_OPTIONS.values(), ids=list(BAD_OPTIONS)
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        SOLVE(COST, A, B, **({"reg": 0.1} | options))


@pytest.mark.parametrize(("make", "error", "message"), BAD_POINTS.values(), ids=list(BAD_POINTS))
def test_bad_points(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_bad_input_raises_before_any_work():
    def callback(intermediate_result):
        raise AssertionError(intermediate_result)

    with pytest.raises(ValueError, match="`tol`"):
        SOLVE(COST, reg=0.1, tol=-1, callback=callback)


def test_different_devices():
    other = array_api_strict.asarray(A, device=array_api_strict.Device("device1"))
    with pytest.raises(TypeError, match=r"`cost` and `a` must be of one library.*device1"):
        SOLVE(STRICT, other, reg=0.1)


@pytest.mark.parametrize("method", ["apply", "barycentric_map", "jvp_plan", "vjp_plan"])
def test_methods_check_their_arguments(method):
    result = SOLVE(COST, reg=0.1)
    call = getattr(result, method)
    with pytest.raises(ValueError, match=r"must have shape \((4|3|4, 3),?\) along its first axes"):
        call(np.zeros((7, 2)))
    with pytest.raises(ValueError, match=r"must be|must have shape"):
        call([[1.0, 2.0]])
    with pytest.raises(TypeError, match="must be of one library"):
        call(STRICT)


def test_derivatives_check_the_changes_of_the_masses():
    result = SOLVE(COST, changed(changed(A, 0, 0.0), 1, 0.5), reg=0.1)
    with pytest.raises(ValueError, match="`da` and `db` must have equal sums"):
        result.jvp_plan(da=np.array([0.0, 1.0, 0, 0]))
    with pytest.raises(ValueError, match="`da` must be zero where the mass is zero"):
        result.jvp_plan(da=np.array([1.0, -1.0, 0, 0]))
    with pytest.raises(ValueError, match="`weights` must be finite, got nan"):
        result.vjp_plan(changed(COST, (0, 0), NAN))
    with pytest.raises(ValueError, match=r"`dcost` must be finite, got nan at \[1, 1\]"):
        result.jvp_plan(changed(COST, (1, 1), NAN))


def test_gradients_of_points_need_points():
    with pytest.raises(TypeError, match="`grad_points` needs a PointCloudCost"):
        SOLVE(COST, reg=0.1).grad_points()


@pytest.mark.parametrize("rtol", [0.0, 1.5, NAN])
def test_sparse_plan_checks_rtol(rtol):
    with pytest.raises(ValueError, match=r"`rtol` must be in \(0, 1\]"):
        SOLVE(COST, reg=0.1).sparse_plan(rtol)


def test_divergence_checks_its_arguments():
    X = np.zeros((3, 2))
    with pytest.raises(ValueError, match="`reg` must be positive"):
        numopt.sinkhorn_divergence(X, X, reg=0)
    with pytest.raises(ValueError, match="`metric` must be one of"):
        numopt.sinkhorn_divergence(X, X, reg=1, metric="cosine")
    with pytest.raises(ValueError, match=r"`a` must have shape \(3,\)"):
        numopt.sinkhorn_divergence(X, X, np.ones(2), reg=1)
    with pytest.raises(TypeError, match="`Y` must be an array"):
        numopt.sinkhorn_divergence(X, None, reg=1)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16"])
def test_integers_become_floats(dtype):
    cost = np.arange(12).reshape(4, 3).astype(dtype)
    result = SOLVE(cost, reg=2.0)
    assert result.f.dtype == np.float64
    np.testing.assert_array_equal(result.plan(), SOLVE(cost.astype(float), reg=2.0).plan())


class Column:
    """Something that is only known to become an array, as a data frame is."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.x, dtype=dtype)


@pytest.mark.parametrize("kind", [list, tuple, Column])
def test_array_likes_are_arrays(kind):
    plain = SOLVE(COST, A, B, reg=0.1, x0=0 * B)
    rows = [list(row) for row in COST]
    result = SOLVE(kind(rows), kind(A), kind(B), reg=0.1, x0=list(0 * B))
    np.testing.assert_array_equal(result.x, plain.x)
    np.testing.assert_array_equal(result.apply(kind(B)), plain.apply(B))
    beside = SOLVE(STRICT, A.tolist(), reg=0.1)
    assert type(beside.f) is type(STRICT)
    X = [[0.0, 1.0], [2.0, 3.0]]
    divergence = numopt.sinkhorn_divergence(kind(X), kind([[1.0, 1.0]]), reg=1)
    assert divergence.success
    assert SOLVE(COST > 0.5, reg=0.1).f.dtype == np.float64


def test_mixed_precision_becomes_the_wider():
    assert SOLVE(COST.astype(np.float32), A, B, reg=0.1).f.dtype == np.float64
    assert SOLVE(COST, A.astype(np.float32), reg=0.1).f.dtype == np.float64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_totals_that_differ_by_rounding_are_made_equal(dtype):
    off = 5e-5 if dtype == "float32" else 5e-7
    cost, a, b = (x.astype(dtype) for x in (COST, A, B * (1 + off)))
    result = SOLVE(cost, a, b, reg=0.1)
    assert result.success
    rows, columns = to_numpy(result.plan()).sum(axis=1), to_numpy(result.plan()).sum(axis=0)
    np.testing.assert_allclose(rows, A, rtol=0, atol=2e-5 if dtype == "float32" else 1e-8)
    np.testing.assert_allclose(columns, B, rtol=0, atol=2e-5 if dtype == "float32" else 1e-8)


@pytest.mark.parametrize("factor", [1e-300, 1e-150, 1e150, 1e300])
def test_units_of_the_cost_do_not_matter(factor):
    plain = SOLVE(COST, reg=0.01)
    result = SOLVE(factor * COST, reg=factor * 0.01)
    assert result.success
    np.testing.assert_allclose(result.plan(), plain.plan(), rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.fun / factor, plain.fun, rtol=1e-8)


@pytest.mark.parametrize("mass", [1e-100, 1e-12, 1e12, 1e100])
def test_units_of_the_mass_do_not_matter(mass):
    plain = SOLVE(COST, reg=0.01)
    result = SOLVE(COST, mass * A, mass * B, reg=0.01)
    assert result.success
    np.testing.assert_allclose(result.plan() / mass, plain.plan(), rtol=0, atol=1e-9)


def solved_or_refused(a, b):
    """Return the result of a solve, or the error it was refused with."""
    try:
        return SOLVE(COST, a, b, reg=0.01)
    except ValueError as error:
        return error


@pytest.mark.parametrize("mass", [1e-300, 1e300])
def test_extreme_masses_are_solved_or_refused_by_name(mass):
    outcome = solved_or_refused(mass * A, mass * B)
    if isinstance(outcome, ValueError):
        assert "`a`" in str(outcome)
        return
    assert outcome.success
    assert sum(oracles.marginal_errors(outcome.plan() / mass, A, B)) <= 2e-8


@pytest.mark.parametrize("small", [1e-12, 1e-20, 1e-100, 1e-300, 5e-324])
def test_one_mass_far_below_the_others(small):
    a = changed(A, 1, small)
    b = B * a.sum()
    outcome = solved_or_refused(a, b)
    if isinstance(outcome, ValueError):
        assert "`a`" in str(outcome)
        assert small < 1e-200
        return
    assert outcome.success
    assert np.isfinite(outcome.f).all()
    assert np.isfinite(outcome.g).all()
    plan = outcome.plan()
    assert (plan >= 0).all()
    assert sum(oracles.marginal_errors(plan, a, b)) <= 2e-8


@pytest.mark.parametrize("reg", [1e-12, 1e-9, 1e3, 1e300])
def test_extreme_regularization_gives_finite_honest_numbers(reg):
    result = SOLVE(COST, A, B, reg=reg)
    numbers = [result[name] for name in ("fun", "dual_fun", "gap", "cost", "marginal_error")]
    assert np.isfinite([*numbers, *result.x]).all()
    measured = sum(oracles.marginal_errors(result.plan(), A, B))
    assert abs(measured - result.marginal_error) <= 1e-3 * measured + 1e-14
    assert result.success


def test_range_of_the_cost_that_overflows_is_refused_by_name():
    cost = changed(changed(COST, (0, 0), 1.7e308), (1, 1), -1.7e308)
    with pytest.raises(ValueError, match="`cost`"):
        SOLVE(cost, reg=1e306)
