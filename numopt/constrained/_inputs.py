"""What a user gives: the start, the options, and what is known of second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._core import random, validate
from .._core.iterate import Callback
from .._core.namespace import Array, array_namespace
from .._core.settings import default_tol
from ._constraints import as_tuple
from ._curvature import Given, check_hess
from ._matrices import as_vector
from ._merit import Penalties
from ._result import EqualityResult
from .row_sums import RowSum

METHODS = ("auto", "direct", "gmres", "minres", "published")
SKETCHES = ("kaczmarz", "gaussian", "block-kaczmarz")
# The published method, whose tolerance and whose share of the predicted decrease are other ones.
PUBLISHED = "published"
_PUBLISHED_TOL = 1e-4
_DECREASE, _PUBLISHED_DECREASE = 1e-4, 0.1


class Start(NamedTuple):
    """Where to begin: a point and, if known, multipliers, penalties and the last shift."""

    x: Array
    dual: Array | None = None
    penalties: Penalties | None = None
    shift: float = 0.0


class Settings(NamedTuple):
    """Options of `minimize_equality` by their names, validated, with their defaults filled in."""

    method: str
    sketch: str | None
    sketch_size: int | None
    fallback: bool
    superlinear: bool
    tol: float
    feas_tol: float
    maxiter: int
    max_inner: int | None
    time_limit: float | None
    scale: bool
    penalty: Penalties
    penalty_rate: float
    sufficient_decrease: float
    allow_overdetermined: bool
    rng: Any
    callback: Callback | None
    begin: float

    @property
    def published(self) -> bool:
        """Whether the rules are those of the paper."""
        return self.method == PUBLISHED


def read_start(x0: Any) -> Start:
    """Return where to begin, from a point, a point with multipliers, or an earlier result."""
    if isinstance(x0, EqualityResult):
        stats = x0.stats
        penalties = Penalties(*stats["penalty"])
        return Start(_point(x0.x), x0.dual_vector(), penalties, stats["regularization"])
    if not isinstance(x0, tuple) or not x0 or not _is_sequence(x0[0]):
        return Start(_point(x0))
    if len(x0) != 2:
        raise ValueError(f"`x0` must be a pair (x, multipliers), got a tuple of {len(x0)}.")
    x, dual = _point(x0[0]), x0[1]
    if isinstance(dual, list | tuple) and dual and _is_sequence(dual[0]):
        dual = array_namespace(x).concat([as_vector("x0[1]", part, x) for part in dual])
    return Start(x, as_vector("x0[1]", dual, x))


def _is_sequence(x: Any) -> bool:
    return bool(getattr(x, "ndim", hasattr(x, "__len__")))


def _point(x0: Any) -> Array:
    """Return the start as a vector of floats of its own."""
    (x0,) = validate.arrays(x0=x0)
    dtype = validate.common_float(x0=x0)
    x0 = validate.finite("x0", validate.as_array("x0", x0, ndim=1, dtype=dtype))
    return array_namespace(x0).asarray(x0, copy=True)


def read_settings(
    like: Array,
    begin: float,
    *,
    method: Any,
    sketch: Any,
    sketch_size: Any,
    fallback: Any,
    superlinear: Any,
    tol: Any,
    feas_tol: Any,
    maxiter: Any,
    max_inner: Any,
    time_limit: Any,
    scale: Any,
    penalty: Any,
    penalty_rate: Any,
    sufficient_decrease: Any,
    allow_overdetermined: Any,
    rng: Any,
    callback: Any,
) -> Settings:
    """Return the options of a solve that began at some time, validated."""
    published = validate.choice("method", method, METHODS) == PUBLISHED
    if tol is None:
        tol = _PUBLISHED_TOL if published else default_tol(like, float64=1e-8, float32=1e-4)
    if sufficient_decrease is None:
        sufficient_decrease = _PUBLISHED_DECREASE if published else _DECREASE
    return Settings(
        method=method,
        sketch=_sketch(method, sketch),
        sketch_size=_optional(validate.at_least_one, "sketch_size", sketch_size),
        fallback=validate.flag("fallback", fallback),
        superlinear=validate.flag("superlinear", superlinear),
        tol=validate.positive("tol", tol),
        feas_tol=validate.positive("feas_tol", tol if feas_tol is None else feas_tol),
        maxiter=validate.count("maxiter", maxiter),
        max_inner=_optional(validate.at_least_one, "max_inner", max_inner),
        time_limit=_optional(validate.positive, "time_limit", time_limit),
        scale=validate.flag("scale", scale),
        penalty=_penalty("penalty", penalty),
        penalty_rate=validate.greater_than("penalty_rate", penalty_rate, 1.0),
        sufficient_decrease=_share("sufficient_decrease", sufficient_decrease),
        allow_overdetermined=validate.flag("allow_overdetermined", allow_overdetermined),
        rng=random.generator(rng),
        callback=validate.optional_callable("callback", callback),
        begin=begin,
    )


def _sketch(method: str, sketch: Any) -> str | None:
    if sketch is None:
        return None
    if method not in ("auto", PUBLISHED):
        raise ValueError(f"`sketch` must not be given with method={method!r}.")
    return validate.choice("sketch", sketch, SKETCHES)


def _optional(check: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    return None if value is None else check(name, value)


def _penalty(name: str, value: Any) -> Penalties:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"`{name}` must be a pair of numbers, got {value!r}.")
    return Penalties(*(validate.positive(name, number) for number in value))


def _share(name: str, value: Any) -> float:
    if validate.between(name, value, 0.0, 0.5) == 0.5:
        raise ValueError(f"`{name}` must be less than 0.5, got 0.5.")
    return float(value)


def read_second_derivatives(
    fun: Any, *, hess: Any, hessp: Any, lagrangian_hess: Any, args: Any, rel_step: Any
) -> Given:
    """Return what is known of second derivatives; only one way to say it may be taken."""
    named = {"hess": hess, "hessp": hessp, "lagrangian_hess": lagrangian_hess}
    taken = [name for name, value in named.items() if value is not None]
    if len(taken) > 1:
        raise ValueError(f"`{taken[0]}` and `{taken[1]}` exclude one another; give one of them.")
    validate.optional_callable("hessp", hessp)
    validate.optional_callable("lagrangian_hess", lagrangian_hess)
    if isinstance(fun, RowSum) and taken and (taken != ["hess"] or callable(hess)):
        raise ValueError(f"`{taken[0]}` must not be given as a function with a RowSum.")
    return Given(check_hess(hess), hessp, lagrangian_hess, as_tuple(args), rel_step)
