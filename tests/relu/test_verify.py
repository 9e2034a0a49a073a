"""What a result says of itself, computed again from the samples and what it holds."""

import pickle

import numpy as np
import pytest
import relu_oracles as oracles

import numopt

LOSSES = ("squared", "logistic", "hinge")
OPTIONS = {
    "interior": {"method": "interior"},
    "rows": {"method": "rows"},
    "cholesky": {"method": "cholesky", "maxiter": 100},
    "sylvester": {"method": "sylvester", "maxiter": 100},
    "not-polished": {"method": "sylvester", "maxiter": 100, "polish": False},
    "column-generation": {"refine": 1},
    "nothing": {"beta": 1e5},
}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)


def case(loss, n=50, d=3):
    X, y, labels = oracles.sample(n, d)
    return X, y if loss == "squared" else labels


def agree(result, *problem, atol=1e-9, **options):
    """Compare the checks with those computed again, which are returned."""
    again = numopt.verify(result, *problem, **options)
    assert [check._replace(value=0.0) for check in again] == [
        check._replace(value=0.0) for check in result.checks
    ]
    for check, old in zip(again, result.checks, strict=True):
        assert check.value == pytest.approx(old.value, rel=1e-5, abs=atol)
        assert check.passed == old.passed
    return again


def perturbed(result, *problem, **options):
    """Assert that what is no longer what was found does not pass for it."""
    for name in ("coef_pos", "dual", "W1", "w2"):
        wrong = pickle.loads(pickle.dumps(result))
        held = wrong[name]
        wrong[name] = held + 0.1 * abs(held).max() * np.cos(np.arange(held.size)).reshape(
            held.shape
        )
        assert not all(check.passed for check in wrong.verify(*problem, **options)), name


@EVERY_LOSS
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_checks_can_be_computed_again(loss, options):
    X, y = case(loss)
    options = {"beta": 0.5, "n_patterns": 6, "loss": loss, "rng": 0} | options
    given = {"beta": options["beta"], "loss": loss}
    result = pickle.loads(pickle.dumps(numopt.convex_relu(X, y, **options)))
    agree(result, X, y, **given)
    if result.success and result.W1.shape[1]:
        perturbed(result, X, y, **given)


@EVERY_LOSS
def test_weights_outputs_and_samples_without_a_say(loss):
    X, y = case(loss)
    X[3] = 0
    Y = np.stack([y, -y], axis=1)
    weights = np.random.default_rng(1).integers(0, 3, size=50).astype(float)
    options = {"beta": 0.5, "loss": loss, "weights": weights, "fit_intercept": False}
    for method in ("interior", "rows", "cholesky"):
        result = numopt.convex_relu(
            X, Y, n_patterns=6, rng=0, method=method, maxiter=200, **options
        )
        agree(result, X, Y, **options)
    assert not all(check.passed for check in result.verify(X, Y, **options | {"beta": 0.1}))


@EVERY_LOSS
@pytest.mark.parametrize("robust", ["pattern", "lipschitz"])
def test_perturbations(loss, robust):
    X, y = case(loss, 30, 12)
    options = {"beta": 1.0, "loss": loss, "eps": 0.02, "robust": robust}
    # Loose enough for a success: the bounds of the weaker program close in slowly.
    result = numopt.convex_relu(X, y, n_patterns=6, rng=0, tol=0.3, maxiter=2000, **options)
    assert result.success
    agree(result, X, y, **options)
    wrong = numopt.ConvexReLUResult(result)
    wrong["dual"] = -result.dual
    assert not all(check.passed for check in wrong.verify(X, y, **options))


def test_no_pattern_is_no_success():
    X = np.random.default_rng(0).normal(size=(200, 2))
    options = {"beta": 1.0, "eps": 0.5, "fit_intercept": False}
    result = numopt.convex_relu(X, X[:, 0], n_patterns=8, rng=0, **options)
    again = agree(result, X, X[:, 0], **options)
    assert [check.name for check in again if not check.passed] == ["missing pattern"]


@EVERY_LOSS
def test_single_precision(loss):
    X, y = (x.astype(np.float32) for x in case(loss))
    result = numopt.convex_relu(X, y, beta=0.5, loss=loss, n_patterns=6, rng=0)
    assert result.success
    agree(result, X, y, beta=0.5, loss=loss, atol=1e-6)


@EVERY_LOSS
def test_samples_in_blocks(loss):
    X, y = case(loss, 600, 4)
    source = numopt.row_blocks(X, rows=170)
    for beta in (0.3, 3.0, 60.0):
        result = numopt.convex_relu(source, y, beta=beta, loss=loss, n_patterns=7, rng=0)
        assert result.success
        agree(result, source, y, beta=beta, loss=loss)
        # Also by someone who has all samples at hand, and under the same patterns.
        agree(result, X, y, beta=beta, loss=loss)
    result = numopt.convex_relu(source, y, beta=0.3, loss=loss, n_patterns=3, rng=0)
    perturbed(result, source, y, beta=0.3, loss=loss)


def test_samples_on_a_cluster():
    da = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")
    X, y = case("logistic", 600, 4)
    source = da.from_array(X, chunks=(150, 4))
    result = numopt.convex_relu(source, y, beta=1.0, loss="logistic", n_patterns=6, rng=0)
    agree(result, source, y, beta=1.0, loss="logistic")


def test_what_is_like_an_array_will_do():
    X, y = case("squared", 20)
    options = {"beta": 0.5, "n_patterns": 6, "rng": 0}
    expected = numopt.convex_relu(X, y, weights=np.ones(20), **options)

    class Frame:
        def __array__(self, dtype=None, copy=None):
            return X

    for samples in (X.tolist(), Frame()):
        result = numopt.convex_relu(samples, y.tolist(), weights=[1] * 20, **options)
        assert result.fun == expected.fun
        np.testing.assert_array_equal(result.predict(samples), expected.predict(X))
        agree(result, samples, y.tolist(), beta=0.5)
    moved = numopt.network_attack(
        expected.W1, expected.w2.tolist(), X.tolist(), y.tolist(), eps=[0.1] * 3, kind="fgsm"
    )
    assert moved.shape == X.shape
