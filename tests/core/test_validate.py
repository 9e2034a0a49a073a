"""Checks of inputs: what passes is returned, what does not raises with a clear message."""

import math
from fractions import Fraction

import array_api_strict
import numpy as np
import pytest
from libraries import to_numpy

from numopt._core import validate


class TestKinds:
    def test_namespace_is_that_of_the_arrays_that_are_there(self, lib):
        x = lib.asarray(np.zeros(2))
        assert validate.common_namespace(a=x, b=None, c=x) is lib.xp

    @pytest.mark.parametrize("value", [[1.0, 2.0], 3.0, "text", None.__class__])
    def test_not_an_array(self, value):
        with pytest.raises(TypeError, match=r"`b` must be an array, got (list|float|str|type)"):
            validate.common_namespace(a=np.zeros(1), b=value)

    def test_numpy_scalar_is_not_an_array(self):
        with pytest.raises(TypeError, match="`x` must be an array, got float64"):
            validate.common_namespace(x=np.float64(1))

    def test_masked_array(self):
        with pytest.raises(TypeError, match="`x` must not be a masked array"):
            validate.common_namespace(x=np.ma.masked_array(np.zeros(2), [True, False]))

    def test_different_libraries(self):
        with pytest.raises(
            TypeError, match=r"`a` and `b` must be of one library on one device.*numpy on cpu and"
        ):
            validate.common_namespace(a=np.zeros(1), b=array_api_strict.zeros(1))

    def test_different_devices(self):
        other = array_api_strict.zeros(1, device=array_api_strict.Device("device1"))
        with pytest.raises(TypeError, match=r"`a` and `b` must be of one library.*device1"):
            validate.common_namespace(a=array_api_strict.zeros(1), b=other)

    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [
            ("float32", "float32", "float32"),
            ("float32", "float64", "float64"),
            ("float64", "int32", "float64"),
        ],
    )
    def test_common_float(self, lib, first, second, expected):
        if lib.widest == "float32":
            first = second = expected = "float32"
        x, y = (lib.asarray(np.zeros(2), dtype) for dtype in (first, second))
        assert expected in str(validate.common_float(x=x, y=y, z=None))

    def test_foreign_byte_order(self):
        assert validate.common_float(x=np.zeros(2, dtype=">f4")) == np.float32

    def test_integers_become_the_default_float(self, lib):
        x = lib.asarray(np.zeros(2, dtype=np.int32))
        expected = {"torch": "float32", "strict-device2": "float32"}.get(lib.name, lib.widest)
        assert expected in str(validate.common_float(x=x))

    @pytest.mark.parametrize("dtype", [complex, object])
    def test_not_real(self, dtype):
        with pytest.raises(TypeError, match=r"`x` must hold real numbers, got dtype"):
            validate.common_float(x=np.zeros(2, dtype=dtype))

    @pytest.mark.parametrize("dtype", [np.longdouble])
    def test_other_precision(self, dtype):
        name = np.dtype(dtype).name
        if name == "float64":
            pytest.skip("long double is float64 on this platform")
        with pytest.raises(
            TypeError, match=f"`x` must be float32, float64 or integers, got {name}"
        ):
            validate.common_float(x=np.zeros(2, dtype=dtype))


class TestArrays:
    def test_array_is_converted_and_laid_out_in_rows(self, lib):
        x = lib.asarray(np.arange(6.0).reshape(2, 3), "float32")
        y = validate.as_array("x", x.T, ndim=2, dtype=getattr(lib.xp, lib.widest))
        assert lib.holds(y, lib.widest)
        np.testing.assert_array_equal(to_numpy(y), np.arange(6.0).reshape(2, 3).T)

    def test_array_in_order_is_not_copied(self):
        x = np.zeros((2, 3))
        assert validate.as_array("x", x, ndim=(2, 3), dtype=np.float64) is x

    def test_column_order_is_copied(self):
        x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
        y = validate.contiguous(x)
        assert y.flags.c_contiguous
        np.testing.assert_array_equal(x, y)

    @pytest.mark.parametrize(
        ("ndim", "message"),
        [
            (1, r"`x` must be a vector, got shape \(2, 3\)"),
            (3, r"`x` must be a batch of matrices, got shape \(2, 3\)"),
            ((1, 3), r"`x` must be a vector or a batch of matrices, got"),
        ],
    )
    def test_wrong_number_of_dimensions(self, ndim, message):
        with pytest.raises(ValueError, match=message):
            validate.as_array("x", np.zeros((2, 3)), ndim=ndim, dtype=np.float64)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
    def test_empty(self, shape):
        with pytest.raises(ValueError, match=r"`x` must not be empty, got shape \("):
            validate.as_array("x", np.zeros(shape), ndim=2, dtype=np.float64)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_first_number_that_is_not_finite_is_named(self, lib, value):
        x = np.zeros((3, 4))
        x[1, 2] = x[2, 0] = value
        message = rf"`x` must be finite, got {value} at \[1, 2\]"
        if not lib.indexing:
            # array_api_strict 2.6 cannot find an index on a device without int64.
            message = "no_x64.*does not support dtype=.*int64"
        with pytest.raises(ValueError, match=message):
            validate.finite("x", lib.asarray(x))

    def test_first_negative_number_is_named(self):
        with pytest.raises(ValueError, match=r"`x` must be non-negative, got -2.0 at \[1\]"):
            validate.non_negative("x", np.array([0.0, -2.0, -3.0]))

    def test_non_negative_numbers_must_be_finite(self):
        with pytest.raises(ValueError, match=r"`x` must be finite, got nan at \[0\]"):
            validate.non_negative("x", np.array([math.nan, 1.0]))

    def test_good_arrays_are_returned(self, lib):
        x = lib.asarray(np.array([0.0, 1.0]))
        assert validate.finite("x", x) is x
        assert validate.non_negative("x", x) is x
        assert validate.same_shape("x", x, (2,), "y") is x

    def test_wrong_shape(self):
        with pytest.raises(
            ValueError, match=r"`a` must have shape \(3,\) to match `cost`, got \(2,\)"
        ):
            validate.same_shape("a", np.zeros(2), (3,), "cost")


