"""What every solver returns."""

import copy
import pickle

import numpy as np
import pytest
from scipy.optimize import OptimizeResult

import numopt
from numopt._core import outcome


def test_fields_are_attributes_and_keys():
    result = numopt.Result(x=1, status=0)
    assert isinstance(result, OptimizeResult)
    assert result.x == result["x"] == 1
    with pytest.raises(AttributeError, match="missing"):
        _ = result.missing


def test_shared_codes():
    codes = outcome.CONVERGED, outcome.ITERATION_LIMIT, outcome.NON_FINITE
    assert codes == (0, 1, 98)
    assert outcome.STOPPED_BY_CALLBACK == 99


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
