"""Validation of training data and options: what comes in becomes a problem and settings."""

from __future__ import annotations

import math
import numbers
from typing import Any, NamedTuple

import array_api_compat

from .._core import validate
from .._core.iterate import Callback
from .._core.namespace import Array, array_namespace, device_of, widest_float
from .._core.random import generator, place
from .._core.settings import is_sparse
from .._losses.pointwise import LOSSES
from .._rows import Limits, RowBlocks, in_blocks, is_dask
from ._network import Attack, Network
from ._patterns import Patterns, drawn_gates, patterns_of_gates, patterns_of_mask
from ._problem import Data, InMemory, Problem
from ._program import with_bias
from .rows.passes import Frame
from .rows.problem import InBlocks, Passes

METHODS = ("auto", "interior", "rows", "cholesky", "sylvester", "rbcd")
ROBUST = ("pattern", "lipschitz")
ATTACKS = ("fgsm", "pgd")


class Settings(NamedTuple):
    """Validated options of a solve."""

    method: str
    tol: float
    maxiter: int
    refine: int
    polish: bool
    rho: float | None
    callback: Callback | None
    rng: Any


def settings_of(
    *,
    method: Any = "auto",
    tol: Any,
    maxiter: Any,
    refine: Any = 0,
    polish: Any = True,
    rho: Any = None,
    callback: Any = None,
    rng: Any = None,
) -> Settings:
    """Return the options of a solve, validated."""
    return Settings(
        validate.choice("method", method, METHODS),
        validate.positive("tol", tol),
        validate.count("maxiter", maxiter),
        validate.count("refine", refine),
        validate.flag("polish", polish),
        None if rho is None else validate.positive("rho", rho),
        validate.optional_callable("callback", callback),
        generator(rng),
    )


def problem_of(X: Any, y: Any, settings: Settings, *, x0: Any = None, **given: Any) -> Problem:
    """Return the validated problem, wherever its samples are."""
    if not gone_through(X):
        return in_memory(X, y, settings, x0=x0, **given)
    return _blocks_of(X, y, settings, x0=x0, **given)


def gone_through(X: Any) -> bool:
    """Tell whether samples come in blocks; a memory map is an array like any other."""
    return in_blocks(X) and (is_dask(X) or not array_api_compat.is_array_api_obj(X))


def in_memory(
    X: Any,
    y: Any,
    settings: Settings,
    *,
    beta: Any,
    loss: Any,
    n_patterns: Any,
    patterns: Any,
    fit_intercept: Any,
    weights: Any,
    eps: Any = 0.0,
    robust: Any = "pattern",
    x0: Any = None,
) -> InMemory:
    """Return the validated problem of samples in memory."""
    beta = validate.positive("beta", beta)
    data = data_of(X, y, loss=loss, fit_intercept=fit_intercept, weights=weights)
    patterns = _earlier(x0, data).gates if x0 is not None and patterns is None else patterns
    if settings.method == "rbcd" and not data.loss.smooth:
        raise ValueError("`method` = 'rbcd' is for smooth losses, not for 'hinge'.")
    radius = _perturbation(eps, robust, data)
    if radius is not None and settings.method not in ("auto", "sylvester"):
        raise ValueError(
            f"`eps` > 0 needs `method` 'sylvester' or 'auto', got {settings.method!r}."
        )
    used = data.effective()
    found = _chosen_patterns(data.X.shape[0], used, n_patterns, patterns, settings.rng)
    if settings.method == "rows":
        check_sums(found.gates.shape[0], data.X.shape[1], Limits().max_bytes, "take another method")
    return InMemory(data, used, found, beta, radius, robust)


