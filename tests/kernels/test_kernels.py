"""Every kernel, in every implementation, computes what its definition says; see `families`."""

import importlib

import numba
import numpy as np
import pytest
from array_api_extra.testing import assert_close
from families import all_cases, definitions_of, large_cases
from libraries import LIBRARIES, ROOT, to_numpy
from structure import parameters, public_functions, reference_kernels

import numopt
from numopt._core import dispatch

# Rounding errors may be this many eps times the scale that a definition gives.
ROUNDING = 8

CASES = list(all_cases())
# The first of each kernel, an ordinary one.
PLAIN = list({(case.family, case.name): case for case in reversed(CASES)}.values())
COMPILED = [case for case in PLAIN if not case.is_in("REFERENCES")]


def pairs():
    """Yield libraries with cases: all, but one of a kernel on variants of the strict library."""
    ordinary = {str(case) for case in PLAIN}
    for name in LIBRARIES:
        marks = [pytest.mark.gpu] if name == "cupy" else []
        for case in PLAIN if name.startswith("strict-") else CASES:
            if name != "strict" or str(case) in ordinary or not case.is_in("SLOW"):
                yield pytest.param(name, case, id=f"{name}-{case}", marks=marks)


def rounded(argument, dtype):
    """Return an argument with its floats rounded to a dtype, as the kernels will get it."""
    if isinstance(argument, tuple):
        return tuple(rounded(item, dtype) for item in argument)
    if isinstance(argument, np.ndarray) and argument.dtype.kind == "f":
        return argument.astype(dtype)
    return argument


def placed(argument, lib, dtype):
    """Return an argument on the device of a library."""
    if isinstance(argument, tuple):
        return tuple(placed(item, lib, dtype) for item in argument)
    if not isinstance(argument, np.ndarray):
        return argument
    return lib.asarray(argument, dtype if argument.dtype.kind == "f" else None)


def several(result):
    """Return what a kernel returned as a tuple."""
    return result if isinstance(result, tuple) else (result,)


def check(case, actual, lib, dtype):
    """Assert that what a kernel returned, for arguments rounded to a dtype, is right."""
    arguments, definitions = rounded(case.arguments, dtype), definitions_of(case.family)
    eps = float(np.finfo(dtype).eps)
    if hasattr(definitions, "decided"):
        assert definitions.decided(case.name, arguments, eps), "at the mercy of rounding"
    expected = getattr(definitions, case.name)(*arguments)
    for value, (wanted, scale) in zip(several(actual), expected, strict=True):
        if isinstance(value, int):
            assert value == wanted or lib.widest == "float32"
        elif isinstance(value, float):
            assert abs(value - wanted) <= ROUNDING * eps * scale
        elif np.asarray(wanted).dtype.kind == "i":
            assert "int" in str(value.dtype)
            np.testing.assert_array_equal(to_numpy(value), wanted)
        else:
            wanted = lib.asarray(np.asarray(wanted, dtype=dtype), dtype)
            assert_close(value, wanted, rtol=0, atol=ROUNDING * eps * scale)


def kernel_of(case):
    return getattr(importlib.import_module(f"numopt._kernels.{case.family}"), case.name)


def run(case, lib, dtype):
    return kernel_of(case)(*placed(rounded(case.arguments, dtype), lib, dtype))


@pytest.fixture
def reached(monkeypatch):
    """Return a list of the fast kernels that have been called since."""
    names, find = [], dispatch.find

    def spy(backend, family, name):
        fast = find(backend, family, name)
        return fast and (lambda *args: names.append((backend, family, name)) or fast(*args))

    monkeypatch.setattr(dispatch, "find", spy)
    return names


@pytest.mark.parametrize(("lib", "case"), list(pairs()), indirect=["lib"])
def test_kernel_is_its_definition(lib, case, reached):
    if case.is_in("INDEXING") and not lib.indexing:
        # array_api_strict 2.6 returns int64 indices on a device that has none, and refuses them
        # itself. Once it does not, this fails, and these kernels join the others.
        with pytest.raises(ValueError, match=r"no_x64.*does not support dtype=.*int64"):
            run(case, lib, "float32")
        return
    fast = [("numba", case.family, case.name)] if not case.is_in("REFERENCES") else []
    for dtype in lib.floats:
        reached.clear()
        check(case, run(case, lib, dtype), lib, dtype)
        if lib.name.startswith("numpy"):
            assert reached == (fast if lib.name == "numpy-compiled" else [])
    assert lib.floats


@pytest.mark.parametrize("plain", COMPILED, ids=lambda case: case.name)
def test_result_does_not_depend_on_the_number_of_threads(plain):
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing runs in threads while NUMBA_DISABLE_JIT is set")
    for case in large_cases(plain.family)[plain.name]:
        results = on_threads(dispatch.find("numba", case.family, case.name), case.arguments)
        assert len(results) >= 2
        for other in results.values():
            for value, wanted in zip(several(other), several(results[1]), strict=True):
                np.testing.assert_array_equal(value, wanted)


def on_threads(fast, arguments):
    """Return what a kernel returns on one thread and on more, the same in two calls."""
    results = {}
    for threads in range(1, 5):
        with numopt.num_threads(threads):
            results[threads], again = fast(*arguments), fast(*arguments)
        for value, wanted in zip(several(again), several(results[threads]), strict=True):
            np.testing.assert_array_equal(value, wanted)
    return results


def test_every_kernel_has_a_case_and_a_definition():
    kernels = {
        (path.stem, name)
        for path in (ROOT / "numopt/_kernels").glob("*.py")
        for name in reference_kernels(path)
    }
    assert kernels == {(case.family, case.name) for case in CASES}
    assert all(callable(getattr(definitions_of(family), name)) for family, name in kernels)
    families = {case.family for case in COMPILED}
    for family in families:
        large = set(large_cases(family))
        assert large == {case.name for case in COMPILED if case.family == family}


@pytest.mark.parametrize("package", ["numba_kernels", "numopt/_cupy_kernels"])
def test_fast_kernels_have_the_signature_of_a_reference(package):
    compared = 0
    for path in (ROOT / package).glob("[!_]*.py"):
        references = reference_kernels(ROOT / "numopt/_kernels" / path.name)
        for name, function in public_functions(path).items():
            assert name in references, f"{path.name}: {name} has no reference"
            assert parameters(function) == parameters(references[name]), name
            compared += 1
    assert compared > 0 or package == "numopt/_cupy_kernels"


def test_every_case_has_a_label_of_its_own():
    labels = [str(case) for case in CASES]
    assert len(labels) == len(set(labels))
