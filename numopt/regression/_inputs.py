"""Right-hand sides and weights of a least squares problem, checked: in memory or as Dask arrays."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._linalg import quiet
from .._rows import Cluster, is_dask
from ._design import Design
from ._factor import smallest_norm


def checked_weights(weights: Array, n: int, dtype: Any, cluster: Cluster | None) -> Array:
    """Return weights (n,), checked, in the dtype of the work."""
    if cluster is not None and is_dask(weights):
        weights = cluster.beside("weights", weights, dtype)
        low, high = cluster.extremes("weights", weights)
        if low < 0:
            raise ValueError(f"`weights` must be non-negative, got {low}.")
    else:
        weights = validate.as_array("weights", weights, ndim=1, dtype=dtype)
        validate.same_shape("weights", validate.non_negative("weights", weights), (n,), "A")
        high = float(array_namespace(weights).max(weights))
    if high == 0:
        raise ValueError("`weights` must not be zero everywhere.")
    return weights


def right_hand_sides(name: str, b: Array, rows: int, design: Design, like: Any = None) -> Array:
    """Return b (n,) or (n, k), or a start shaped like it, as columns in the dtype of the work."""
    if like is None and design.cluster is not None and is_dask(b):
        return _chunked_right_hand_sides(b, design, design.cluster)
    validate.common_namespace(**{"A": design.like, name: b})
    validate.common_float(**{name: b})
    b_array = validate.as_array(name, b, ndim=(1, 2), dtype=design.dtype)
    if b_array.shape[0] != rows or (like is not None and b_array.shape[1:] != like.shape[1:]):
        tail = () if like is None else tuple(like.shape[1:])
        wanted = (rows, *tail) if like is not None else f"({rows},) or ({rows}, k)"
        raise ValueError(f"`{name}` must have shape {wanted} to match `A`, got {tuple(b.shape)}.")
    validate.finite(name, b_array)
    columns = b_array if b_array.ndim == 2 else b_array[:, None]
    if like is None:
        _check_size(columns)
    return columns


def _chunked_right_hand_sides(b: Any, design: Design, cluster: Cluster) -> Any:
    """Return a Dask array (n,) or (n, k) as columns in chunks that match the rows of A."""
    validate.common_float(b=b._meta)
    b = cluster.beside("b", b, design.dtype)
    columns = b if b.ndim == 2 else b[:, None]
    low, high = cluster.extremes("b", columns)
    largest = array_namespace(design.like).asarray([max(high, -low)], dtype=design.dtype)
    _check_norms(design.norms(columns), largest)
    return columns


def _check_size(b: Array) -> None:
    """Raise where the squares of a right-hand side, or of its residual, overflow or vanish."""
    xp = array_namespace(b)
    with quiet():
        norms = xp.linalg.vector_norm(b, axis=0)
    _check_norms(norms, xp.max(xp.abs(b), axis=0))


def _check_norms(norms: Array, largest: Array) -> None:
    """Raise where the norms (k,) of columns with these largest entries are of no use."""
    xp = array_namespace(norms)
    usable = xp.isfinite(norms) & (norms > smallest_norm(norms, norms.dtype))
    if not bool(xp.all(usable)):
        wrong = xp.where(usable, xp.zeros_like(largest), largest)
        if bool(xp.any(wrong > 0)):
            raise ValueError(
                f"`b` must have entries whose squares neither overflow nor vanish, but the largest "
                f"of a column is {float(xp.max(wrong)):.3g}: divide it by its size."
            )
