"""Arguments of the public functions, validated, and the task they make in normalized units."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from .._core import random, validate
from .._core.namespace import Array
from .._core.outcome import Result
from .._core.settings import default_tol
from .._entries.chunks import given_entries, on_cluster
from .._entries.observations import Seen
from .._entries.read import DUPLICATES, places, vector
from .._linalg import degrees_of_freedom
from ._als import METHODS
from ._problem import Held, Model, Problem, RowSolver, Settings, Task
from ._published import parts_of
from ._spectral_init import EXTRA

INITS = ("spectral", "random")
POLISHES = ("auto", "gauss-newton")


class Options(NamedTuple):
    """Options as they were given; what `rank_path` leaves out has its default."""

    mask: Any
    weights: Any
    reg: Any
    method: Any
    bias: Any
    nonneg: Any
    validation: Any
    polish: Any
    duplicates: Any
    tol: Any
    maxiter: Any
    rng: Any
    callback: Any
    x0: Any = None
    init: Any = "spectral"
    inner_maxiter: Any = 3
    inner_tol: Any = 0.1
    continuation: Any = True
    path_factor: Any = None
    momentum: Any = 0.7
    early_stopping: Any = None
    certify: Any = False
    sample_splitting: Any = False


class Terms(NamedTuple):
    """Regularization of the factors, by count or not, that of offsets or None, and signs."""

    reg: float
    by_count: bool
    bias_reg: float | None
    nonneg: bool


def task_of(M: Any, rank: Any, max_rank: Any, options: Options) -> Task:
    """Return the task, having checked everything before any entry of a cluster is read."""
    untold = isinstance(rank, str) and rank == "auto" and options.validation is None
    refuse_on_cluster(
        M,
        {
            "`sample_splitting`": (options.sample_splitting is True, "entries in memory"),
            "`polish`": (options.polish == "gauss-newton", "entries in memory"),
            "`rank` = 'auto'": (untold, "`validation`"),
        },
    )
    terms = terms_of(options.reg, options.bias, options.nonneg)
    settings = settings_of(options)
    duplicates = validate.choice("duplicates", options.duplicates, DUPLICATES)
    if options.validation is None and settings.early_stopping is not None:
        raise ValueError("`early_stopping` needs `validation`.")
    init = validate.choice("init", options.init, INITS)
    polish = polish_of(options.polish, terms)
    found = given_entries(M, options.mask, options.weights)
    like, shape = found.like, found.shape
    chosen, limit = chosen_rank(rank, max_rank, shape)
    settings = settings._replace(tol=tolerance(options.tol, like))
    x0 = warm_start(options.x0, like, shape)
    held = held_out(options.validation, like, shape)
    seen = found.sorted(duplicates, EXTRA + (limit if chosen is None else chosen))
    problem, mu, scale = problem_of(seen, terms)
    if x0 is not None:
        x0 = (x0 if terms.bias_reg is not None else Model(x0.X, x0.Y)).times(1 / scale)
    task = Task(
        problem=problem,
        settings=settings,
        rank=chosen,
        max_rank=limit,
        init=init,
        x0=x0,
        scale=scale,
        mu=mu,
        validation=None,
        polish=polish,
        certify=certifiable(problem, options.certify),
        by_parts=validate.flag("sample_splitting", options.sample_splitting),
    )
    if task.by_parts:
        _check_splittable(task)
    _warn_of_too_few(task)
    return task if held is None else task.validated_on(normalized(held, mu, scale))


def refuse_on_cluster(M: Any, needs: dict[str, tuple[bool, str]]) -> None:
    """Raise where something was asked for that needs what Dask arrays are not."""
    for name, (asked, what) in needs.items():
        if asked and on_cluster(M):
            raise ValueError(f"{name} needs {what}, got Dask arrays for `M`.")


def terms_of(reg: Any, bias: Any, nonneg: Any) -> Terms:
    """Return what is minimized beside the loss."""
    level, by_count = regularization(reg)
    bias_reg = bias_regularization(bias, level)
    if validate.flag("nonneg", nonneg) and bias_reg is not None:
        raise ValueError("`nonneg` and `bias` exclude one another: offsets may be negative.")
    return Terms(level, by_count, bias_reg, nonneg)


def problem_of(seen: Any, terms: Terms, mu: float | None = None) -> tuple[Problem, float, float]:
    """Return the problem of entries in units of their size, their mean and that unit.

    `mu` is what the mean of the values is taken for where there are offsets; the mean itself by
    default.
    """
    reg, by_count, bias_reg, nonneg = terms
    if mu is None:
        mu = 0.0 if bias_reg is None else seen.mean()
    scale = unit_of(seen.largest(mu))
    normal: Seen = seen.normalized(mu, scale)
    unit = None if bias_reg is None else math.sqrt(reg / scale / bias_reg) if reg else 1.0
    return Problem(normal, reg / scale, by_count, unit, nonneg), mu, scale


def normalized(held: Held, mu: float, scale: float) -> Held:
    """Return held-out entries in the units of the problem."""
    rows, columns, values = held
    return rows, columns, (values - mu) / scale


def settings_of(options: Options) -> Settings:
    """Return the options of the iteration."""
    factor = options.path_factor
    patience = options.early_stopping
    return Settings(
        tol=math.nan,
        maxiter=validate.count("maxiter", options.maxiter),
        solver=RowSolver(
            validate.choice("method", options.method, METHODS),
            validate.at_least_one("inner_maxiter", options.inner_maxiter),
            nonnegative("inner_tol", options.inner_tol),
        ),
        continuation=validate.flag("continuation", options.continuation),
        path_factor=None if factor is None else validate.fraction("path_factor", factor),
        momentum=momentum_of(options.momentum),
        early_stopping=None
        if patience is None
        else validate.at_least_one("early_stopping", patience),
        callback=validate.optional_callable("callback", options.callback),
        rng=random.generator(options.rng),
    )


def momentum_of(value: Any) -> float:
    """Return the largest factor of the extrapolation, from 0 up to 1."""
    number = nonnegative("momentum", value)
    if number >= 1:
        raise ValueError(f"`momentum` must be in [0, 1), got {value!r}.")
    return number


def polish_of(polish: Any, terms: Terms) -> str | None:
    """Return which finish there is to be."""
    if polish is None:
        return None
    if polish == "gauss-newton" and (terms.reg > 0 or terms.nonneg or terms.bias_reg is not None):
        raise ValueError("`polish` = 'gauss-newton' is for reg = 0, without `nonneg` and `bias`.")
    return validate.choice("polish", polish, POLISHES)


def tolerance(tol: Any, like: Array) -> float:
    """Return the tolerance, by default one for each precision."""
    if tol is not None:
        return validate.positive("tol", tol)
    return default_tol(like, float64=1e-6, float32=1e-4)


def regularization(reg: Any) -> tuple[float, bool]:
    """Return the regularization, and whether it is multiplied by the entries of each row."""
    if isinstance(reg, tuple):
        if len(reg) != 2 or reg[0] != "count":
            raise ValueError(f"`reg` must be a number or ('count', number), got {reg!r}.")
        return nonnegative("reg", reg[1]), True
    return nonnegative("reg", reg), False


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


def nonnegative(name: str, value: Any) -> float:
    """Return a finite number of at least zero as a float."""
    number = validate.real(name, value)
    if not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"`{name}` must be non-negative and finite, got {value!r}.")
    return number


def chosen_rank(rank: Any, max_rank: Any, shape: tuple[int, int]) -> tuple[int | None, int]:
    """Return the rank, None if it is to be found, and the largest it may have."""
    largest = min(shape)
    if max_rank is not None and validate.at_least_one("max_rank", max_rank) > largest:
        raise ValueError(f"`max_rank` must be at most {largest} for `M`, got {max_rank}.")
    limit = min(50, largest) if max_rank is None else int(max_rank)
    if isinstance(rank, str):
        validate.choice("rank", rank, ("auto",))
        return None, limit
    if validate.at_least_one("rank", rank) > largest:
        raise ValueError(f"`rank` must be at most {largest} for `M`, got {rank}.")
    return int(rank), limit


def ascending(ranks: Any) -> list[int]:
    """Return ranks, of which there is at least one, each larger than the one before."""
    if isinstance(ranks, str) or not isinstance(ranks, Iterable):
        raise TypeError(f"`ranks` must be a sequence of integers, got {type(ranks).__name__}.")
    chosen = [validate.at_least_one("ranks", int(k) if hasattr(k, "dtype") else k) for k in ranks]
    if not chosen or any(a >= b for a, b in pairwise(chosen)):
        raise ValueError(f"`ranks` must be ascending and not empty, got {ranks!r}.")
    return chosen


def held_out(validation: Any, like: Array, shape: tuple[int, int]) -> Held | None:
    """Return the places and values of entries kept to measure the error on."""
    if validation is None:
        return None
    if not isinstance(validation, tuple) or len(validation) != 3:
        raise TypeError("`validation` must be a tuple (rows, columns, values).")
    rows, columns, values = validation
    _, rows, columns, values = validate.arrays(M=like, rows=rows, columns=columns, values=values)
    validate.common_float(values=values)
    values = validate.finite("values", vector("values", values, None, like.dtype))
    if values.shape[0] == 0:
        raise ValueError("`validation` must not be empty.")
    return (
        places("rows", rows, values, shape[0]),
        places("columns", columns, values, shape[1]),
        values,
    )


def warm_start(x0: Any, like: Array, shape: tuple[int, int]) -> Model | None:
    """Return the model of a warm start: factors, or those of an earlier result and its offsets."""
    if x0 is None:
        return None
    biases = None, None
    if isinstance(x0, Result):
        x0 = x0.get("best", x0)  # of a path of ranks
        biases = x0.get("row_bias"), x0.get("col_bias")
        x0 = x0.x
    if not isinstance(x0, tuple | list):
        raise TypeError(
            f"`x0` must be a pair of arrays (X0, Y0) or an earlier result, got {type(x0).__name__}."
        )
    if len(x0) != 2:
        raise ValueError(f"`x0` must be a pair of arrays (X0, Y0), got {len(x0)}.")
    names = ("x0[0]", "x0[1]")
    _, *factors = validate.arrays(M=like, **dict(zip(names, x0, strict=True)))
    for name, F in zip(names, factors, strict=True):
        validate.common_float(**{name: F})
    X, Y = (
        validate.finite(name, validate.as_array(name, F, ndim=2, dtype=like.dtype))
        for name, F in zip(names, factors, strict=True)
    )
    k = int(X.shape[1])
    validate.same_shape("x0[0]", X, (shape[0], k), "M")
    validate.same_shape("x0[1]", Y, (shape[1], k), "x0[0]")
    return Model(X, Y, *biases)


def certifiable(problem: Problem, certify: Any) -> bool:
    """Return whether to certify; the convex problem knows no other options."""
    wanted = validate.flag("certify", certify)
    if wanted and (problem.reg == 0 or problem.by_count or problem.seen.weighted):
        raise ValueError("`certify` needs reg > 0, a number, and no weights.")
    if wanted and not problem.plain:
        raise ValueError("`certify` is for models without `nonneg` and `bias`.")
    return wanted


def _check_splittable(task: Task) -> None:
    """Raise where something was asked for that the published method lacks."""
    problem, settings = task.problem, task.settings
    conflicts = {
        "rank": task.rank is None,
        "reg": problem.reg > 0,
        "x0": task.x0 is not None,
        "init": task.init != "spectral",
        "path_factor": settings.path_factor is not None,
        # None, or what it is where nothing was said, does not ask for it.
        "momentum": settings.momentum not in (0.0, Options._field_defaults["momentum"]),
        "bias": problem.bias_unit is not None,
        "nonneg": problem.nonneg,
        "polish": task.polish == "gauss-newton",
    }
    for name, given in conflicts.items():
        if given:
            default = "a number" if name == "rank" else "its default"
            raise ValueError(f"`{name}` must be {default} with `sample_splitting`.")
    assert task.rank is not None  # one of the conflicts
    count, least = parts_of(settings.maxiter), task.rank * max(problem.seen.shape)
    if problem.seen.size < count * least:
        raise ValueError(
            f"`sample_splitting` needs 2 maxiter + 1 = {count} parts of rank * max(m, n) = {least} "
            f"entries at least, got {problem.seen.size} entries; lower `maxiter`."
        )


def _warn_of_too_few(task: Task) -> None:
    """Warn where the entries cannot determine a matrix of the rank."""
    if task.rank is None or task.problem.reg > 0:
        return
    freedom = degrees_of_freedom(task.problem.seen.shape, task.rank, False)
    if task.problem.seen.size < freedom:
        warnings.warn(
            f"{task.problem.seen.size} entries cannot determine a matrix of rank {task.rank}, "
            f"which has {freedom} degrees of freedom; lower the rank or set reg > 0.",
            UserWarning,
            stacklevel=4,
        )
