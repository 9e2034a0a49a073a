"""Which implementation of a kernel runs."""

import importlib
import inspect
import types

import array_api_strict
import numpy as np
import pytest

from numopt._core import dispatch


@pytest.fixture
def calls(monkeypatch):
    """Return the searches for a fast kernel, each of which finds one that returns "fast"."""
    searched = []

    def find(*names):
        searched.append(names)
        return lambda *args, **kwargs: ("fast", args, kwargs)

    monkeypatch.setattr(dispatch, "find", find)
    return searched


def example(min_size):
    @dispatch.kernel(min_size=min_size)
    def halved(x, factor=0.5):
        """Documentation of the reference."""
        return ("reference", (x, factor), {})

    return halved


def test_small_arrays_take_the_reference(calls):
    x = np.zeros((3, 5))
    assert example(16)(x)[0] == "reference"
    assert calls == []


def test_arrays_from_min_size_on_take_the_fast_kernel(calls):
    x = np.zeros((4, 4))
    kind, args, kwargs = example(16)(x, factor=2.0)
    assert kind == "fast"
    assert args[0] is x
    assert kwargs == {"factor": 2.0}
    assert calls == [("numba", "test_dispatch", "halved")]


def test_point_clouds_count_as_pairs(calls):
    clouds = np.zeros((4, 9)), np.zeros((5, 9)), 0
    assert example(21)(clouds)[0] == "reference"
    assert example(20)(clouds)[0] == "fast"
    assert len(calls) == 1


def test_other_libraries_take_the_reference(calls):
    x = array_api_strict.zeros((100, 100))
    assert example(1)(x)[0] == "reference"
    assert calls == []


def test_missing_fast_kernel_leaves_the_reference(monkeypatch):
    monkeypatch.setattr(dispatch, "find", lambda *_: None)
    assert example(1)(np.zeros(4))[0] == "reference"


def test_kernel_keeps_name_documentation_and_signature():
    halved = example(1)
    assert halved.__name__ == "halved"
    assert halved.__doc__ == "Documentation of the reference."
    assert list(inspect.signature(halved).parameters) == ["x", "factor"]


def test_backend_of_an_array(monkeypatch):
    assert dispatch.backend_of(np.zeros(2)) == "numba"
    assert dispatch.backend_of(array_api_strict.zeros(2)) is None
    marked = types.SimpleNamespace()
    monkeypatch.setattr(dispatch, "is_cupy_array", lambda x: x is marked)
    assert dispatch.backend_of(marked) == "cupy"


def test_family_is_the_file_of_the_reference():
    from numopt._kernels import transport

    found = dispatch.find("numba", "transport", "plan_matrix")
    assert found is importlib.import_module("numba_kernels.transport").plan_matrix
    assert transport.plan_matrix.__module__ == "numopt._kernels.transport"


@pytest.mark.parametrize(
    "names",
    [("numba", "transport", "no_such_kernel"), ("numba", "no_such_family", "plan_matrix")],
)
def test_unknown_kernel_or_family_is_not_found(names):
    assert dispatch.find(*names) is None


@pytest.mark.parametrize("backend", dispatch.PACKAGES)
def test_nothing_is_found_without_the_compiler(backend, monkeypatch):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None if name == backend else object())
    monkeypatch.setattr(importlib, "import_module", pytest.fail)
    assert dispatch.find.__wrapped__(backend, "transport", "plan_matrix") is None


def test_search_is_done_once(monkeypatch):
    dispatch.find("numba", "transport", "plan_matrix")
    monkeypatch.setattr(dispatch, "find_spec", pytest.fail)
    assert dispatch.find("numba", "transport", "plan_matrix") is not None
