"""What a result promises, measured in a second pass over the data."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from streams import FAMILIES, flat, power_law, sin2, spectrum

import numopt

Status = numopt.Status


def measured(result, *source, **options):
    (check,) = numopt.verify(result, *source, **options)
    assert (check.name, check.limit) == ("squared sine", result.tol)
    return check


@pytest.mark.parametrize("family", FAMILIES)
def test_success_passes(family):
    A = FAMILIES[family](np.random.default_rng(0), 6000, 30, 8.0)
    result = numopt.top_eigenvector(A, rng=0)
    check = measured(result, A)
    assert check.value == pytest.approx(sin2(result.x, A), rel=1e-6, abs=1e-10)
    assert check.passed == (sin2(result.x, A) <= 0.01)
    assert check.passed or not result.success
    again = pickle.loads(pickle.dumps(result))
    assert measured(again, np.array_split(A, 7)).value == pytest.approx(check.value, rel=1e-6)


@pytest.mark.parametrize("change", [lambda x: x + 0.2, lambda x: 0 * x, lambda x: x * np.nan])
def test_other_vectors_fail(change):
    A = flat(np.random.default_rng(0), 4000, 20, 12.0)
    result = numopt.top_eigenvector(A, rng=0)
    assert result.success
    result.x = change(result.x)
    assert not measured(result, A).passed


def test_other_data_fail():
    A = flat(np.random.default_rng(0), 4000, 20, 12.0)
    result = numopt.top_eigenvector(A, rng=0)
    assert not measured(result, A[:, ::-1]).passed


@pytest.mark.parametrize("options", [{}, {"center": True}, {"decay": 0.999, "method": "truncate"}])
def test_several_vectors(options):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6000, 24)) * np.sqrt([60.0, 50.0, *[1.0] * 22]) + 1.0
    result = numopt.top_eigenvector(A, 2, memory_rows=40, rng=0, **options)
    B = A - A.mean(axis=0) if options.get("center") else A
    if "decay" in options:
        B = B * np.sqrt(0.999 ** np.arange(len(B))[::-1])[:, None]
    V = spectrum(B)[1][:, :2]
    exact = ((result.x - V @ (V.T @ result.x)) ** 2).sum()
    check = measured(result, A, 2, chunk_rows=700, **options)
    assert check.value == pytest.approx(exact, rel=1e-5, abs=1e-10)
    assert not measured(result, A, 3, **options).passed
    with pytest.raises(ValueError, match="`rank` must be 2, as it was of the solve, got 1"):
        result.verify(A, **options)


def test_weights_count():
    rng = np.random.default_rng(0)
    A, weights = flat(rng, 3000, 10, 9.0) + 2.0, rng.random(3000)
    model = numopt.StreamingEigenvector(center=True, memory_rows=26, rng=0)
    result = model.partial_fit(A, weights=weights).result()
    B = np.sqrt(weights)[:, None] * (A - np.average(A, axis=0, weights=weights))
    wanted = pytest.approx(sin2(result.x, B), rel=1e-5, abs=1e-10)
    assert measured(result, A, weights=weights, chunk_rows=800).value == wanted


def test_many_columns_are_bounded_by_the_residual(monkeypatch):
    from numopt.streaming import _certificate

    monkeypatch.setattr(_certificate, "GRAM_COLUMNS", 8)
    A = power_law(np.random.default_rng(0), 3000, 30, 60.0)
    result = numopt.top_eigenvector(csr_array(A), rng=0, tol=0.05)
    bound = measured(result, csr_array(A))
    assert sin2(result.x, A) <= bound.value < 0.05
    assert bound.passed
    assert measured(result, A, 2).value == 2
    result.x = result.x + 0.3
    assert measured(result, A).value == 1
    flat_rows = flat(np.random.default_rng(0), 3000, 30, 3.0)
    result = numopt.top_eigenvector(flat_rows, rng=0)
    assert measured(result, flat_rows).value == 1


def test_checks_say_what_was_decisive():
    A = flat(np.random.default_rng(0), 9000, 48, 8.0)
    by_estimate = numopt.top_eigenvector(A, rng=0)
    assert [check.passed for check in by_estimate.checks] == [True] * 3
    assert (by_estimate.success, by_estimate.status) == (True, Status.CONVERGED)
    assert by_estimate.checks[0].value == by_estimate.sin2_estimate
    assert by_estimate.checks[1].value == pytest.approx(-np.log10(by_estimate.order_pvalue))
    by_bound = numopt.top_eigenvector(A, rng=0, method="gram")
    (check,) = by_bound.checks
    assert (check.value, check.passed) == (by_bound.sin2_bound, True)
    ordered = numopt.top_eigenvector(A[np.argsort((A**2).sum(axis=1))], rng=0)
    assert ordered.status is Status.ORDERED
    assert "not random (p = " in ordered.message
    assert "shuffle the rows" in ordered.message
    early = numopt.top_eigenvector(A[:100], rng=0)
    assert early.status is Status.TOO_EARLY
    assert early.message.startswith("Not accurate enough yet after 100 rows")
    assert "read more rows" in early.message
    missing = numopt.top_eigenvector(A[:1], 2, rng=0)
    assert missing.checks == [numopt.Check("number of missing eigenvectors", 1.0, 0.0)]
    none = numopt.top_eigenvector(0 * A, rng=0)
    assert none.message == "There is no answer; all rows so far are zero."


class Table:
    """Something that is only known to become an array, as a data frame is."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.x, dtype=dtype)


@pytest.mark.parametrize("kind", [lambda A: A.tolist(), Table, list])
def test_array_likes_are_sources_and_chunks(kind):
    A = flat(np.random.default_rng(0), 300, 5, 6.0)
    wanted = numopt.top_eigenvector(A, rng=0)
    result = numopt.top_eigenvector(kind(A), rng=0)
    assert result.x.tobytes() == wanted.x.tobytes()
    assert measured(result, kind(A)).value == pytest.approx(measured(wanted, A).value, abs=1e-12)
    model = numopt.StreamingEigenvector(rng=0).partial_fit(kind(A), weights=[1.0] * 300)
    assert model.result().n_rows == 300
    assert numopt.StreamingEigenvector(rng=0).partial_fit([True, False]).n_features_in_ == 2


def test_libraries_agree(lib):
    A = flat(np.random.default_rng(0), 900, 8, 12.0)
    result = numopt.top_eigenvector(lib.asarray(A), rng=0)
    tolerance = 1e-8 if lib.widest == "float64" else 1e-3
    assert measured(result, lib.asarray(A)).value == pytest.approx(
        measured(numopt.top_eigenvector(A, rng=0), A).value, abs=tolerance
    )
    assert type(result.execution_time) is float
    assert result.execution_time > 0
