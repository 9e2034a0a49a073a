"""What the public functions of transport are given, checked."""

from __future__ import annotations

import math
from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Result
from ._costs import KernelCost, PointCloudCost, bounds
from ._problem import METHODS, Instance, NewtonOptions, Settings

# Totals of the two masses may differ by this much relative to each other, for rounding.
_TOTALS_RTOL = {"float64": 1e-6, "float32": 1e-4}


def checked_settings(
    *,
    reg: Any,
    tol: Any,
    maxiter: Any,
    callback: Any,
    method: Any = "sns",
    scaling: Any = 2.0,
    newton_options: Any = None,
    density: Any = None,
) -> Settings:
    """Return the options of a solve."""
    method = validate.choice("method", method, METHODS)
    if density is not None:
        if method != "sns-paper":
            raise ValueError("`density` is an option of method 'sns-paper' only.")
        density = validate.between("density", density, 0.0, 1.0)
    return Settings(
        reg=validate.positive("reg", reg),
        method=method,
        tol=None if tol is None else validate.positive("tol", tol),
        maxiter=validate.count("maxiter", maxiter),
        scaling=validate.greater_than("scaling", scaling, 1.0),
        newton=_newton_options(newton_options),
        density=density,
        callback=validate.optional_callable("callback", callback),
    )


def _newton_options(given: Any) -> NewtonOptions:
    if given is None:
        return NewtonOptions()
    if not isinstance(given, dict):
        raise TypeError(f"`newton_options` must be a dict, got {type(given).__name__}.")
    values: dict[str, Any] = {}
    for name, value in given.items():
        label = f"newton_options[{name!r}]"
        if name not in NewtonOptions._fields:
            known = ", ".join(NewtonOptions._fields)
            raise ValueError(f"`{label}` is not an option; the options are {known}.")
        check = validate.count if name == "cg_maxiter" else validate.positive
        values[name] = check(label, value)
    return NewtonOptions(**values)


def checked_problems(cost: Any, a: Any, b: Any) -> tuple[list[Instance], bool]:
    """Return the problems that were given, and whether as a batch."""
    points = cost if isinstance(cost, PointCloudCost) else None
    if cost is None:
        raise TypeError("`cost` must be an array or a PointCloudCost, got NoneType.")
    if points is None:
        cost, a, b = validate.arrays(cost=cost, a=a, b=b)
    else:
        _, a, b = validate.arrays(cost=points.X, a=a, b=b)
    reference = cost if points is None else points.X
    xp, dtype = array_namespace(reference), validate.common_float(cost=reference, a=a, b=b)
    if points is None:
        cost = validate.finite("cost", validate.as_array("cost", cost, ndim=(2, 3), dtype=dtype))
        shape = tuple(cost.shape)
    else:
        X, Y = xp.astype(points.X, dtype, copy=False), xp.astype(points.Y, dtype, copy=False)
        points = PointCloudCost(X, Y, points.metric, points.scale)
        cost, shape = points.kernel_cost(), points.shape
    a = _masses("a", a, (*shape[:-2], shape[-2]), reference, dtype)
    b = _masses("b", b, (*shape[:-2], shape[-1]), reference, dtype)
    b = _same_totals(a, b)
    if a.ndim == 1:
        return [_instance(cost, a, b, points)], False
    batch = range(a.shape[0])
    return [_instance(cost[k, ...], a[k, :], b[k, :], None) for k in batch], True


def divergence_problems(X: Any, Y: Any, a: Any, b: Any, metric: str) -> list[Instance]:
    """Return the transport between two clouds, and of each to itself."""
    ((between,), _) = checked_problems(PointCloudCost(X, Y, metric), a, b)
    points, found = between.points, [between]
    assert points is not None
    for cloud, mass in ((points.X, between.a), (points.Y, between.b)):
        alone = PointCloudCost(cloud, cloud, metric)
        found.append(_instance(alone.kernel_cost(), mass, mass, alone))
    return found


