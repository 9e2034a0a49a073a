"""Measurements that are entries of the matrix."""

from __future__ import annotations

from ..._core import validate
from ..._core.namespace import Array, array_namespace, device_of
from ..._entries.layouts import Layouts, there_of
from ..._kernels.recovery import entry_products, entry_residuals
from .operators import FormedSensing, SensingOperator, shape_of


class EntrySensing(FormedSensing):
    """Measurements of single entries, for robust matrix completion.

    Parameters
    ----------
    rows, columns : array, shape (m,)
        Integers: where the entries are. No entry may be named twice.
    shape : tuple of int
        Shape (d1, d2) of X.
    like : array
        An array of the library, device and dtype of the measurements.

    Attributes
    ----------
    shape : tuple of int
        As given.
    m : int
        Number of entries.
    symmetric : bool
        False.
    nbytes : int
        Memory of the places.

    See Also
    --------
    FullEntrySensing : all entries.
    robust_pca : the same problem, for a matrix and a mask.

    Notes
    -----
    `robust_low_rank_recovery` solves such measurements as `robust_pca` does: with one scale for
    each row and column in place of a global one.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> operator = numopt.recovery.EntrySensing(
    ...     np.array([0, 1]), np.array([2, 0]), (2, 3), like=np.empty(0)
    ... )
    >>> operator.forward(np.array([[1.0], [2.0]]), np.array([[1.0], [2.0], [3.0]]))
    array([3., 2.])
    """

    def __init__(self, rows: Array, columns: Array, shape: tuple[int, int], *, like: Array) -> None:
        like, rows, columns = validate.arrays(like=like, rows=rows, columns=columns)
        validate.common_float(like=like)
        self.shape, self.like, self.symmetric = shape_of(shape), like, False
        self.rows = _places("rows", rows, self.shape[0])
        self.columns = _places("columns", columns, self.shape[1])
        self.m = rows.shape[0]
        validate.same_shape("columns", self.columns, (self.m,), "rows")
        xp = array_namespace(like)
        flat = self.rows * self.shape[1] + self.columns
        if xp.unique_values(flat).shape[0] != self.m:
            raise ValueError("`rows` and `columns` must not name an entry twice.")
        self.nbytes = 16 * self.m

    def forward(self, U: Array, V: Array) -> Array:
        """Return ``<A_i, U V'>`` (m,) for U (d1, k) and V (d2, k)."""
        xp = array_namespace(U)
        return xp.vecdot(xp.take(U, self.rows, axis=0), xp.take(V, self.columns, axis=0))

    def adjoint(self, s: Array) -> Array:
        """Return ``sum_i s_i A_i`` (d1, d2) as an array."""
        xp = array_namespace(s)
        flat = self.rows * self.shape[1] + self.columns
        order = xp.argsort(flat)
        everywhere = xp.arange(self.shape[0] * self.shape[1], dtype=flat.dtype, device=device_of(s))
        at = xp.searchsorted(xp.take(flat, order), everywhere)
        at = xp.clip(at, None, self.m - 1)
        found = xp.take(xp.take(flat, order), at) == everywhere
        values = xp.take(xp.take(s, order), at)
        return xp.reshape(xp.where(found, values, xp.zeros_like(values)), self.shape)


class FullEntrySensing(FormedSensing):
    """Measurements of all entries of X, in C order.

    Parameters
    ----------
    shape : tuple of int
        Shape (d1, d2) of X.
    like : array
        An array of the library, device and dtype of the measurements.

    Attributes
    ----------
    shape : tuple of int
        As given.
    m : int
        ``d1 * d2``.
    symmetric : bool
        False.
    nbytes : int
        0.

    See Also
    --------
    EntrySensing : some entries.
    robust_pca : the same problem, for a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> operator = numopt.recovery.FullEntrySensing((2, 2), like=np.empty(0))
    >>> operator.forward(np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]]))
    array([1., 3., 2., 6.])
    """

    def __init__(self, shape: tuple[int, int], *, like: Array) -> None:
        (like,) = validate.arrays(like=like)
        validate.common_float(like=like)
        self.shape, self.like, self.symmetric = shape_of(shape), like, False
        self.m = self.shape[0] * self.shape[1]

    def forward(self, U: Array, V: Array) -> Array:
        """Return ``<A_i, U V'>`` (m,) for U (d1, k) and V (d2, k)."""
        xp = array_namespace(U)
        return xp.reshape(xp.matmul(U, V.T), (-1,))

    def adjoint(self, s: Array) -> Array:
        """Return ``sum_i s_i A_i`` (d1, d2) as an array."""
        return array_namespace(s).reshape(s, self.shape)


class LayoutSensing(SensingOperator):
    """Measurements of observed entries, in the order in which rows are laid out."""

    symmetric = False

    def __init__(self, entries: Layouts) -> None:
        self.entries, self.shape, self.like = entries, entries.shape, entries.rows.values
        self.m = entries.rows.values.shape[0] * entries.rows.values.shape[1]

    def forward(self, U: Array, V: Array) -> Array:
        """Return ``<U_i, V_j>`` at the entries, zero behind those of a row."""
        xp, rows = array_namespace(U), self.entries.rows
        zeros = xp.zeros_like(rows.values)
        return xp.reshape(entry_residuals(zeros, rows.columns, rows.counts, U, V), (-1,))

    def adjoint_apply(self, s: Array, V: Array, transpose: bool = False) -> Array:
        """Return the matrix with numbers s at the entries times V, or its transpose times V."""
        xp, (rows, columns, _, crossing) = array_namespace(s), self.entries
        if not transpose:
            return entry_products(xp.reshape(s, rows.values.shape), rows.columns, V)
        if self.entries.full:
            return xp.matmul(xp.reshape(s, rows.values.shape).T, V)
        crossed = xp.reshape(xp.take(s, xp.reshape(crossing, (-1,))), crossing.shape)
        crossed = xp.where(there_of(columns), crossed, xp.zeros_like(crossed))
        return entry_products(crossed, columns.columns, V)


def _places(name: str, x: Array, d: int) -> Array:
    """Return indices below d, validated."""
    xp = array_namespace(x)
    if not xp.isdtype(x.dtype, "integral"):
        raise TypeError(f"`{name}` must hold integers, got dtype {x.dtype}.")
    if x.ndim != 1 or x.shape[0] == 0:
        raise ValueError(f"`{name}` must be a vector that is not empty, got shape {x.shape}.")
    if not bool(xp.all((x >= 0) & (x < d))):
        raise ValueError(f"`{name}` must be between 0 and {d - 1}.")
    return x
