"""Convex ReLU training: libraries, warm starts, weights, outputs, paths, more patterns, stops."""

import itertools

import numpy as np
import pytest
import relu_oracles as oracles
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import to_numpy

import numopt

LOSSES = ("squared", "logistic", "hinge")


def case(loss="squared", n=40, d=3, seed=0):
    X, y, labels = oracles.sample(n, d, seed)
    return X, y if loss == "squared" else labels


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", ["interior", "rows", "cholesky", "sylvester"])
def test_libraries_agree(lib, loss, method):
    if not lib.indexing:
        pytest.skip("array_api_strict refuses its own indices on this device")
    X, y = case(loss)
    options = {"beta": 0.5, "loss": loss, "n_patterns": 6, "method": method, "rng": 0}
    # Single precision alone, and a few iterations, show that the arithmetic is the same.
    narrow = lib.widest == "float32"
    exact = method in ("interior", "rows") and not narrow
    options |= {"tol": 1e-5} if exact else {"maxiter": 10, "tol": 1e-9}
    wanted = numopt.convex_relu(X, y, **options)
    found = numopt.convex_relu(lib.asarray(X), lib.asarray(y), **options)
    for name in ("x", "coef_pos", "W1", "w2", "gates", "dual"):
        assert lib.holds(found[name], lib.widest), name
    # A method of few steps goes on for as long as the precision allows.
    assert found.nit == wanted.nit or (narrow and method == "rows")
    rtol = 2e-3 if narrow else 1e-6
    if narrow and method == "rows":
        rtol = 5e-3  # neurons keep a distance of some rounding errors from the walls of their cones
    assert found.fun == pytest.approx(wanted.fun, rel=rtol)
    assert found.dual_fun == pytest.approx(wanted.dual_fun, rel=20 * rtol)
    assert found.dual_fun <= found.fun
    assert found.infeasibility == 0
    np.testing.assert_array_equal(to_numpy(found.patterns), wanted.patterns)
    z = to_numpy(found.predict(lib.asarray(X)))
    assert z.shape == (40,)


@pytest.mark.parametrize("loss", LOSSES)
def test_single_precision_has_a_certificate_in_double(loss):
    X, y = (x.astype(np.float32) for x in case(loss))
    result = numopt.convex_relu(X, y, beta=0.5, loss=loss, n_patterns=6, rng=0)
    assert result.coef_pos.dtype == np.float32
    assert result.success
    X = oracles.with_ones(X.astype(float))
    value, slack = oracles.primal(X, y, result, 0.5, loss)
    assert slack >= 0
    assert value == pytest.approx(result.fun, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [False, True])
def test_network_has_the_value_of_the_program(loss, bias):
    X, y = case(loss)
    result = numopt.convex_relu(X, y, beta=0.2, loss=loss, n_patterns=8, fit_intercept=bias, rng=0)
    assert result.W1.shape[0] == X.shape[1] + bias
    Z = oracles.with_ones(X) if bias else X
    z = np.maximum(Z @ result.W1, 0) @ result.w2
    np.testing.assert_allclose(result.predict(X), z, rtol=0, atol=1e-12)
    weights = np.sum(result.W1**2) + np.sum(result.w2**2)
    value = oracles.loss_values(z, y, loss).sum() + 0.1 * weights
    assert value == pytest.approx(result.fun, rel=1e-10)
    assert result.net_fun == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(np.linalg.norm(result.W1, axis=0), np.abs(result.w2), rtol=1e-12)


