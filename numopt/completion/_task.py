"""What the public functions are given, as a task in normalized units."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

from .._core import random, validate
from .._core.namespace import Array, array_namespace
from . import _inputs
from ._chunks import cluster_entries, on_cluster
from ._fit import Task
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
    nonneg = validate.flag("nonneg", options.nonneg)
    if nonneg and bias_reg is not None:
        raise ValueError("`nonneg` and `bias` exclude one another: offsets may be negative.")
    settings = settings_of(options)
    duplicates = validate.choice("duplicates", options.duplicates, _inputs.DUPLICATES)
    if options.polish is not None:
        validate.choice("polish", options.polish, POLISHES)
    if options.polish == "gauss-newton" and (reg > 0 or nonneg or bias_reg is not None):
        raise ValueError("`polish` = 'gauss-newton' is for reg = 0, without `nonneg` and `bias`.")
    if options.validation is None and settings.early_stopping is not None:
        raise ValueError("`early_stopping` needs `validation`.")
    found = given(M, options)
    like, shape = found.like, found.shape
    chosen, limit = _inputs.chosen_rank(rank, max_rank, shape)
    settings = settings._replace(tol=tolerance(options.tol, like))
    inner_solver = inner_of(options, like, shape, settings.rng)
    init = start_of(options.init, like, shape)
    held = options.validation
    if held is not None:
        held = _inputs.held_out(held, like, shape)
    seen = found.sorted(duplicates, limit if chosen is None else chosen)
    mu = 0.0 if bias_reg is None else seen.mean()
    scale = unit_of(seen.largest(mu))
    seen = seen.normalized(mu, scale)
    if isinstance(init, Model):
        init = in_units(init, scale)
    unit = None if bias_reg is None else math.sqrt(reg / scale / bias_reg) if reg else 1.0
    problem = Problem(seen, reg / scale, by_count, unit, nonneg, inner_solver)
    task = Task(problem, settings, chosen, limit, init, scale, mu, None, options.polish)
    if chosen is not None:
        warn_of_too_few(task, chosen)
    if held is None:
        return task
    rows, columns, values = held
    return task.validated_on((rows, columns, (values - mu) / scale))


def given(M: Any, options: Options) -> Any:
    """Return the entries that are given, checked but not sorted: in memory or on a cluster."""
    find = cluster_entries if on_cluster(M) else _inputs.entries
    return find(M, options.mask, options.weights)


def settings_of(options: Options) -> Settings:
    """Return the options of the iteration."""
    factor = options.path_factor
    patience = options.early_stopping
    return Settings(
        tol=math.nan,
        maxiter=validate.count("maxiter", options.maxiter),
        continuation=validate.flag("continuation", options.continuation),
        path_factor=None if factor is None else validate.fraction("path_factor", factor),
        momentum=momentum_of(options.momentum),
        early_stopping=None
        if patience is None
        else validate.at_least_one("early_stopping", patience),
        callback=validate.optional_callable("callback", options.callback),
        rng=random.generator(options.rng),
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
        return validate.positive("tol", tol)
    return _TOL["float64" if like.dtype == array_namespace(like).float64 else "float32"]


def bias_regularization(bias: Any, reg: float) -> float | None:
    """Return the regularization of offsets; None if there are none."""
    if isinstance(bias, bool):
        return reg if bias else None
    number = validate.positive("bias", bias)
    if reg == 0:
        raise ValueError("`bias` must be True or False where `reg` is 0, got a number.")
    return number


def unit_of(largest: float) -> float:
    """Return a unit of about the size of the largest value: a power of four."""
    return 1.0 if largest == 0 else math.ldexp(1.0, 2 * (math.frexp(largest)[1] // 2))


def inner_of(options: Options, like: Array, shape: tuple[int, int], rng: Any) -> Inner:
    """Return how rows are solved."""
    method = validate.choice("inner", options.inner, INNERS)
    steps = validate.at_least_one("inner_maxiter", options.inner_maxiter)
    rtol = _inputs.nonnegative("inner_tol", options.inner_tol)
    signs = None
    if method == "sketch":
        signs = tuple(
            random.place(rng.choice([-1.0, 1.0], size=size), like) for size in reversed(shape)
        )
    return Inner(method, steps, rtol, signs)


def start_of(init: Any, like: Array, shape: tuple[int, int]) -> str | Model:
    """Return the name of a start, or a model."""
    if isinstance(init, str):
        return validate.choice("init", init, INITS)
    biases = None, None
    if isinstance(init, MatrixCompletionResult):
        biases = init.row_bias, init.col_bias
        init = init.X, init.Y
    if not isinstance(init, tuple | list):
        raise TypeError(
            "`init` must be 'spectral', 'random', a MatrixCompletionResult or a pair of arrays, "
            f"got {type(init).__name__}."
        )
    return Model(*_inputs.factors(init, like, shape), *biases)


def in_units(model: Model, scale: float) -> Model:
    """Return a model of values that are divided by a scale."""
    root = math.sqrt(scale)
    row_bias, col_bias = (None if b is None else b / scale for b in model[2:])
    return Model(model.X / root, model.Y / root, row_bias, col_bias)


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
