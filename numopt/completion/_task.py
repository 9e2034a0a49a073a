"""What the public functions are given, as a task in normalized units."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

from .. import _random, _validate
from .._namespace import Array, array_namespace, inner
from . import _inputs
from ._fit import Task
from ._observations import Observations
from ._result import MatrixCompletionResult
from ._solve import Settings
from ._sweep import INNERS, Inner, Model, Problem

_TOL = {"float64": 1e-6, "float32": 1e-4}
INITS = ("spectral", "random")
POLISHES = ("auto", "gauss-newton")


class Options(NamedTuple):
    """Options as they were given; what `rank_path` leaves out has its default."""

    mask: Any
    weights: Any
    reg: Any
    inner: Any
    bias: Any
    nonneg: Any
    validation: Any
    polish: Any
    duplicates: Any
    tol: Any
    maxiter: Any
    rng: Any
    callback: Any
    init: Any = "spectral"
    inner_maxiter: Any = 3
    inner_tol: Any = 0.1
    continuation: Any = True
    path_factor: Any = None
    momentum: Any = 0.7
    early_stopping: Any = None


def task_of(M: Any, rank: Any, max_rank: Any, options: Options) -> Task:
    """Return the task, having checked everything before any work."""
    reg, by_count = _inputs.regularization(options.reg)
    bias_reg = bias_regularization(options.bias, reg)
    nonneg = _validate.flag("nonneg", options.nonneg)
    if nonneg and bias_reg is not None:
        raise ValueError("`nonneg` and `bias` exclude one another: offsets may be negative.")
    settings = settings_of(options)
    found = _inputs.entries(M, options.mask, options.weights)
    chosen, limit = _inputs.chosen_rank(rank, max_rank, found.shape)
    seen = _inputs.sorted_observations(found, options.duplicates)
    like = seen.rows.data
    settings = settings._replace(tol=tolerance(options.tol, like))
    mu = 0.0 if bias_reg is None else mean(seen)
    seen, scale = normalized(seen, mu)
    unit = None if bias_reg is None else math.sqrt(reg / scale / bias_reg) if reg else 1.0
    inner_solver = inner_of(options, like, found.shape, settings.rng)
    init = start_of(options.init, like, found.shape, scale)
    validation = None
    if options.validation is not None:
        rows, columns, values = _inputs.held_out(options.validation, like, found.shape)
        validation = rows, columns, (values - mu) / scale
    elif settings.early_stopping is not None:
        raise ValueError("`early_stopping` needs `validation`.")
    if options.polish is not None:
        _validate.choice("polish", options.polish, POLISHES)
    if options.polish == "gauss-newton" and (reg > 0 or nonneg or bias_reg is not None):
        raise ValueError("`polish` = 'gauss-newton' is for reg = 0, without `nonneg` and `bias`.")
    problem = Problem(seen, reg / scale, by_count, unit, nonneg, inner_solver)
    task = Task(problem, settings, chosen, limit, init, scale, mu, None, options.polish)
    if chosen is not None:
        warn_of_too_few(task, chosen)
    return task.validated_on(validation)


def settings_of(options: Options) -> Settings:
    """Return the options of the iteration."""
    factor = options.path_factor
    patience = options.early_stopping
    return Settings(
        tol=math.nan,
        maxiter=_validate.count("maxiter", options.maxiter),
        continuation=_validate.flag("continuation", options.continuation),
        path_factor=None if factor is None else _validate.fraction("path_factor", factor),
        momentum=momentum_of(options.momentum),
        early_stopping=None
        if patience is None
        else _validate.at_least_one("early_stopping", patience),
        callback=_validate.optional_callable("callback", options.callback),
        rng=_random.generator(options.rng),
        validate=None,
    )


def momentum_of(value: Any) -> float:
    """Return the largest factor of the extrapolation, from 0 up to 1."""
    number = _inputs.nonnegative("momentum", value)
    if number >= 1:
        raise ValueError(f"`momentum` must be in [0, 1), got {value!r}.")
    return number


def tolerance(tol: Any, like: Array) -> float:
    """Return the tolerance, by default one for each precision."""
    if tol is not None:
        return _validate.positive("tol", tol)
    return _TOL["float64" if like.dtype == array_namespace(like).float64 else "float32"]


def bias_regularization(bias: Any, reg: float) -> float | None:
    """Return the regularization of offsets; None if there are none."""
    if isinstance(bias, bool):
        return reg if bias else None
    number = _validate.positive("bias", bias)
    if reg == 0:
        raise ValueError("`bias` must be True or False where `reg` is 0, got a number.")
    return number


def mean(seen: Observations) -> float:
    """Return the weighted mean of the values."""
    xp, data, weights = array_namespace(seen.rows.data), seen.rows.data, seen.rows.weights
    ones = xp.ones_like(data)
    weights = ones if weights is None else weights
    return inner(data, weights) / inner(ones, weights)


def normalized(seen: Observations, mu: float) -> tuple[Observations, float]:
    """Return the values less `mu` in units of about their size, and that unit: a power of four."""
    xp = array_namespace(seen.rows.data)
    values = seen.rows.data - mu if mu else seen.rows.data
    largest = float(xp.max(xp.abs(values)))
    scale = 1.0 if largest == 0 else math.ldexp(1.0, 2 * (math.frexp(largest)[1] // 2))
    return seen.with_values(values / scale), scale


def inner_of(options: Options, like: Array, shape: tuple[int, int], rng: Any) -> Inner:
    """Return how rows are solved."""
    method = _validate.choice("inner", options.inner, INNERS)
    steps = _validate.at_least_one("inner_maxiter", options.inner_maxiter)
    rtol = _inputs.nonnegative("inner_tol", options.inner_tol)
    signs = None
    if method == "sketch":
        signs = tuple(
            _random.place(rng.choice([-1.0, 1.0], size=size), like) for size in reversed(shape)
        )
    return Inner(method, steps, rtol, signs)


def start_of(init: Any, like: Array, shape: tuple[int, int], scale: float) -> str | Model:
    """Return the name of a start, or a model in normalized units."""
    if isinstance(init, str):
        return _validate.choice("init", init, INITS)
    biases = None, None
    if isinstance(init, MatrixCompletionResult):
        biases = init.row_bias, init.col_bias
        init = init.X, init.Y
    if not isinstance(init, tuple | list):
        raise TypeError(
            "`init` must be 'spectral', 'random', a MatrixCompletionResult or a pair of arrays, "
            f"got {type(init).__name__}."
        )
    X, Y = _inputs.factors(init, like, shape)
    root = math.sqrt(scale)
    row_bias, col_bias = (None if b is None else b / scale for b in biases)
    return Model(X / root, Y / root, row_bias, col_bias)


def warn_of_too_few(task: Task, rank: int) -> None:
    """Warn where the entries cannot determine a matrix of the rank."""
    m, n = task.problem.seen.shape
    freedom = rank * (m + n - rank)
    if task.problem.reg == 0 and task.problem.seen.size < freedom:
        warnings.warn(
            f"{task.problem.seen.size} entries cannot determine a matrix of rank {rank}, which "
            f"has {freedom} degrees of freedom; lower the rank or set reg > 0.",
            UserWarning,
            stacklevel=4,
        )
