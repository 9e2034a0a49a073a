"""Least squares with a design that is a Kronecker product, which is never formed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from .. import _linalg
from .._core import validate
from .._core.namespace import Array, array_namespace, widest_float
from .._core.outcome import CONVERGED, ITERATION_LIMIT
from ..sketching import TensorSRHT
from ._factor import sketch_size_for
from ._precondition import default_rcond, numerical_rank
from ._result import RANK_DEFICIENT, KronResult

METHODS = ("exact", "sketch")


class _Decomposition(NamedTuple):
    """A singular value decomposition ``U diag(s) V'`` cut at the numerical rank."""

    U: Array
    s: Array
    V: Array


def kron_lstsq(
    factors: Sequence[Array],
    b: Array,
    *,
    method: str = "exact",
    tol: float | None = None,
    eps: float | None = None,
    delta: float = 0.01,
    sketch_size: int | None = None,
    rcond: float | None = None,
    rng: Any = None,
) -> KronResult:
    r"""Solve a least squares problem whose design is a Kronecker product.

    .. math:: \min_x \; \| (A_1 \otimes \dots \otimes A_q) x - b \|_2.

    Parameters
    ----------
    factors : sequence of array, each of shape (n_j, d_j)
        The factors A_j, real, of one library.
    b : array, shape (n_1, ..., n_q) or (n_1 * ... * n_q,)
        Right-hand side, as a tensor or flattened in C order.
    method : {"exact", "sketch"}, default "exact"
        "exact" applies the pseudo-inverse of every factor; "sketch" solves the problem sketched by
        a `numopt.sketching.TensorSRHT`, which reads b once.
    tol : float, optional
        Largest backward error, relative to the Frobenius norm of the product. Default: 16 times the
        machine epsilon for each factor.
    eps : float, optional
        For "sketch": with probability ``1 - delta`` every coordinate errs by at most
        ``eps / sqrt(d) R |A^+|``, with ``d = d_1 ... d_q``. In (0, 1), default 0.5.
    delta : float, default 0.01
        Probability, in (0, 1), with which that bound may fail.
    sketch_size : int, optional
        Rows of the sketch, instead of `eps`; at least 2 d.
    rcond : float, optional
        Singular values of a factor at most `rcond` times its largest count as zero. Default
        ``max(30, d_j)`` times the machine epsilon.
    rng : None, int or numpy.random.Generator, optional
        Seed or generator of the sketch.

    Returns
    -------
    KronResult
        ``x`` of shape (d_1, ..., d_q), of minimum norm where a factor is rank-deficient, with the
        fields of `LstsqResult` that apply.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape or an option is wrong, or a number is not finite.

    See Also
    --------
    lstsq : a design that is one matrix.

    Notes
    -----
    The pseudo-inverse of a Kronecker product is that of the factors. "exact" takes a singular value
    decomposition of the triangular factor of each, n_j d_j^2, and passes over b of
    ``sum_j n_1 ... n_q d_j`` operations. The product is never formed by either method.

    References
    ----------
    .. [1] Z. Song, M. Ye, J. Yin, L. Zhang, "A Nearly-Optimal Bound for Fast Regression with
       l-infinity Guarantee", ICML 2023, arXiv:2302.00248.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A1, A2 = rng.normal(size=(30, 2)), rng.normal(size=(40, 3))
    >>> b = rng.normal(size=(30, 40))
    >>> result = numopt.kron_lstsq([A1, A2], b)
    >>> expected = np.linalg.lstsq(np.kron(A1, A2), b.ravel())[0]
    >>> bool(np.allclose(result.x.ravel(), expected))
    True
    """
    method = validate.choice("method", method, METHODS)
    eps = None if eps is None else validate.fraction("eps", eps)
    delta = validate.fraction("delta", delta)
    matrices, tensor, out = _validated(factors, b)
    xp = array_namespace(tensor)
    machine = float(xp.finfo(out).eps)
    tol = 16 * machine * len(matrices) if tol is None else validate.positive("tol", tol)
    work_eps = float(xp.finfo(tensor.dtype).eps)
    decompositions = [_decomposed(A, _rcond(rcond, A, work_eps)) for A in matrices]
    if method == "exact":
        x, size = _exact(decompositions, tensor), 0
    else:
        size = _size(decompositions, matrices, eps, delta, sketch_size)
        x = _sketched(matrices, tensor, TensorSRHT(size, tensor.shape, rng=rng))
    x = xp.astype(x, out)
    return _report(matrices, tensor, decompositions, x, tol, delta, size)


