"""Convex ReLU training against a general interior-point solver, and its certificate rebuilt."""

import numpy as np
import pytest
import relu_oracles as oracles
from hypothesis import given, settings
from hypothesis import strategies as st

import numopt

LOSSES = ("squared", "logistic", "hinge")
cvxpy = pytest.importorskip("cvxpy", reason="CVXPY is not installed")


def case(loss, n=60, d=4, seed=0):
    X, y, labels = oracles.sample(n, d, seed)
    return X, y if loss == "squared" else labels


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("beta", [0.02, 2.0])
@pytest.mark.parametrize("shape", [(120, 3, 6), (50, 12, 10)], ids=["tall", "wide"])
def test_value_is_that_of_a_general_solver(loss, beta, shape):
    n, d, patterns = shape
    X, y = case(loss, n, d)
    result = numopt.convex_relu(X, y, beta=beta, loss=loss, n_patterns=patterns, tol=1e-6, rng=1)
    wanted = oracles.program(oracles.with_ones(X), y, result.patterns, beta, loss)
    assert result.success
    # Tall data go by rows; where rounding stops that, all constraints take over.
    assert result.stats["method"] in (("rows", "interior") if n == 120 else ("interior",))
    assert result.fun == pytest.approx(wanted, rel=2e-6)
    assert result.dual_fun <= wanted * (1 + 1e-7)
    assert result.fun >= wanted * (1 - 1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_certificate_rebuilt_from_the_returned_arrays(loss):
    X, y = case(loss)
    result = numopt.convex_relu(X, y, beta=0.1, loss=loss, n_patterns=12, tol=1e-5, rng=0)
    X = oracles.with_ones(X)
    value, slack = oracles.primal(X, y, result, 0.1, loss)
    assert slack >= 0
    assert value == pytest.approx(result.fun, rel=1e-12)
    assert result.infeasibility == 0
    assert oracles.dual(y, result.dual, loss) == pytest.approx(result.dual_fun, rel=1e-9)
    # theta is feasible for the dual: no neuron in a cone is pulled by more than beta.
    assert oracles.largest_pull(X, result.patterns, result.dual) <= 0.1 * (1 + 1e-7)
    assert result.gap == pytest.approx((result.fun - result.dual_fun) / result.fun, rel=1e-9)
    assert result.gap <= 1e-5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", ["interior", "rows", "cholesky", "sylvester", "rbcd"])
def test_bounds_enclose_the_optimum_at_every_check(loss, method):
    if method == "rbcd" and loss == "hinge":
        pytest.skip("the published method is for smooth losses")
    X, y = case(loss, 40, 3, seed=3)
    result = numopt.convex_relu(
        X, y, beta=0.3, loss=loss, n_patterns=6, method=method, maxiter=150, tol=1e-9, rng=2
    )
    wanted = oracles.program(oracles.with_ones(X), y, result.patterns, 0.3, loss)
    assert len(result.history) > (1 if method == "rows" else 5)
    for record in result.history:
        assert record["dual_fun"] <= wanted * (1 + 1e-7)
        assert record["fun"] >= wanted * (1 - 1e-7)
    assert result.dual_fun <= wanted * (1 + 1e-7)
    assert result.fun >= wanted * (1 - 1e-7)
    assert oracles.primal(oracles.with_ones(X), y, result, 0.3, loss)[1] >= 0


@given(
    seed=st.integers(0, 10**6),
    loss=st.sampled_from(LOSSES),
    method=st.sampled_from(["interior", "rows", "cholesky", "sylvester"]),
    beta=st.floats(1e-2, 10),
    n=st.integers(3, 30),
    d=st.integers(1, 6),
)
@settings(derandomize=True, deadline=None, database=None, max_examples=25)
def test_lower_bounds_never_exceed_upper_bounds(seed, loss, method, beta, n, d):
    X, y = case(loss, n, d, seed)
    options = {"beta": beta, "loss": loss, "n_patterns": 5, "rng": seed}
    exact = numopt.convex_relu(X, y, tol=1e-8, **options)
    other = numopt.convex_relu(X, y, method=method, maxiter=60, tol=1e-8, **options)
    for record in other.history:
        assert record["dual_fun"] <= exact.fun * (1 + 1e-9) + 1e-12
        assert record["fun"] >= exact.dual_fun * (1 - 1e-9) - 1e-12
    assert other.fun >= exact.dual_fun * (1 - 1e-9) - 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", ["cholesky", "sylvester", "rbcd"])
def test_methods_agree(loss, method):
    if method == "rbcd" and loss == "hinge":
        pytest.skip("the published method is for smooth losses")
    X, y = case(loss, 40, 3, seed=4)
    options = {"beta": 1.0, "loss": loss, "n_patterns": 5, "rng": 0}
    exact = numopt.convex_relu(X, y, tol=1e-7, **options)
    other = numopt.convex_relu(
        X, y, method=method, tol=5e-3 if method == "rbcd" else 1e-3, maxiter=8000, **options
    )
    assert other.success, other.message
    assert other.fun == pytest.approx(exact.fun, rel=5e-3 if method == "rbcd" else 1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_both_ways_of_the_cached_factor(loss):
    """Fewer samples than unknowns, and more: the factor is of the smaller size."""
    for n, d, patterns in ((25, 6, 8), (120, 2, 5)):
        X, y = case(loss, n, d, seed=5)
        options = {"beta": 0.5, "loss": loss, "n_patterns": patterns, "rng": 0}
        exact = numopt.convex_relu(X, y, tol=1e-6, **options)
        found = numopt.convex_relu(X, y, method="cholesky", maxiter=6000, **options)
        assert found.success, found.message
        assert found.fun == pytest.approx(exact.fun, rel=1e-3)


def all_patterns(X):
    """Return every pattern that a vector has on samples of the plane, the bias being the second."""
    angles = np.concatenate([np.arctan2(*row[::-1]) + np.array([0.5, -0.5]) * np.pi for row in X])
    angles = np.sort(np.mod(angles, 2 * np.pi))
    between = 0.5 * (
        angles + np.roll(angles, -1) + 2 * np.pi * (np.arange(angles.size) == angles.size - 1)
    )
    return np.stack([np.cos(between), np.sin(between)])


@pytest.mark.parametrize("seed", range(3))
def test_all_patterns_give_the_best_network(seed):
    """The best of many local trainings is not better than the program, and one gets there."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    x, beta, units = np.sort(rng.normal(size=7)), 0.05, 6
    X, y = np.stack([x, np.ones(7)], axis=1), np.sin(2 * x)
    result = numopt.convex_relu(x[:, None], y, beta=beta, patterns=all_patterns(X), tol=1e-8, rng=0)
    assert result.success

    def objective(flat):
        U, a = flat[: 2 * units].reshape(2, units), flat[2 * units :]
        hidden = X @ U
        z = np.maximum(hidden, 0) @ a
        back = np.outer(z - y, a) * (hidden > 0)
        slope = np.concatenate([(X.T @ back).ravel(), np.maximum(hidden, 0).T @ (z - y)])
        return 0.5 * np.sum((z - y) ** 2) + 0.5 * beta * flat @ flat, slope + beta * flat

    starts = rng.normal(size=(60, 3 * units))
    trained = [minimize(objective, s, jac=True, method="BFGS").fun for s in starts]
    assert min(trained) >= result.dual_fun * (1 - 1e-9)
    assert min(trained) <= result.fun * (1 + 1e-3)