class TestNumbers:
    @pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(2), Fraction(1, 2)])
    def test_real_numbers_of_any_type(self, value):
        for check in (validate.real, validate.positive):
            number = check("x", value)
            assert type(number) is float
            assert number == float(value)

    @pytest.mark.parametrize("value", ["1", None, True, 1j, np.zeros(1)])
    def test_not_a_real_number(self, value):
        with pytest.raises(TypeError, match="`x` must be a real number, got"):
            validate.positive("x", value)

    @pytest.mark.parametrize("value", [0, -1.5, math.nan, math.inf])
    def test_not_positive(self, value):
        with pytest.raises(ValueError, match=f"`x` must be positive and finite, got {value!r}"):
            validate.positive("x", value)

    def test_greater_than(self):
        assert validate.greater_than("x", 1.5, 1.0) == 1.5
        for value in (1.0, 0.5, math.inf, math.nan):
            with pytest.raises(ValueError, match=f"finite and greater than 1, got {value!r}"):
                validate.greater_than("x", value, 1.0)

    def test_between(self):
        assert validate.between("x", 1, 0.0, 1.0) == 1.0
        for value in (0.0, 1.5, math.nan):
            with pytest.raises(ValueError, match=rf"`x` must be in \(0, 1\], got {value!r}"):
                validate.between("x", value, 0.0, 1.0)

    def test_count(self):
        assert validate.count("x", np.int32(3)) == 3
        assert type(validate.count("x", np.int32(3))) is int
        with pytest.raises(ValueError, match="`x` must be non-negative, got -1"):
            validate.count("x", -1)
        for value in (1.0, "3", True, None):
            with pytest.raises(TypeError, match="`x` must be an integer, got"):
                validate.count("x", value)

    def test_choice(self):
        assert validate.choice("x", "b", ("a", "b")) == "b"
        for value in ("c", None, 1):
            with pytest.raises(ValueError, match=f"`x` must be one of 'a', 'b', got {value!r}"):
                validate.choice("x", value, ("a", "b"))

    def test_optional_callable(self):
        assert validate.optional_callable("x", None) is None
        assert validate.optional_callable("x", print) is print
        with pytest.raises(TypeError, match="`x` must be callable, got int"):
            validate.optional_callable("x", 1)


@pytest.mark.parametrize("form", [list, tuple, np.asarray], ids=["list", "tuple", "array"])
def test_what_numpy_makes_an_array_of_is_welcome(form):
    A, b, none = validate.arrays(A=form([[1.0, 2.0], [3.0, 4.0]]), b=form([1, 2]), c=None)
    assert type(A) is type(b) is np.ndarray
    assert (A.dtype, b.dtype) == (np.float64, np.int64)
    assert none is None


def test_sequences_join_the_library_device_and_dtype_of_an_array(lib):
    for dtype in lib.floats:
        _, b = validate.arrays(A=lib.asarray(np.eye(2), dtype), b=[0.5, 2.0])
        assert lib.holds(b, dtype)
    assert lib.floats


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ("abc", TypeError, "`b` must be an array or a sequence of real numbers, got str"),
        ({"a": 1}, TypeError, "got dict"),
        ([[1.0], [1.0, 2.0]], ValueError, "`b` must .* all rows of one length"),
        ([1.0, None], TypeError, "got list of dtype object"),
        (["a", "b"], TypeError, "got list of dtype <U1"),
        (np.array([1.0, None]), TypeError, "`b` must hold real numbers, got dtype object"),
        (np.ma.masked_array([1.0], [True]), TypeError, "must not be a masked array"),
    ],
    ids=["string", "dict", "ragged", "none", "strings", "objects", "masked"],
)
def test_what_holds_no_numbers_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        validate.arrays(A=np.eye(2), b=x)


@pytest.mark.parametrize(
    ("dtype", "promoted"), [("bool", "float64"), ("float16", "float32"), ("uint8", "float64")]
)
def test_narrow_dtypes_are_promoted(dtype, promoted):
    assert validate.common_float(x=np.ones(3, dtype=dtype)) == promoted