def problem_under(
    X: Any,
    y: Any,
    *,
    gates: Array,
    beta: Any,
    loss: Any,
    eps: Any,
    robust: Any,
    fit_intercept: Any,
    weights: Any,
) -> Problem:
    """Return the problem under the patterns of gates (d, P) as they are, to verify a result."""
    beta = validate.positive("beta", beta)
    if gone_through(X):
        return _frame_of(X, y, loss, fit_intercept, weights, beta, lambda *_: gates.T)
    data = data_of(X, y, loss=loss, fit_intercept=fit_intercept, weights=weights)
    xp, used = validate.common_namespace(X=data.X, gates=gates), data.effective()
    if gates.shape[0] != data.X.shape[1]:
        raise ValueError("`X` must have the features that were trained on.")
    gates = xp.astype(gates.T, used.X.dtype, copy=False)
    active = xp.astype(xp.matmul(gates, used.X.T) >= 0, used.X.dtype)
    radius = _perturbation(eps, robust, data)
    return InMemory(data, used, Patterns(active, gates), beta, radius, robust)


def data_of(X: Any, y: Any, *, loss: Any, fit_intercept: Any, weights: Any = None) -> Data:
    """Return validated training data."""
    loss = LOSSES[validate.choice("loss", loss, tuple(LOSSES))]
    validate.flag("fit_intercept", fit_intercept)
    if is_sparse(X):  # what is computed with it is dense
        raise TypeError("`X` must be a dense array, got a sparse matrix; use X.toarray().")
    X, y, weights = validate.arrays(X=X, y=y, weights=weights)
    xp = array_namespace(X)
    dtype = validate.common_float(X=X, y=y, weights=weights)
    X = validate.finite("X", validate.as_array("X", X, ndim=2, dtype=dtype))
    y = validate.finite("y", validate.as_array("y", y, ndim=(1, 2), dtype=dtype))
    validate.same_shape("y", y, (X.shape[0], *y.shape[1:]), "X")
    if not loss.scales and not bool(xp.all(xp.abs(y) == 1)):
        raise ValueError(f"`y` must hold labels -1 and 1 for {loss.name} loss.")
    if weights is None:
        weights = xp.ones((X.shape[0],), dtype=dtype, device=device_of(X))
    else:
        weights = validate.as_array("weights", weights, ndim=1, dtype=dtype)
        validate.same_shape("weights", weights, (X.shape[0],), "X")
        weights = validate.non_negative("weights", weights)
        if not bool(xp.any(weights > 0)):
            raise ValueError("`weights` must have a positive entry.")
    single = y.ndim == 1
    columns = y[None, :] if single else y.T
    return Data(with_bias(X) if fit_intercept else X, columns, weights, loss, fit_intercept, single)


def _earlier(x0: Any, data: Data) -> Any:
    """Return an earlier result for samples with the same features."""
    if not (hasattr(x0, "coef_pos") and hasattr(x0, "gates")):
        raise TypeError(f"`x0` must be a ConvexReLUResult, got {type(x0).__name__}.")
    if tuple(x0.coef_pos.shape[:1]) != (data.X.shape[1],):
        raise ValueError("`x0` must be a result for samples with as many features as `X`.")
    return x0


def _perturbation(eps: Any, robust: Any, data: Data) -> Array | None:
    """Return radii of each column of the samples with their bias, None if all are zero."""
    validate.choice("robust", robust, ROBUST)
    xp = array_namespace(data.X)
    radius = radii(eps, data.X[:, :-1] if data.bias else data.X)
    if not bool(xp.any(radius > 0)):
        return None
    return xp.concat([radius, xp.zeros_like(radius[:1])]) if data.bias else radius


def radii(eps: Any, X: Array) -> Array:
    """Return validated radii of a perturbation for each feature of X, (d,)."""
    xp = array_namespace(X)
    if not isinstance(eps, numbers.Real | str):
        _, eps = validate.arrays(X=X, eps=eps)
        eps = validate.as_array("eps", eps, ndim=1, dtype=X.dtype)
        return validate.non_negative("eps", validate.same_shape("eps", eps, (X.shape[1],), "X"))
    value = validate.real("eps", eps)
    if not 0 <= value < math.inf:
        raise ValueError(f"`eps` must be non-negative and finite, got {eps!r}.")
    return xp.full((X.shape[1],), value, dtype=X.dtype, device=device_of(X))