def _instance(cost: KernelCost, a: Array, b: Array, points: PointCloudCost | None) -> Instance:
    low, high = bounds(cost)
    if not math.isfinite(high - low):
        raise ValueError(f"`cost` must have a finite range, got entries from {low} to {high}.")
    return Instance(cost, a, b, low, high, points)


def _masses(name: str, x: Any, shape: tuple[int, ...], reference: Array, dtype: Any) -> Array:
    """Return one side's masses, uniform by default and repeated over a batch if given once."""
    xp = array_namespace(reference)
    if x is None:
        return xp.full(shape, 1 / shape[-1], dtype=dtype, device=device_of(reference))
    x = validate.as_array(name, x, ndim=(1, 2) if len(shape) == 2 else 1, dtype=dtype)
    if x.ndim < len(shape):
        validate.same_shape(name, x, shape[-1:], "cost")
        x = validate.contiguous(xp.broadcast_to(x, shape))
    validate.non_negative(name, validate.same_shape(name, x, shape, "cost"))
    if not bool(xp.all(xp.any(x > 0, axis=-1))):
        raise ValueError(f"`{name}` must not be zero everywhere.")
    _representable(name, x)
    return x


def _representable(name: str, x: Array) -> None:
    """Check that masses and products of masses keep their digits."""
    xp = array_namespace(x)
    info = xp.finfo(x.dtype)
    smallest, largest = 4 * float(info.smallest_normal), float(info.max) ** (1 / 3)
    if bool(xp.any((x > 0) & (x < smallest))):
        raise ValueError(f"`{name}` must hold zeros or numbers above {smallest:.1e}.")
    total = float(xp.max(xp.sum(x, axis=-1)))
    if not 1 / largest <= total <= largest:
        raise ValueError(
            f"`{name}` must have a total between {1 / largest:.0e} and {largest:.0e}, "
            f"got {total:.1e}."
        )


def _same_totals(a: Array, b: Array) -> Array:
    """Return `b` rescaled to the totals of `a`, having checked that they agree to rounding."""
    xp = array_namespace(a, b)
    totals_a = xp.sum(a, axis=-1, keepdims=True)
    totals_b = xp.sum(b, axis=-1, keepdims=True)
    rtol = _TOTALS_RTOL["float32" if a.dtype == xp.float32 else "float64"]
    off = xp.abs(totals_a - totals_b) > rtol * totals_a
    if bool(xp.any(off)):
        worst = xp.argmax(xp.reshape(xp.abs(totals_a - totals_b), (-1,)))
        total_a, total_b = (float(xp.reshape(t, (-1,))[worst]) for t in (totals_a, totals_b))
        raise ValueError(f"`a` and `b` must have equal totals, got {total_a:g} and {total_b:g}.")
    return b * (totals_a / totals_b)


def checked_starts(x0: Any, problems: list[Instance], batched: bool) -> list[Array | None]:
    """Return the column potential that each problem starts from, None for no warm start."""
    if x0 is None:
        return [None] * len(problems)
    if isinstance(x0, Result):
        x0 = x0.get("f"), x0.get("g")
    if isinstance(x0, tuple):
        if len(x0) != 2:
            raise ValueError(f"`x0` must be a pair (f, g), got {len(x0)} items.")
        _potential(x0[0], "a", [problem.a for problem in problems], batched)
        x0 = x0[1]
    g = _potential(x0, "b", [problem.b for problem in problems], batched)
    return [g[k, :] for k in range(len(problems))] if batched else [g]


def _potential(x0: Any, side: str, masses: list[Array], batched: bool) -> Array:
    """Return one side's potential of a warm start."""
    like = masses[0]
    _, x0 = validate.arrays(**{side: like, "x0": x0})
    if x0 is None:
        raise TypeError("`x0` must hold potentials (f, g), got None.")
    validate.common_float(x0=x0)
    shape = (len(masses), *like.shape) if batched else tuple(like.shape)
    validate.same_shape("x0", x0, shape, side)
    return validate.finite("x0", array_namespace(like).astype(x0, like.dtype, copy=False))
