"""Sums over rows as objectives: against their definition, in every form that rows come in."""

import pickle

import numpy as np
import pytest
from libraries import to_numpy
from numpy.testing import assert_allclose, assert_array_equal
from row_sum_problems import (
    LOGISTIC,
    LOSSES,
    D,
    N,
    certified,
    definition,
    differences,
    problem,
)
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize
from scipy.sparse import csc_array, csr_array, random_array

import numopt


@pytest.fixture(params=[False, True], ids=["reference", "compiled"])
def either(request, monkeypatch):
    """Run below the size from which kernels are compiled, and above."""
    from numopt._core import dispatch

    monkeypatch.setattr(dispatch, "size_of", lambda _: 2**62 if request.param else 0)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sparse", [False, True])
def test_value_gradient_and_hessian_are_those_of_the_definition(loss, sparse):
    A, b, weights, x = problem(loss)
    options = {"loss": loss, "weights": weights, "ridge": 0.3, "mean": True, "threshold": 0.7}
    f = numopt.RowSum(csr_array(A) if sparse else A, b, **options)

    def defined(y):
        return (weights * definition(loss, A @ y, b)).mean() + 0.15 * y @ y

    assert type(f(x)) is float
    assert_allclose(f(x), defined(x), rtol=1e-13)
    assert_allclose(f.gradient(x), differences(defined, x), atol=1e-8)
    # Where no residual of a few crosses the threshold of "huber" within a step.
    assert_allclose(f.hessian(x), differences(f.gradient, x), atol=1e-7)
    assert_allclose(f.hessian(x), f.hessian(x).T, rtol=0, atol=1e-15)


@pytest.mark.parametrize("sparse", [False, True])
def test_three_functions_are_a_loss(sparse):
    A, b, weights, x = problem("logistic", n=4000, d=80)
    A = csr_array(A) if sparse else A
    named = numopt.RowSum(A, b, loss="logistic", weights=weights)
    own = numopt.RowSum(A, b, loss=LOGISTIC, weights=weights)
    assert_allclose(own(x), named(x), rtol=1e-12)
    assert_allclose(own.gradient(x), named.gradient(x), atol=1e-11)
    assert_allclose(own.hessian(x), named.hessian(x), atol=1e-10)


