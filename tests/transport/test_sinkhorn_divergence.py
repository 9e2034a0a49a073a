"""The Sinkhorn divergence."""

import numpy as np
import pytest
import transport_problems as problems

import numopt

METRICS = ("sqeuclidean", "euclidean", "cityblock")


def divergence(*args, **options):
    return numopt.sinkhorn_divergence(*args, **({"reg": 0.05, "tol": 1e-11} | options))


def self_transport(X, a, metric, reg):
    cost = numopt.PointCloudCost(X, X.copy(), metric)
    return numopt.entropic_transport(cost, a, a.copy(), reg=reg, tol=1e-11)


@pytest.mark.parametrize("metric", METRICS)
def test_value_is_its_definition(metric, rng):
    X, Y = rng.random((12, 2)), rng.random((9, 2))
    a, b = problems.weights(rng, 12), problems.weights(rng, 9)
    result = divergence(X, Y, a, b, metric=metric)
    between = numopt.entropic_transport(
        numopt.PointCloudCost(X, Y, metric), a, b, reg=0.05, tol=1e-11
    )
    selves = self_transport(X, a, metric, 0.05), self_transport(Y, b, metric, 0.05)
    expected = between.fun - 0.5 * sum(part.fun for part in selves)
    assert result.success
    assert result.fun == pytest.approx(expected, abs=1e-10)
    assert result.nit == sum(p.nit for p in (result.transport, result.self_a, result.self_b))
    assert result.gap >= 0
    assert result.marginal_error <= 1e-11


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("reg", [1.0, 0.05, 1e-3])
def test_zero_between_equal_clouds_and_positive_otherwise(metric, reg, rng):
    X, a = rng.random((15, 2)), problems.weights(rng, 15)
    order = rng.permutation(15)
    same = divergence(X, X[order], a, a[order], metric=metric, reg=reg, tol=1e-8)
    assert same.success
    assert abs(same.fun) <= 1e-8
    for _ in range(5):
        Y, b = X + 0.1 * rng.normal(size=X.shape), problems.weights(rng, 15)
        assert divergence(X, Y, a, b, metric=metric, reg=reg, tol=1e-8).fun > 1e-6


def test_symmetric_in_its_arguments(rng):
    X, Y = rng.random((12, 2)), rng.random((9, 2))
    a, b = problems.weights(rng, 12), problems.weights(rng, 9)
    forward, backward = divergence(X, Y, a, b), divergence(Y, X, b, a)
    assert forward.fun == pytest.approx(backward.fun, abs=1e-10)


def test_translation_costs_its_squared_length(rng):
    """For the squared distance the divergence of a shifted cloud is exact at any `reg`."""
    X, shift = rng.random((12, 2)), np.array([0.3, -1.2])
    assert divergence(X, X + shift).fun == pytest.approx(shift @ shift, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_gradient_of_the_points(metric, rng):
    X, Y = rng.random((7, 2)), rng.random((9, 2))
    a, b = problems.weights(rng, 7), problems.weights(rng, 9)
    dX, dY, h = rng.normal(size=X.shape), rng.normal(size=Y.shape), 1e-5

    def value(t):
        return divergence(X + t * dX, Y + t * dY, a, b, metric=metric).fun

    expected = (value(h) - value(-h)) / (2 * h)
    by_x, by_y = divergence(X, Y, a, b, metric=metric).grad_points()
    assert np.sum(by_x * dX) + np.sum(by_y * dY) == pytest.approx(expected, abs=1e-6)


def test_gradient_vanishes_between_equal_clouds(rng):
    X = rng.random((10, 2))
    for gradient in divergence(X, X.copy()).grad_points():
        np.testing.assert_allclose(gradient, 0, atol=1e-9)


def test_gradient_of_the_masses(rng):
    X, Y = rng.random((7, 2)), rng.random((9, 2))
    a, b = problems.weights(rng, 7), problems.weights(rng, 9)
    da, db, h = rng.normal(size=7), rng.normal(size=9), 1e-5
    # Positive masses, or the change would leave the simplex.
    a, b = 0.5 * (a + 1 / 7), 0.5 * (b + 1 / 9)
    da, db = da - da.mean(), db - db.mean()

    def value(t):
        return divergence(X, Y, a + t * da, b + t * db).fun

    by_a, by_b = divergence(X, Y, a, b).grad_masses()
    assert by_a @ da + by_b @ db == pytest.approx((value(h) - value(-h)) / (2 * h), abs=1e-6)
    assert by_a.sum() == pytest.approx(0, abs=1e-12)


def test_potentials_are_differences(rng):
    X, Y = rng.random((7, 2)), rng.random((9, 2))
    result = divergence(X, Y)
    np.testing.assert_array_equal(result.x, np.concatenate([result.f, result.g]))
    self_potential = 0.5 * (result.self_a.f + result.self_a.g)
    np.testing.assert_allclose(result.f, result.transport.f - self_potential, atol=1e-14)


def test_self_transport_has_equal_potentials(rng):
    result = divergence(rng.random((20, 2)), rng.random((9, 2)))
    for part in (result.self_a, result.self_b):
        np.testing.assert_allclose(part.f, part.g, rtol=0, atol=1e-9)


def test_failure_is_reported(rng):
    result = divergence(rng.random((20, 2)), rng.random((20, 2)), reg=1e-3, maxiter=2)
    assert (result.success, result.status) == (False, 1)
    assert "raise maxiter" in result.message


def test_failure_of_a_cloud_with_itself_is_reported(rng):
    result = divergence(rng.random((20, 2)), rng.random((1, 2)), reg=1e-3, maxiter=2)
    assert result.transport.success
    assert not result.self_a.success
    assert (result.success, result.status) == (False, result.self_a.status)
    assert result.message == result.self_a.message


def test_zero_masses(rng):
    X, Y = rng.random((10, 2)), rng.random((9, 2))
    a = problems.weights(rng, 10)
    a[4:] = 0
    a = a / a.sum()
    result = divergence(X, Y, a)
    assert result.fun == pytest.approx(divergence(X[:4], Y, a[:4]).fun, abs=1e-10)
    assert np.isfinite(result.x).all()


def test_callback_is_called_by_all_three_and_closed_once(rng):
    class Callback:
        seen, closed = 0, 0

        def __call__(self, intermediate_result):
            self.seen += 1
            assert intermediate_result.error >= 0

        def close(self):
            self.closed += 1

    callback = Callback()
    result = divergence(rng.random((20, 2)), rng.random((9, 2)), callback=callback)
    assert callback.seen == len(result.history)
    assert callback.closed == 1


def test_libraries_agree(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict finds no indices on this device; see test_libraries_agree")
    rng = np.random.default_rng(0)
    X, Y = rng.random((14, 2)), rng.random((9, 2))
    expected = divergence(X, Y).fun
    for dtype in lib.floats:
        options = {} if dtype == "float64" else {"tol": None}
        result = divergence(lib.asarray(X, dtype), lib.asarray(Y, dtype), **options)
        assert result.success
        assert lib.holds(result.f, dtype)
        assert all(lib.holds(gradient, dtype) for gradient in result.grad_points())
        assert result.fun == pytest.approx(expected, abs=1e-10 if dtype == "float64" else 1e-5)
