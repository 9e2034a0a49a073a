"""What a transport cost is: a matrix, or two point clouds and a metric."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._kernels.transport import cost_rows

METRICS = ("sqeuclidean", "euclidean", "cityblock")

# What kernels take: an array (n, m) or (X, Y, metric); see numopt._kernels.transport.
KernelCost = Any


class PointCloudCost:
    """Cost between two point clouds, computed on the fly in O((n + m) d) memory.

    ``cost[i, j] = scale * metric(X[i], Y[j])``, never stored: every pass of the solver computes
    it row by row, which on a CPU takes about as long as reading it from memory.

    Parameters
    ----------
    X : array-like, shape (n, d)
        First cloud, one point a row; real and finite. Integers become the default float.
    Y : array-like, shape (m, d)
        Second cloud, of the same library and device.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, default "sqeuclidean"
        Squared Euclidean, Euclidean or l1 distance.
    scale : float, default 1.0
        Positive factor of the cost.

    Attributes
    ----------
    X, Y : array
        The clouds in their common floating dtype.
    shape : tuple of int
        (n, m).

    Raises
    ------
    TypeError
        If X and Y are not real arrays of one library on one device.
    ValueError
        If a shape, the metric or the scale is wrong, or a coordinate is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> X = np.linspace(0, 1, 500)[:, None]
    >>> cost = numopt.PointCloudCost(X, X**2)
    >>> cost.shape
    (500, 500)
    >>> numopt.entropic_transport(cost, reg=1e-3).success
    True
    """

    def __init__(self, X: Array, Y: Array, metric: str = "sqeuclidean", scale: float = 1.0) -> None:
        X, Y = validate.arrays(X=X, Y=Y)
        dtype = validate.common_float(X=X, Y=Y)
        self.X = validate.finite("X", validate.as_array("X", X, ndim=2, dtype=dtype))
        self.Y = validate.finite("Y", validate.as_array("Y", Y, ndim=2, dtype=dtype))
        if self.X.shape[1] != self.Y.shape[1]:
            raise ValueError(
                f"`X` and `Y` must have points of one dimension, "
                f"got shapes {tuple(self.X.shape)} and {tuple(self.Y.shape)}."
            )
        self.metric = validate.choice("metric", metric, METRICS)
        self.scale = validate.positive("scale", scale)
        self.shape = (int(self.X.shape[0]), int(self.Y.shape[0]))

    def __repr__(self) -> str:
        """Return shape and metric, not the points."""
        return f"PointCloudCost(shape={self.shape}, metric={self.metric!r}, scale={self.scale:g})"

    def __array_namespace__(self, **_: Any) -> Any:
        """Return the namespace of the points."""
        return array_namespace(self.X)

    @property
    def factor(self) -> float:
        """Factor of the coordinates that makes the metric carry the scale."""
        return float(self.scale**0.5 if self.metric == "sqeuclidean" else self.scale)

    def kernel_cost(self) -> KernelCost:
        """Return the tuple that kernels take, centered for accuracy, with the scale inside."""
        xp = array_namespace(self.X)
        center = xp.mean(self.Y, axis=0)[None, :]
        metric = METRICS.index(self.metric)
        return self.factor * (self.X - center), self.factor * (self.Y - center), metric

    def toarray(self) -> Array:
        """Return the cost as an array of shape (n, m)."""
        return cost_rows(self.kernel_cost(), slice(None))


def shape_of(cost: KernelCost) -> tuple[int, int]:
    """Return (n, m)."""
    if isinstance(cost, tuple):
        return int(cost[0].shape[0]), int(cost[1].shape[0])
    return int(cost.shape[0]), int(cost.shape[1])


def transposed(cost: KernelCost) -> KernelCost:
    """Return the cost of the transposed problem; a matrix is copied."""
    if isinstance(cost, tuple):
        X, Y, metric = cost
        return Y, X, metric
    return validate.contiguous(cost.T)


def restricted(cost: KernelCost, rows: Array | None, columns: Array | None) -> KernelCost:
    """Return the cost between some rows and columns given by index; None means all."""
    if isinstance(cost, tuple):
        X, Y, metric = cost
        return taken(X, rows), taken(Y, columns), metric
    return taken(taken(cost, rows), columns, axis=1)


def taken(x: Array, index: Array | None, axis: int = 0) -> Array:
    """Return the entries of an array at some positions of an axis; None means all."""
    if index is None:
        return x
    return validate.contiguous(array_namespace(x).take(x, index, axis=axis))


def support_of(mass: Array) -> Array | None:
    """Return the indices with positive mass, None if all have."""
    (index,) = array_namespace(mass).nonzero(mass)
    return None if index.shape[0] == mass.shape[0] else index


def offset_of(low: float, high: float) -> float:
    """Return the constant to take off a cost between two numbers.

    A common offset would eat digits of cost / reg; it moves the potentials only.
    """
    return low if abs(low) > high - low else 0.0


def locality_order(points: Array) -> Array:
    """Return an order of points in which neighbors in space tend to be neighbors (Morton 1966).

    Interleaves ten bits of each of the (at most six) coordinates with the largest range.
    """
    xp = array_namespace(points)
    low = xp.min(points, axis=0)
    span = xp.max(points, axis=0) - low
    widest = xp.argsort(span, descending=True)[: min(6, points.shape[1])]
    scale = xp.where(span > 0, 1023 / xp.where(span > 0, span, 1.0), 0.0)
    cells = xp.astype(xp.take((points - low) * scale, widest, axis=1), xp.int64)
    code = xp.zeros_like(cells[:, 0])
    for bit in range(9, -1, -1):
        for k in range(cells.shape[1]):
            code = 2 * code + (cells[:, k] // 2**bit) % 2
    return xp.argsort(code, stable=True)


def bounds(cost: KernelCost) -> tuple[float, float]:
    """Return numbers below and above every entry: tight for a matrix, estimated for clouds."""
    if not isinstance(cost, tuple):
        xp = array_namespace(cost)
        return float(xp.min(cost)), float(xp.max(cost))
    X, Y, metric = cost
    xp = array_namespace(X)
    origin = cost_rows((X, xp.zeros_like(Y[:1, :]), metric), slice(None))
    reach_x = float(xp.max(origin))
    reach_y = float(xp.max(cost_rows((Y, xp.zeros_like(Y[:1, :]), metric), slice(None))))
    if metric == 0:
        return 0.0, (reach_x**0.5 + reach_y**0.5) ** 2
    return 0.0, reach_x + reach_y
