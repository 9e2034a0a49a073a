"""The inputs of least squares, checked: a design in memory, by blocks or by its products."""

from __future__ import annotations

from typing import Any

import array_api_compat
import array_api_compat.numpy as host

from .._core import validate
from .._core.namespace import Array, array_namespace, widest_float
from .._core.random import generator
from .._core.settings import is_sparse
from .._linalg import quiet
from .._rows import Cluster, RowBlocks, beside_like, in_blocks, is_dask
from ._precondition import default_rcond
from ._problem import Design, Products, Rows, smallest_norm
from ._solve import METHODS, SKETCHES, Options, Request

PRECISIONS = ("auto", "working", "extended")

# Up to this many entries the residual is computed in twice the working precision by default.
EXTENDED_ENTRIES = 1 << 14


def options_of(
    method: Any,
    *,
    sketch: Any,
    sketch_size: Any,
    rcond: Any,
    rng: Any,
    check_finite: Any,
    eps: Any = None,
    delta: Any = 0.01,
) -> Options:
    """Return the options of a factorization, validated."""
    eps = None if eps is None else validate.fraction("eps", eps)
    delta = validate.fraction("delta", delta)
    if sketch_size is not None and eps is not None:
        raise ValueError("`sketch_size` and `eps` exclude one another.")
    return Options(
        method=validate.choice("method", method, METHODS),
        sketch=validate.choice("sketch", sketch, tuple(SKETCHES)),
        sketch_size=None if sketch_size is None else validate.count("sketch_size", sketch_size),
        eps=eps,
        delta=delta,
        rcond=-1.0 if rcond is None else validate.between("rcond", rcond, 0.0, 1.0),
        rng=generator(rng),
        check_finite=bool(check_finite),
    )


def suited(options: Options, design: Design) -> Options:
    """Return the options with the defaults for a design, having checked what depends on it."""
    (n, d), method = design.shape, options.method
    if n < d and method not in ("auto", "direct"):
        raise ValueError(
            f"`A` must have at least as many rows as columns for method {method!r}, got shape "
            f"{(n, d)}; use 'direct' for the solution of minimum norm."
        )
    size = options.sketch_size
    if size is not None and not 2 * d <= size <= n:
        raise ValueError(
            f"`sketch_size` must be between {2 * d} (twice the columns of `A`) and {n} (its rows), "
            f"got {size}; use method 'direct' where that leaves no room."
        )
    return options if options.rcond > 0 else options._replace(rcond=default_rcond_of(design))


def default_rcond_of(design: Design) -> float:
    """Return the relative size below which singular values of a design count as zero."""
    eps = float(array_namespace(design.like).finfo(design.dtype).eps)
    return default_rcond(design.shape[1], eps)


def design_of(
    A: Any, b: Any = None, *, weights: Any = None, ridge: Any = 0.0, precision: Any = "auto"
) -> tuple[Design, Any]:
    """Return the design of validated inputs, and the dtype of the result."""
    ridge = validate.real("ridge", ridge)
    if not 0 <= ridge < float("inf"):
        raise ValueError(f"`ridge` must be non-negative and finite, got {ridge!r}.")
    precision = validate.choice("precision", precision, PRECISIONS)
    if _is_operator(A):
        blocks, cluster, n = None, None, int(A.shape[0])
        like = _operator_like(A, b, weights)
    else:
        blocks = RowBlocks("A", _as_rows(A, b, weights))
        cluster, n, like = blocks.cluster, blocks.shape[0], blocks.like
    given = {"b": beside_like(cluster, b), "weights": beside_like(cluster, weights)}
    arrays = dict(zip(("A", *given), validate.arrays(A=like, **given), strict=True))
    out = validate.common_float(**arrays)
    if weights is not None:
        weights = _checked_weights(weights, n, like, cluster)
    if blocks is None:
        if precision == "extended":
            raise ValueError("`precision` 'extended' needs the entries of `A` as dense arrays.")
        return Products(A, like, weights, ridge), out
    blocks.dtype = widest_float(array_namespace(like).astype(like[:0, :], out))
    return Rows(blocks, weights, ridge, _wants_extended(precision, blocks.shape)), out


def _as_rows(A: Any, b: Any, weights: Any) -> Any:
    """Return A as an array where it is given as numbers: nested sequences, or a table of some."""
    numbers = isinstance(A, list | tuple) and len(A) > 0
    if (numbers or hasattr(A, "__array__")) and not in_blocks(A):
        beside = {name: None if is_dask(x) else x for name, x in (("b", b), ("weights", weights))}
        return validate.arrays(A=A, **beside)[0]
    return A


