"""Dense arrays, sparse matrices and linear operators: what the solver does with any of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from array_api_compat import is_numpy_array

from .._core.namespace import Array, array_namespace, device_of
from .._core.settings import is_sparse

# A Hessian whose halves differ by more, relative to its largest entry, is not a matter of rounding.
_ASYMMETRY = 1e-6


def is_operator(A: Any) -> bool:
    """Tell whether something is a linear operator without entries."""
    return hasattr(A, "matvec") and not hasattr(A, "tocsr")


def as_number(name: str, value: Any) -> float:
    """Return what a scalar function returned as a float."""
    if isinstance(value, float):
        return float(value)
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, list | tuple | str):
        raise TypeError(f"`{name}` must return a number, got {type(value).__name__}.")
    if math.prod(getattr(value, "shape", ())) != 1:
        raise ValueError(f"`{name}` must return a number, got shape {tuple(value.shape)}.")
    while getattr(value, "ndim", 0):
        value = value[0]
    if "complex" in str(getattr(value, "dtype", "")) or isinstance(value, complex):
        raise ValueError(f"`{name}` must return a real number, got {value!r}.")
    return float(value)


def as_vector(
    name: str, value: Any, like: Array, size: int | None = None, *, real: bool = True
) -> Array:
    """Return what a function returned as a vector of the library, device and dtype of `like`."""
    if not _is_like(value, like, 1):
        value = converted(name, value, like, real=real)
        value = value[None] if value.ndim == 0 else value
    if value.ndim != 1 or (size is not None and value.shape[0] != size):
        wanted = "a vector" if size is None else f"shape ({size},)"
        raise ValueError(f"`{name}` must return {wanted}, got shape {tuple(value.shape)}.")
    return value


def as_matrix(name: str, value: Any, like: Array) -> Any:
    """Return a matrix with a column for each variable: dense, CSR, or an operator as it is."""
    n = like.shape[0]
    if is_sparse(value):
        if not is_numpy_array(like):
            raise TypeError(f"`{name}` returned a sparse matrix, which only NumPy arrays go with.")
        value = value.tocsr() if value.dtype == like.dtype else value.astype(like.dtype).tocsr()
    elif not (is_operator(value) or _is_like(value, like, 2)):
        value = converted(name, value, like)
        value = value[None, :] if value.ndim == 1 else value
    if len(value.shape) != 2 or value.shape[1] != n:
        raise ValueError(
            f"`{name}` must return a matrix with {n} columns, got shape {tuple(value.shape)}."
        )
    return value


def _is_like(value: Any, like: Array, ndim: int) -> bool:
    """Tell whether a value is an array of the class and dtype of another."""
    return type(value) is type(like) and value.ndim == ndim and value.dtype == like.dtype


def converted(name: str, value: Any, like: Array, *, real: bool = True) -> Array:
    """Return a number, an array or nested lists of them as an array like another one.

    On its device and in its dtype, unless complex numbers may pass.
    """
    xp = array_namespace(like)
    if isinstance(value, float):
        return xp.asarray(value, dtype=like.dtype, device=device_of(like))
    if isinstance(value, list | tuple) and value and not is_numpy_array(like):
        return xp.stack([converted(name, item, like, real=real) for item in value])
    try:
        array = xp.asarray(value, device=device_of(like))
    except (TypeError, ValueError) as error:
        raise type(error)(f"`{name}` must return an array of numbers: {error}") from error
    if not xp.isdtype(array.dtype, ("bool", "numeric")):
        kind = type(value).__name__
        raise TypeError(f"`{name}` must return an array of numbers, got {kind} of {array.dtype}.")
    if xp.isdtype(array.dtype, "complex floating"):
        if not real:
            return array
        raise ValueError(f"`{name}` must return real numbers, got dtype {array.dtype}.")
    return xp.astype(array, like.dtype, copy=False)


def as_hessian(name: str, value: Any, like: Array, *, check: bool) -> Any:
    """Return a Hessian, symmetrized; warn once where it was not symmetric."""
    value = as_matrix(name, value, like)
    if value.shape[0] != value.shape[1]:
        raise ValueError(f"`{name}` must return a square matrix, got shape {tuple(value.shape)}.")
    if is_operator(value):
        return value
    if check:
        off, size = largest(value - value.T), largest(value)
        if off > _ASYMMETRY * size:
            warnings.warn(
                f"`{name}` returned a matrix that is not symmetric (off by {off:.1e}); "
                "its symmetric part is used.",
                RuntimeWarning,
                stacklevel=2,
            )
    return (value + value.T) * 0.5


def largest(A: Any) -> float:
    """Return the largest absolute entry of an array or sparse matrix, 0 if there is none."""
    if is_sparse(A):
        return float(abs(A).max()) if A.nnz else 0.0
    if math.prod(A.shape) == 0:
        return 0.0
    xp = array_namespace(A)
    return float(xp.max(xp.abs(A)))


def row_peaks(A: Any, like: Array) -> Array:
    """Return the largest absolute entry of every row; ones for an operator."""
    xp = array_namespace(like)
    if is_operator(A):
        return xp.ones(A.shape[0], dtype=like.dtype, device=device_of(like))
    if is_sparse(A):
        return abs(A).max(axis=1).toarray().reshape(-1)
    return xp.max(xp.abs(A), axis=1)


def scaled_rows(A: Any, scale: Array | None) -> Any:
    """Return ``diag(scale) A``."""
    if scale is None:
        return A
    if is_sparse(A):
        from scipy.sparse import diags_array

        return (diags_array(scale) @ A).tocsr()
    if is_operator(A):
        return operator(A.shape, lambda v: scale * (A @ v), lambda v: A.T @ (scale * v))
    return scale[:, None] * A


def operator(
    shape: tuple[int, int], product: Callable[[Array], Array], transposed: Callable[[Array], Array]
) -> Any:
    """Return a SciPy linear operator."""
    from scipy.sparse.linalg import LinearOperator

    return LinearOperator(shape, matvec=product, rmatvec=transposed, dtype=float)


def stacked(matrices: Sequence[Any]) -> Any:
    """Return matrices below one another: sparse if one is, an operator if one is."""
    if len(matrices) == 1:
        return matrices[0]
    if any(is_operator(A) for A in matrices):
        return _stacked_operators(matrices)
    if any(is_sparse(A) for A in matrices):
        from scipy.sparse import csr_array, vstack

        return vstack([csr_array(A) for A in matrices], format="csr")
    return array_namespace(matrices[0]).concat(list(matrices), axis=0)


def _stacked_operators(matrices: Sequence[Any]) -> Any:
    sizes = [A.shape[0] for A in matrices]
    starts = [sum(sizes[:k]) for k in range(len(sizes))]

    def product(x: Array) -> Array:
        return array_namespace(x).concat([A @ x for A in matrices])

    def transposed(v: Array) -> Array:
        parts = zip(matrices, starts, sizes, strict=True)
        return sum(A.T @ v[start : start + size] for A, start, size in parts)

    return operator((sum(sizes), matrices[0].shape[1]), product, transposed)


def added(first: Any, second: Any) -> Any:
    """Return the sum of two Hessians: an operator if one is, sparse if both are."""
    if is_operator(first) or is_operator(second):
        return operator(
            first.shape,
            lambda v: first @ v + second @ v,
            lambda v: first.T @ v + second.T @ v,
        )
    if is_sparse(first) != is_sparse(second):
        first, second = (A.toarray() if is_sparse(A) else A for A in (first, second))
    return first + second


def all_finite(A: Any) -> bool:
    """Tell whether a vector or a matrix holds finite numbers whose squares are finite, too.

    What is not known by entries passes.
    """
    entries = A.data if is_sparse(A) else A
    if not hasattr(entries, "dtype") or is_operator(A):
        return True
    xp = array_namespace(entries)
    return bool(xp.all(xp.abs(entries) < largest_entry(entries)))


def largest_entry(like: Array) -> float:
    """Return a size whose square is far from overflow in the dtype of an array."""
    return _largest_entry(array_namespace(like), like.dtype)


@cache
def _largest_entry(xp: Any, dtype: Any) -> float:
    return 1e-4 * math.sqrt(float(xp.finfo(dtype).max))


class LowRank(NamedTuple):
    """A compact matrix ``sigma I - W M^-1 W'`` with W (n, k)."""

    sigma: float
    W: Array
    M: Array

    def __matmul__(self, v: Array) -> Array:
        """Return the product with a vector."""
        if self.W.shape[1] == 0:
            return self.sigma * v
        xp = array_namespace(v)
        return self.sigma * v - self.W @ xp.linalg.solve(self.M, (self.W.T @ v)[:, None])[:, 0]