def test_a_loss_of_margins_alone_may_be_concave():
    A, _, _, x = problem("squared")
    loss = (lambda m, _: -(m**2), lambda m, _: -2 * m, lambda m, _: np.full_like(m, -2.0))
    f = numopt.RowSum(A, loss=loss)
    assert_allclose(f(x), -((A @ x) ** 2).sum(), rtol=1e-13)
    assert_allclose(f.hessian(x), -2 * A.T @ A, atol=1e-12)
    with pytest.raises(ValueError, match="`loss` must be convex for a sketched Hessian"):
        numopt.RowSum(A, loss=loss, sketch_size=20).hessian(x)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_library_agrees(lib, loss):
    A, b, weights, x = problem(loss)
    f = numopt.RowSum(lib.asarray(A), lib.asarray(b), loss=loss, weights=lib.asarray(weights))
    host = numopt.RowSum(A, b, loss=loss, weights=weights)
    y = lib.asarray(x)
    tolerance = 400 * lib.eps
    assert_allclose(f(y), host(x), rtol=tolerance)
    for found, wanted in ((f.gradient(y), host.gradient(x)), (f.hessian(y), host.hessian(x))):
        assert lib.holds(found, lib.widest)
        assert_allclose(to_numpy(found), wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def test_solves_in_every_library(lib):
    A, b, _, _ = problem("logistic")
    C = np.random.default_rng(2).normal(size=(2, D))
    f = numopt.RowSum(lib.asarray(A), lib.asarray(b), loss="logistic", mean=True, ridge=0.01)
    x0 = lib.asarray(np.zeros(D))
    result = numopt.minimize_equality(f, x0, constraints=LinearConstraint(C, 0.3, 0.3))
    assert result.success
    assert lib.holds(result.x, lib.widest)
    host = numopt.RowSum(A, b, loss="logistic", mean=True, ridge=0.01)
    certified(host, to_numpy(result.x), C, 0.3, 1e-8 if lib.widest == "float64" else 1e-4)


def forms(A, tmp_path):
    """Yield the forms that the same rows come in."""
    yield "array", A
    yield "fortran", np.asfortranarray(A)
    yield "csr", csr_array(A)
    yield "csc", csc_array(A)
    yield "blocks", [A[:100], A[100:101], A[101:]]
    yield "callable", lambda: iter([A[:200], A[200:]])
    paths = []
    for k, part in enumerate(np.array_split(A, 3)):
        paths.append(tmp_path / f"{k}.npy")
        np.save(paths[-1], part)
    yield "files", paths
    np.save(tmp_path / "all.npy", A)
    yield "map", np.load(tmp_path / "all.npy", mmap_mode="r")
    yield "row_blocks", numopt.row_blocks(A, rows=77)


def test_every_source_of_rows(tmp_path):
    A, b, weights, x = problem("poisson")
    reference = numopt.RowSum(A, b, loss="poisson", weights=weights)
    names = []
    for name, source in forms(A, tmp_path):
        f = numopt.RowSum(source, b, loss="poisson", weights=weights)
        assert f.shape == (N, D)
        assert_allclose(f(x), reference(x), rtol=1e-13, err_msg=name)
        assert_allclose(f.gradient(x), reference.gradient(x), atol=1e-12, err_msg=name)
        assert_allclose(f.hessian(x), reference.hessian(x), atol=1e-11, err_msg=name)
        names.append(name)
    assert len(names) == 9


def test_value_and_gradient_share_a_pass():
    A, b, _, x = problem("squared")
    f = numopt.RowSum(A, b)
    f(x), f.gradient(x), f.gradient(x.copy())
    assert f.n_passes == 1
    f.hessian(x), f.hessian(x), f(x)
    assert f.n_passes == 2
    f.hessian(x + 1), f(x + 1)  # one pass for all
    assert f.n_passes == 3


def test_blocks_bring_the_hessian_along_while_it_is_asked_for():
    A, b, _, x = problem("squared")
    f = numopt.RowSum([A[:100], A[100:]], b)
    f(x), f.hessian(x), f(x + 1), f.hessian(x + 1)
    assert f.n_passes == 2
    f(x + 2), f(x + 3), f(x + 4)  # in vain at x + 2, so that the next come without
    assert f.n_passes == 5
    f.hessian(x + 4)
    assert f.n_passes == 6
    f(x + 5), f.hessian(x + 5)
    assert f.n_passes == 7


def test_what_comes_back_is_not_what_is_kept():
    A, b, _, x = problem("squared")
    f = numopt.RowSum(A, b)
    first, y = f.gradient(x), x.copy()
    kept = first.copy()
    first += 1
    assert_array_equal(f.gradient(x), kept)
    H = f.hessian(y)
    H += 1
    y += 1
    assert_allclose(f.hessian(x), A.T @ A, atol=1e-12)
    assert_allclose(f.gradient(y), A.T @ (A @ y - b), atol=1e-12)


def test_single_precision():
    A, b, _, x = problem("logistic", n=3000)
    narrow = numopt.RowSum(A.astype("f4"), b.astype("f4"), loss="logistic", mean=True)
    assert narrow.gradient(x.astype("f4")).dtype == narrow.hessian(x.astype("f4")).dtype == "f4"
    # A start in double precision asks for work in double precision, on the data as they are.
    exact = numopt.RowSum(A.astype("f4").astype(float), b, loss="logistic", mean=True)
    assert_allclose(narrow.gradient(x), exact.gradient(x), rtol=0, atol=1e-15)
    for form in (lambda A: A, csr_array):
        f = numopt.RowSum(form(A.astype("f4")), b, loss="logistic", mean=True)
        constraint = LinearConstraint(np.ones((1, D)), 0.5, 0.5)
        result = numopt.minimize_equality(f, np.zeros(D, "f4"), constraints=constraint)
        assert result.success
        assert result.x.dtype == np.float32
        certified(exact, result.x.astype(float), np.ones((1, D)), 0.5, 1e-4)


def test_integers_and_columns_in_plenty():
    rng = np.random.default_rng(3)
    A = rng.integers(3, size=(50, 3))
    f = numopt.RowSum(A, A[:, 0])
    assert_allclose(f.hessian(np.zeros(3)), A.T @ A)
    wide = random_array((40, 3200), density=0.01, format="csr", rng=rng)
    H = numopt.RowSum(wide, np.ones(40), ridge=2.0).hessian(np.zeros(3200))
    assert hasattr(H, "tocsr")
    assert abs(H - wide.T @ wide).max() <= 2 + 1e-12
    result = numopt.minimize_equality(
        numopt.RowSum(wide, np.ones(40), ridge=2.0),
        np.zeros(3200),
        constraints=LinearConstraint(csr_array(np.ones((1, 3200))), 1.0, 1.0),
    )
    assert result.success
    assert abs(result.x.sum() - 1) < 1e-8


CONSTRAINTS = {
    "none": lambda _: (),
    "linear": lambda C: LinearConstraint(C, 0.2, 0.2),
    "sphere": lambda _: NonlinearConstraint(
        lambda x: x @ x, 1.0, 1.0, jac=lambda x: 2 * x, hess=lambda _, v: 2 * v[0] * np.eye(D)
    ),
    "no-hessian": lambda C: [
        LinearConstraint(C[:1], 0.2, 0.2),
        NonlinearConstraint(lambda x: x @ x, 1.0, 1.0, jac=lambda x: 2 * x),
    ],
    "dict": lambda C: {"type": "eq", "fun": lambda x: C[:1] @ x - 0.2},
}


@pytest.mark.parametrize("kind", CONSTRAINTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_solves_as_functions_do(kind, loss):
    A, b, _, _ = problem(loss)
    f = numopt.RowSum(A, b, loss=loss, mean=True, ridge=0.1)
    constraints = CONSTRAINTS[kind](np.random.default_rng(5).normal(size=(2, D)))
    x0 = np.full(D, 0.4)
    result = numopt.minimize_equality(f, x0, constraints=constraints)
    assert result.success
    functions = numopt.minimize_equality(
        lambda x: f(x), x0, jac=f.gradient, hess=f.hessian, constraints=constraints
    )
    assert_allclose(result.x, functions.x, atol=1e-6)
    known = kind not in ("no-hessian", "dict")
    assert result.hess_mode == ("exact" if known else "finite-difference")
    assert 0 < result.n_passes <= result.nfev + result.nhev
    assert (result.stats["n_blocks"], result.stats["n_retries"]) == (1, 0)
    assert (functions.n_passes, functions.stats["n_blocks"]) == (0, 0)


@pytest.mark.parametrize("hess", ["bfgs", "l-bfgs", "3-point"])
def test_other_second_derivatives_may_be_asked_for(hess):
    A, b, _, _ = problem("logistic")
    f = numopt.RowSum(A, b, loss="logistic", mean=True, ridge=0.1)
    constraints = CONSTRAINTS["linear"](np.eye(D)[:2])
    exact = numopt.minimize_equality(f, np.zeros(D), constraints=constraints)
    result = numopt.minimize_equality(f, np.zeros(D), hess=hess, constraints=constraints)
    assert result.success
    assert_allclose(result.x, exact.x, atol=1e-6)
    assert result.hess_mode == {"3-point": "finite-difference"}.get(hess, hess)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_sketch_in_place_of_the_hessian(sparse):
    A, b, _, x = problem("logistic", n=6000, d=6)
    source = csr_array(A) if sparse else A
    exact = numopt.RowSum(A, b, loss="logistic", mean=True)
    f = numopt.RowSum(source, b, loss="logistic", mean=True, sketch_size=120, rng=0)
    H, again = f.hessian(x), f.hessian(x + 1e-9)
    L = np.linalg.cholesky(exact.hessian(x))
    for sketched in (H, again):
        values = np.linalg.eigvalsh(np.linalg.solve(L, np.linalg.solve(L, sketched).T))
        assert 0.3 < values.min() < values.max() < 2.0
    assert np.abs(H - again).max() > 1e-3 * np.abs(H).max()  # new for each point
    constraint = LinearConstraint(np.ones((1, 6)), 0.5, 0.5)
    results = [
        numopt.minimize_equality(
            numopt.RowSum(source, b, loss="logistic", mean=True, sketch_size=120, rng=3),
            np.zeros(6),
            constraints=constraint,
        )
        for _ in range(2)
    ]
    assert_array_equal(results[0].x, results[1].x)
    assert results[0].success
    assert results[0].hess_mode == "sketched"
    certified(exact, results[0].x, np.ones((1, 6)), 0.5, 1e-8)
    # Sensitivities are those of the exact Hessian.
    solved = numopt.minimize_equality(exact, np.zeros(6), constraints=constraint)
    for rule in zip(
        results[0].kkt_solve(np.ones(6), np.zeros(1)),
        solved.kkt_solve(np.ones(6), np.zeros(1)),
        strict=True,
    ):
        assert_allclose(*rule, rtol=1e-5, atol=1e-6)


def test_other_optimizers_may_use_it():
    A, b, _, _ = problem("logistic")
    f = numopt.RowSum(A, b, loss="logistic", mean=True, ridge=0.1)
    found = minimize(f, np.zeros(D), jac=f.gradient, hess=f.hessian, method="trust-exact", tol=1e-9)
    assert_allclose(found.x, numopt.minimize_equality(f, np.zeros(D)).x, atol=1e-7)


def test_it_travels_to_other_processes():
    A, b, _, x = problem("logistic")
    f = numopt.RowSum(A, b, loss="logistic")
    f(x)
    copied = pickle.loads(pickle.dumps(f))
    assert copied(x + 1) == f(x + 1)
    result = numopt.minimize_equality(f, np.zeros(D), constraints=CONSTRAINTS["linear"](np.eye(D)))
    assert pickle.loads(pickle.dumps(result)).n_passes == result.n_passes


def test_overflow_shortens_the_step():
    A = np.array([[1.0], [2.0]])
    f = numopt.RowSum(A, np.array([1.0, 3.0]), loss="poisson")
    assert f(np.array([1e3])) == np.inf
    assert numopt.minimize_equality(f, np.array([-30.0])).success


def with_nan(A, place):
    A = A.copy()
    A[place] = np.nan
    return A


BAD = {
    "loss": (lambda A, b: numopt.RowSum(A, b, loss="hinge"), ValueError, "`loss` must be one of"),
    "two-functions": (
        lambda A, b: numopt.RowSum(A, b, loss=(abs, abs)),
        TypeError,
        r"`loss` must be a name or three functions \(value, slope, curvature\), got tuple",
    ),
    "shape-of-loss": (
        lambda A, b: numopt.RowSum(A, b, loss=(lambda m, _: m.sum(),) * 3)(np.zeros(D)),
        ValueError,
        r"`loss`: the value must have the shape of the margins, \(240,\), got \(\)",
    ),
    "no-b": (lambda A, _: numopt.RowSum(A), ValueError, "`b` must be given for loss='squared'"),
    "rows": (
        lambda A, b: numopt.RowSum(A, b[1:]),
        ValueError,
        r"`b` must have shape \(240,\) to match `A`, got \(239,\)",
    ),
    "weights": (
        lambda A, b: numopt.RowSum(A, b, weights=b[1:]),
        ValueError,
        r"`weights` must have shape \(240,\) to match `A`",
    ),
    "negative-weights": (
        lambda A, b: numopt.RowSum(A, b, weights=-abs(b)),
        ValueError,
        "`weights` must be non-negative",
    ),
    "columns-of-b": (lambda A, _: numopt.RowSum(A, A), ValueError, "`b` must be a vector"),
    "labels": (
        lambda A, b: numopt.RowSum(A, b > 0.5, loss="logistic"),
        ValueError,
        "`b` must be -1 or 1 for loss='logistic', got 0",
    ),
    "zero-one": (
        lambda A, _: numopt.RowSum(A, np.arange(N) % 2, loss="logistic"),
        ValueError,
        "`b` must be -1 or 1 for loss='logistic', got 0",
    ),
    "counts": (
        lambda A, b: numopt.RowSum(A, b - 9, loss="poisson"),
        ValueError,
        "`b` must be non-negative",
    ),
    "nan-b": (lambda A, b: numopt.RowSum(A, b * np.nan), ValueError, "`b` must be finite"),
    "nan": (
        lambda A, b: numopt.RowSum(with_nan(A, (7, 2)), b)(np.zeros(D)),
        ValueError,
        r"`A` must be finite, got nan at \[7, 2\]",
    ),
    "inf": (
        lambda A, b: numopt.RowSum([A[:100], A[100:] / (A[100:] != A[120])], b)(np.ones(D)),
        ValueError,
        r"`A\[100:240\]` must be finite, got -?inf at \[20, ",
    ),
    "nan-sparse": (
        lambda A, b: numopt.RowSum(csr_array(with_nan(A, (7, 2))), b),
        ValueError,
        "`A.data` must be finite",
    ),
    "empty": (lambda A, b: numopt.RowSum(A[:0], b[:0]), ValueError, "`A` must not be empty"),
    "empty-sparse": (
        lambda _, b: numopt.RowSum(csr_array((0, 3)), b[:0]),
        ValueError,
        "`A` must not be empty",
    ),
    "once": (
        lambda A, b: numopt.RowSum((block for block in [A]), b),
        TypeError,
        "`A` must be re-iterable",
    ),
    "complex": (lambda A, b: numopt.RowSum(A * 1j, b), TypeError, "`A` must hold real numbers"),
    "ridge": (lambda A, b: numopt.RowSum(A, b, ridge=-1), ValueError, "`ridge` must be non-neg"),
    "mean": (lambda A, b: numopt.RowSum(A, b, mean=1), TypeError, "`mean` must be True or False"),
    "threshold": (
        lambda A, b: numopt.RowSum(A, b, threshold=0),
        ValueError,
        "`threshold` must be positive",
    ),
    "sketch": (
        lambda A, b: numopt.RowSum(A, b, sketch_size=D),
        ValueError,
        "`sketch_size` must be at least 5, got 4",
    ),
    "rng": (lambda A, b: numopt.RowSum(A, b, rng="1"), TypeError, "`rng` must be None"),
    "x": (
        lambda A, b: numopt.RowSum(A, b)(np.zeros(5)),
        ValueError,
        r"`x` must have shape \(4,\) to match `A`",
    ),
    "x0": (
        lambda A, b: numopt.minimize_equality(numopt.RowSum(A, b), np.zeros(5)),
        ValueError,
        r"`x0` must have shape \(4,\) to match `A`",
    ),
    "jac": (
        lambda A, b: numopt.minimize_equality(numopt.RowSum(A, b), np.zeros(D), jac=abs),
        ValueError,
        "`jac` must not be given with a RowSum, which has its own",
    ),
    "args": (
        lambda A, b: numopt.minimize_equality(numopt.RowSum(A, b), np.zeros(D), (1,)),
        ValueError,
        "`args` must not be given with a RowSum",
    ),
    "hess": (
        lambda A, b: numopt.minimize_equality(numopt.RowSum(A, b), np.zeros(D), hess=abs),
        ValueError,
        "`hess` must not be given as a function with a RowSum",
    ),
}


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize(("make", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_input(make, kind, match):
    A, b, _, _ = problem("squared")
    with pytest.raises(kind, match=match):
        make(A, b)
