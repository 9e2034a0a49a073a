"""Arguments of `robust_low_rank_recovery`, checked and brought into one form."""

from __future__ import annotations

import warnings
from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Result
from .._core.random import generator
from .._core.settings import default_tol, is_sparse
from .._linalg import Factors, degrees_of_freedom
from ._problem import Problem, Settings, objective
from .measurements import DenseSensing, MatrixFreeSensing, SensingOperator, SparseSensing
from .measurements.operators import shape_of

STARTS = ("spectral", "random")


def problem_of(
    A: Any, y: Any, *, shape: Any, symmetric: Any, weights: Any, fit_intercept: Any
) -> Problem:
    """Return the validated problem."""
    validate.flag("symmetric", symmetric)
    validate.flag("fit_intercept", fit_intercept)
    A, y, weights = _admitted(A, y, weights)
    operator = operator_of(A, y, shape, symmetric)
    dtype = operator.like.dtype
    validate.common_namespace(y=y, A=operator.like)
    if validate.common_float(y=y) != dtype and y.dtype != dtype:
        _same_dtype(y, operator)
    y = validate.as_array("y", y, ndim=1, dtype=dtype)
    if y.shape[0] != operator.m:
        raise ValueError(
            f"`y` must have {operator.m} entries to match `A`, got shape {tuple(y.shape)}."
        )
    validate.finite("y", y)
    weights = y * 0 + 1 if weights is None else weights_of(weights, y, "y")
    count = int(array_namespace(y).count_nonzero(y))
    return Problem(operator, y, weights, symmetric, fit_intercept, count)


def _admitted(A: Any, y: Any, weights: Any) -> tuple[Any, Array, Array | None]:
    """Return measurements that are no operator, and what goes with them, as arrays."""
    if isinstance(A, SensingOperator):
        _, y, weights = validate.arrays(A=A.like, y=y, weights=weights)
        return A, y, weights
    if is_sparse(A) or _is_linear_operator(A):
        y, weights = validate.arrays(y=y, weights=weights)
        return A, y, weights
    A, y, weights = validate.arrays(A=A, y=y, weights=weights)
    return A, y, weights


def _is_linear_operator(A: Any) -> bool:
    return hasattr(A, "matvec") and hasattr(A, "rmatvec")


def weights_of(weights: Any, values: Array, of: str) -> Array:
    """Return validated weights of some values."""
    validate.common_float(weights=weights)
    weights = validate.as_array("weights", weights, ndim=values.ndim, dtype=values.dtype)
    weights = validate.same_shape("weights", weights, tuple(values.shape), of)
    return validate.non_negative("weights", weights)


def _same_dtype(y: Array, operator: SensingOperator) -> None:
    xp = array_namespace(y)
    if xp.isdtype(y.dtype, "real floating"):
        raise TypeError(f"`y` must be {operator.like.dtype} to match `A`, got {y.dtype}.")


def operator_of(A: Any, y: Array, shape: Any, symmetric: bool) -> SensingOperator:
    """Return the measurements as an operator, symmetric or not as asked for."""
    if isinstance(A, SensingOperator):
        operator = A
    elif is_sparse(A):
        operator = SparseSensing(A, _given(shape, symmetric, A), symmetric)
    elif _is_linear_operator(A):
        operator = _of_linear_operator(A, y, _given(shape, symmetric, A), symmetric)
    else:
        operator = _dense(A, y, shape, symmetric)
    d1, d2 = operator.shape
    if symmetric and d1 != d2:
        raise ValueError(
            f"`A` must measure square matrices if symmetric=True, got {d1} by {d2}; "
            "use symmetric=False."
        )
    if operator.symmetric != symmetric:
        raise ValueError(
            f"`A` measures {'symmetric' if operator.symmetric else 'rectangular'} matrices: "
            f"use symmetric={operator.symmetric}."
        )
    return operator


def _given(shape: Any, symmetric: bool, A: Any) -> tuple[int, int]:
    """Return the shape of the unknown matrix, which a flat operator does not tell."""
    if shape is not None:
        return shape_of(shape)
    d = round(A.shape[1] ** 0.5)
    if not symmetric or d * d != A.shape[1]:
        raise ValueError("`shape` must be given for an operator on flat matrices.")
    return d, d


def _of_linear_operator(
    A: Any, y: Array, shape: tuple[int, int], symmetric: bool
) -> SensingOperator:
    if A.shape[1] != shape[0] * shape[1]:
        raise ValueError(
            f"`A` must take {shape[0] * shape[1]} numbers for `shape` {shape}, got {A.shape}."
        )
    dtype = validate.common_float(y=y)
    return MatrixFreeSensing(
        lambda X: A.matvec(X.reshape(-1)),
        lambda s: A.rmatvec(s).reshape(shape),
        shape,
        A.shape[0],
        like=array_namespace(y).astype(y[:0], dtype),
        symmetric=symmetric,
    )


def _dense(A: Any, y: Array, shape: Any, symmetric: bool) -> SensingOperator:
    xp, dtype = array_namespace(A), validate.common_float(A=A, y=y)
    if A.ndim == 2:
        d1, d2 = _given(shape, symmetric, A)
        if A.shape[1] != d1 * d2:
            raise ValueError(
                f"`A` must have {d1 * d2} columns for `shape` {(d1, d2)}, got {tuple(A.shape)}."
            )
        A = xp.reshape(A, (A.shape[0], d1, d2))
    elif shape is not None and tuple(A.shape[1:]) != tuple(shape):
        raise ValueError(f"`shape` is {shape}, but `A` holds matrices {tuple(A.shape[1:])}.")
    return DenseSensing(xp.astype(A, dtype, copy=False), symmetric)