def request_of(
    design: Design, dtype: Any, precision: str, tol: Any, maxiter: Any, callback: Any
) -> Request:
    """Return what is asked of a refinement, validated."""
    eps = float(array_namespace(design.like).finfo(dtype).eps)
    return Request(
        tol=eps if tol is None else validate.positive("tol", tol),
        maxiter=validate.count("maxiter", maxiter),
        every_coordinate=design.dense and _wants_extended(precision, design.shape),
        dtype=dtype,
        callback=validate.optional_callable("callback", callback),
    )


def _wants_extended(precision: str, shape: tuple[int, ...]) -> bool:
    """Tell whether residuals of a dense design are computed in twice the working precision."""
    small = shape[0] * shape[1] <= EXTENDED_ENTRIES
    return precision == "extended" or (precision == "auto" and small)


def _is_operator(A: Any) -> bool:
    """Tell whether A is known by its products: a sparse matrix or a linear operator."""
    return is_sparse(A) or (
        not array_api_compat.is_array_api_obj(A) and hasattr(A, "matvec") and hasattr(A, "rmatvec")
    )


def _operator_like(A: Any, b: Array | None, weights: Array | None) -> Array:
    """Return an array of the library and dtype of a sparse matrix or linear operator.

    An operator does not tell its library; alone it is taken for one of SciPy's.
    """
    candidates = (getattr(A, "data", None), b, weights)
    array = next((x for x in candidates if array_api_compat.is_array_api_obj(x)), None)
    xp = host if array is None else array_namespace(array)
    dtype = getattr(A, "dtype", None) or (xp.float64 if array is None else array.dtype)
    return xp.zeros((0, A.shape[1]), dtype=dtype)


def _checked_weights(weights: Any, n: int, like: Array, cluster: Cluster | None) -> Array:
    """Return weights (n,), checked, in the dtype of the work."""
    dtype = widest_float(like)
    if cluster is not None and is_dask(weights):
        weights = cluster.beside("weights", weights, dtype)
        low, high = cluster.extremes("weights", weights)
        if low < 0:
            raise ValueError(f"`weights` must be non-negative, got {low}.")
    else:
        _, weights = validate.arrays(A=like, weights=weights)
        weights = validate.as_array("weights", weights, ndim=1, dtype=dtype)
        validate.same_shape("weights", validate.non_negative("weights", weights), (n,), "A")
        high = float(array_namespace(weights).max(weights))
    if high == 0:
        raise ValueError("`weights` must not be zero everywhere.")
    return weights


def right_hand_sides(b: Any, design: Design) -> tuple[Array, bool]:
    """Return b (n,) or (n, k) as columns in the dtype of the work, and whether it is a vector."""
    if design.cluster is not None and is_dask(b):
        return _chunked_right_hand_sides(b, design, design.cluster)
    _, b = validate.arrays(A=design.like, b=b)
    columns = _columns("b", b, design)
    if columns.shape[0] != design.shape[0]:
        n = design.shape[0]
        raise ValueError(
            f"`b` must have shape ({n},) or ({n}, k) to match `A`, got {tuple(b.shape)}."
        )
    validate.finite("b", columns if b.ndim == 2 else columns[:, 0])
    _check_size(columns)
    return columns, b.ndim == 1


def start_of(x0: Any, design: Design, b: Array, single: bool) -> Array | None:
    """Return a start shaped as the solution for b (n, k), or that of an earlier result."""
    if x0 is None:
        return None
    x0 = x0["x"] if isinstance(x0, dict) else x0
    _, x0 = validate.arrays(A=design.like, x0=x0)
    columns = _columns("x0", x0, design)
    wanted = (design.shape[1],) if single else (design.shape[1], int(b.shape[1]))
    validate.same_shape("x0", x0, wanted, "A")
    validate.finite("x0", columns[:, 0] if single else columns)
    return columns


def _columns(name: str, x: Array, design: Design) -> Array:
    """Return a vector or matrix as a matrix in the dtype of the work."""
    validate.common_float(**{name: x})
    x = validate.as_array(name, x, ndim=(1, 2), dtype=design.dtype)
    return x if x.ndim == 2 else x[:, None]


def _chunked_right_hand_sides(b: Any, design: Design, cluster: Cluster) -> tuple[Any, bool]:
    """Return a Dask array (n,) or (n, k) as columns in chunks that match the rows of A."""
    validate.common_float(b=b._meta)
    b = cluster.beside("b", b, design.dtype)
    columns = b if b.ndim == 2 else b[:, None]
    low, high = cluster.extremes("b", columns)
    largest = array_namespace(design.like).asarray([max(high, -low)], dtype=design.dtype)
    _check_norms(design.norms(columns), largest)
    return columns, b.ndim == 1


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
