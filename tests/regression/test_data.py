"""Least squares on the NIST reference problems and on real tables, against LAPACK.

Correct digits are -log10 of the largest relative error of a coefficient.
"""

import json
import math
from fractions import Fraction

import data
import numpy as np
import pytest
import scipy.linalg

import numopt

# For each problem the digits of the certified values that a default call reaches. Certified values
# have 15 digits, and predictors of a polynomial are rounded: that alone costs Filip all but these.
DIGITS = {
    "norris": 14.0,
    "pontius": 13.5,
    "noint1": 14.7,
    "noint2": 15.0,
    "filip": 7.6,
    "longley": 14.6,
    "wampler1": 15.0,
    "wampler2": 13.2,
    "wampler3": 15.0,
    "wampler4": 15.0,
    "wampler5": 15.0,
}


def nist(name):
    """Return design and response as floats, and the certified coefficients as decimal strings."""
    arrays = data.load("nist_strd_linear")
    facts = json.loads((data.FOLDER / "nist_strd_linear.json").read_text())[name]
    X, y = arrays[f"{name}_X"].astype(float), arrays[f"{name}_y"].astype(float)
    if "polynomial" in facts["model"]:
        return X ** np.arange(facts["p"]), y, facts["certified_beta"]
    if "no intercept" in facts["model"]:
        return X, y, facts["certified_beta"]
    return np.hstack([np.ones((y.size, 1)), X]), y, facts["certified_beta"]


def digits(x, reference):
    """Return the correct digits of the worst coefficient, at most 17."""
    errors = [
        abs(Fraction(float(value)) / Fraction(wanted) - 1)
        for value, wanted in zip(x, reference, strict=True)
    ]
    return min(17.0, -math.log10(max(float(max(errors)), 1e-17)))


def rational(A, y):
    """Return the exact solution for the design as it is in floats."""
    A = [[Fraction(value) for value in row] for row in A.tolist()]
    y = [Fraction(value) for value in y.tolist()]
    d = len(A[0])
    rows = [
        [sum(r[i] * r[j] for r in A) for j in range(d)]
        + [sum(r[i] * t for r, t in zip(A, y, strict=True))]
        for i in range(d)
    ]
    for i in range(d):
        for j in range(d):
            if j != i:
                ratio = rows[j][i] / rows[i][i]
                rows[j] = [a - ratio * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [rows[i][d] / rows[i][i] for i in range(d)]


def lapack(A, y):
    Q, R = np.linalg.qr(A)
    solutions = {"qr": scipy.linalg.solve_triangular(R, Q.T @ y)}
    solutions["numpy"] = np.linalg.lstsq(A, y)[0]
    for driver in ("gelsd", "gelsy", "gelss"):
        # With the default threshold, and with one that keeps every column.
        for cond in (None, 1e-18):
            label = driver if cond is None else f"{driver} without a threshold"
            solutions[label] = scipy.linalg.lstsq(A, y, cond=cond, lapack_driver=driver)[0]
    return solutions


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=f"{name}-{reached}-digits") for name, reached in DIGITS.items()]
)
def test_nist_reference_problem(name, record_property):
    A, y, certified = nist(name)
    exact = rational(A, y)
    result = numopt.lstsq(A, y)
    peers = lapack(A, y)
    reached, of_data = digits(result.x, certified), digits(exact, certified)
    best = max(digits(x, certified) for x in peers.values())
    record_property("digits", {"numopt": reached, "the rounded data": of_data, "LAPACK": best})
    assert result.success
    assert result.rank == A.shape[1]
    assert reached >= DIGITS[name]
    # All digits there are in the problem as it is given in floats, more than any LAPACK driver's.
    assert digits(result.x, exact) >= 15.0
    assert digits(result.x, exact) >= max(digits(x, exact) for x in peers.values())
    # Against the certified values, unless rounding the predictors has put the solution further off
    # than LAPACK is by chance: then what is right for the rounded predictors.
    assert reached >= min(best, of_data, 15.0) - 0.01


