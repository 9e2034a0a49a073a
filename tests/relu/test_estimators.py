"""The estimators in scikit-learn's own checks, and on real data."""

import subprocess
import sys

import numpy as np
import pytest

import numopt

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator

ESTIMATORS = [
    numopt.ConvexReLUClassifier(n_patterns=6, random_state=0),
    numopt.ConvexReLUClassifier(n_patterns=6, loss="hinge", random_state=0),
    numopt.ConvexReLURegressor(n_patterns=6, random_state=0),
]
CHECKS = [(e, c) for e in ESTIMATORS for _, c in estimator_checks_generator(e)]


def label(value):
    return getattr(getattr(value, "func", value), "__name__", type(value).__name__)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=label)
def test_scikit_learns_checks(estimator, check):
    from unittest import SkipTest

    from sklearn.base import clone
    from sklearn.exceptions import SkipTestWarning

    assert issubclass(SkipTestWarning, UserWarning)
    try:
        check(clone(estimator))
    except SkipTest as reason:
        pytest.skip(str(reason))


def test_classes_share_one_solve():
    X, y = load_wine(return_X_y=True)
    model = numopt.ConvexReLUClassifier(n_patterns=10, random_state=0).fit(X, y)
    assert model.result_.coef_pos.shape[2] == 3
    assert model.result_.success
    shares = model.predict_proba(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert model.score(X, y) > 0.97
    assert cross_val_score(model, X, y, cv=3).mean() > 0.95


def test_scaling_makes_units_irrelevant():
    X, y = load_diabetes(return_X_y=True)
    units = 10.0 ** np.arange(10)
    first = numopt.ConvexReLURegressor(beta=1.0, n_patterns=8, random_state=0).fit(X, y)
    second = numopt.ConvexReLURegressor(beta=1.0, n_patterns=8, random_state=0).fit(X * units, y)
    assert first.result_.fun == pytest.approx(second.result_.fun, rel=1e-3)
    assert first.score(X, y) > 0.5


def test_not_converging_warns():
    X, y = load_diabetes(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="raise maxiter"):
        numopt.ConvexReLURegressor(method="interior", max_iter=3, random_state=0).fit(X, y)


def test_probabilities_need_the_logistic_loss():
    model = numopt.ConvexReLUClassifier(loss="hinge")
    assert not hasattr(model, "predict_proba")
    with pytest.raises(ValueError, match="at least two classes, got 1 class"):
        model.fit(np.eye(3), [1, 1, 1])


def test_sparse_samples_are_stored_densely_up_to_a_limit(monkeypatch):
    import scipy.sparse

    import numopt.estimators._relu as module

    X, y = load_wine(return_X_y=True)
    model = numopt.ConvexReLUClassifier(n_patterns=5, random_state=0)
    dense, sparse = model.fit(X, y).predict(X), model.fit(scipy.sparse.csr_array(X), y).predict(X)
    np.testing.assert_array_equal(dense, sparse)
    monkeypatch.setattr(module, "_DENSE_LIMIT", 100)
    with pytest.raises(MemoryError, match="as a dense array, and the limit is"):
        model.fit(scipy.sparse.csr_array(X), y)


def test_library_works_without_scikit_learn():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import numpy as np, numopt\n"
        "print(numopt.convex_relu(np.eye(3), np.ones(3), beta=0.1, rng=0).success)\n"
        "try: numopt.ConvexReLUClassifier\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[0] == "True", run.stderr
    assert "needs scikit-learn" in run.stdout


def test_arrays_mapped_into_memory_are_arrays(tmp_path):
    """As joblib hands them over to its workers, or loads what was stored."""
    import joblib

    X, y = load_wine(return_X_y=True)
    model = numopt.ConvexReLUClassifier(n_patterns=5, random_state=0).fit(X, y)
    joblib.dump((model, X), tmp_path / "model")
    mapped, Z = joblib.load(tmp_path / "model", mmap_mode="r")
    assert isinstance(mapped.result_.W1, np.memmap)
    np.testing.assert_array_equal(mapped.predict_proba(Z), model.predict_proba(X))
    again = numopt.ConvexReLUClassifier(n_patterns=5, random_state=0).fit(Z, y)
    np.testing.assert_array_equal(again.result_.coef_pos, model.result_.coef_pos)
    assert again.result_.stats["method"] == model.result_.stats["method"]
    result = numopt.convex_relu(X, y / 2, beta=1.0, n_patterns=5, rng=0)
    joblib.dump((result, X, y / 2), tmp_path / "result")
    result, X, y = joblib.load(tmp_path / "result", mmap_mode="r")
    assert all(check.passed for check in result.verify(X, y, beta=1.0))
