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
    monkeypatch.setattr(dispatch, "_compiled", set())
    with dispatch.kernels("compiled"):
        yield searched


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
    assert calls[0][::2] == ("numba", "halved")


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
    monkeypatch.setattr(dispatch, "_is_installed", lambda name: name != backend)
    monkeypatch.setattr(importlib, "import_module", pytest.fail)
    assert dispatch.find.__wrapped__(backend, "transport", "plan_matrix") is None


def test_search_is_done_once(monkeypatch):
    dispatch.find("numba", "transport", "plan_matrix")
    monkeypatch.setattr(dispatch, "find_spec", pytest.fail)
    assert dispatch.find("numba", "transport", "plan_matrix") is not None


class Clock:
    """Time that passes as told."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(dispatch.time, "perf_counter", lambda: self.now)


@pytest.fixture
def rental(monkeypatch):
    """Return a kernel that takes a second and costs three to compile, and a list of its calls."""
    clock, served = Clock(monkeypatch), []

    @dispatch.kernel(min_size=1)
    def rented(x):
        served.append("reference")
        clock.now += 1.0
        return x

    monkeypatch.setattr(dispatch, "find", lambda *_: lambda x: served.append("compiled") or x)
    for name, value in (("_compiled", set()), ("_rent", {}), ("_price", lambda _: 3.0)):
        monkeypatch.setattr(dispatch, name, value)
    monkeypatch.setattr("numba_kernels._cache.set_ready", lambda *_: None)
    return rented, served


def test_the_reference_serves_until_compiling_has_been_paid_for(rental):
    rented, served = rental
    with dispatch.kernels("auto"):
        for _ in range(6):
            rented(np.zeros(4))
    assert served == ["reference"] * 3 + ["compiled"] * 3


def test_each_dtype_is_rented_by_itself(rental):
    rented, served = rental
    with dispatch.kernels("auto"):
        for _ in range(4):
            rented(np.zeros(4))
        rented(np.zeros(4, dtype=np.float32))
    assert served == ["reference"] * 3 + ["compiled", "reference"]


@pytest.mark.parametrize("choice", ["compiled", "reference"])
def test_the_choice_can_be_pinned(rental, choice):
    rented, served = rental
    with dispatch.kernels(choice):
        for _ in range(5):
            rented(np.zeros(4))
    assert served == [choice] * 5


def test_what_is_on_disk_is_taken_at_once(monkeypatch):
    from numba_kernels import _cache

    monkeypatch.setattr(_cache, "is_ready", lambda *_: True)
    assert dispatch._price(("transport", "semidual_pass", frozenset("d"))) == 0
    monkeypatch.setattr(_cache, "is_ready", lambda *_: False)
    assert dispatch._price(("transport", "semidual_pass", frozenset("d"))) > 0


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="`choice` must be one of 'auto', 'compiled', 'reference'"):
        dispatch.kernels("fast").__enter__()


def test_a_compiler_that_cannot_be_imported_is_absent_with_one_warning(monkeypatch):
    def broken(_):
        raise ImportError("Numba needs NumPy 2.4 or less")

    monkeypatch.setattr(importlib, "import_module", broken)
    find = dispatch.find.__wrapped__
    dispatch._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="numba cannot be imported: Numba needs NumPy 2.4"):
        assert find("numba", "transport", "plan_matrix") is None
    assert find("numba", "transport", "plan_stats") is None


def test_arguments_are_made_plain():
    x = np.arange(6.0).reshape(2, 3)
    frozen = x.copy()
    frozen.flags.writeable = False
    (same, turned, open_again, (inner,), number), dtypes = dispatch._plain(
        (x, x.T, frozen, (frozen.astype(np.float32),), 2)
    )
    assert same is x
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, x.T)
    assert open_again.flags.writeable
    assert np.shares_memory(open_again, frozen)
    assert (inner.dtype, number) == (np.float32, 2)
    assert dtypes == {"d", "f"}
    assert not frozen.flags.writeable