def _validated(factors: Any, b: Any) -> tuple[list[Array], Array, Any]:
    """Return the factors and the right-hand side as a tensor, in the dtype of the work."""
    if not isinstance(factors, (list, tuple)) or not factors:
        raise TypeError(f"`factors` must be a sequence of matrices, got {type(factors).__name__}.")
    named = {f"factors[{j}]": A for j, A in enumerate(factors)}
    validate.common_namespace(**named, b=b)
    out = validate.common_float(**named, b=b)
    xp = array_namespace(b)
    dtype = widest_float(xp.astype(b, out, copy=False))
    matrices = [
        validate.finite(name, validate.as_array(name, A, ndim=2, dtype=dtype))
        for name, A in named.items()
    ]
    dims = tuple(int(A.shape[0]) for A in matrices)
    if tuple(b.shape) not in (dims, (math.prod(dims),)):
        raise ValueError(
            f"`b` must have shape {dims} or {(math.prod(dims),)} to match `factors`, got "
            f"{tuple(b.shape)}."
        )
    tensor = xp.reshape(xp.astype(b, dtype, copy=False), dims)
    return matrices, validate.finite("b", tensor), out


def _rcond(rcond: Any, A: Array, eps: float) -> float:
    if rcond is None:
        return default_rcond(A.shape[1], eps)
    return validate.between("rcond", rcond, 0.0, 1.0)


def _decomposed(A: Array, rcond: float) -> _Decomposition:
    xp = array_namespace(A)
    U, s, Vh = xp.linalg.svd(A, full_matrices=False)
    rank = numerical_rank(s, rcond)
    return _Decomposition(U[:, :rank], s[:rank], Vh[:rank, :].T)


def _multiply(matrices: Sequence[Array], tensor: Array) -> Array:
    """Return the Kronecker product of matrices times a tensor, one axis after the other."""
    xp = array_namespace(tensor)
    for matrix in matrices:
        # Contracts the first axis and puts the new one last; after all turns they are in order.
        tensor = xp.tensordot(tensor, matrix, axes=([0], [1]))
    return tensor


def _outer(vectors: Sequence[Array]) -> Array:
    """Return the tensor of products of the entries of vectors."""
    return reduce(lambda left, right: left[..., None] * right, vectors)


def _exact(decompositions: list[_Decomposition], tensor: Array) -> Array:
    """Return the solution of minimum norm."""
    coordinates = _multiply([part.U.T for part in decompositions], tensor)
    scaled = coordinates / _outer([part.s for part in decompositions])
    return _multiply([part.V for part in decompositions], scaled)


def _size(
    decompositions: list[_Decomposition],
    matrices: list[Array],
    eps: float | None,
    delta: float,
    sketch_size: Any,
) -> int:
    """Return the number of rows of the sketch."""
    d = math.prod(A.shape[1] for A in matrices)
    if math.prod(part.s.shape[0] for part in decompositions) < d:
        raise ValueError("`factors` must have full column rank for method 'sketch'.")
    if sketch_size is None:
        return sketch_size_for(d, 0.5 if eps is None else eps, delta)
    if eps is not None:
        raise ValueError("`sketch_size` and `eps` exclude one another.")
    size = validate.count("sketch_size", sketch_size)
    if size < 2 * d:
        raise ValueError(f"`sketch_size` must be at least {2 * d}, twice the columns, got {size}.")
    return size


