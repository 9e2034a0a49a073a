"""Implicit differentiation of the plan at the solution.

With ``log P = u + v - C / reg``, a change of the data moves the plan by
``dP = P * (du + dv - dC / reg)``, where du and dv follow from the marginals of dP: one system
with the Hessian of the dual, which its Schur complement solves.
"""

from __future__ import annotations

from .._core.namespace import Array, array_namespace
from ._coupling import Coupling


def jvp(coupling: Coupling, dcost: Array | None, da: Array | None, db: Array | None) -> Array:
    """Return the change of the plan for a change of the cost and the masses, None for none."""
    xp = array_namespace(coupling.f)
    row_rhs = xp.zeros_like(coupling.f) if da is None else da
    column_rhs = xp.zeros_like(coupling.g) if db is None else db
    plan = coupling.matrix()
    change = xp.zeros_like(plan) if dcost is None else -plan * dcost / coupling.reg
    rows, columns = coupling.tangent(
        row_rhs - xp.sum(change, axis=1), column_rhs - xp.sum(change, axis=0)
    )
    return change + plan * (rows[:, None] + columns[None, :])


def vjp(coupling: Coupling, weights: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of ``sum(weights * P)`` with respect to cost and masses, centered."""
    xp = array_namespace(weights)
    plan = coupling.matrix()
    weighted = plan * weights
    rows, columns = coupling.tangent(xp.sum(weighted, axis=1), xp.sum(weighted, axis=0))
    cost_gradient = (plan * (rows[:, None] + columns[None, :]) - weighted) / coupling.reg
    return cost_gradient, rows - xp.mean(rows), columns - xp.mean(columns)
