"""Results judged again: from the problem as given and what was returned, and by other processes."""

import pickle

import numpy as np
import pytest
from libraries import to_numpy
from regression_problems import METHODS, augmented, backward_error, conditioned, random_problem
from scipy.sparse import csr_array

import numopt

EVERY = pytest.mark.parametrize("method", [*METHODS, "sketch"])


def problem(method, n=4000):
    A, b = conditioned(n, 6, 1e3, 0.5, seed=40)
    weights = np.random.default_rng(41).random(n) + 0.1
    return (A, b), {"weights": weights, "ridge": 1e-3}, {"method": method, "rng": 0}


def values(checks):
    return {check.name: check.value for check in checks}


@EVERY
@pytest.mark.parametrize("columns", [None, 2])
def test_checks_are_recomputed(lib, method, columns):
    given, facts, how = problem(method, n=900)
    if columns:
        given = given[0], np.stack([given[1], 1 - given[1]], axis=1)
    given = [lib.asarray(x) for x in given]
    facts["weights"] = lib.asarray(facts["weights"])
    result = numopt.lstsq(*given, **facts, **how)
    again = numopt.verify(result, *given, **facts, **how)
    assert result.success
    assert [check[0::2] for check in again] == [check[0::2] for check in result.checks]
    assert all(check.passed for check in again)
    for name, value in values(again).items():
        # A sketch knows the inverse of the normal matrix, and the error, to some digits only.
        rough = 1.0 if method in ("iterative", "sketch") else 1e-6
        assert abs(value - values(result.checks)[name]) <= 4 * lib.eps + rough * value


@EVERY
def test_a_perturbed_answer_fails(method):
    given, facts, how = problem(method)
    result = numopt.lstsq(*given, **facts, **how)
    size = 1e-12 if method != "sketch" else 2 * result.linf_bound
    result.x = result.x + size * (np.arange(6) == 3)
    assert not all(check.passed for check in result.verify(*given, **facts))
    assert not all(check.passed for check in result.verify(given[0], -given[1], **facts))
    result.x = np.full(6, np.nan)
    assert not any(
        check.passed
        for check in result.verify(*given, **facts)
        if "rank" not in check.name and "rows" not in check.name
    )


def test_the_backward_error_that_is_verified_is_that_of_the_literature():
    A, b = conditioned(150, 6, 1e4, 0.3, seed=42)
    for x0 in (np.zeros(6), np.ones(6), 1e-3 + numopt.lstsq(A, b).x):
        result = numopt.lstsq(A, b, x0=x0, maxiter=0, method="direct")
        (check,) = result.verify(A, b)
        assert not check.passed
        exact = backward_error(A, b, x0)
        assert 0.4 * exact <= check.value <= 2.5 * exact


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_shapes_and_ranks(ridge):
    rng = np.random.default_rng(43)
    for shape in ((1, 1), (3, 7), (5, 5), (300, 4)):
        A, b = rng.normal(size=shape), rng.normal(size=shape[0])
        A[:, -1] = A[:, 0]
        result = numopt.lstsq(A, b, ridge=ridge)
        assert result.success
        assert all(check.passed for check in result.verify(A, b, ridge=ridge))
    rows, right = augmented(A, b, None, ridge)
    assert all(check.passed for check in result.verify(rows, right))


def test_forms_of_the_design():
    A, b = random_problem(900, 5, seed=44)
    A = np.where(np.abs(A) < 1, 0, A)
    result = numopt.lstsq(A, b)
    for form in (csr_array(A), [A[:100], A[100:]], A.tolist(), lambda: iter([A])):
        assert all(check.passed for check in result.verify(form, b))


def test_the_rank_of_a_sketch():
    A, b = random_problem(4000, 5, seed=45)
    A[:, 4] = A[:, 0]
    result = numopt.lstsq(A, b, method="sketch", rng=0)
    assert not result.success
    assert result.status is numopt.Status.NOT_DETERMINED
    assert "use method 'cholqr'" in result.message
    assert values(result.checks)["rank deficiency"] == 1.0
    assert values(result.verify(A, b))["rank deficiency"] == 1.0


def test_a_sketch_of_a_consistent_problem_is_as_good_as_its_rounding():
    for cond in (1e0, 1e4, 1e8):
        A, b = conditioned(5000, 6, cond, 0.0, seed=46)
        for seed in range(5):
            result = numopt.lstsq(A, b, method="sketch", rng=seed)
            assert result.success
            assert all(check.passed for check in result.verify(A, b))


@EVERY
def test_results_travel_without_the_design(method):
    given, facts, how = problem(method)
    result = numopt.lstsq(*given, **facts, **how)
    text = pickle.dumps(result)
    assert len(text) < given[0].nbytes / 4
    again = pickle.loads(text)
    assert all(check.passed for check in again.verify(*given, **facts))
    if method in ("iterative", "sketch"):
        with pytest.raises(TypeError, match=f"`covariance` of method '{method}' needs the design"):
            again.standard_errors()
    errors = result.standard_errors()
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.standard_errors(), errors)
    if method == "sketch":
        np.testing.assert_array_equal(again.sketch_interval(), result.sketch_interval())


def test_an_earlier_result_is_a_start():
    given, facts, _ = problem("auto")
    rough = numopt.lstsq(*given, method="sketch", rng=0, **facts)
    again = numopt.lstsq(*given, method="cholqr", maxiter=0, x0=rough, rng=0, **facts)
    np.testing.assert_array_equal(again.x, rough.x)
    factor = numopt.lstsq_factor(given[0], **facts)
    assert factor.solve(given[1], x0=rough).success
    assert repr(factor).startswith("LstsqFactor(4000 x 6, method='gram', rank=6, cond_estimate=")


@pytest.mark.parametrize("options", [{}, {"method": "sketch", "eps": 0.3, "rng": 0}], ids=str)
def test_kronecker_products(lib, options):
    rng = np.random.default_rng(47)
    factors = [lib.asarray(rng.normal(size=shape)) for shape in ((13, 3), (9, 2), (7, 4))]
    b = lib.asarray(rng.normal(size=(13, 9, 7)))
    result = numopt.kron_lstsq(factors, b, **options)
    assert result.success
    again = pickle.loads(pickle.dumps(result)) if lib.name.startswith("numpy") else result
    assert numopt.verify(again, factors, b, **options) == result.checks
    result.x = result.x + 10 * float(np.abs(to_numpy(result.x)).max())
    assert not all(check.passed for check in result.verify(factors, b))
    assert not all(check.passed for check in result.verify(factors, 2 * b))
