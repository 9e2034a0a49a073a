"""Checks that raise clear errors before any work: `TypeError` for kinds, `ValueError` for values.

Every message names the argument, the requirement and what came.
"""

from __future__ import annotations

import inspect
import math
import numbers
from typing import Any

import array_api_compat
import numpy as np

from .namespace import Array, array_namespace, default_float, describe, device_of


def common_namespace(**arrays: Any) -> Any:
    """Return the namespace of the named arrays; they must share it and a device.

    All but the first may be None, for an argument that was not given.
    """
    (first, x0), *others = arrays.items()
    _is_array(first, x0)
    for name, x in others:
        if x is None:
            continue
        _is_array(name, x)
        if _kind(x) is not _kind(x0) or device_of(x) != device_of(x0):
            raise TypeError(
                f"`{first}` and `{name}` must be of one library on one device, "
                f"got {describe(x0)} and {describe(x)}."
            )
    return array_namespace(x0)


def arrays(**named: Any) -> tuple[Any, ...]:
    """Return the named arguments as arrays of one library on one device; None stays None.

    Lists, tuples, series, data frames and numbers become arrays: of the library, on the device and,
    where they have no dtype of their own, in the dtype of the first argument that is an array,
    else of NumPy.
    """
    given = {name: x for name, x in named.items() if x is not None}
    home = next((x for x in given.values() if _is_of_a_library(x)), None)
    made = {name: _admitted(name, x, home) for name, x in given.items()}
    common_namespace(**made)
    return tuple(made.get(name) for name in named)


def _is_of_a_library(x: Any) -> bool:
    return array_api_compat.is_array_api_obj(x) and not isinstance(x, np.generic)


def _admitted(name: str, x: Any, home: Array | None) -> Array:
    """Return an argument as an array, beside another one of some library if that is given."""
    if _is_of_a_library(x):
        _is_array(name, x)
        if getattr(x.dtype, "kind", "f") not in "biufcV":
            raise TypeError(f"`{name}` must hold real numbers, got dtype {x.dtype}.")
        return x
    host = _on_host(name, x)
    if home is None:
        return host
    xp = array_namespace(home)
    typed = hasattr(x, "dtype") or hasattr(x, "dtypes") or host.dtype.kind != "f"
    if not typed and xp.isdtype(home.dtype, "real floating"):
        return xp.asarray(host, dtype=home.dtype, device=device_of(home))
    return xp.asarray(host, device=device_of(home))


def _on_host(name: str, x: Any) -> np.ndarray[Any, Any]:
    """Return what is no array of any library as one of NumPy."""
    wanted = f"`{name}` must be an array or a sequence of real numbers"
    if isinstance(x, str | bytes | dict | set):
        raise TypeError(f"{wanted}, got {type(x).__name__}.")
    try:
        host = np.asarray(x)
    except ValueError as error:  # rows of several lengths
        raise ValueError(f"{wanted}, all rows of one length; got ragged ones.") from error
    if host.dtype.kind not in "biufc":
        raise TypeError(f"{wanted}, got {type(x).__name__} of dtype {host.dtype}.")
    return host


def _kind(x: Any) -> type:
    """Return the class of an array; one mapped from disk is like any of NumPy."""
    return np.ndarray if isinstance(x, np.memmap) else type(x)


def _is_array(name: str, x: Any) -> None:
    """Raise unless `x` is an array; NumPy's scalars and masked arrays only pass for arrays."""
    if not array_api_compat.is_array_api_obj(x) or isinstance(x, np.generic):
        raise TypeError(f"`{name}` must be an array, got {type(x).__name__}.")
    in_memory(name, x)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"`{name}` must not be a masked array; fill what is masked first.")


def in_memory(name: str, x: Any) -> None:
    """Raise if `x` is a Dask array, which is never gathered without being asked for."""
    if array_api_compat.is_dask_array(x):
        raise TypeError(
            f"`{name}` of {_public_name()} must be in memory, got a Dask array of "
            f"{x.nbytes / 1e9:.3g} GB; call .compute() first."
        )


def _public_name() -> str:
    """Return the name of the public function or method that is running."""
    frame, name = inspect.currentframe(), ""
    package = __name__.partition(".")[0]
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        name, frame = frame.f_code.co_qualname, frame.f_back
    return name


def common_float(**arrays: Any) -> Any:
    """Return the real floating dtype the named arrays (None skipped) are promoted to."""
    present = {name: x for name, x in arrays.items() if x is not None}
    dtypes = []
    for name, x in present.items():
        xp = array_namespace(x)
        if xp.isdtype(x.dtype, "real floating"):
            native = xp.result_type(x.dtype)  # in the byte order of the machine
            dtypes.append(xp.float32 if "float16" in str(native) else native)
        elif xp.isdtype(x.dtype, ("integral", "bool")):
            dtypes.append(default_float(x))
        else:
            raise TypeError(f"`{name}` must hold real numbers, got dtype {x.dtype}.")
        if dtypes[-1] not in (xp.float32, xp.float64):
            raise TypeError(f"`{name}` must be float32, float64 or integers, got {x.dtype}.")
    first = next(iter(present.values()))
    return array_namespace(first).result_type(*dtypes)