@pytest.mark.parametrize("method", ["gram", "cholqr", "iterative"])
@pytest.mark.parametrize("name", ["norris", "pontius", "longley", "wampler3", "wampler5"])
def test_nist_by_every_method(name, method):
    A, y, certified = nist(name)
    # Repeated, so that there are rows for a sketch.
    result = numopt.lstsq(
        np.tile(A, (8, 1)), np.tile(y, 8), method=method, precision="extended", rng=0
    )
    assert result.success
    assert digits(result.x, certified) >= min(DIGITS[name], 14.5) - 0.5


@pytest.mark.parametrize("name", ["norris", "pontius", "noint1", "noint2", "longley", "filip"])
def test_nist_standard_errors(name):
    A, y, _ = nist(name)
    facts = json.loads((data.FOLDER / "nist_strd_linear.json").read_text())[name]
    result = numopt.lstsq(A, y)
    errors = result.standard_errors()
    wanted = [float(value) for value in facts["certified_se"]]
    np.testing.assert_allclose(errors, wanted, rtol=1e-6 if name == "filip" else 1e-8)
    deviation = result.residual_norm / math.sqrt(A.shape[0] - A.shape[1])
    np.testing.assert_allclose(deviation, float(facts["certified_rsd"]), rtol=1e-7)


# Rank with an intercept, as an exact computation in rational numbers gives it where it is given.
TABLES = {"ailerons": 40, "pol": 27, "bike": 16, "gas_sensor_2565": 129}


def table(name):
    arrays = data.load(name)
    X, y = arrays["X"].astype(float), arrays["y"].astype(float)
    return np.hstack([np.ones((y.size, 1)), X]), y


@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("method", ["auto", "direct", "cholqr", "iterative"])
@pytest.mark.parametrize("name", TABLES)
def test_real_tables(name, method, standardized):
    """Rank, residual and, for columns of one scale, the shortest solution, as LAPACK has them."""
    A, y = table(name)
    if standardized:
        spread = np.where(A.std(axis=0) > 0, A.std(axis=0), 1.0)
        A[:, 1:] = ((A - A.mean(axis=0)) / spread)[:, 1:]
    # LAPACK's rank depends on the scale of the columns, which these tables do not share.
    lengths = np.linalg.norm(A, axis=0)
    unit = A / np.where(lengths > 0, lengths, 1.0)
    scaled, _, rank, _ = scipy.linalg.lstsq(unit, y, cond=1e-12)
    residual = np.linalg.norm(y - unit @ scaled)
    result = numopt.lstsq(A, y, method=method, rng=0)
    assert result.success
    assert result.rank == rank
    assert standardized or rank == TABLES[name]
    assert result.status.name == ("CONVERGED" if rank == A.shape[1] else "RANK_DEFICIENT")
    assert abs(result.residual_norm / residual - 1) <= 1e-9
    assert abs(np.linalg.norm(y - A @ result.x) / residual - 1) <= 1e-9
    if standardized:
        expected = scipy.linalg.lstsq(A, y, cond=1e-12)[0]
        cond = result.cond_estimate
        bound = 1e-14 * cond * (1 + cond * residual / np.linalg.norm(y))
        error = np.linalg.norm(result.x - expected) / np.linalg.norm(expected)
        assert error <= max(bound, 1e-9)
        assert np.linalg.norm(result.x) <= np.linalg.norm(expected) * (1 + max(bound, 1e-9))


@pytest.mark.parametrize("name", ["cal_housing", "protein", "abalone", "cpu_small"])
def test_reference_residuals(name):
    references = data.references("regression")
    if name not in references or "l2" not in references[name]:
        pytest.skip(f"no reference residual of {name}")
    arrays = data.load(name)
    X, y = arrays["X"].astype(float), arrays["y"].astype(float)
    A = np.hstack([np.ones((y.size, 1)), (X - X.mean(axis=0)) / X.std(axis=0)])
    b = (y - y.mean()) / y.std()
    result = numopt.lstsq(A, b)
    assert result.success
    np.testing.assert_allclose(result.residual_norm, references[name]["l2"], rtol=1e-10)