@pytest.mark.parametrize("method", ["interior", "rows", "cholesky", "sylvester", "rbcd"])
def test_several_outputs_are_separate_problems(method):
    X, y = case()
    Y = np.stack([y, y**2, -y], axis=1)
    options = {"beta": 0.5, "n_patterns": 5, "method": method, "rng": 0, "maxiter": 40}
    together = numopt.convex_relu(X, Y, **options)
    assert together.coef_pos.shape[2] == 3
    assert together.w2.shape == (together.W1.shape[1], 3)
    assert together.predict(X).shape == (40, 3)
    assert together.gap == max(
        (f - b) / f
        for f, b in zip(
            together.stats["output_fun"], together.stats["output_dual_fun"], strict=True
        )
    )
    if method != "rbcd":  # draws its blocks one after the other
        single = numopt.convex_relu(X, Y[:, 1], **options)
        assert abs(single.fun / together.stats["output_fun"][1] - 1) < (
            1e-3 if method in ("interior", "rows") else 0.3
        )
    active = together.patterns.astype(float)
    Z = oracles.with_ones(X)
    for c in range(3):
        difference = together.coef_pos[..., c] - together.coef_neg[..., c]
        z = (active * (Z @ difference)).sum(axis=1)
        np.testing.assert_allclose(together.predict(X)[:, c], z, atol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_repetitions(loss):
    X, y = case(loss)
    counts = np.random.default_rng(1).integers(0, 4, size=len(y))
    gates = np.random.default_rng(2).normal(size=(4, 6))
    options = {"beta": 0.5, "loss": loss, "patterns": gates, "tol": 1e-7}
    weighted = numopt.convex_relu(X, y, weights=counts.astype(float), **options)
    repeated = numopt.convex_relu(np.repeat(X, counts, axis=0), np.repeat(y, counts), **options)
    assert weighted.success
    assert repeated.success
    assert weighted.fun == pytest.approx(repeated.fun, rel=2e-7)
    assert weighted.dual.shape == y.shape
    assert np.all(weighted.dual[counts == 0] == 0)


def test_same_seed_same_result():
    X, y = case()
    X.setflags(write=False)
    y.setflags(write=False)
    first, second = (numopt.convex_relu(X, y, beta=0.5, n_patterns=6, rng=3) for _ in range(2))
    np.testing.assert_array_equal(first.x, second.x)
    assert first.fun == second.fun
    other = numopt.convex_relu(X, y, beta=0.5, n_patterns=6, rng=4)
    assert other.fun != first.fun


def test_patterns_may_be_gates_or_booleans():
    X, y = case()
    gates = np.random.default_rng(5).normal(size=(4, 7))
    first = numopt.convex_relu(X, y, beta=0.3, patterns=gates, tol=1e-7)
    mask = oracles.with_ones(X) @ gates >= 0
    second = numopt.convex_relu(X, y, beta=0.3, patterns=mask, tol=1e-7)
    np.testing.assert_array_equal(first.patterns, second.patterns)
    assert first.fun == pytest.approx(second.fun, rel=2e-7)
    twice = numopt.convex_relu(X, y, beta=0.3, patterns=np.tile(gates, 2), tol=1e-7)
    assert twice.patterns.shape == first.patterns.shape
    # A pattern that no vector has is dropped.
    impossible = mask.copy()
    impossible[:, 0] = np.random.default_rng(0).random(len(y)) < 0.5
    third = numopt.convex_relu(X, y, beta=0.3, patterns=impossible)
    wanted = {tuple(column) for column in mask[:, 1:].T if column.any()}
    assert {tuple(column) for column in third.patterns.T} == wanted


def test_more_patterns_never_hurt():
    X, y = case()
    gates = np.random.default_rng(6).normal(size=(4, 20))
    values = [
        numopt.convex_relu(X, y, beta=0.1, patterns=gates[:, :k], tol=1e-7) for k in (3, 8, 20)
    ]
    assert all(r.success for r in values)
    for few, many in itertools.pairwise(values):
        assert many.dual_fun <= few.fun * (1 + 1e-9)


def test_column_generation_never_raises_the_objective():
    X, y = case(n=60)
    values = [
        numopt.convex_relu(X, y, beta=0.05, n_patterns=8, refine=k, tol=1e-5, rng=0)
        for k in range(3)
    ]
    assert values[0].stats["violation"] is None
    assert values[1].stats["violation"] >= 1 - 1e-6
    for before, after in itertools.pairwise(values):
        assert after.net_fun <= before.net_fun * (1 + 2e-3)
    assert values[2].net_fun < 0.98 * values[0].net_fun


@pytest.mark.parametrize("loss", LOSSES)
def test_beta_max(loss):
    X, y = case(loss)
    beta_max = numopt.convex_relu_beta_max(X, y, loss=loss, n_patterns=8, rng=1)
    options = {"loss": loss, "n_patterns": 8, "rng": 1}
    zero = numopt.convex_relu(X, y, beta=beta_max * (1 + 1e-6), **options)
    assert (zero.success, zero.nit, zero.W1.shape[1]) == (True, 0, 0)
    assert np.all(zero.x == 0)
    below = numopt.convex_relu(X, y, beta=0.9 * beta_max, tol=1e-5, **options)
    assert below.W1.shape[1] > 0
    assert below.fun < zero.fun


@pytest.mark.parametrize("method", ["interior", "rows", "cholesky"])
def test_path_has_the_values_of_cold_starts(method):
    X, y = case()
    betas = [0.5, 5.0, 1.5]
    path = numopt.convex_relu_path(X, y, betas, n_patterns=6, method=method, rng=0, maxiter=8000)
    for beta, result in zip(betas, path, strict=True):
        assert result.success
        assert result.stats["beta"] == beta
        cold = numopt.convex_relu(X, y, beta=beta, patterns=path[0].gates, tol=1e-6)
        assert cold.dual_fun <= result.fun * (1 + 1e-9)
        assert result.fun <= cold.fun * (1 + 1.1e-3)


def test_warm_start_saves_iterations():
    X, y = case()
    options = {"n_patterns": 6, "method": "cholesky", "maxiter": 8000}
    first = numopt.convex_relu(X, y, beta=1.0, rng=0, **options)
    cold = numopt.convex_relu(X, y, beta=0.98, rng=0, **options)
    warm = numopt.convex_relu(X, y, beta=0.98, x0=first, **options)
    assert warm.success
    assert warm.nit < cold.nit
    np.testing.assert_array_equal(warm.patterns, first.patterns)


def test_without_iterations_the_start_is_certified():
    X, y = case()
    result = numopt.convex_relu(X, y, beta=0.5, maxiter=0, rng=0)
    assert (result.success, result.status, result.nit) == (False, 1, 0)
    assert 0 <= result.dual_fun <= result.fun
    assert result.fun == pytest.approx(0.5 * y @ y)
    assert "raise maxiter" in result.message


def test_callback_sees_the_checks_and_may_stop():
    X, y = case()
    seen = []

    def stop(intermediate_result):
        seen.append(intermediate_result)
        if intermediate_result.nit == 5:
            raise StopIteration

    result = numopt.convex_relu(X, y, beta=0.5, rng=0, tol=1e-9, callback=stop)
    assert result.status == 99
    assert [r.nit for r in seen] == list(range(6))
    assert set(seen[0]) == {"nit", "error", "fun", "dual_fun", "infeasibility", "output"}
    assert result.dual_fun <= result.fun < seen[0].fun * (1 + 1e-12)


def test_without_polish_the_iterate_comes_back():
    X, y = case()
    options = {"beta": 0.5, "n_patterns": 6, "method": "cholesky", "rng": 0, "maxiter": 100}
    raw = numopt.convex_relu(X, y, polish=False, **options)
    polished = numopt.convex_relu(X, y, **options)
    assert raw.infeasibility > 0
    assert polished.infeasibility == 0
    assert raw.fun < polished.fun
    assert raw.dual_fun == polished.dual_fun


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
@settings(derandomize=True, deadline=None, database=None, max_examples=10)
def test_invariances_of_squared_loss(seed, scale):
    X, y = case(seed=seed, n=25)
    rng = np.random.default_rng(seed)
    gates = rng.normal(size=(4, 5))
    base = numopt.convex_relu(X, y, beta=0.5, patterns=gates, tol=1e-7)
    scaled = numopt.convex_relu(X, scale * y, beta=0.5 * scale, patterns=gates, tol=1e-7)
    assert scaled.fun == pytest.approx(scale**2 * base.fun, rel=1e-6)
    order = rng.permutation(len(y))
    permuted = numopt.convex_relu(X[order], y[order], beta=0.5, patterns=gates, tol=1e-7)
    assert permuted.fun == pytest.approx(base.fun, rel=1e-6)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = np.concatenate([rotation @ gates[:3], gates[3:]])
    rotated = numopt.convex_relu(X @ rotation.T, y, beta=0.5, patterns=turned, tol=1e-7)
    assert rotated.fun == pytest.approx(base.fun, rel=1e-6)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.ones((1, 1)), np.ones(1)),
        (np.ones((5, 1)), np.full(5, 3.0)),
        (np.zeros((4, 2)), np.arange(4.0)),
        (np.random.default_rng(0).normal(size=(3, 8)), np.array([1.0, -1, 2])),
        (np.arange(6).reshape(6, 1), np.arange(6)),
        (np.tile([[1.0, 2.0]], (6, 1)), np.arange(6.0)),
        (1e4 * np.random.default_rng(0).normal(size=(20, 2)), np.arange(20.0)),
        (np.random.default_rng(0).normal(size=(20, 2)), np.zeros(20)),
    ],
    ids=["1-by-1", "constant", "zero", "wide", "integers", "repeated", "huge", "zero-targets"],
)
@pytest.mark.parametrize("bias", [False, True])
def test_unusual_data(X, y, bias):
    result = numopt.convex_relu(X, y, beta=0.1, n_patterns=4, fit_intercept=bias, rng=0)
    assert result.success, result.message
    assert np.isfinite(result.fun)
    assert np.all(np.isfinite(result.predict(X)))


