"""Small facts about inputs that every solver asks for."""

from __future__ import annotations

from typing import Any

from .namespace import Array, array_namespace, device_of


def default_tol(like: Array, *, float64: float, float32: float) -> float:
    """Return the default tolerance of a solver for the dtype of an array."""
    return float32 if like.dtype == array_namespace(like).float32 else float64


def is_sparse(x: Any) -> bool:
    """Tell whether something is a sparse matrix or array of SciPy or CuPy."""
    module = type(x).__module__  # of linear operators, too
    return module.startswith(("scipy.sparse", "cupyx.scipy.sparse")) and hasattr(x, "tocsr")


def index_dtype(like: Array) -> Any:
    """Return the dtype that indices have by default in the library of an array, on its device."""
    info = array_namespace(like).__array_namespace_info__()
    return info.default_dtypes(device=device_of(like))["indexing"]


def non_negative(value: float) -> float:
    """Return a number, or zero where rounding made it negative; nan stays nan."""
    return 0.0 if value < 0 else value
