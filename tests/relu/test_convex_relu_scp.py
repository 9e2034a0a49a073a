"""The sampled convex program against other solvers of the same problem, and its guarantee."""

import pickle

import numpy as np
import pytest
import relu_oracles as oracles

import numopt

LOSSES = ("squared", "logistic", "hinge")


def features(result, X):
    return np.maximum(oracles.with_ones(X) @ result.hidden, 0)


@pytest.mark.parametrize("n_hidden", [20, 150])
def test_squared_loss_is_a_lasso(n_hidden):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    X, y, _ = oracles.sample(50, 3)
    result = numopt.convex_relu_scp(X, y, beta=0.5, n_hidden=n_hidden, rng=0, tol=1e-8)
    H = features(result, X)
    lasso = linear.Lasso(alpha=0.5 / 50, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(H, y)
    wanted = 0.5 * np.sum((H @ lasso.coef_ - y) ** 2) + 0.5 * np.abs(lasso.coef_).sum()
    assert result.fun == pytest.approx(wanted, rel=1e-7)
    assert result.dual_fun <= wanted * (1 + 1e-10)


@pytest.mark.parametrize("n_hidden", [20, 150])
def test_logistic_loss_is_a_sparse_regression(n_hidden):
    from scipy.optimize import minimize

    X, _, y = oracles.sample(50, 3)
    result = numopt.convex_relu_scp(
        X, y, beta=0.5, n_hidden=n_hidden, loss="logistic", rng=0, tol=1e-7
    )
    H = features(result, X)

    def objective(p):
        a = p[:n_hidden] - p[n_hidden:]
        m = y * (H @ a)
        slope = H.T @ (-y / (1 + np.exp(m)))
        return np.logaddexp(0, -m).sum() + 0.5 * p.sum(), np.concatenate([slope, -slope]) + 0.5

    options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-9}
    solved = minimize(
        objective,
        np.zeros(2 * n_hidden),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * (2 * n_hidden),
        options=options,
    )
    assert result.success
    assert result.fun == pytest.approx(solved.fun, rel=1e-5)
    assert result.dual_fun <= solved.fun * (1 + 1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_certificate(loss):
    X, y, labels = oracles.sample(40, 3)
    y = y if loss == "squared" else labels
    result = numopt.convex_relu_scp(X, y, beta=0.3, n_hidden=100, loss=loss, rng=0)
    assert result.success, result.message
    H = features(result, X)
    assert np.abs(H.T @ result.dual).max() <= 0.3 * (1 + 1e-9)
    assert oracles.dual(y, result.dual, loss) == pytest.approx(result.dual_fun, rel=1e-9)
    value = oracles.loss_values(H @ result.x, y, loss).sum() + 0.3 * np.abs(result.x).sum()
    assert value == pytest.approx(result.fun, rel=1e-12)
    assert result.net_fun == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(result.predict(X), H @ result.x, atol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_verify_computes_the_checks_again(loss):
    X, y, labels = oracles.sample(40, 3)
    y = y if loss == "squared" else labels
    weights = np.where(np.arange(40) % 5 == 0, 0.0, 1.5)
    problem = {"beta": 0.3, "loss": loss, "weights": weights}
    result = numopt.convex_relu_scp(X, y, n_hidden=60, rng=0, **problem)
    again = pickle.loads(pickle.dumps(result)).verify(X, y, n_hidden=60, **problem)
    assert [check.name for check in again] == ["relative gap", "network mismatch"]
    assert [check.limit for check in again] == [check.limit for check in result.checks]
    np.testing.assert_allclose(
        [check.value for check in again], [check.value for check in result.checks], atol=1e-13
    )
    for name in ("x", "dual", "w2"):
        wave = np.abs(result[name]).max() * np.cos(np.arange(result[name].size))
        wrong = type(result)(result | {name: result[name] + 0.01 * wave})
        assert not all(check.passed for check in numopt.verify(wrong, X, y, **problem)), name
    assert not all(check.passed for check in result.verify(X, y, **problem | {"beta": 0.31}))


def test_lists_are_samples():
    X, y, _ = oracles.sample(20, 2)
    options = {"beta": 0.5, "n_hidden": 10, "rng": 0}
    wanted = numopt.convex_relu_scp(X, y, **options)
    found = numopt.convex_relu_scp(X.tolist(), y.tolist(), **options)
    np.testing.assert_array_equal(found.x, wanted.x)
    np.testing.assert_array_equal(found.predict(X.tolist()), wanted.predict(X))


def test_targets_of_zero_have_the_zero_network():
    X, _, _ = oracles.sample(20, 2)
    result = numopt.convex_relu_scp(X, np.zeros(20), beta=0.5, n_hidden=10, rng=0)
    assert result.success
    assert (result.fun, result.gap, result.W1.shape) == (0.0, 0.0, (3, 0))


def test_libraries_agree(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict refuses its own indices on this device")
    X, y, _ = oracles.sample(30, 2)
    options = {"beta": 0.5, "n_hidden": 40, "rng": 0, "tol": 1e-3}
    wanted = numopt.convex_relu_scp(X, y, **options)
    found = numopt.convex_relu_scp(lib.asarray(X), lib.asarray(y), **options)
    assert lib.holds(found.x, lib.widest)
    assert found.success
    assert found.fun == pytest.approx(wanted.fun, rel=1e-3)


def test_value_bounds_that_of_the_network_from_above():
    X, y, _ = oracles.sample(40, 2)
    sampled = numopt.convex_relu_scp(X, y, beta=0.3, n_hidden=500, rng=0)
    gates = sampled.W1
    program = numopt.convex_relu(X, y, beta=0.3, patterns=gates, tol=1e-6)
    assert program.dual_fun <= sampled.fun


@pytest.mark.slow
def test_few_fresh_units_violate_the_dual():
    """Of 60 draws a share of at most xi + 3 deviations may break the guarantee."""
    psi, xi, trials = 0.2, 0.05, 60
    rng = np.random.default_rng(0)
    X, y, _ = oracles.sample(20, 2)
    count = numopt.n_patterns_for(20, psi=psi, xi=xi)
    broken = 0
    for trial in range(trials):
        result = numopt.convex_relu_scp(X, y, beta=0.2, n_hidden=count, rng=trial)
        u = rng.normal(size=(3, 4000))
        u /= np.linalg.norm(u, axis=0)
        pull = np.abs(result.dual @ np.maximum(oracles.with_ones(X) @ u, 0))
        broken += np.mean(pull > 0.2 * (1 + 1e-6)) > psi
    assert broken / trials <= xi + 3 * np.sqrt(xi / trials)


def test_callback_maxiter_and_errors():
    X, y, _ = oracles.sample(20, 2)
    stopped = numopt.convex_relu_scp(X, y, beta=0.3, n_hidden=9, maxiter=0, rng=0)
    assert (stopped.success, stopped.status) == (False, numopt.Status.ITERATION_LIMIT)

    def stop(intermediate_result):
        assert intermediate_result.nit == 0
        raise StopIteration

    assert numopt.convex_relu_scp(X, y, beta=0.3, n_hidden=9, callback=stop).status == 99
    with pytest.raises(ValueError, match="`n_hidden` must be at least 1, got 0"):
        numopt.convex_relu_scp(X, y, beta=0.3, n_hidden=0)
    with pytest.raises(ValueError, match="`y` must be a vector"):
        numopt.convex_relu_scp(X, y[:, None], beta=0.3, n_hidden=3)
