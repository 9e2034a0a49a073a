"""Factorization by the method asked for, and refinement with residuals computed anew."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

from .._core.iterate import Callback, Run, iterate
from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Status
from .._core.random import generator
from .._core.settings import non_negative
from .._linalg import conjugate_gradients, one_blas_thread, quiet
from ..sketching import SRHT, CountSketch, Gaussian, Sketch, SparseSign
from . import _precondition as precondition
from ._certificate import backward_errors, positive_norms, relative_size
from ._precondition import Preconditioner
from ._problem import Design, smallest_norm
from ._published import sketch_size_for

METHODS = ("auto", "sketch", "cholqr", "iterative", "gram", "direct")
SKETCHES = {
    "srht": SRHT,
    "sparse_sign": SparseSign,
    "countsketch": CountSketch,
    "gaussian": Gaussian,
}

# Up to this many entries a decomposition of the matrix itself costs less than a pass of Python.
DIRECT_ENTRIES = 1 << 14
# Columns up to which one Gram matrix of A P costs less than some twenty products with A.
CHOLQR_COLUMNS = 150
# Rows of the sketch per column: enough for a well-conditioned Gram matrix; few inner iterations.
OVERSAMPLING = {"cholqr": 4, "iterative": 12}
SPARSE_OVERSAMPLING = 20


class Options(NamedTuple):
    """How to factorize; see `lstsq`."""

    method: str
    sketch: str
    sketch_size: int | None
    eps: float | None
    delta: float
    rcond: float
    rng: Any
    check_finite: bool


class Factor(NamedTuple):
    """A preconditioner with the way it was made; "direct" may be what a method fell back on."""

    preconditioner: Preconditioner
    method: str
    sketch: Sketch | None = None
    fell_back: bool = False


def factorize(design: Design, b: Array, options: Options) -> Factor:
    """Return the factor that a method asks for; b (n, k), k may be 0, rides along in a sketch."""
    with quiet():
        with one_blas_thread(design.like):
            method = _choice(design) if options.method == "auto" else options.method
            factor = None if method == "direct" else _indirectly(method, design, b, options)
        if factor is None:
            made = precondition.directly(design, b, options.rcond)
            factor = Factor(made, "direct", fell_back=method != "direct")
        if options.check_finite:
            _check_norm(design, factor.preconditioner.norm)
    return factor


def _indirectly(method: str, design: Design, b: Array, options: Options) -> Factor | None:
    """Return what a Gram matrix or a sketch gives; None where the sketch would be too large."""
    if method == "gram":
        by_gram = precondition.by_gram(design)
        if by_gram is not None:
            return Factor(by_gram, "gram")
        method = "cholqr" if _prefers_cholqr(design) else "iterative"
    sketch = _sketch_for(design, method, options)
    if sketch is None:
        return None
    made = precondition.by_sketch(design, sketch, b, options.rcond)
    if method == "cholqr" and math.isfinite(made.norm):
        made = precondition.reorthonormalized(design, made)
    return Factor(made, method, sketch)


def _choice(design: Design) -> str:
    """Return the method of ``method="auto"``."""
    n, d = design.shape
    if n < 4 * d or n * d <= DIRECT_ENTRIES:
        return "direct"
    if not design.dense:
        return "iterative"
    if precondition.gram_looks_safe(design):
        return "gram"
    return "cholqr" if _prefers_cholqr(design) else "iterative"


def _prefers_cholqr(design: Design) -> bool:
    return design.dense and design.shape[1] <= CHOLQR_COLUMNS


def _sketch_for(design: Design, method: str, options: Options) -> Sketch | None:
    """Return the sketch of a method; None where it would have as many rows as the matrix."""
    n, d = design.shape
    kind = options.sketch if design.dense or options.sketch != "srht" else "sparse_sign"
    m = options.sketch_size
    if m is None and method == "sketch":
        m = sketch_size_for(d, 0.5 if options.eps is None else options.eps, options.delta)
        if m > n:
            warnings.warn(
                f"A sketch of {m} rows is needed, but `A` has {n}: solving directly. Give a larger "
                f"`eps` or `delta`, or `sketch_size`.",
                RuntimeWarning,
                stacklevel=5,
            )
    elif m is None:
        m = (OVERSAMPLING[method] if design.dense else SPARSE_OVERSAMPLING) * d + 32
    if m > n:
        return None
    made: Sketch = SKETCHES[kind](m, n, rng=generator(options.rng))
    return made


def _check_norm(design: Design, norm: float) -> None:
    """Raise where A holds what is not finite, or numbers whose squares are not."""
    if math.isfinite(norm) and norm > smallest_norm(design.like, design.dtype):
        return
    largest = design.largest_entry()
    if largest > 0:
        raise ValueError(
            f"`A` must have entries whose squares neither overflow nor vanish, but the largest is "
            f"{largest:.3g}: divide it by its size."
        )


class State(NamedTuple):
    """An iterate (d, k) with the gradient and the sums of squares of its recomputed residual.

    `change` is the next correction, None where it takes inner iterations that may not be needed.
    """

    x: Array
    gradient: Array
    squares: Array
    change: Array | None = None


class Request(NamedTuple):
    """What is asked of a refinement.

    With `every_coordinate` it goes on until every coordinate, too, changes by at most `tol` of
    itself. The answer is rounded to `dtype`.
    """

    tol: float
    maxiter: int
    every_coordinate: bool
    dtype: Any
    callback: Callback | None = None


class Refined(NamedTuple):
    """The best iterate, as it is returned, with what was measured on it, and how the run ended."""

    state: State
    record: dict[str, Any]
    run: Run[State]


def refined(design: Design, factor: Factor, b: Array, x0: Array | None, asked: Request) -> Refined:
    """Return the solution for right-hand sides b (n, k), from a factorized design."""
    made = factor.preconditioner
    if factor.method == "sketch":
        asked = asked._replace(maxiter=0)
    with one_blas_thread(design.like), quiet():
        run = _refine(design, made, b, _start(design, made, x0, b.shape[1]), asked)
    record = min(run.history, key=lambda record: _finite(record["error"]))
    state = run.best
    if asked.dtype != design.dtype:
        # What is returned is rounded, so its residual is measured again.
        xp = array_namespace(state.x)
        x = xp.astype(xp.astype(state.x, asked.dtype), design.dtype)
        with quiet():
            again = _refine(design, made, b, x, Request(0.0, 0, False, asked.dtype))
        state, record = again.state, again.history[0]
    return Refined(state, record, run)


def _finite(error: float) -> float:
    return error if math.isfinite(error) else math.inf


def _start(design: Design, preconditioner: Preconditioner, x0: Array | None, k: int) -> Array:
    """Return where the refinement starts: the user's point, the sketched solution, or zero."""
    xp = array_namespace(design.like)
    if x0 is not None:
        if preconditioner.rank == preconditioner.P.shape[0]:
            return x0
        # The shortest solution has no part in the null space.
        Q, _ = xp.linalg.qr(preconditioner.P)
        return xp.matmul(Q, xp.matmul(Q.T, x0))
    start = preconditioner.start
    if start is not None and start.shape[1] == k:
        return start
    shape = (preconditioner.P.shape[0], k)
    return xp.zeros(shape, dtype=design.dtype, device=device_of(design.like))