def _chosen_patterns(given: int, data: Data, n_patterns: Any, patterns: Any, rng: Any) -> Patterns:
    """Return the patterns that were given, for `given` samples, or those of random gates."""
    count = validate.at_least_one("n_patterns", n_patterns)
    X, xp = data.X, array_namespace(data.X)
    if patterns is None:
        return _not_empty(patterns_of_gates(X, drawn_gates(X, count, rng)))
    _, patterns = validate.arrays(X=X, patterns=patterns)
    if patterns.dtype != xp.bool:
        wanted = f"boolean with {given} rows or gates"
        return _not_empty(patterns_of_gates(X, _gates_of(patterns, X.shape[1], X.dtype, wanted)))
    if patterns.ndim != 2 or patterns.shape[0] != given or 0 in patterns.shape:
        raise ValueError(
            f"boolean `patterns` must have shape ({given}, P), got {tuple(patterns.shape)}."
        )
    mask = patterns if data.rows is None else xp.take(patterns, data.rows, axis=0)
    return _not_empty(patterns_of_mask(X, mask.T))


def _gates_of(patterns: Array, d: int, dtype: Any, wanted: str) -> Array:
    """Return validated gates (P, d)."""
    gates = validate.as_array("patterns", patterns, ndim=2, dtype=dtype)
    if gates.shape[0] != d:
        raise ValueError(
            f"`patterns` must be {wanted} with {d} rows, one for each column of `X` and the bias, "
            f"got shape {tuple(gates.shape)}."
        )
    return validate.contiguous(validate.finite("patterns", gates).T)


def _not_empty(patterns: Patterns) -> Patterns:
    """Return patterns, having checked that there are some."""
    if patterns.active.shape[0] == 0:
        raise ValueError("`patterns` must switch on at least one sample: all are empty.")
    return patterns