def _sketched(matrices: list[Array], tensor: Array, S: TensorSRHT) -> Array:
    """Return the solution of the sketched problem."""
    xp = array_namespace(tensor)
    design = S.apply_kron(matrices)
    d = design.shape[1]
    right = S.apply(xp.reshape(tensor, (-1,)))
    R = _linalg.upper_factor(xp.concat((design, right[:, None]), axis=1))
    x = _linalg.solve_triangular(R[:d, :d], R[:d, d], lower=False)
    return xp.reshape(x, tuple(A.shape[1] for A in matrices))


def _report(
    matrices: list[Array],
    tensor: Array,
    decompositions: list[_Decomposition],
    x: Array,
    tol: float,
    delta: float,
    size: int,
) -> KronResult:
    """Return the result, with everything measured on the x that is returned."""
    xp = array_namespace(tensor)
    wide = xp.astype(x, tensor.dtype, copy=False)
    residual = tensor - _multiply(matrices, wide)
    gradient = _multiply([A.T for A in matrices], residual)
    rank = math.prod(part.s.shape[0] for part in decompositions)
    d = math.prod(A.shape[1] for A in matrices)
    error = _backward_error(decompositions, wide, residual, gradient, tensor)
    residual_norm = float(xp.linalg.vector_norm(residual))
    success = error <= tol if size == 0 else math.isfinite(error)
    status = ITERATION_LIMIT if not success else CONVERGED if rank == d else RANK_DEFICIENT
    bound = None
    if size:
        inverse = 1.0 / math.prod(float(part.s[-1]) for part in decompositions)
        bound = math.sqrt(2 * math.log(2 * d / delta) / size) * residual_norm * inverse
    return KronResult(
        x=x,
        fun=0.5 * residual_norm**2,
        residual_norm=residual_norm,
        grad_norm=float(xp.linalg.vector_norm(gradient)),
        backward_error=error,
        tol=tol,
        success=success,
        status=status,
        message=_message(status, error, tol, size, rank, d),
        nit=0,
        method="sketch" if size else "exact",
        sketch_size=size,
        rank=rank,
        linf_bound=bound,
        history=[{"nit": 0, "error": error}],
    )


def _message(status: int, error: float, tol: float, size: int, rank: int, d: int) -> str:
    if size:
        return (
            f"Solved a sketch of {size} rows; every coordinate is within `linf_bound` of the exact "
            f"solution with the probability asked for."
        )
    if status == ITERATION_LIMIT:
        return f"The backward error is {error:.2g} (tol {tol:.2g}); scale the factors or raise tol."
    note = f"Solved with a backward error of {error:.2g} (tol {tol:.2g})."
    if rank < d:
        note += f" The product has rank {rank} of {d}: this solution has the smallest norm."
    return note


def _backward_error(
    decompositions: list[_Decomposition],
    x: Array,
    residual: Array,
    gradient: Array,
    tensor: Array,
) -> float:
    """Return the backward error of `lstsq`, with the singular values of the product."""
    xp = array_namespace(x)
    norm_b = float(xp.linalg.vector_norm(tensor))
    if norm_b == 0 or any(part.s.shape[0] == 0 for part in decompositions):
        return 0.0
    norm = math.prod(float(xp.linalg.vector_norm(part.s)) for part in decompositions)
    theta = norm / norm_b
    t = 1 + (theta * float(xp.linalg.vector_norm(x))) ** 2
    mu = theta**2 * float(xp.sum(residual * residual)) / t
    coordinates = _multiply([part.V.T for part in decompositions], gradient)
    values = _outer([part.s for part in decompositions])
    size = float(xp.linalg.vector_norm(coordinates / xp.sqrt(values**2 + mu)))
    return size / (norm_b * math.sqrt(t))
