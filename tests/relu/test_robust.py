"""Training against perturbations: right values, what is certified, what collapses, attacks."""

import numpy as np
import pytest
import relu_oracles as oracles

import numopt
from numopt import Status

LOSSES = ("squared", "logistic", "hinge")


def wide(n=30, d=12, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, np.where(X[:, 0] + 0.3 * rng.normal(size=n) > 0, 1.0, -1.0)


def solved(loss, eps, robust="pattern", **options):
    X, y = wide()
    given = {"beta": 1.0, "n_patterns": 6, "rng": 0, "maxiter": 4000} | options
    return X, y, numopt.convex_relu(X, y, loss=loss, eps=eps, robust=robust, **given)


def radii(d, eps):
    return np.append(np.full(d, eps), 0.0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "eps",
    [
        pytest.param(0.005, marks=pytest.mark.slow),
        0.02,
        pytest.param(0.05, marks=pytest.mark.slow),
        0.1,
    ],
)
def test_value_is_that_of_a_general_solver(loss, eps):
    pytest.importorskip("cvxpy", reason="CVXPY is not installed")
    X, y, result = solved(loss, eps)
    wanted = oracles.program(
        oracles.with_ones(X), y, result.patterns, 1.0, loss, eps=radii(12, eps)
    )
    assert result.success, result.message
    assert result.dual_fun <= wanted * (1 + 1e-7)
    assert wanted * (1 - 1e-7) <= result.fun <= wanted * (1 + 1.1e-3)
    for record in result.history:
        assert record["dual_fun"] <= wanted * (1 + 1e-7)
        assert record["fun"] >= wanted * (1 - 1e-7)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("eps", [pytest.param(0.01, marks=pytest.mark.slow), 0.05])
def test_lipschitz_bounds_enclose_the_optimum(loss, eps):
    pytest.importorskip("cvxpy", reason="CVXPY is not installed")
    # The splitting takes longer the less the penalty on whole weights binds.
    X, y, result = solved(loss, eps, "lipschitz", maxiter=2000 if eps == 0.01 else 800)
    wanted = oracles.program(
        oracles.with_ones(X),
        y,
        result.patterns,
        1.0,
        loss,
        eps=radii(12, eps),
        robust="lipschitz",
    )
    assert len(result.history) > 5
    for record in result.history:
        assert record["dual_fun"] <= wanted * (1 + 1e-7)
        assert record["fun"] >= wanted * (1 - 1e-7)
    assert result.fun <= 1.05 * wanted


@pytest.mark.slow
@pytest.mark.parametrize("robust", ["pattern", "lipschitz"])
@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_no_attack_breaks_what_is_certified(loss, robust):
    eps = 0.1
    X, y, result = solved(loss, eps, robust, maxiter=1000)
    active = result.patterns.astype(float)
    Z, e = oracles.with_ones(X), radii(12, eps)
    models = active @ (result.coef_pos - result.coef_neg).T
    shift = np.abs(models) @ e
    if robust == "lipschitz":
        shift = np.sum(e @ (np.abs(result.coef_pos) + np.abs(result.coef_neg)))
    certified = y * (Z * models).sum(axis=1) - shift
    assert result.stats["certified"] == pytest.approx(np.mean(certified > 0))
    for kind in ("fgsm", "pgd"):
        moved = numopt.network_attack(
            result.W1, result.w2, X, y, eps=eps, kind=kind, restarts=3, rng=1
        )
        assert np.abs(moved - X).max() <= eps * (1 + 1e-12)
        margin = y * result.predict(moved)
        assert np.all(margin >= certified - 1e-9)
        assert np.mean(margin > 0) >= result.stats["certified"]
        loss_there = oracles.loss_values(result.predict(moved), y, loss)
        assert np.all(loss_there <= oracles.loss_values(y * certified, y, loss) + 1e-9)


@pytest.mark.slow
def test_value_rises_with_the_radius_from_that_without():
    values = [solved("hinge", eps, tol=1e-4)[2] for eps in (1e-6, 0.02, 0.1)]
    clean = solved("hinge", 0.0, tol=1e-6)[2]
    assert values[0].fun == pytest.approx(clean.fun, rel=1e-3)
    assert clean.dual_fun <= values[0].fun
    assert values[0].dual_fun < values[1].fun < values[2].fun
    assert clean.stats["certified"] is None


def test_radius_may_differ_between_features():
    X, y = wide()
    eps = np.where(np.arange(12) < 6, 0.05, 0.0)
    result = numopt.convex_relu(X, y, beta=1.0, loss="hinge", eps=eps, n_patterns=6, rng=0)
    least = numopt.convex_relu(X, y, beta=1.0, loss="hinge", n_patterns=6, rng=0)
    most = numopt.convex_relu(X, y, beta=1.0, loss="hinge", eps=0.05, n_patterns=6, rng=0)
    assert result.success
    assert least.dual_fun <= result.fun
    assert result.dual_fun <= most.fun


def test_no_pattern_survives_a_large_radius():
    """In the plane some sample is always close to a hyperplane through the cloud."""
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    options = {"beta": 1.0, "loss": "hinge", "n_patterns": 8, "rng": 0}
    X = X[:, :]
    result = numopt.convex_relu(X, y, eps=0.5, fit_intercept=False, **options)
    assert (result.success, result.status) == (False, Status.NO_PATTERN)
    assert result.W1.shape[1] == 0
    assert "0 of 8 patterns" in result.message
    assert "lipschitz" in result.message
    other = numopt.convex_relu(
        X, y, eps=0.1, robust="lipschitz", fit_intercept=False, maxiter=500, **options
    )
    assert other.status != Status.NO_PATTERN
    assert other.fun < 200


def test_patterns_that_survive_have_neurons():
    X, _, result = solved("hinge", 0.1)
    Z, e = oracles.with_ones(X), radii(12, 0.1)
    signs = 2.0 * result.patterns - 1
    slack = signs * (Z @ result.gates) - e @ np.abs(result.gates)
    assert slack.min() > 0
    for coef in (result.coef_pos, result.coef_neg):
        assert np.all(signs * (Z @ coef) >= e @ np.abs(coef))


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_attacks_on_a_linear_network_are_exact(lib, kind):
    """A pair of opposite units is a linear model, whose worst perturbation is known."""
    rng = np.random.default_rng(0)
    u, X = rng.normal(size=4), rng.normal(size=(9, 3))
    y = rng.choice([-1.0, 1.0], size=9)
    moved = numopt.network_attack(
        lib.asarray(np.stack([u, -u], axis=1)),
        lib.asarray(np.array([1.0, -1.0])),
        lib.asarray(X),
        lib.asarray(y),
        eps=0.3,
        kind=kind,
        rng=0,
    )
    from libraries import to_numpy

    np.testing.assert_allclose(
        to_numpy(moved), X - 0.3 * y[:, None] * np.sign(u[:3]), rtol=0, atol=8 * lib.eps * 4
    )


def test_libraries_agree(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict refuses its own indices on this device")
    X, y = wide(n=10, d=4)
    options = {"beta": 1.0, "loss": "hinge", "n_patterns": 2, "eps": 0.001, "rng": 0, "maxiter": 9}
    wanted = numopt.convex_relu(X, y, **options)
    found = numopt.convex_relu(lib.asarray(X), lib.asarray(y), **options)
    assert lib.holds(found.W1, lib.widest)
    assert found.fun == pytest.approx(wanted.fun, rel=2e-3 if lib.widest == "float32" else 1e-6)