def test_number_of_patterns():
    assert numopt.n_patterns_for(20, psi=0.2, xi=0.05) == 240
    assert numopt.n_patterns_for(1, psi=1.0, xi=1.0) == 4


@pytest.mark.parametrize("method", ["interior", "rows", "cholesky", "sylvester"])
@pytest.mark.parametrize("loss", LOSSES)
def test_more_features_than_samples(loss, method):
    """The optimum is in the span of the samples: as from a rotation of them to n features."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(12, 40))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    gates = rng.normal(size=(40, 5))
    options = {"beta": 0.3, "loss": loss, "fit_intercept": False, "method": method}
    wide = numopt.convex_relu(X, y, patterns=gates, **options)
    Q = np.linalg.qr(X.T)[0]
    narrow = numopt.convex_relu(X @ Q, y, patterns=Q.T @ gates, **options)
    assert wide.success
    assert narrow.success
    assert wide.coef_pos.shape == (40, 5)
    assert wide.fun == pytest.approx(narrow.fun, rel=2e-3)
    assert wide.dual_fun <= narrow.fun * (1 + 1e-9)
    assert narrow.dual_fun <= wide.fun * (1 + 1e-9)
    assert wide.infeasibility == 0
    np.testing.assert_allclose(Q @ (Q.T @ wide.coef_pos), wide.coef_pos, atol=1e-9)
    again = numopt.convex_relu(X, y, patterns=gates, x0=wide, **options)
    assert again.success
