"""Measurements with structure: of rank one, by a sparse matrix, by a pair of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._core import validate
from ..._core.namespace import Array, array_namespace
from ..._core.settings import is_sparse
from .operators import FormedSensing, SensingOperator, shape_of


class RankOneSensing(SensingOperator):
    """Measurements ``a_i' X b_i`` by vectors.

    Parameters
    ----------
    a : array, shape (m, d1)
        Left vectors, one a row.
    b : array, shape (m, d2), optional
        Right vectors. Without them X is symmetric and the measurements are ``a_i' X a_i``.

    Attributes
    ----------
    shape : tuple of int
        Shape (d1, d2) of X.
    m : int
        Number of measurements.
    symmetric : bool
        Whether `b` was left out.
    nbytes : int
        Memory of the vectors.

    See Also
    --------
    DenseSensing : measurements by full matrices.

    Notes
    -----
    A pass takes O(m d k) time for factors of k columns and O(m d) memory: the operator of choice
    for d above a few hundred.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> a = np.random.default_rng(0).normal(size=(30, 4))
    >>> operator = numopt.recovery.RankOneSensing(a)
    >>> bool(np.allclose(operator.forward(np.eye(4), np.eye(4)), (a * a).sum(axis=1)))
    True
    """

    def __init__(self, a: Array, b: Array | None = None) -> None:
        a, b = validate.arrays(a=a, b=b)
        xp = array_namespace(a)
        dtype = validate.common_float(a=a, b=b)
        self.a = validate.finite("a", validate.as_array("a", a, ndim=2, dtype=dtype))
        self.b = self.a
        if b is not None:
            self.b = validate.finite("b", validate.as_array("b", b, ndim=2, dtype=dtype))
            validate.same_shape("b", self.b, (self.a.shape[0], self.b.shape[1]), "a")
        self.shape = (self.a.shape[1], self.b.shape[1])
        self.m, self.symmetric, self.like = self.a.shape[0], b is None, self.a[:0, 0]
        self.centered = b is not None
        held = self.shape[0] + (0 if b is None else self.shape[1])
        self.nbytes = self.m * held * (8 if dtype == xp.float64 else 4)

    def forward(self, U: Array, V: Array) -> Array:
        """Return ``<A_i, U V'>`` (m,) for U (d1, k) and V (d2, k)."""
        xp = array_namespace(U)
        left = xp.matmul(self.a, U)
        return xp.vecdot(left, left if U is V and self.symmetric else xp.matmul(self.b, V))

    def adjoint_apply(self, s: Array, V: Array, transpose: bool = False) -> Array:
        """Return ``sum_i s_i A_i V`` (d1, k), or the same of the transposes (d2, k)."""
        xp = array_namespace(V)
        a, b = (self.b, self.a) if transpose else (self.a, self.b)
        return xp.matmul(a.T, s[:, None] * xp.matmul(b, V))

    def sense(self, U: Array, V: Array, y: Array, weights: Array) -> tuple[Array, Any]:
        """Return the residual and its subgradient; the products with the vectors are kept."""
        xp = array_namespace(U)
        left = xp.matmul(self.a, U)
        right = left if self.symmetric and U is V else xp.matmul(self.b, V)
        residual = xp.vecdot(left, right) - y
        signs = (weights * xp.sign(residual))[:, None]
        return residual, _RankOneDirection(self, signs, (U, left), (V, right))


class _RankOneDirection:
    """A subgradient of rank-one measurements that knows some products already."""

    def __init__(self, operator: RankOneSensing, signs: Array, left: Any, right: Any) -> None:
        self.operator, self.signs, self.left, self.right = operator, signs, left, right

    def times(self, V: Array) -> Array:
        """Return the matrix times V."""
        xp, op = array_namespace(V), self.operator
        known = self.right[1] if V is self.right[0] else xp.matmul(op.b, V)
        return xp.matmul(op.a.T, self.signs * known)

    def transposed_times(self, U: Array) -> Array:
        """Return the transpose of the matrix times U."""
        xp, op = array_namespace(U), self.operator
        known = self.left[1] if U is self.left[0] else xp.matmul(op.a, U)
        return xp.matmul(op.b.T, self.signs * known)


