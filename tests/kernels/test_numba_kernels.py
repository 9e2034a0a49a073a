"""The tools that compiled kernels are made with."""

import numba
import numpy as np
import pytest
from libraries import ROOT

from numba_kernels import _jit, _math


@_jit.jit()
def exponentials(x, out):
    for k in range(x.shape[0]):
        out[k] = _math.exp(x[k])


@_jit.jit(reorder=True)
def reordered_exponentials(x, out):
    for k in range(x.shape[0]):
        out[k] = _math.exp(x[k])


@_jit.jit()
def logarithms(x, out):
    for k in range(x.shape[0]):
        out[k] = _math.log1p_up_to_one(x[k])


LIMITS = {"float32": _math.LARGEST_EXPONENT_32, "float64": _math.LARGEST_EXPONENT}
# Without compilation, `exp` is that of the math module, clamped as in double precision.
compiled_only = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="NUMBA_DISABLE_JIT is set"
)


@pytest.mark.parametrize("function", [exponentials, reordered_exponentials])
@pytest.mark.parametrize("dtype", LIMITS)
def test_exp_has_a_relative_error_below_two_eps(dtype, function, rng):
    limit = LIMITS[dtype]
    x = np.concatenate(
        [
            np.linspace(-limit, limit, 20_001),
            rng.uniform(-1, 1, size=20_000),
            # Where the range reduction changes sides.
            np.log(2) * (np.arange(-90, 90) + 0.5),
            [0.0, -0.0, 1e-300, -1e-300],
        ]
    ).astype(dtype)
    x = np.clip(x, -limit, limit)
    out = np.empty_like(x)
    function(x, out)
    exact = np.exp(x.astype(np.longdouble))
    error = float(np.max(np.abs(out - exact) / exact))
    assert error <= 2 * np.finfo(dtype).eps
    assert out[-2] == out[-1] == 1.0


@compiled_only
@pytest.mark.parametrize("dtype", LIMITS)
def test_exp_is_clamped_where_it_would_leave_the_normal_numbers(dtype):
    limit = LIMITS[dtype]
    x = np.array([-1e30, -2 * limit, -limit, limit, 2 * limit, 1e30], dtype=dtype)
    out = np.empty_like(x)
    exponentials(x, out)
    assert (out[:3] == out[2]).all()
    assert (out[3:] == out[3]).all()
    assert out[0] > 0
    assert np.isfinite(out).all()
    # With room for a product.
    assert out[0] * dtype_tiny_product(dtype) >= np.finfo(dtype).tiny


def dtype_tiny_product(dtype):
    return {"float32": 1e-7, "float64": 1e-40}[dtype]


@compiled_only
def test_read_only_arrays_are_not_compiled_for_again(rng):
    from numba.core import event

    from numopt._core import dispatch

    X, v, s = rng.normal(size=(9, 5)), rng.normal(size=5), np.ones(1)
    kernel = dispatch.find("numba", "streaming", "adaoja_pass")
    expected = kernel(X, v, s)
    X.flags.writeable = v.flags.writeable = s.flags.writeable = False
    (plain, _) = dispatch._plain((X, v, s))
    with event.install_recorder("numba:compile") as recorder:
        found = kernel(*plain)
    assert not recorder.buffer
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert not X.flags.writeable


def test_no_kernel_makes_threads_of_its_own():
    for path in (ROOT / "numba_kernels").glob("*.py"):
        text = path.read_text()
        for word in ("prange", "parallel=", "set_num_threads(", "threading_layer"):
            assert word not in text or path.name == "_pool.py", (path.name, word)


def test_log1p_has_a_relative_error_below_two_eps(rng):
    x = np.concatenate([rng.random(20_000), np.geomspace(1e-300, 1.0, 20_000), [0.0, 1.0]])
    out = np.empty_like(x)
    logarithms(x, out)
    exact = np.log1p(x.astype(np.longdouble))
    assert np.all(np.abs(out - exact) <= 2 * np.finfo(float).eps * exact)
