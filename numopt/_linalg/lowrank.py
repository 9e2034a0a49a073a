"""A matrix of low rank by its factors: spectrum, truncation, moves on the manifold."""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .triangular import upper_factor


class Factors(NamedTuple):
    """The matrix ``left right'``; for a positive semidefinite one both are the same array."""

    left: Array  # (d1, k)
    right: Array  # (d2, k)

    @property
    def rank(self) -> int:
        """Number of columns."""
        return int(self.left.shape[1])

    @property
    def tied(self) -> bool:
        """Whether both factors are the same."""
        return self.left is self.right


class Frame(NamedTuple):
    """The same matrix by orthonormal columns and singular values, largest first."""

    left: Array  # (d1, k)
    values: Array  # (k,)
    right: Array  # (d2, k)


def frame_of(factors: Factors) -> Frame:
    """Return orthonormal factors and singular values of a matrix, O(d k^2)."""
    xp = array_namespace(factors.left)
    if factors.tied:
        P, s, _ = xp.linalg.svd(factors.left, full_matrices=False)
        return Frame(P, s * s, P)
    left, a = xp.linalg.qr(factors.left)
    right, b = xp.linalg.qr(factors.right)
    P, s, Q = xp.linalg.svd(xp.matmul(a, b.T), full_matrices=False)
    return Frame(xp.matmul(left, P), s, xp.matmul(right, Q.T))


def factors_of(frame: Frame, rank: int | None = None) -> Factors:
    """Return balanced factors of a frame, of its first `rank` columns only if that is given."""
    xp = array_namespace(frame.left)
    k = frame.values.shape[0] if rank is None else rank
    root = xp.sqrt(frame.values[:k])
    left = frame.left[:, :k] * root
    return Factors(left, left if frame.left is frame.right else frame.right[:, :k] * root)


def singular_values(factors: Factors) -> Array:
    """Return the singular values of a matrix (min(d1, d2, k),), largest first, O(d k^2)."""
    xp = array_namespace(factors.left)
    a, b = upper_factor(factors.left), upper_factor(factors.right)
    return xp.linalg.svdvals(xp.matmul(a, xp.matrix_transpose(b)))


def moved(frame: Frame, Z_left: Array, Z_right: Array) -> Factors:
    """Return the point of the same rank next to the frame plus a tangent.

    The tangent is ``frame.left Z_right' + Z_left frame.right'``; the nearest matrix of the rank
    comes from a decomposition of size 2k (a metric projection), positive semidefinite where the
    frame is tied.
    """
    xp, k = array_namespace(frame.left), frame.values.shape[0]
    eye = xp.eye(k, dtype=frame.left.dtype, device=device_of(frame.left))
    core = xp.concat(
        [
            xp.concat([eye * frame.values[None, :], eye], axis=1),
            xp.concat([eye, xp.zeros_like(eye)], axis=1),
        ]
    )
    P, a = xp.linalg.qr(xp.concat([frame.left, Z_left], axis=1))
    if frame.left is frame.right:
        small = xp.matmul(xp.matmul(a, core), a.T)
        values, vectors = xp.linalg.eigh((small + small.T) / 2)
        root = xp.sqrt(xp.clip(values[-k:], 0, None))
        left = xp.matmul(P, vectors[:, -k:] * root)
        return Factors(left, left)
    Q, b = xp.linalg.qr(xp.concat([frame.right, Z_right], axis=1))
    U, s, V = xp.linalg.svd(xp.matmul(xp.matmul(a, core), b.T), full_matrices=False)
    return factors_of(Frame(xp.matmul(P, U), s, xp.matmul(Q, V.T)), k)


def extended(factors: Factors, u: Array, v: Array) -> Factors:
    """Return the factors with one more column each; `v` is not read where they are tied."""
    xp = array_namespace(u)
    left = xp.concat([factors.left, u[:, None]], axis=1)
    if factors.tied:
        return Factors(left, left)
    return Factors(left, xp.concat([factors.right, v[:, None]], axis=1))


def degrees_of_freedom(shape: tuple[int, int], rank: int, symmetric: bool) -> int:
    """Return the dimension of the matrices of a rank."""
    d1, d2 = shape
    if symmetric:
        return rank * (2 * d1 - rank + 1) // 2
    return rank * (d1 + d2 - rank)