class MatrixFreeSensing(FormedSensing):
    """Measurements by a pair of functions.

    Parameters
    ----------
    forward : callable
        Takes X, an array (d1, d2), and returns the measurements, an array (m,).
    adjoint : callable
        Takes an array s (m,) and returns ``sum_i s_i A_i``, an array (d1, d2).
    shape : tuple of int
        Shape (d1, d2) of X.
    m : int
        Number of measurements.
    like : array
        An array of the library, device and dtype that the functions take and give.
    symmetric : bool, default False
        Whether X is symmetric; the A_i are then symmetrized.

    Attributes
    ----------
    shape : tuple of int
        As given.
    m : int
        As given.
    symmetric : bool
        As given.
    nbytes : int
        0: what the functions hold is not known.

    See Also
    --------
    SparseSensing : measurements by the rows of a sparse matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> operator = numopt.recovery.MatrixFreeSensing(
    ...     lambda X: X.sum(axis=1), lambda s: np.outer(s, np.ones(3)), (2, 3), 2, like=np.empty(0)
    ... )
    >>> operator.forward(np.ones((2, 1)), np.ones((3, 1)))
    array([3., 3.])
    """

    def __init__(
        self,
        forward: Callable[[Array], Array],
        adjoint: Callable[[Array], Array],
        shape: tuple[int, int],
        m: Any,
        *,
        like: Array,
        symmetric: bool = False,
    ) -> None:
        (like,) = validate.arrays(like=like)
        validate.common_float(like=like)
        self.shape = shape_of(shape)
        if symmetric and self.shape[0] != self.shape[1]:
            raise ValueError(f"`shape` must be square if symmetric=True, got {self.shape}.")
        self.m, self.symmetric, self.like = validate.count("m", m), symmetric, like
        self._forward = _callable("forward", forward)
        self._adjoint = _callable("adjoint", adjoint)

    def forward(self, U: Array, V: Array) -> Array:
        """Return ``<A_i, U V'>`` (m,) for U (d1, k) and V (d2, k)."""
        X = array_namespace(U).matmul(U, V.T)
        return self._forward((X + X.T) / 2 if self.symmetric else X)

    def adjoint(self, s: Array) -> Array:
        """Return ``sum_i s_i A_i`` (d1, d2) as an array."""
        D = self._adjoint(s)
        return (D + D.T) / 2 if self.symmetric else D


class SparseSensing(MatrixFreeSensing):
    """Measurements by the rows of a sparse matrix.

    Parameters
    ----------
    A : scipy.sparse or cupyx.scipy.sparse matrix, shape (m, d1 * d2)
        Row i is A_i, flat in C order.
    shape : tuple of int
        Shape (d1, d2) of X.
    symmetric : bool, default False
        Whether X is symmetric; only the symmetric parts of the A_i then matter.

    Attributes
    ----------
    shape : tuple of int
        As given.
    m : int
        Number of measurements.
    symmetric : bool
        As given.
    nbytes : int
        Memory of the numbers of `A`.

    See Also
    --------
    EntrySensing : one entry a measurement.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> from scipy.sparse import csr_array
    >>> operator = numopt.recovery.SparseSensing(csr_array(np.eye(6)[:4]), (2, 3))
    >>> operator.forward(np.array([[1.0], [2.0]]), np.ones((3, 1)))
    array([1., 1., 1., 2.])
    """

    def __init__(self, A: Any, shape: tuple[int, int], symmetric: bool = False) -> None:
        if not is_sparse(A):
            raise TypeError(f"`A` must be a sparse matrix, got {type(A).__name__}.")
        A = A.tocsr()
        shape = shape_of(shape)
        if A.shape[1] != shape[0] * shape[1]:
            raise ValueError(
                f"`A` must have {shape[0] * shape[1]} columns for `shape` {shape}, got {A.shape}."
            )
        dtype = validate.common_float(A=A.data)
        validate.finite("A", A.data)
        A = A.astype(dtype)
        self.nbytes = A.data.nbytes
        super().__init__(
            lambda X: A @ X.reshape(-1),
            lambda s: (A.T @ s).reshape(shape),
            shape,
            A.shape[0],
            like=A.data[:0],
            symmetric=symmetric,
        )


def _callable(name: str, function: Any) -> Callable[[Array], Array]:
    if not callable(function):
        raise TypeError(f"`{name}` must be callable, got {type(function).__name__}.")
    return function  # type: ignore[no-any-return]
