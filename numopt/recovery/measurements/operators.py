"""What recovery asks of linear measurements of a matrix."""

from __future__ import annotations

from typing import Any

from ..._core import validate
from ..._core.namespace import Array, array_namespace, device_of


class Direction:
    """A matrix ``sum_i s_i A_i`` that is multiplied with factors, formed or not."""

    def __init__(self, operator: SensingOperator, weights: Array) -> None:
        self.operator, self.weights = operator, weights

    def times(self, V: Array) -> Array:
        """Return the matrix times V."""
        return self.operator.adjoint_apply(self.weights, V)

    def transposed_times(self, U: Array) -> Array:
        """Return the transpose of the matrix times U."""
        return self.operator.adjoint_apply(self.weights, U, transpose=True)


class FormedDirection(Direction):
    """The same, for an operator whose adjoint costs no more than its product."""

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix

    def times(self, V: Array) -> Array:
        """Return the matrix times V."""
        return array_namespace(V).matmul(self.matrix, V)

    def transposed_times(self, U: Array) -> Array:
        """Return the transpose of the matrix times U."""
        return array_namespace(U).matmul(self.matrix.T, U)


class SensingOperator:
    """Base of the linear maps from matrices X to measurements ``<A_i, X>``, i = 0, ..., m - 1.

    A class of one's own needs the attributes, `forward` and `adjoint_apply`.

    Attributes
    ----------
    shape : tuple of int
        Shape (d1, d2) of X.
    m : int
        Number of measurements.
    symmetric : bool
        Whether every A_i is symmetric; X then stands for a symmetric matrix.
    like : array
        An array of the library, device and dtype of the measurements.
    nbytes : int
        Memory the operator holds.
    """

    shape: tuple[int, int]
    m: int
    symmetric: bool
    like: Array
    nbytes: int = 0
    # Whether measurements of a random matrix have mean zero, so that signs are balanced.
    centered: bool = True

    def __repr__(self) -> str:
        """Return the class with the sizes."""
        kind = "symmetric" if self.symmetric else "rectangular"
        d1, d2 = self.shape
        return f"<{type(self).__name__}: {self.m} measurements of {kind} {d1} by {d2} matrices>"

    def forward(self, U: Array, V: Array) -> Array:
        """Return ``<A_i, U V'>`` (m,) for U (d1, k) and V (d2, k)."""
        raise NotImplementedError

    def adjoint_apply(self, s: Array, V: Array, transpose: bool = False) -> Array:
        """Return ``sum_i s_i A_i V`` (d1, k), or the same of the transposes (d2, k)."""
        raise NotImplementedError

    def adjoint(self, s: Array) -> Array:
        """Return ``sum_i s_i A_i`` (d1, d2) as an array."""
        xp, d2 = array_namespace(s), self.shape[1]
        return self.adjoint_apply(s, xp.eye(d2, dtype=s.dtype, device=device_of(s)))

    def direction(self, s: Array) -> Direction:
        """Return ``sum_i s_i A_i`` as what is multiplied with factors."""
        return Direction(self, s)

    def sense(self, U: Array, V: Array, y: Array, weights: Array) -> tuple[Array, Direction]:
        """Return the residual ``<A_i, U V'> - y_i`` and ``sum_i weights_i sign(res_i) A_i``."""
        residual = self.forward(U, V) - y
        return residual, self.direction(weights * array_namespace(y).sign(residual))

    def tangent_matrix(self, Q: Array) -> Array | None:
        """Return the matrix of ``Z -> <A_i, Q Z' + Z Q'>`` (m, d k), None if it is not formed."""
        del Q
        return None


class FormedSensing(SensingOperator):
    """Base of operators whose adjoint is formed as a matrix: they define `adjoint`."""

    def adjoint(self, s: Array) -> Array:
        """Return ``sum_i s_i A_i`` (d1, d2) as an array."""
        raise NotImplementedError

    def adjoint_apply(self, s: Array, V: Array, transpose: bool = False) -> Array:
        """Return ``sum_i s_i A_i V`` (d1, k), or the same of the transposes (d2, k)."""
        matrix = self.adjoint(s)
        return array_namespace(V).matmul(matrix.T if transpose else matrix, V)

    def direction(self, s: Array) -> Direction:
        """Return ``sum_i s_i A_i`` as what is multiplied with factors: formed, once."""
        return FormedDirection(self.adjoint(s))


def shape_of(shape: Any) -> tuple[int, int]:
    """Return the shape of a matrix, validated."""
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise ValueError(f"`shape` must be a pair of integers, got {shape!r}.")
    d1, d2 = (validate.count("shape", d) for d in shape)
    if d1 == 0 or d2 == 0:
        raise ValueError(f"`shape` must be positive, got {shape!r}.")
    return d1, d2
