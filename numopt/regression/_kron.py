"""Least squares with a design that is a Kronecker product, which is never formed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from .. import _linalg
from .._core import validate
from .._core.namespace import Array, array_namespace, widest_float
from .._core.outcome import Check
from ..sketching import TensorSRHT
from ._certificate import optimality
from ._precondition import default_rcond, numerical_rank
from ._published import guarantee, sketch_size_for

METHODS = ("exact", "sketch")


class Decomposition(NamedTuple):
    """A singular value decomposition ``U diag(s) V'`` cut at the numerical rank."""

    U: Array
    s: Array
    V: Array


class Problem(NamedTuple):
    """The factors (n_j, d_j) with their decompositions, the tensor b, and the dtype asked for."""

    factors: list[Array]
    parts: list[Decomposition]
    b: Array
    dtype: Any

    @property
    def columns(self) -> int:
        """Return the columns of the product."""
        return math.prod(A.shape[1] for A in self.factors)

    @property
    def rank(self) -> int:
        """Return the rank of the product."""
        return math.prod(part.s.shape[0] for part in self.parts)

    @property
    def norm(self) -> float:
        """Return the Frobenius norm of the product."""
        xp = array_namespace(self.b)
        return math.prod(float(xp.linalg.vector_norm(part.s)) for part in self.parts)

    @property
    def inverse_norm(self) -> float:
        """Return one over the smallest singular value of the product, for full rank."""
        return 1.0 / math.prod(float(part.s[-1]) for part in self.parts)


class Measured(NamedTuple):
    """What is measured on a solution."""

    residual_norm: float
    grad_norm: float
    backward_error: float
    coordinate_error: float


def problem_of(factors: Any, b: Any, rcond: Any) -> Problem:
    """Return the problem of validated inputs, in the widest dtype of the device."""
    if not isinstance(factors, (list, tuple)) or not factors:
        raise TypeError(f"`factors` must be a sequence of matrices, got {type(factors).__name__}.")
    named = {f"factors[{j}]": A for j, A in enumerate(factors)}
    *given, b = validate.arrays(**named, b=b)
    named = dict(zip(named, given, strict=True))
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
    tensor = validate.finite("b", xp.reshape(xp.astype(b, dtype, copy=False), dims))
    eps = float(xp.finfo(dtype).eps)
    parts = [_decomposed(A, _rcond(rcond, A, eps)) for A in matrices]
    return Problem(matrices, parts, tensor, out)


def _rcond(rcond: Any, A: Array, eps: float) -> float:
    if rcond is None:
        return default_rcond(A.shape[1], eps)
    return validate.between("rcond", rcond, 0.0, 1.0)


def _decomposed(A: Array, rcond: float) -> Decomposition:
    U, s, Vh = array_namespace(A).linalg.svd(A, full_matrices=False)
    rank = numerical_rank(s, rcond)
    return Decomposition(U[:, :rank], s[:rank], Vh[:rank, :].T)


def size_of(problem: Problem, eps: float | None, delta: float, sketch_size: Any) -> int:
    """Return the number of rows of the sketch."""
    d = problem.columns
    if problem.rank < d:
        raise ValueError("`factors` must have full column rank for method 'sketch'.")
    if sketch_size is None:
        return sketch_size_for(d, 0.5 if eps is None else eps, delta)
    if eps is not None:
        raise ValueError("`sketch_size` and `eps` exclude one another.")
    size = validate.count("sketch_size", sketch_size)
    if size < 2 * d:
        raise ValueError(f"`sketch_size` must be at least {2 * d}, twice the columns, got {size}.")
    return size


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


def solved_exactly(problem: Problem, tensor: Array) -> Array:
    """Return the solution of minimum norm for a right-hand side."""
    parts = problem.parts
    coordinates = _multiply([part.U.T for part in parts], tensor)
    return _multiply([part.V for part in parts], coordinates / _outer([part.s for part in parts]))


def solved_by_sketch(problem: Problem, S: TensorSRHT) -> Array:
    """Return the solution of the sketched problem."""
    xp = array_namespace(problem.b)
    design = S.apply_kron(problem.factors)
    d = design.shape[1]
    right = S.apply(xp.reshape(problem.b, (-1,)))
    R = _linalg.upper_factor(xp.concat((design, right[:, None]), axis=1))
    x = _linalg.solve_triangular(R[:d, :d], R[:d, d], lower=False)
    return xp.reshape(x, tuple(A.shape[1] for A in problem.factors))


def measured(problem: Problem, x: Array) -> Measured:
    """Return what is measured on a solution: how far it is from the optimum."""
    xp = array_namespace(problem.b)
    x = xp.astype(x, problem.b.dtype, copy=False)
    residual = problem.b - _multiply(problem.factors, x)
    gradient = _multiply([A.T for A in problem.factors], residual)
    change = solved_exactly(problem, residual)
    return Measured(
        float(xp.linalg.vector_norm(residual)),
        float(xp.linalg.vector_norm(gradient)),
        _backward_error(problem, x, residual, gradient),
        float(xp.max(xp.abs(change))),
    )


def checks_of(problem: Problem, seen: Measured, limit: float, stats: dict[str, Any]) -> list[Check]:
    """Return the checks of a solution, of the coordinates where it was sketched."""
    size, eps = stats["sketch_size"], stats["eps"]
    if size == 0:
        return optimality(seen.backward_error, limit)
    d = problem.columns
    wanted = size if eps is None else sketch_size_for(d, eps, stats["delta"])
    return guarantee(d - problem.rank, max(0, wanted - size), seen.coordinate_error, limit)


def _backward_error(problem: Problem, x: Array, residual: Array, gradient: Array) -> float:
    """Return the backward error of `lstsq`, with the singular values of the product."""
    xp, parts = array_namespace(x), problem.parts
    norm_b = float(xp.linalg.vector_norm(problem.b))
    if norm_b == 0 or any(part.s.shape[0] == 0 for part in parts):
        return 0.0
    theta = problem.norm / norm_b
    t = 1 + (theta * float(xp.linalg.vector_norm(x))) ** 2
    mu = theta**2 * float(xp.sum(residual * residual)) / t
    coordinates = _multiply([part.V.T for part in parts], gradient)
    values = _outer([part.s for part in parts])
    size = float(xp.linalg.vector_norm(coordinates / xp.sqrt(values**2 + mu)))
    return size / (norm_b * math.sqrt(t))