def as_array(name: str, x: Array, *, ndim: int | tuple[int, ...], dtype: Any) -> Array:
    """Return `x` in `dtype` and C order, having checked its dimensions and that none is empty."""
    wanted = (ndim,) if isinstance(ndim, int) else ndim
    if x is None:
        raise TypeError(f"`{name}` must be an array, got NoneType.")
    shape = tuple(x.shape)
    if x.ndim not in wanted:
        kinds = {1: "a vector", 2: "a matrix", 3: "a batch of matrices"}
        raise ValueError(
            f"`{name}` must be {' or '.join(kinds[k] for k in wanted)}, got shape {shape}."
        )
    if 0 in shape:
        raise ValueError(f"`{name}` must not be empty, got shape {shape}.")
    xp = array_namespace(x)
    x = np.asarray(x) if isinstance(x, np.memmap) else x
    return contiguous(xp.astype(x, dtype, copy=False))


def contiguous(x: Array) -> Array:
    """Return `x` itself if its entries lie in C order, else a copy that does.

    The standard has no notion of memory order; the libraries that have one name it differently.
    """
    flags = getattr(x, "flags", None)
    if flags is not None and hasattr(flags, "c_contiguous"):
        return x if flags.c_contiguous else array_namespace(x).asarray(x, copy=True, order="C")
    return x.contiguous() if hasattr(x, "contiguous") else x


def finite(name: str, x: Array) -> Array:
    """Return `x`, having checked that it holds neither nan nor infinity."""
    xp = array_namespace(x)
    if not bool(xp.all(xp.isfinite(x))):
        _raise_first(name, "be finite", x, ~xp.isfinite(x))
    return x


def non_negative(name: str, x: Array) -> Array:
    """Return `x`, having checked that it is finite and has no negative entry."""
    xp = array_namespace(x)
    if not bool(xp.all(finite(name, x) >= 0)):
        _raise_first(name, "be non-negative", x, x < 0)
    return x


def _raise_first(name: str, requirement: str, x: Array, bad: Array) -> None:
    xp = array_namespace(x)
    index = tuple(int(where[0]) for where in xp.nonzero(bad))
    place = ", ".join(str(k) for k in index)
    raise ValueError(f"`{name}` must {requirement}, got {float(x[index])} at [{place}].")


def same_shape(name: str, x: Array, shape: tuple[int, ...], of: str) -> Array:
    """Return `x`, having checked its shape against the one that argument `of` asks for."""
    if tuple(x.shape) != shape:
        raise ValueError(f"`{name}` must have shape {shape} to match `{of}`, got {tuple(x.shape)}.")
    return x


def positive(name: str, value: Any) -> float:
    """Return a positive finite number as a float."""
    number = real(name, value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"`{name}` must be positive and finite, got {value!r}.")
    return number


def greater_than(name: str, value: Any, bound: float) -> float:
    """Return a finite number above a bound as a float."""
    number = real(name, value)
    if not (number > bound and math.isfinite(number)):
        raise ValueError(f"`{name}` must be finite and greater than {bound:g}, got {value!r}.")
    return number


def between(name: str, value: Any, low: float, high: float) -> float:
    """Return a number with low < number <= high as a float."""
    number = real(name, value)
    if not low < number <= high:
        raise ValueError(f"`{name}` must be in ({low:g}, {high:g}], got {value!r}.")
    return number


def fraction(name: str, value: Any) -> float:
    """Return a number strictly between 0 and 1 as a float."""
    number = real(name, value)
    if not 0 < number < 1:
        raise ValueError(f"`{name}` must be in (0, 1), got {value!r}.")
    return number


def real(name: str, value: Any) -> float:
    """Return a real number as a float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a real number, got {type(value).__name__}.")
    return float(value)


def count(name: str, value: Any) -> int:
    """Return a non-negative integer."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer, got {type(value).__name__}.")
    if value < 0:
        raise ValueError(f"`{name}` must be non-negative, got {value!r}.")
    return int(value)


def at_least(least: int, name: str, value: Any) -> int:
    """Return an integer that is not below a bound."""
    number = count(name, value)
    if number < least:
        raise ValueError(f"`{name}` must be at least {least}, got {value!r}.")
    return number


def at_least_one(name: str, value: Any) -> int:
    """Return a positive integer."""
    return at_least(1, name, value)


def flag(name: str, value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False, got {type(value).__name__}.")
    return value


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """Return one of some words."""
    if value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}.")
    return str(value)


def optional_callable(name: str, value: Any) -> Any:
    """Return a callable or None."""
    if value is not None and not callable(value):
        raise TypeError(f"`{name}` must be callable, got {type(value).__name__}.")
    return value