def check_sums(patterns: int, d: int, max_bytes: float, remedy: str) -> None:
    """Raise where the second derivative of the loss in all neurons is too large to be formed."""
    if (patterns * d) ** 2 > max_bytes / 8:
        most = int(math.sqrt(max_bytes / 8) // d)
        raise ValueError(
            f"`n_patterns` must be at most {most} for {d} columns, so that a matrix of all neurons "
            f"takes {max_bytes / 1e9:.3g} GB, got {patterns}; {remedy}."
        )


def _blocks_of(
    X: Any,
    y: Any,
    settings: Settings,
    *,
    beta: Any,
    loss: Any,
    n_patterns: Any,
    patterns: Any,
    fit_intercept: Any,
    weights: Any,
    eps: Any,
    robust: Any,
    x0: Any,
) -> InBlocks:
    """Return the validated problem of samples that are gone through in blocks."""
    beta = validate.positive("beta", beta)
    validate.choice("robust", robust, ROBUST)
    _refuse_options(settings, eps, x0)
    count = validate.at_least_one("n_patterns", n_patterns)

    def gates(blocks: RowBlocks, d: int) -> Array:
        xp, like = array_namespace(blocks.like), blocks.like
        chosen = None if patterns is None else _given_gates(blocks, d, patterns)
        most = count if chosen is None else chosen.shape[0]
        check_sums(most, d, blocks.max_bytes, "allow more with row_blocks(X, max_bytes=...)")
        if chosen is not None:
            return chosen
        like = xp.zeros((1,), dtype=blocks.dtype, device=device_of(like))
        return place(settings.rng.standard_normal((count, d)), like)

    return _frame_of(X, y, loss, fit_intercept, weights, beta, gates)


def _refuse_options(settings: Settings, eps: Any, x0: Any) -> None:
    """Raise where an option is for samples in memory alone."""
    wanted = [
        ("eps", eps, "0", not isinstance(eps, numbers.Real) or eps != 0),
        ("method", settings.method, "'auto' or 'rows'", settings.method not in ("auto", "rows")),
        ("refine", settings.refine, "0", settings.refine != 0),
        ("x0", None, "None", x0 is not None),
        ("rho", settings.rho, "None", settings.rho is not None),
        ("polish", None, "True", not settings.polish),
    ]
    for name, value, allowed, is_given in wanted:
        if is_given:
            got = "" if value is None else f", got {value!r}"
            raise ValueError(
                f"`{name}` must be {allowed} where the rows of `X` are gone through in blocks{got}."
            )


def _frame_of(
    X: Any, y: Any, loss: Any, fit_intercept: Any, weights: Any, beta: float, gates: Any
) -> InBlocks:
    """Return a problem on rows in blocks, for what makes gates (P, d) of the blocks and of d."""
    loss = validate.choice("loss", loss, tuple(LOSSES))
    bias = validate.flag("fit_intercept", fit_intercept)
    blocks = RowBlocks("X", X)
    if blocks.dtype != (wide := widest_float(blocks.like)):
        blocks = RowBlocks("X", X, wide)
    made = gates(blocks, blocks.shape[1] + bias)
    targets = _beside(blocks, "y", y)
    weights = _beside(blocks, "weights", weights)
    frame = Frame(made, loss, bias, blocks.shape[0])
    return InBlocks(Passes(blocks, targets, weights), frame, beta)


def _given_gates(blocks: RowBlocks, d: int, patterns: Any) -> Array:
    """Return gates (P, d) that were given for rows in blocks."""
    if not is_dask(patterns):
        _, patterns = validate.arrays(X=blocks.like, patterns=patterns)
    if is_dask(patterns) or patterns.dtype == array_namespace(blocks.like).bool:
        raise ValueError(
            f"`patterns` must be gates of shape ({d}, P) where the rows of `X` are gone through in "
            f"blocks, got an array of {patterns.dtype} of shape {tuple(patterns.shape)}."
        )
    return _gates_of(patterns, d, blocks.dtype, "gates")


def _beside(blocks: RowBlocks, name: str, x: Any) -> Any:
    """Return numbers (n,) that lie beside the rows, None for None."""
    if not is_dask(x):
        _, x = validate.arrays(**{"X": blocks.like, name: x})
    return blocks.beside(name, x, blocks.dtype)


def betas_of(betas: Any) -> list[float]:
    """Return validated weight decays."""
    try:
        values = [float(value) for value in betas]
    except TypeError:
        raise TypeError(f"`betas` must be a sequence of numbers, got {betas!r}.") from None
    if not values:
        raise ValueError("`betas` must not be empty.")
    return [validate.positive("betas", value) for value in values]


def attack_of(
    W1: Any, w2: Any, X: Any, y: Any, *, eps: Any, kind: Any, loss: Any, steps: Any, restarts: Any
) -> tuple[Network, Array, Array, Array, Attack]:
    """Return a validated network, samples, targets and radii, and how to attack."""
    once = validate.choice("kind", kind, ATTACKS) == "fgsm"
    loss = validate.choice("loss", loss, tuple(LOSSES))
    W1, w2, X, y = validate.arrays(W1=W1, w2=w2, X=X, y=y)
    dtype = validate.common_float(X=X, W1=W1, w2=w2, y=y)
    X = validate.finite("X", validate.as_array("X", X, ndim=2, dtype=dtype))
    W1 = validate.finite("W1", validate.as_array("W1", W1, ndim=2, dtype=dtype))
    w2 = validate.finite("w2", validate.as_array("w2", w2, ndim=1, dtype=dtype))
    y = validate.finite("y", validate.as_array("y", y, ndim=1, dtype=dtype))
    validate.same_shape("y", y, (X.shape[0],), "X")
    validate.same_shape("w2", w2, (W1.shape[1],), "W1")
    d = X.shape[1]
    if W1.shape[0] - d not in (0, 1):
        raise ValueError(
            f"`W1` must have {d} rows, or one more for a bias, to match `X`, got {W1.shape[0]}."
        )
    attack = Attack(
        once, loss, validate.count("steps", steps), validate.count("restarts", restarts)
    )
    return (W1[:d, :], W1[d:, :], w2), X, y, radii(eps, X), attack
