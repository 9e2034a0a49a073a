"""A design factorized once, for any number of right-hand sides."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._core.random import generator
from .._linalg import one_blas_thread, quiet
from ..sketching import SRHT, CountSketch, Gaussian, Sketch, SparseSign
from . import _precondition as precondition
from ._design import Design
from ._precondition import Preconditioner
from ._refine import State, refine
from ._result import LstsqResult, Outcome, Request, report

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
    """A preconditioner with the way it was made."""

    preconditioner: Preconditioner
    method: str
    sketch: Sketch | None
    fell_back: bool
    seconds: float


def sketch_size_for(d: int, eps: float, delta: float) -> int:
    """Return the rows for which every coordinate errs by at most ``eps / sqrt(d) R |A+|``.

    With probability 1 - delta, the errors being close to normal with standard deviation at most
    ``R |A+| / sqrt(m)``.
    """
    return math.ceil(2 * d * math.log(2 * d / delta) / eps**2)


def factorize(design: Design, b: Array, options: Options) -> Factor:
    """Return the factor that a method asks for; b (n, k), k may be 0, rides along in a sketch."""
    started = time.perf_counter()
    with quiet():
        made, method, sketch, fell_back = _by_method(design, b, options)
        if options.check_finite:
            _check_norm(design, made.norm)
    return Factor(made, method, sketch, fell_back, time.perf_counter() - started)


def _by_method(
    design: Design, b: Array, options: Options
) -> tuple[Preconditioner, str, Sketch | None, bool]:
    method = options.method
    if method == "auto":
        with one_blas_thread(design.like):
            method = _choice(design)
    if method != "direct":
        with one_blas_thread(design.like):
            made = _indirectly(method, design, b, options)
        if made is not None:
            return made
    return precondition.directly(design, b, options.rcond), "direct", None, method != "direct"


def _indirectly(
    method: str, design: Design, b: Array, options: Options
) -> tuple[Preconditioner, str, Sketch | None, bool] | None:
    """Return what a Gram matrix or a sketch gives; None where the sketch would be too large."""
    if method == "gram":
        made = precondition.by_gram(design)
        if made is not None:
            return made, "gram", None, False
        method = "cholqr" if _prefers_cholqr(design) else "iterative"
    sketch = _sketch_for(design, method, options)
    if sketch is None:
        return None
    made = precondition.by_sketch(design, sketch, b, options.rcond)
    if method == "cholqr" and math.isfinite(made.norm):
        made = precondition.reorthonormalized(design, made)
    return made, method, sketch, False


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


def smallest_norm(like: Array, dtype: Any) -> float:
    """Return the size below which squares of numbers next to rounding errors vanish."""
    info = array_namespace(like).finfo(dtype)
    return math.sqrt(float(info.smallest_normal) / float(info.eps))


def solve(
    design: Design, factor: Factor, b: Array, x0: Array | None, request: Request
) -> LstsqResult:
    """Return the certified solution for right-hand sides b (n, k), from a factorized design."""
    started = time.perf_counter()
    preconditioner = factor.preconditioner
    with one_blas_thread(design.like), quiet():
        run = refine(
            design,
            preconditioner,
            b,
            _start(design, preconditioner, x0, b.shape[1]),
            tol=request.tol,
            maxiter=0 if factor.method == "sketch" else request.maxiter,
            settle=request.settle,
            callback=request.callback,
        )
    record = min(run.history, key=lambda record: _finite(record["error"]))
    state = run.best
    if request.dtype != design.dtype:
        # What is returned is rounded, so its residual is measured again.
        with quiet():
            state, record = _rounded(design, preconditioner, b, state.x, request.dtype)
    seconds = {"factorize": factor.seconds, "solve": time.perf_counter() - started}
    return report(design, factor, Outcome(state, record, run), request, seconds)


def _finite(error: float) -> float:
    return error if math.isfinite(error) else math.inf


def _rounded(
    design: Design, preconditioner: Preconditioner, b: Array, x: Array, dtype: Any
) -> tuple[State, dict[str, Any]]:
    """Return the state at a point rounded to a dtype, and what is measured there."""
    xp = array_namespace(x)
    x = xp.astype(xp.astype(x, dtype), design.dtype)
    run = refine(design, preconditioner, b, x, tol=0.0, maxiter=0, settle=False, callback=None)
    return run.state, run.history[0]


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
