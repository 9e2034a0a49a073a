"""The tools that compiled kernels are made with."""

import numba
import numpy as np
import pytest

from numba_kernels import _jit, _math


@_jit.jit()
def exponentials(x, out):
    for k in range(x.shape[0]):
        out[k] = _math.exp(x[k])


@_jit.jit(reorder=True)
def reordered_exponentials(x, out):
    for k in range(x.shape[0]):
        out[k] = _math.exp(x[k])


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


def test_jit_without_a_place_for_the_cache(monkeypatch):
    """A read-only installation without a home: compiled kernels still work."""
    tried = []

    def njit(**options):
        tried.append(options.pop("cache", False))
        if tried[-1]:
            raise RuntimeError("no locator available")
        return lambda function: function

    monkeypatch.setattr(_jit.numba, "njit", njit)

    def example(x):
        return x

    assert _jit.jit()(example) is example
    assert tried == [True, False]


def test_function_chosen_by_the_type_of_the_first_argument():
    @_jit.jit()
    def of_array(x, y):
        return x.shape[0] + y

    @_jit.jit()
    def of_tuple(x, y):
        return x[0].shape[0] * y

    chosen = _jit.by_layout(of_array, of_tuple)

    @_jit.jit()
    def caller(x, y):
        return chosen(x, y)

    x = np.zeros(3)
    for call in (chosen, caller):
        assert call(x, 5) == 8
        assert call((x, 1), 5) == 15


@compiled_only
def test_passes_wake_no_more_threads_than_they_are_worth(monkeypatch):
    used = []

    def jit(**_):
        return lambda _: lambda *_: used.append(numba.get_num_threads())

    monkeypatch.setattr(_jit, "jit", jit)
    run = _jit.pass_kernel(lambda *_: None)
    before = numba.get_num_threads()
    most = min(4, numba.config.NUMBA_NUM_THREADS)
    per_thread = _jit.ENTRIES_PER_THREAD
    numba.set_num_threads(most)
    try:
        run(np.empty((1, per_thread - 1)))
        run(np.empty((3, per_thread // 2)))
        run((np.empty((per_thread, 2)), np.empty((100, 2)), 0))
        assert numba.get_num_threads() == most
    finally:
        numba.set_num_threads(before)
    assert used == [1, min(2, most), most]


def test_log1p_has_a_relative_error_below_two_eps(rng):
    x = np.concatenate([rng.random(20_000), np.geomspace(1e-300, 1.0, 20_000), [0.0, 1.0]])
    out = np.array([_math.log1p_up_to_one(value) for value in x])
    exact = np.log1p(x.astype(np.longdouble))
    assert np.all(np.abs(out - exact) <= 2 * np.finfo(float).eps * exact)
