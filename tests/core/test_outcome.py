"""What every solver returns."""

import copy
import math
import pickle

import numpy as np
import pytest
from scipy.optimize import OptimizeResult

import numopt
from numopt import Check, Status
from numopt._core.outcome import message_of, settle


def test_fields_are_attributes_and_keys():
    result = numopt.Result(x=1, status=0)
    assert isinstance(result, OptimizeResult)
    assert result.x == result["x"] == 1
    with pytest.raises(AttributeError, match="missing"):
        _ = result.missing


def test_shared_codes():
    codes = Status.CONVERGED, Status.ITERATION_LIMIT, Status.NON_FINITE
    assert codes == (0, 1, 98)
    assert Status.STOPPED_BY_CALLBACK == 99


PASSED, FAILED = Check("gap", 1e-9, 1e-8), Check("gap", 1e-7, 1e-8)
UNKNOWN = Check("gap", math.nan, 1e-8)


@pytest.mark.parametrize(
    ("value", "limit", "passed"),
    [
        (0.0, 0.0, True),
        (1.0, 0.5, False),
        (-1.0, 0.0, True),
        (math.nan, 1.0, False),
        (0.0, math.nan, False),
        (math.inf, math.inf, False),
        (-math.inf, 1.0, False),
    ],
)
def test_a_check_passes_only_in_finite_numbers(value, limit, passed):
    assert Check("error", value, limit).passed is passed
    assert ("pass" in str(Check("error", value, limit))) is passed


@pytest.mark.parametrize(
    ("status", "checks", "success", "settled"),
    [
        (Status.CONVERGED, [PASSED], True, Status.CONVERGED),
        (Status.CONVERGED, [FAILED], False, Status.STALLED),
        (Status.CONVERGED, [PASSED, FAILED], False, Status.STALLED),
        (Status.CONVERGED, [UNKNOWN], False, Status.NON_FINITE),
        (Status.ITERATION_LIMIT, [PASSED], True, Status.CONVERGED),
        (Status.ITERATION_LIMIT, [FAILED], False, Status.ITERATION_LIMIT),
        (Status.STALLED, [PASSED, PASSED], True, Status.CONVERGED),
        (Status.STOPPED_BY_CALLBACK, [PASSED], True, Status.STOPPED_BY_CALLBACK),
        (Status.STOPPED_BY_CALLBACK, [FAILED], False, Status.STOPPED_BY_CALLBACK),
        (Status.RANK_DEFICIENT, [PASSED], True, Status.RANK_DEFICIENT),
        (Status.RANK_DEFICIENT, [FAILED], False, Status.STALLED),
        (0, [PASSED], True, Status.CONVERGED),
    ],
)
def test_success_is_what_the_checks_say(status, checks, success, settled):
    found = settle(status, checks, nit=3)
    assert (found.success, found.status) == (success, settled)
    assert found.checks == checks


def test_a_solver_names_how_it_ends():
    advice = {Status.PRECISION_LIMIT: "use float64"}
    found = settle(0, [FAILED], nit=1, otherwise=Status.PRECISION_LIMIT, advice=advice)
    assert found.status is Status.PRECISION_LIMIT
    assert found.message == (
        "Stopped after 1 iteration with a gap of 1.0e-07 (limit 1.0e-08) at the precision of the "
        "dtype; use float64."
    )
    assert settle(1, [PASSED], solved=Status.RANK_DEFICIENT).status is Status.RANK_DEFICIENT
    kept = settle(Status.NOISE_FLOOR, [PASSED], keep=[Status.NOISE_FLOOR])
    assert (kept.success, kept.status) == (True, Status.NOISE_FLOOR)


def test_nothing_is_a_success_without_a_check():
    with pytest.raises(ValueError, match="must not be empty"):
        settle(0, [])


@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_every_status_makes_a_sentence(status):
    """Whatever a solver knows or does not know, there is no word left open and no exception."""
    sparse = message_of(status)
    full = message_of(
        status, [PASSED, FAILED], nit=2, unit="sweep", advice="raise tol", detail="One more thing."
    )
    for message in (sparse, full):
        assert message[0].isupper()
        assert message.endswith(".")
        assert not set("{}") & set(message)
        assert ".." not in message
        assert "  " not in message


def test_statuses_travel():
    assert pickle.loads(pickle.dumps(Status.STALLED)) is Status.STALLED
    assert Status.STALLED == 2
    assert f"{Status.STALLED:d}" == "2"


def test_unknown_statuses_are_an_error_here_not_at_the_user():
    with pytest.raises(ValueError, match="is not a valid Status"):
        settle(55, [PASSED])


def test_results_are_verified_by_those_who_can():
    with pytest.raises(TypeError, match="no checks that can be recomputed"):
        numopt.verify(numopt.Result(x=1))
    with pytest.raises(TypeError, match="`result` must be a numopt Result, got dict"):
        numopt.verify({})


def test_checks_are_shown_as_a_table():
    result = numopt.Result(success=False, checks=[PASSED, FAILED], status=Status.STALLED)
    shown = repr(result)
    assert "pass  gap: 1.00e-09 <= 1.00e-08" in shown
    assert "FAIL  gap: 1.00e-07 <= 1.00e-08" in shown
    assert "2 (STALLED)" in shown
    assert "<table>" in result._repr_html_()


def test_long_lists_are_shown_by_their_length():
    shown = repr(numopt.Result(history=list(range(9)), path=[1.0, 2.0]))
    assert "list of 9" in shown
    assert "[1.0, 2.0]" in shown


def test_printing_changes_nothing():
    result = numopt.Result(history=list(range(9)))
    repr(result)
    assert result.history == list(range(9))


def test_completion_offers_fields_and_methods():
    result = numopt.entropic_transport(np.eye(2), reg=0.5)
    assert {"f", "marginal_error", "plan", "sparse_plan", "jvp_plan"} <= set(dir(result))


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize("cost", [np.eye(3), np.stack([np.eye(3)] * 2)], ids=["one", "batch"])
def test_results_can_be_copied_and_stored(cost, copied):
    result = numopt.entropic_transport(cost, reg=0.5)
    other = copied(result)
    assert type(other) is type(result)
    np.testing.assert_array_equal(other.plan(), result.plan())
    np.testing.assert_array_equal(other.f, result.f)
