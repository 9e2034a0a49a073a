"""What a user gives as constraints, as blocks of equations with values and derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.settings import is_sparse
from ._differences import SCHEMES, Differences
from ._matrices import as_matrix, as_vector, is_operator

_ELSEWHERE = (
    "only equalities are solved here; use scipy.optimize.minimize with method='trust-constr' "
    "or 'SLSQP' for inequalities"
)


class Block(NamedTuple):
    """Equations ``value(x) = 0``: a vector, its Jacobian, and the Hessian of its product with v."""

    value: Callable[[Array], Array]
    jacobian: Callable[[Array], Any]
    hessian: Callable[[Array, Array], Any] | None
    linear: bool
    exact: bool  # whether the Jacobian is not a finite difference


def read_constraints(constraints: Any, x0: Array, rel_step: Any) -> list[Block]:
    """Return one block for each constraint given, in order, having checked its bounds."""
    if constraints is None:
        return []
    given = list(constraints) if isinstance(constraints, list | tuple) else [constraints]
    return [_block(k, one, x0, rel_step) for k, one in enumerate(given)]


def _block(index: int, constraint: Any, x0: Array, rel_step: Any) -> Block:
    from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

    name = f"constraints[{index}]"
    if isinstance(constraint, dict):
        return _from_dict(name, constraint, x0, rel_step)
    if isinstance(constraint, LinearConstraint):
        return _from_linear(name, constraint, x0)
    if isinstance(constraint, NonlinearConstraint):
        return _from_nonlinear(name, constraint, x0, rel_step)
    if isinstance(constraint, Bounds):
        return _from_bounds(name, constraint, x0)
    raise TypeError(
        f"`{name}` must be a LinearConstraint, a NonlinearConstraint or a dict, "
        f"got {type(constraint).__name__}."
    )


def _from_dict(name: str, constraint: dict[str, Any], x0: Array, rel_step: Any) -> Block:
    kind = constraint.get("type")
    if kind == "ineq":
        raise ValueError(f"`{name}` is an inequality; {_ELSEWHERE}.")
    if kind != "eq":
        raise ValueError(f"`{name}` must have type 'eq', got {kind!r}.")
    unknown = set(constraint) - {"type", "fun", "jac", "hess", "args"}
    if unknown:
        raise ValueError(f"`{name}` has the unknown key {min(unknown)!r}.")
    args = constraint.get("args", ())
    fun, jac, hess = (with_args(constraint.get(key), args) for key in ("fun", "jac", "hess"))
    if not callable(fun):
        raise TypeError(f"`{name}['fun']` must be callable, got {type(fun).__name__}.")
    return _nonlinear(name, fun, jac, hess, 0.0, x0, (rel_step, None))


def with_args(function: Any, args: Any) -> Any:
    """Return a function of the first arguments alone; anything else as it is."""
    extra = as_tuple(args)
    if not (extra and callable(function)):
        return function
    return lambda *given: function(*given, *extra)


def as_tuple(args: Any) -> tuple[Any, ...]:
    """Return further arguments of a function, of which there may be one alone, as a tuple."""
    return tuple(args) if isinstance(args, list | tuple) else (args,)


def _from_nonlinear(name: str, constraint: Any, x0: Array, rel_step: Any) -> Block:
    from scipy.optimize import HessianUpdateStrategy

    target = _target(name, constraint.lb, constraint.ub)
    hess = None if isinstance(constraint.hess, HessianUpdateStrategy) else constraint.hess
    own_step = constraint.finite_diff_rel_step
    steps = (rel_step if own_step is None else own_step, constraint.finite_diff_jac_sparsity)
    return _nonlinear(name, constraint.fun, constraint.jac, hess, target, x0, steps)


def _nonlinear(
    name: str,
    fun: Callable[..., Any],
    jac: Any,
    hess: Any,
    target: Any,
    x0: Array,
    differences: tuple[Any, Any],
) -> Block:
    """Return a block of ``fun(x) = target``."""
    xp = array_namespace(x0)
    goal = xp.asarray(target, dtype=x0.dtype, device=device_of(x0))

    def value(x: Array) -> Array:
        found = as_vector(f"{name}: fun", fun(x), x)
        if goal.ndim == 1 and goal.shape != found.shape:
            raise ValueError(
                f"`{name}` must have bounds of shape {tuple(found.shape)} to match what its "
                f"function returns, got {tuple(goal.shape)}."
            )
        return found - goal

    if jac is None:
        jac = "3-point"
    if callable(jac):
        return Block(
            value, lambda x: as_matrix(f"{name}: jac", jac(x), x), _hess(hess), False, True
        )
    scheme = validate.choice(f"{name}: jac", jac, SCHEMES)
    rule = Differences(scheme, *differences)

    def raw(x: Array) -> Array:
        return as_vector(f"{name}: fun", fun(x), x, real=False)

    return Block(value, lambda x: rule.jacobian(raw, x), _hess(hess), False, False)


def _hess(hess: Any) -> Callable[[Array, Array], Any] | None:
    return hess if callable(hess) else None


def _from_linear(name: str, constraint: Any, x0: Array) -> Block:
    matrix = constraint.A
    if not (is_sparse(matrix) or is_operator(matrix)):
        xp = array_namespace(x0)
        matrix = xp.asarray(matrix, dtype=x0.dtype, device=device_of(x0))
        matrix = matrix[None, :] if matrix.ndim == 1 else matrix
    if matrix.shape[1] != x0.shape[0]:
        raise ValueError(
            f"`{name}` must have a matrix with {x0.shape[0]} columns to match `x0`, "
            f"got shape {tuple(matrix.shape)}."
        )
    return _linear(name, matrix, _target(name, constraint.lb, constraint.ub), x0)


def _linear(name: str, matrix: Any, target: Any, x0: Array) -> Block:
    """Return a block of ``matrix @ x = target``."""
    xp = array_namespace(x0)
    matrix = as_matrix(name, matrix, x0)
    goal = xp.asarray(target, dtype=x0.dtype, device=device_of(x0))
    return Block(lambda x: matrix @ x - goal, lambda _: matrix, None, True, True)


def _from_bounds(name: str, bounds: Any, x0: Array) -> Block:
    """Return the fixed variables of bounds, which must be fixed or free, as linear equations."""
    xp, n = array_namespace(x0), x0.shape[0]
    low, high = ([float(b) for b in _listed(side, n)] for side in (bounds.lb, bounds.ub))
    fixed = [k for k in range(n) if low[k] == high[k]]
    for k in range(n):
        if k not in fixed and (low[k] > float("-inf") or high[k] < float("inf")):
            raise ValueError(
                f"`{name}` must fix a variable (lb == ub) or leave it free, got [{low[k]:g}, "
                f"{high[k]:g}] for variable {k}; {_ELSEWHERE}."
            )
    rows = xp.eye(n, dtype=x0.dtype, device=device_of(x0))
    matrix = xp.stack([rows[k, :] for k in fixed]) if fixed else rows[:0, :]
    return _linear(
        name, matrix, _target(name, [low[k] for k in fixed], [high[k] for k in fixed]), x0
    )


def _listed(values: Any, n: int) -> list[Any]:
    listed = values.tolist() if hasattr(values, "tolist") else values
    listed = listed if isinstance(listed, list) else [listed]
    return listed * n if len(listed) == 1 else listed


def _target(name: str, lb: Any, ub: Any) -> Any:
    """Return the common value of two bounds, a number or a list, having checked that it is one."""
    low, high = _listed(lb, 1), _listed(ub, 1)
    size = max(len(low), len(high))
    low, high = _listed(low, size), _listed(high, size)
    if len(low) != len(high):
        raise ValueError(f"`{name}` must have as many lower as upper bounds.")
    for k, (a, b) in enumerate(zip(low, high, strict=True)):
        if a != a or b != b:
            raise ValueError(f"`{name}` must not have nan as a bound, got [{a}, {b}] at [{k}].")
        if a > b:
            raise ValueError(f"`{name}` must have lb <= ub, got [{a:g}, {b:g}] at [{k}].")
        if a < b:
            raise ValueError(
                f"`{name}` must have lb == ub, got [{a:g}, {b:g}] at [{k}]; {_ELSEWHERE}."
            )
        if abs(a) == float("inf"):
            raise ValueError(f"`{name}` must have finite bounds, got {a} at [{k}].")
    return low if len(low) > 1 else low[0] if low else 0.0
