"""Implicit differentiation of the plan at the solution.

With ``log P = u + v - C / reg``, a change of the data moves the plan by
``dP = P * (du + dv - dC / reg)``, where du and dv follow from the marginals of dP: one system
with the Hessian of the dual, which its Schur complement solves.
"""

from __future__ import annotations

from .. import _validate
from .._namespace import Array, array_namespace
from ._result import TransportResult


def jvp(result: TransportResult, dcost: Array | None, da: Array | None, db: Array | None) -> Array:
    """Return the change of the plan (n, m) for a change of the cost and the masses."""
    coupling = result._coupling
    xp = array_namespace(coupling.f)
    row_rhs, column_rhs = xp.zeros_like(coupling.f), xp.zeros_like(coupling.g)
    if da is not None:
        row_rhs = _mass_change(result, "da", da, 0)
    if db is not None:
        column_rhs = _mass_change(result, "db", db, 1)
    difference = float(xp.sum(row_rhs) - xp.sum(column_rhs))
    size = float(xp.sum(xp.abs(row_rhs)) + xp.sum(xp.abs(column_rhs)))
    if abs(difference) > 1e-6 * size:
        raise ValueError(f"`da` and `db` must have equal sums, got a difference of {difference}.")
    plan = coupling.matrix()
    change = xp.zeros_like(plan)
    if dcost is not None:
        dcost = result._operand("dcost", dcost, 0, 1, ndim=2)
        change = -plan * result._restrict(dcost, 0, 1) / coupling.reg
    rows, columns = coupling.tangent(
        row_rhs - xp.sum(change, axis=1), column_rhs - xp.sum(change, axis=0)
    )
    change = change + plan * (rows[:, None] + columns[None, :])
    return result._embed(change, 0, 1)


def _mass_change(result: TransportResult, name: str, change: Array, side: int) -> Array:
    """Return a validated change of one side's masses on the support."""
    change = result._operand(name, change, side, ndim=1)
    xp = array_namespace(change)
    if bool(xp.any((result._masses[side] == 0) & (change != 0))):
        raise ValueError(
            f"`{name}` must be zero where the mass is zero: the plan has no derivative there."
        )
    return result._restrict(change, side)


def vjp(result: TransportResult, weights: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of ``sum(weights * P)`` with respect to cost, a and b."""
    weights = _validate.finite("weights", result._operand("weights", weights, 0, 1, ndim=2))
    coupling = result._coupling
    xp = array_namespace(weights)
    plan = coupling.matrix()
    weighted = plan * result._restrict(weights, 0, 1)
    rows, columns = coupling.tangent(xp.sum(weighted, axis=1), xp.sum(weighted, axis=0))
    cost_gradient = (plan * (rows[:, None] + columns[None, :]) - weighted) / coupling.reg
    return (
        result._embed(cost_gradient, 0, 1),
        result._embed(rows - xp.mean(rows), 0),
        result._embed(columns - xp.mean(columns), 1),
    )