def _refine(
    design: Design, preconditioner: Preconditioner, b: Array, x: Array, asked: Request
) -> Run[State]:
    """Return the run of corrections ``x += (A'A)^{-1} A'(b - A x)`` from an iterate (d, k)."""
    xp = array_namespace(design.like)
    norm_b = positive_norms(design.norms(b))
    P, norm, overlap = preconditioner.P, preconditioner.norm, preconditioner.overlap
    # The largest that a coordinate can be is |e_j' A+| |b|; what is eps times that counts as zero.
    largest = xp.sqrt(xp.sum(P * P, axis=1))
    floor = float(xp.finfo(x.dtype).eps) * largest[:, None] * norm_b[None, :]
    # What a sketch alone makes of a gradient may be larger by the condition number.
    ahead = preconditioner.exact or (asked.every_coordinate and asked.maxiter > 0)
    seen: list[float] = []

    def evaluate(x: Array) -> State:
        state = State(x, *design.gradient(b, x))
        return state._replace(change=next_change(state)) if ahead else state

    def next_change(state: State) -> Array:
        return _correction(design, preconditioner, state.gradient, asked.maxiter)

    def step(state: State) -> State:
        return evaluate(state.x + (next_change(state) if state.change is None else state.change))

    def measure(state: State) -> dict[str, Any]:
        errors = backward_errors(
            *state[:3], norm_b, norm=norm, root=preconditioner.P, overlap=overlap
        )
        error = float(xp.max(errors))
        change = rough_change(preconditioner, state) if state.change is None else state.change
        record = {
            "error": error,
            "backward_error": error,
            "forward_error": relative_size(change, state.x, floor),
            "residual_norm": math.sqrt(non_negative(float(xp.sum(state.squares)))),
            "grad_norm": float(xp.linalg.vector_norm(state.gradient)),
        }
        if asked.every_coordinate:
            record["error"] = max(record["error"], record["forward_error"])
        seen.append(record["error"])
        return record

    def give_up(_: State) -> Status | None:
        # Corrections contract by a constant; two in a row that do not halve the error are noise.
        stuck = len(seen) > 3 and min(seen[-2:]) > 0.5 * min(seen[:-2])
        return Status.STALLED if stuck else None

    return iterate(
        evaluate(x),
        step,
        measure,
        tol=asked.tol,
        maxiter=asked.maxiter,
        callback=asked.callback,
        give_up=give_up,
    )


def rough_change(preconditioner: Preconditioner, state: State) -> Array:
    """Return ``P P'`` times the gradient (d, k): the correction without inner iterations."""
    xp = array_namespace(state.x)
    return xp.matmul(preconditioner.P, xp.matmul(preconditioner.P.T, state.gradient))


def _correction(
    design: Design, preconditioner: Preconditioner, gradient: Array, maxiter: int
) -> Array:
    """Return ``(A'A)^{-1}`` times a gradient (d, k), to half the digits at least."""
    xp = array_namespace(gradient)
    P = preconditioner.P
    z = xp.matmul(P.T, gradient)
    if not preconditioner.exact:
        rtol = float(xp.finfo(gradient.dtype).eps) ** 0.5

        def product(p: Array) -> tuple[Array, Array]:
            image, squares = design.gradient(None, xp.matmul(P, p))
            return -xp.matmul(P.T, image), squares

        z = conjugate_gradients(product, z, rtol=rtol, maxiter=maxiter, axis=0).x
    return xp.matmul(P, z)
