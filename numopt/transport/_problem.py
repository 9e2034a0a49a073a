"""A transport problem and the options of its solve, as they are once checked."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.iterate import Callback
from .._core.namespace import Array, array_namespace
from ._costs import (
    KernelCost,
    PointCloudCost,
    locality_order,
    offset_of,
    restricted,
    shape_of,
    support_of,
    taken,
)

METHODS = ("sns", "sinkhorn", "sns-paper")
# Pairs of points from which on it pays to sort the clouds.
ORDERING_ENTRIES = 65_536


class NewtonOptions(NamedTuple):
    """Parameters of the Newton step; the defaults were tuned on the benchmark families."""

    mass_fraction: float = 1.0  # dropped mass allowed in a row or column, relative to the error
    mass_floor: float = 1e-4  # ... but not less than this while steps are good
    mass_cap: float = 0.1  # ... nor more
    damping: float = 0.05  # shift of the Hessian, relative to the error
    cg_rtol: float = 1e-3  # smallest relative residual asked of conjugate gradients
    cg_maxiter: int = 2000
    clip: float = 30.0  # largest change of a log-scaling in the first step at a regularization
    density_limit: float = 0.15  # share of kept entries above which the plan counts as dense
    nnz_limit: float = 4e6  # entries above which the system is solved without being stored


class Settings(NamedTuple):
    """Validated options of a solve."""

    reg: float
    method: str
    tol: float | None
    maxiter: int
    scaling: float
    newton: NewtonOptions
    density: float | None
    callback: Callback | None


class Instance(NamedTuple):
    """One validated problem in the orientation and on the support the user gave."""

    cost: KernelCost
    a: Array
    b: Array
    low: float
    high: float
    points: PointCloudCost | None

    @property
    def span(self) -> float:
        """Range of the cost."""
        return self.high - self.low


class Reduced(NamedTuple):
    """A problem between what has mass, its cost without a common offset."""

    cost: KernelCost
    a: Array
    b: Array
    offset: float
    support: tuple[Array | None, Array | None]  # indices of what has mass, None for all
    order: tuple[Array | None, Array | None]  # lets kernels skip what is far away

    def ordered(self) -> tuple[KernelCost, Array, Array]:
        """Return cost and masses in the order."""
        rows, columns = self.order
        return restricted(self.cost, rows, columns), taken(self.a, rows), taken(self.b, columns)

    def begin(self, g: Array) -> Array:
        """Return a column potential of the whole problem on the support and in the order."""
        return taken(taken(g, self.support[1]), self.order[1])

    def put_back(self, f: Array, g: Array) -> tuple[Array, Array]:
        """Return potentials in the order as potentials on the support."""
        xp = array_namespace(f)
        inverse = [None if order is None else xp.argsort(order) for order in self.order]
        return taken(f, inverse[0]), taken(g, inverse[1])


def reduced(instance: Instance) -> Reduced:
    """Return what of a problem there is to solve."""
    support = support_of(instance.a), support_of(instance.b)
    cost, offset = restricted(instance.cost, *support), offset_of(instance.low, instance.high)
    if offset:
        cost = cost - offset
    order: tuple[Array | None, Array | None] = (None, None)
    if isinstance(cost, tuple) and math.prod(shape_of(cost)) >= ORDERING_ENTRIES:
        order = locality_order(cost[0]), locality_order(cost[1])
    a, b = taken(instance.a, support[0]), taken(instance.b, support[1])
    return Reduced(cost, a, b, offset, support, order)


class Problem(NamedTuple):
    """Transport between positive masses of total one at one regularization."""

    cost: KernelCost
    a: Array
    log_a: Array
    b: Array
    log_b: Array
    reg: float
    tol: float  # marginal error asked for at this regularization
    options: NewtonOptions

    def v_from(self, g: Array) -> Array:
        """Return the column log-scalings of a column potential."""
        return g / self.reg + self.log_b

    def g_from(self, v: Array) -> Array:
        """Return the column potential of column log-scalings."""
        return self.reg * (v - self.log_b)
