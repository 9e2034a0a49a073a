"""What convex ReLU training says of bad inputs."""

import array_api_strict
import numpy as np
import pytest
from scipy.sparse import csr_array

import numopt

X = np.random.default_rng(0).normal(size=(6, 2))
Y = np.arange(6.0)
LABELS = np.array([1.0, -1, 1, -1, 1, -1])
NAN = np.where(np.arange(12).reshape(6, 2) == 5, np.nan, X)

# Each row: arguments, options, the error, its message.
BAD = {
    "X-vector": ((Y, Y), {}, ValueError, r"`X` must be a matrix, got shape \(6,\)"),
    "X-text": (
        ("X", Y),
        {},
        TypeError,
        "`X` must be an array or a sequence of real numbers, got str",
    ),
    "X-ragged": (
        ([[1.0], [1.0, 2.0]], [1, 2]),
        {},
        ValueError,
        "`X` must be .* rows of one length",
    ),
    "X-empty": ((np.zeros((0, 2)), Y), {}, ValueError, "`X` must not be empty"),
    "X-complex": ((X + 0j, Y), {}, TypeError, "`X` must hold real numbers, got dtype complex128"),
    "X-object": ((X.astype(object), Y), {}, TypeError, "`X` must"),
    "X-nan": ((NAN, Y), {}, ValueError, r"`X` must be finite, got nan at \[2, 1\]"),
    "X-sparse": ((csr_array(X), Y), {}, TypeError, "`X` must be a dense array, got a sparse"),
    "y-length": ((X, Y[:5]), {}, ValueError, r"`y` must have shape \(6,\) to match `X`"),
    "y-inf": ((X, np.append(Y[:5], np.inf)), {}, ValueError, "`y` must be fin"),
    "y-3d": ((X, Y[:, None, None]), {}, ValueError, "`y` must be a vector or a matrix"),
    "y-library": ((X, array_api_strict.asarray(Y)), {}, TypeError, "must be of one library"),
    "labels": ((X, Y), {"loss": "hinge"}, ValueError, "`y` must hold labels -1 and 1 for hinge"),
    "loss": ((X, Y), {"loss": "l1"}, ValueError, "`loss` must be one of 'squared'"),
    "beta-zero": ((X, Y), {"beta": 0.0}, ValueError, "`beta` must be positive"),
    "beta-text": ((X, Y), {"beta": "1"}, TypeError, "`beta` must be a real number, got str"),
    "tol": ((X, Y), {"tol": 0}, ValueError, "`tol` must be positive"),
    "maxiter": ((X, Y), {"maxiter": -1}, ValueError, "`maxiter` must be non-negative"),
    "eps": ((X, Y), {"eps": -0.1}, ValueError, "`eps` must be non-negative and finite, got -0.1"),
    "eps-shape": ((X, Y), {"eps": np.ones(3)}, ValueError, r"`eps` must have shape \(2,\)"),
    "eps-method": ((X, Y), {"eps": 0.1, "method": "cholesky"}, ValueError, "`eps` > 0 needs"),
    "robust": ((X, Y), {"robust": "yes"}, ValueError, "`robust` must be one of"),
    "n_patterns": ((X, Y), {"n_patterns": 0}, ValueError, "`n_patterns` must be at least 1, got 0"),
    "method": ((X, Y), {"method": "sgd"}, ValueError, "`method` must be one of 'auto'"),
    "rbcd-hinge": ((X, LABELS), {"loss": "hinge", "method": "rbcd"}, ValueError, "smooth losses"),
    "refine": ((X, Y), {"refine": -1}, ValueError, "`refine` must be non-negative"),
    "rho": ((X, Y), {"rho": -1.0}, ValueError, "`rho` must be positive"),
    "intercept": ((X, Y), {"fit_intercept": 1}, TypeError, "`fit_intercept` must be True or False"),
    "polish": ((X, Y), {"polish": None}, TypeError, "`polish` must be True or False"),
    "gates": ((X, Y), {"patterns": np.ones((2, 4))}, ValueError, "gates with 3 rows"),
    "mask": ((X, Y), {"patterns": np.ones((5, 4), bool)}, ValueError, r"shape \(6, P\)"),
    "empty": ((X, Y), {"patterns": np.zeros((6, 2), bool)}, ValueError, "all are empty"),
    "weights": ((X, Y), {"weights": -Y}, ValueError, "`weights` must be non-negative"),
    "no-weight": ((X, Y), {"weights": 0 * Y}, ValueError, "must have a positive entry"),
    "x0": ((X, Y), {"x0": Y}, TypeError, "`x0` must be a ConvexReLUResult, got ndarray"),
    "rng": ((X, Y), {"rng": 1.5}, TypeError, "`rng` must be None"),
    "callback": ((X, Y), {"callback": 1}, TypeError, "`callback` must be callable"),
}


@pytest.mark.parametrize("row", BAD)
def test_bad_input_is_refused(row):
    arguments, options, error, message = BAD[row]
    with pytest.raises(error, match=message):
        numopt.convex_relu(*arguments, **({"beta": 1.0} | options))


def test_start_of_another_size():
    result = numopt.convex_relu(X, Y, beta=1.0, rng=0)
    with pytest.raises(ValueError, match="`x0` must be a result for samples with as many features"):
        numopt.convex_relu(X[:, :1], Y, beta=1.0, x0=result)
    with pytest.raises(ValueError, match="features that were trained on"):
        result.predict(np.ones((2, 5)))


@pytest.mark.parametrize(
    ("betas", "error", "message"),
    [
        (1.0, TypeError, "`betas` must be a sequence of numbers"),
        ([], ValueError, "`betas` must not be empty"),
        ([1.0, -1.0], ValueError, "`betas` must be positive"),
    ],
)
def test_bad_paths(betas, error, message):
    with pytest.raises(error, match=message):
        numopt.convex_relu_path(X, Y, betas)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "`n` must be at least 1"),
        ({"psi": 0.0}, "`psi` must be in"),
        ({"xi": 2.0}, "`xi`"),
    ],
)
def test_bad_numbers_of_patterns(options, message):
    options = {"n": 3, "psi": 0.1, "xi": 0.1} | options
    with pytest.raises(ValueError, match=message):
        numopt.n_patterns_for(options.pop("n"), **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W1": np.ones((4, 2))}, "`W1` must have 2 rows"),
        ({"w2": np.ones(3)}, r"`w2` must have shape \(2,\)"),
        ({"eps": -1.0}, "`eps` must be non-negative"),
        ({"kind": "cw"}, "`kind` must be one of"),
        ({"loss": "l0"}, "`loss` must be one of"),
        ({"steps": -1}, "`steps` must be non-negative"),
    ],
)
def test_bad_attacks(changes, message):
    given = {"W1": np.ones((2, 2)), "w2": np.ones(2), "X": X, "y": LABELS, "eps": 0.1} | changes
    positional = [given.pop(name) for name in ("W1", "w2", "X", "y")]
    with pytest.raises(ValueError, match=message):
        numopt.network_attack(*positional, **given)
