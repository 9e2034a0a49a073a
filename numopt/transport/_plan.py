"""A plan given by its potentials: what can be computed from it without solving again.

Derivatives are implicit. With ``log P = u + v - C / reg``, a change of the data moves the plan by
``dP = P * (du + dv - dC / reg)``, where du and dv follow from the marginals of dP: one system
with the Hessian of the dual, which its Schur complement solves.
"""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._kernels.schur import schur_cg
from .._kernels.transport import (
    plan_apply,
    plan_apply_t,
    plan_gradient,
    plan_matrix,
    plan_stats,
    sparsify_fill,
)
from ._costs import KernelCost, transposed
from ._problem import NewtonOptions, Problem
from ._semidual import mass_thresholds, sparse_rows

# Relative mass of what the linear system of a derivative leaves out, and its residual: far
# below the accuracy that a finite difference could confirm.
_DERIVATIVE_DROP = 1e-12
_DERIVATIVE_RTOL = 1e-12


class Coupling(NamedTuple):
    """Potentials on the support of two masses, and the plan they stand for.

    ``P[i, j] = a[i] b[j] exp((f[i] + g[j] - cost[i, j]) / reg)`` with all masses positive.
    """

    cost: KernelCost
    a: Array
    b: Array
    f: Array
    g: Array
    reg: float

    @property
    def u(self) -> Array:
        """Row log-scalings."""
        return self.f / self.reg + array_namespace(self.a).log(self.a)

    @property
    def v(self) -> Array:
        """Column log-scalings."""
        return self.g / self.reg + array_namespace(self.b).log(self.b)

    def _plan(self) -> tuple[KernelCost, Array, Array, float]:
        """Return the arguments that describe the plan to a kernel."""
        return self.cost, self.u, self.v, 1 / self.reg

    def matrix(self) -> Array:
        """Return the plan (n, m)."""
        return plan_matrix(*self._plan())

    def apply(self, V: Array) -> Array:
        """Return P V."""
        return plan_apply(*self._plan(), V)

    def apply_transposed(self, V: Array) -> Array:
        """Return P' V."""
        return plan_apply_t(*self._plan(), V)

    def sums(self) -> tuple[Array, Array, Array, Array]:
        """Return row sums, column sums, column costs and the column sums of P * f."""
        return plan_stats(*self._plan(), self.f)

    def problem(self) -> Problem:
        """Return the problem whose optimality conditions the plan satisfies."""
        xp = array_namespace(self.a)
        log_a, log_b = xp.log(self.a), xp.log(self.b)
        return Problem(self.cost, self.a, log_a, self.b, log_b, self.reg, 0.0, NewtonOptions())

    def sparse(self, drop: float) -> tuple[Array, Array, Array]:
        """Return the CSR data, indices and indptr of the entries that matter."""
        problem, u, v = self.problem(), self.u, self.v
        thresholds = mass_thresholds(problem, drop)
        indptr = sparse_rows(problem, u, v, thresholds)
        data, indices = sparsify_fill(self.cost, u, v, *thresholds, 1 / self.reg, indptr)
        return data, indices, indptr

    def point_gradients(self) -> tuple[Array, Array]:
        """Return the gradients of <C, P> with respect to both point clouds, the plan fixed."""
        u, v = self.u, self.v
        rows = plan_gradient(self.cost, u, v, 1 / self.reg)
        return rows, plan_gradient(transposed(self.cost), v, u, 1 / self.reg)

    def tangent(self, row_rhs: Array, column_rhs: Array) -> tuple[Array, Array]:
        """Solve ``[[diag(P1), P], [P', diag(P'1)]] [x, y] = [row_rhs, column_rhs]``.

        The two sides must have equal sums; the solution is unique up to (x + t, y - t).
        """
        rows, columns, _, _ = self.sums()
        data, indices, indptr = self.sparse(_DERIVATIVE_DROP)
        rhs = column_rhs - self.apply_transposed((row_rhs / rows)[:, None])[:, 0]
        xp = array_namespace(rhs)
        # Rounding leaves a part along the null vector of the Schur complement, which is 1.
        rhs = rhs - columns * (xp.sum(rhs) / xp.sum(columns))
        y, _, _ = schur_cg(
            data, indices, indptr, rows, columns, 0.0, rhs, _DERIVATIVE_RTOL, 20 * rhs.shape[0]
        )
        return (row_rhs - self.apply(y[:, None])[:, 0]) / rows, y

    def jvp(self, dcost: Array | None, da: Array | None, db: Array | None) -> Array:
        """Return the change of the plan for a change of cost and masses, None for none."""
        xp = array_namespace(self.f)
        row_rhs = xp.zeros_like(self.f) if da is None else da
        column_rhs = xp.zeros_like(self.g) if db is None else db
        plan = self.matrix()
        change = xp.zeros_like(plan) if dcost is None else -plan * dcost / self.reg
        rows, columns = self.tangent(
            row_rhs - xp.sum(change, axis=1), column_rhs - xp.sum(change, axis=0)
        )
        return change + plan * (rows[:, None] + columns[None, :])

    def vjp(self, weights: Array) -> tuple[Array, Array, Array]:
        """Return the gradients of ``sum(weights * P)`` by cost and masses, centered."""
        xp = array_namespace(weights)
        plan = self.matrix()
        weighted = plan * weights
        rows, columns = self.tangent(xp.sum(weighted, axis=1), xp.sum(weighted, axis=0))
        cost_gradient = (plan * (rows[:, None] + columns[None, :]) - weighted) / self.reg
        return cost_gradient, rows - xp.mean(rows), columns - xp.mean(columns)


def rounded(plan: Array, a: Array, b: Array) -> Array:
    """Return the feasible plan next to a dense one (Altschuler, Weed and Rigollet 2017)."""
    xp = array_namespace(plan)
    plan = plan * xp.clip(_ratio(a, xp.sum(plan, axis=1)), None, 1.0)[:, None]
    plan = plan * xp.clip(_ratio(b, xp.sum(plan, axis=0)), None, 1.0)[None, :]
    rows = xp.clip(a - xp.sum(plan, axis=1), 0.0, None)
    columns = xp.clip(b - xp.sum(plan, axis=0), 0.0, None)
    lost = xp.sum(columns)
    share = xp.where(lost > 0, columns / xp.where(lost > 0, lost, 1.0), 0.0)
    return plan + rows[:, None] * share[None, :]


def _ratio(x: Array, y: Array) -> Array:
    """Return x / y, one where y is zero."""
    xp = array_namespace(x, y)
    return xp.where(y > 0, x / xp.where(y > 0, y, 1.0), 1.0)


def embedded(values: Array, index: Array | None, size: int, axis: int) -> Array:
    """Return an array with `values` at the positions `index` of an axis and zeros elsewhere."""
    if index is None:
        return values
    xp = array_namespace(values)
    positions = xp.arange(size, dtype=index.dtype, device=device_of(values))
    rank = xp.clip(xp.searchsorted(index, positions), 0, index.shape[0] - 1)
    present = xp.take(index, rank) == positions
    shape = tuple(size if k == axis else 1 for k in range(values.ndim))
    taken = xp.take(values, rank, axis=axis)
    return xp.where(xp.reshape(present, shape), taken, xp.zeros_like(taken))