def rank_of(problem: Problem, rank: Any) -> int:
    """Return the largest rank looked for: as given, or what the measurements can tell."""
    d1, d2 = problem.operator.shape
    m, smallest = problem.operator.m, min(d1, d2)
    if rank is None:
        unknowns = 4 * d1 if problem.symmetric else 2 * (d1 + d2)
        return max(1, min(smallest, m // unknowns))
    largest: int = validate.count("rank", rank)
    if not 1 <= largest <= smallest:
        raise ValueError(f"`rank` must be between 1 and {smallest}, got {rank}.")
    if m < degrees_of_freedom(problem.operator.shape, 1, problem.symmetric):
        warnings.warn(
            f"{m} measurements are fewer than the unknowns of a matrix of rank 1.",
            UserWarning,
            stacklevel=4,
        )
    return largest


def tolerance_of(like: Array, tol: Any) -> float:
    """Return the tolerance: as given, or the default of the dtype."""
    if tol is not None:
        return validate.positive("tol", tol)
    return default_tol(like, float64=1e-8, float32=1e-4)


def settings_of(
    problem: Problem, rank: Any, *, x0: Any, tol: Any, rng: Any, **options: Any
) -> Settings:
    """Return the validated options."""
    if options["scaling"] not in ("auto", True, False):
        raise ValueError(f"`scaling` must be 'auto', True or False, got {options['scaling']!r}.")
    for name in ("prune", "polish", "noise"):
        validate.flag(name, options[name])
    eta, decay = options.pop("eta"), options.pop("decay")
    step = validate.choice("step", options.pop("step"), ("quantile", "geometric", "polyak"))
    if decay is not None and step != "geometric":
        raise ValueError("`decay` is an option of step 'geometric' only.")
    kind = validate.choice("x0", x0, STARTS) if isinstance(x0, str) else ""
    return Settings(
        rank=rank_of(problem, rank),
        x0=None if kind else start_of(x0, problem.operator.shape, problem.symmetric, y=problem.y),
        random=kind == "random",
        alpha=validate.positive("alpha", options.pop("alpha")),
        step=step,
        q=validate.fraction("q", options.pop("q")),
        eta=None if eta is None else validate.positive("eta", eta),
        decay=None if decay is None else validate.fraction("decay", decay),
        fun_star=_optimal_value(problem, step, options.pop("fun_star")),
        tol=tolerance_of(problem.y, tol),
        maxiter=validate.count("maxiter", options.pop("maxiter")),
        generator=generator(rng),
        callback=validate.optional_callable("callback", options.pop("callback")),
        **options,
    )


def _optimal_value(problem: Problem, step: str, fun_star: Any) -> float | None:
    """Return the optimal value that Polyak's step needs, None with another one."""
    if (fun_star is None) != (step != "polyak"):
        raise ValueError("`fun_star` must be given with step 'polyak', and with no other.")
    if fun_star is None:
        return None
    at_zero = float(objective(problem, problem.y))
    if not 0 <= validate.real("fun_star", fun_star) <= at_zero:
        raise ValueError(
            "`fun_star` must be between 0 and the mean of the weighted magnitudes of `y`, "
            f"{at_zero:.6g}, got {fun_star!r}."
        )
    return float(fun_star)


def start_of(x0: Any, shape: tuple[int, int], symmetric: bool, **data: Array) -> Factors | None:
    """Return the validated factors of a warm start, of the kind of the `data`."""
    if x0 is None:
        return None
    if isinstance(x0, Result):
        x0 = _factors_in(x0, symmetric)
    if symmetric:
        U = _factor("x0", x0, shape[0], data)
        return Factors(U, U)
    if not isinstance(x0, tuple | list) or len(x0) != 2:
        raise ValueError("`x0` must be a pair (L, R) for a rectangular matrix.")
    left, right = (_factor(f"x0[{side}]", x0[side], shape[side], data) for side in (0, 1))
    if left.shape[1] != right.shape[1]:
        raise ValueError("`x0` must be a pair of factors with equally many columns.")
    return Factors(left, right)


def _factors_in(result: Any, symmetric: bool) -> Any:
    """Return the factors that an earlier result holds."""
    if "L" not in result:
        raise TypeError(f"`x0` must hold factors of a matrix, got {type(result).__name__}.")
    if symmetric and result.get("U") is None:
        raise ValueError("`x0` must be of a symmetric matrix, got a rectangular one.")
    return result.L if symmetric else (result.L, result.R)


def _factor(name: str, x: Any, d: int, data: dict[str, Array]) -> Array:
    """Return one side of a warm start, of the kind of the data."""
    like, x = validate.arrays(**data, **{name: x})
    validate.common_float(**{name: x})
    x = validate.as_array(name, x, ndim=2, dtype=like.dtype)
    if x.shape[0] != d:
        raise ValueError(f"`{name}` must have {d} rows, got shape {tuple(x.shape)}.")
    return validate.finite(name, x)
