"""What `lstsq` returns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from .._core import validate
from .._core.iterate import Callback, Run
from .._core.namespace import Array, array_namespace
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK, Result
from ._design import Design
from ._precondition import reorthonormalized
from ._refine import STAGNATED, State

if TYPE_CHECKING:
    from ._factor import Factor

RANK_DEFICIENT = 2
FELL_BACK = 4


class Request(NamedTuple):
    """What was asked for: tolerances, and the dtype and shape of the result."""

    tol: float
    maxiter: int
    delta: float
    settle: bool
    dtype: Any
    single: bool
    callback: Callback | None

    def shaped(self, x: Array) -> Array:
        """Return columns (d, k) as the user wants them."""
        x = array_namespace(x).astype(x, self.dtype, copy=False)
        return x[:, 0] if self.single else x


class LstsqResult(Result):
    """Outcome of `lstsq`: a solution with the backward error measured on it.

    Attributes
    ----------
    x : array, shape (d,) or (d, k)
        The solution; of minimum norm where A is rank-deficient.
    fun : float
        Half the sum of squares that was minimized, weights and ridge included.
    residual_norm : float
        Its root, ``sqrt(2 fun)``.
    grad_norm : float
        Norm of the gradient ``A' W (b - A x) - ridge x``.
    backward_error : float
        Estimate of the smallest perturbation of A and b, relative to ``|A|_F``, for which x is
        the exact solution, the largest over the columns of b. Recomputed from x.
    forward_error : float
        Estimate of the largest relative error of a coordinate of x: the next correction. What is
        below the rounding of the largest value a coordinate can have for this b counts as zero. For
        "iterative" in working precision a rough one, which may be too large by a factor of
        `cond_estimate`.
    tol : float
        Tolerance of the solve: the one asked for, or the default for the dtype.
    success : bool
        Whether ``backward_error <= tol``. For ``method="sketch"``, whether the sketch has full rank
        and the size that its guarantee asks for.
    status : int
        0 converged, 1 iteration limit, 2 rank-deficient and solved for the minimum norm, 3 no
        progress above the tolerance, 4 solved directly because the sketch would have been as large
        as A, 98 a number that is not finite, 99 stopped by the callback.
    message : str
        What happened and, where it failed, what to try.
    nit, n_passes : int
        Corrections, and reads of A including factorization and certificate.
    n_blocks, n_retries : int
        For a Dask array its chunks, and how often a pass was repeated; otherwise 1 and 0.
    method : str
        The method used: "sketch", "cholqr", "iterative", "gram" or "direct".
    sketch, sketch_size : str and int
        Kind and rows of the sketch, None and 0 where there is none.
    cond_estimate : float
        Estimate of the condition number of A with its columns scaled to unit length.
    rank : int
        Numerical rank of A.
    x_sketch : array or None
        The sketched solution that the refinement started from.
    linf_bound : float or None
        For ``method="sketch"``, the bound on every coordinate's error that holds with probability
        ``1 - delta``.
    history : list of dict
        For every iterate ``nit``, ``error``, ``backward_error``, ``residual_norm`` and
        ``grad_norm``.
    timings : dict
        Seconds spent in ``factorize`` and ``solve``.

    See Also
    --------
    lstsq : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A = rng.normal(size=(500, 3))
    >>> b = A @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=500)
    >>> numopt.lstsq(A, b).standard_errors().round(3)
    array([0.005, 0.005, 0.005])
    """

    _design: Design
    _factor: Factor
    _squares: Array

    def _attach(self, design: Design, factor: Factor, squares: Array) -> None:
        # Set past the dictionary, so that printing the result shows its fields only.
        object.__setattr__(self, "_design", design)
        object.__setattr__(self, "_factor", factor)
        object.__setattr__(self, "_squares", squares)

    def covariance(self) -> Array:
        """Return the covariance (d, d) of x for independent errors of equal variance.

        That is ``s^2 (A' W A + ridge I)^+``, with ``s^2`` the weighted sum of squares of the
        residuals over ``n - rank``, an array (k, d, d) for k right-hand sides. Takes one pass over
        A unless the method has the inverse already.
        """
        xp = array_namespace(self.x)
        preconditioner = self._factor.preconditioner
        if not preconditioner.exact:
            preconditioner = reorthonormalized(self._design, preconditioner)
        inverse = xp.matmul(preconditioner.P, preconditioner.P.T)
        spread = self._squares / max(1, self._design.shape[0] - self.rank)
        covariance = spread[:, None, None] * inverse[None, :, :]
        covariance = covariance[0, ...] if self.x.ndim == 1 else covariance
        return xp.astype(covariance, self.x.dtype, copy=False)

    def standard_errors(self) -> Array:
        """Return the standard error of every coordinate of x, shaped as x."""
        xp = array_namespace(self.x)
        covariance = self.covariance()
        variances = xp.linalg.diagonal(covariance)
        return xp.sqrt(variances if self.x.ndim == 1 else variances.T)

    def sketch_interval(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """Return bounds, shaped as x, on each coordinate of the exact solution, for a sketched x.

        The errors of a sketched solution are close to independent normal ones, of standard
        deviation ``R |e_j' A^+| / sqrt(m)`` for m rows; each interval holds by itself with the
        probability `confidence`. Raises TypeError unless the method was "sketch".
        """
        if self.method != "sketch":
            raise TypeError(f"`sketch_interval` needs method 'sketch', but it was {self.method!r}.")
        confidence = validate.between("confidence", confidence, 0.0, 1.0)
        from scipy.special import ndtri

        width = float(ndtri(0.5 + confidence / 2))
        degrees = max(1, self._design.shape[0] - self.rank)
        spread = self.standard_errors() * math.sqrt(degrees / self.sketch_size)
        return self.x - width * spread, self.x + width * spread


class KronResult(Result):
    """Outcome of `kron_lstsq`.

    Attributes
    ----------
    x : array, shape (d_1, ..., d_q)
        The solution as a tensor; ``x.reshape(-1)`` matches the Kronecker product.
    fun : float
        Half the sum of the squared residuals.
    residual_norm, grad_norm : float
        Norms of the residual and of the gradient, recomputed from x.
    backward_error : float
        Estimate of the smallest perturbation of the design and b, relative to the norm of the
        design, for which x is the exact solution.
    tol : float
        Tolerance of the solve.
    success : bool
        Whether ``backward_error <= tol``; for ``method="sketch"`` whether it is finite.
    status : int
        0 solved, 1 backward error above `tol`, 2 rank-deficient and solved for the minimum norm.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Always 0: there is no iteration.
    method : str
        "exact" or "sketch".
    sketch_size : int
        Rows of the sketch, 0 where there is none.
    rank : int
        Numerical rank of the product.
    linf_bound : float or None
        For ``method="sketch"``, the bound on every coordinate's error.
    history : list of dict
        One record.

    See Also
    --------
    kron_lstsq : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> result = numopt.kron_lstsq([np.ones((2, 1)), np.eye(2)], np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> result.x
    array([[2., 3.]])
    """


class Outcome(NamedTuple):
    """The best iterate of a run (d, k) with what was measured on it, as it is returned."""

    state: State
    record: dict[str, Any]
    run: Run[State]


def report(
    design: Design, factor: Factor, outcome: Outcome, request: Request, timings: dict[str, float]
) -> LstsqResult:
    """Return the result that stands for an outcome."""
    preconditioner, sketch = factor.preconditioner, factor.sketch
    record, run = outcome.record, outcome.run
    x = request.shaped(outcome.state.x)
    sketched = preconditioner.start if sketch is not None else None
    status, success = _verdict(design, factor, outcome, request)
    result = LstsqResult(
        x=x,
        fun=0.5 * record["residual_norm"] ** 2,
        residual_norm=record["residual_norm"],
        grad_norm=record["grad_norm"],
        backward_error=record["backward_error"],
        forward_error=record["forward_error"],
        tol=request.tol,
        success=success,
        status=status,
        message=_message(design, factor, outcome, request, status),
        nit=run.nit,
        n_passes=design.n_passes,
        n_blocks=design.n_blocks,
        n_retries=0 if design.cluster is None else design.cluster.n_retries,
        method=factor.method,
        sketch=None if sketch is None else type(sketch).__name__,
        sketch_size=0 if sketch is None else sketch.shape[0],
        cond_estimate=preconditioner.cond,
        rank=preconditioner.rank,
        x_sketch=None if sketched is None or not sketched.shape[1] else request.shaped(sketched),
        linf_bound=_linf_bound(factor, record, request) if factor.method == "sketch" else None,
        history=run.history,
        timings=timings,
    )
    result._attach(design, factor, outcome.state.squares)
    return result


def _verdict(
    design: Design, factor: Factor, outcome: Outcome, request: Request
) -> tuple[int, bool]:
    """Return status and success."""
    error, run = outcome.record["backward_error"], outcome.run
    full = factor.preconditioner.rank == design.shape[1]
    if factor.method == "sketch":
        success = full and math.isfinite(error)
        return (CONVERGED if success else RANK_DEFICIENT), success
    success = error <= request.tol
    if run.status in (STOPPED_BY_CALLBACK, NON_FINITE):
        return run.status, success
    if not success:
        return (STAGNATED if run.status == STAGNATED else ITERATION_LIMIT), False
    if factor.fell_back:
        return FELL_BACK, True
    return (CONVERGED if full else RANK_DEFICIENT), True


def _message(
    design: Design, factor: Factor, outcome: Outcome, request: Request, status: int
) -> str:
    """Return what happened and, where it failed, what to try."""
    (n, d), rank, run = design.shape, factor.preconditioner.rank, outcome.run
    how = f"by method {factor.method!r}"
    if factor.sketch is not None:
        how += f" with a {type(factor.sketch).__name__} of {factor.sketch.shape[0]} rows"
    error = f"a backward error of {outcome.record['backward_error']:.2g}"
    against = f"(tol {request.tol:.2g})"
    if factor.method == "sketch":
        if status == CONVERGED:
            return (
                f"Solved {how}; every coordinate is within `linf_bound` of the exact solution with "
                f"probability {1 - request.delta:g}."
            )
        return f"The sketch has rank {rank} of {d}, so that its guarantee fails; use 'cholqr'."
    if status == STOPPED_BY_CALLBACK:
        return f"Stopped by the callback after {run.nit} corrections with {error} {against}."
    if status == NON_FINITE:
        return f"Stopped at a number that is not finite after {run.nit} corrections; scale A or b."
    if status == ITERATION_LIMIT:
        return f"Stopped after {run.nit} corrections {how} with {error} {against}; raise maxiter."
    if status == STAGNATED:
        return (
            f"No progress after {run.nit} corrections {how}, with {error} {against}: raise tol, or "
            f"use method 'cholqr' or 'direct'."
        )
    note = f"Converged after {run.nit} corrections {how} with {error} {against}."
    if status == FELL_BACK:
        note += f" The sketch asked for has more rows than the {n} of `A`."
    if rank < d:
        note += f" `A` has rank {rank} of {d}: of all solutions this one has the smallest norm."
    return note


def _linf_bound(factor: Factor, record: dict[str, Any], request: Request) -> float:
    """Return ``eps / sqrt(d) R |A+|`` for the eps that the size of the sketch stands for."""
    P = factor.preconditioner.P
    d, rank = P.shape
    if rank < d or factor.sketch is None:
        return math.inf
    m = factor.sketch.shape[0]
    xp = array_namespace(P)
    # The smallest singular value of the sketch exceeds that of A by a factor of at most this.
    inverse = float(xp.max(xp.linalg.svdvals(P))) * (1 + math.sqrt(d / m))
    residual_norm: float = record["residual_norm"]
    return math.sqrt(2 * math.log(2 * d / request.delta) / m) * residual_norm * inverse
