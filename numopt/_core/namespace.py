"""Which array library, device and dtype the inputs have."""

from __future__ import annotations

from functools import cache
from typing import Any

import array_api_compat

Array = Any  # until the standard has a typed array


_NAMESPACES: dict[type, Any] = {}


def array_namespace(*arrays: Array) -> Any:
    """Return the namespace of the arrays, wrapped so that it follows the standard.

    Looked up once per class and by the first array only, because kernels ask often; that all
    inputs are of one library is checked where they enter, in `validate.common_namespace`.
    """
    kind = type(arrays[0])
    if kind not in _NAMESPACES:
        _NAMESPACES[kind] = array_api_compat.array_namespace(*arrays)
    return _NAMESPACES[kind]


def device_of(x: Array) -> Any:
    """Return the device of an array."""
    return array_api_compat.device(x)


def describe(x: Any) -> str:
    """Return the library and device of an array, for error messages."""
    name = array_api_compat.array_namespace(x).__name__.removeprefix("array_api_compat.")
    return f"{name} on {array_api_compat.device(x)}"


def default_float(x: Array) -> Any:
    """Return the default real dtype of the library of `x` on its device, float64 on NumPy."""
    xp = array_namespace(x)
    return xp.__array_namespace_info__().default_dtypes(device=device_of(x))["real floating"]


def widest_float(x: Array) -> Any:
    """Return float64, or the dtype of `x` where its device has no float64: for sums."""
    xp = array_namespace(x)
    if x.dtype == xp.float64:
        return x.dtype
    return _widest_float(xp, device_of(x), x.dtype)


@cache
def _widest_float(xp: Any, device: Any, dtype: Any) -> Any:
    dtypes = xp.__array_namespace_info__().dtypes(device=device, kind="real floating")
    return dtypes.get("float64", dtype)


def inner(x: Array, y: Array) -> float:
    """Return the inner product of two vectors, accumulated in float64 where there is one."""
    xp, wide = array_namespace(x), widest_float(x)
    if x.dtype != wide:
        x, y = xp.astype(x, wide), xp.astype(y, wide)
    return float(xp.vecdot(x, y))


def filled(mask: Array, values: Array, otherwise: Array) -> Array:
    """Return `values`, one for each true entry of a mask in order, there and `otherwise` elsewhere.

    The assignment ``otherwise[mask] = values`` without modifying anything.
    """
    xp = array_namespace(values)
    integers = xp.__array_namespace_info__().default_dtypes(device=device_of(values))["indexing"]
    rank = xp.cumulative_sum(xp.astype(mask, integers)) - 1
    return xp.where(mask, xp.take(values, xp.clip(rank, 0, None)), otherwise)


def csr_matrix(data: Array, indices: Array, indptr: Array, shape: tuple[int, int]) -> Any:
    """Return a sparse matrix of the library of the arrays; the three arrays where it has none."""
    parts = (data, indices, indptr)
    if array_api_compat.is_numpy_array(data):
        from scipy.sparse import csr_array

        return csr_array(parts, shape=shape)
    if array_api_compat.is_cupy_array(data):
        from cupyx.scipy.sparse import csr_matrix as cupy_csr_matrix

        return cupy_csr_matrix(parts, shape=shape)
    return parts


def host_list(x: Array) -> list[float]:
    """Return the numbers of a short vector; the host waits for the device once."""
    if hasattr(x, "tolist"):
        return x.tolist()  # type: ignore[no-any-return]
    return [float(x[i]) for i in range(x.shape[0])]
