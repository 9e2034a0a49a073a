"""What `lstsq` and `kron_lstsq` return."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Check, Result
from .._linalg import quiet
from . import _kron
from ._certificate import backward_errors, optimality, positive_norms
from ._inputs import default_rcond_of, design_of, right_hand_sides
from ._precondition import Preconditioner, directly, reorthonormalized
from ._problem import Design
from ._published import guarantee, sketch_size_for


class Inference(NamedTuple):
    """What covariances are made of; the design is only needed where the root is not exact."""

    root: Preconditioner
    variances: Array
    degrees: int
    design: Design | None


class LstsqResult(Result):
    """Outcome of `lstsq`: a solution with the backward error measured on it.

    It pickles without the design. `covariance` and what is made of it then need a method other than
    "iterative" and "sketch", or to have been called before.

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
    checks : list of Check
        The backward error, at most `tol`. For ``method="sketch"`` that the sketch has full rank and
        the size that its guarantee asks for, and that no coordinate is further off than that says,
        by an estimate from below that costs no pass; `verify` compares with the solution itself.
    status : Status
        0 converged, 1 iteration limit, 2 no progress above the tolerance, 3 not accurate enough in
        the dtype of the result, 4 rank-deficient and solved for the minimum norm, 6 solved directly
        because the sketch would have been as large as A, 11 a sketch of too low a rank, 16 a sketch
        that keeps less than it promises, 98 a number that is not finite, 99 stopped by the
        callback.
    nit : int
        Corrections.
    n_passes : int
        Reads of A including factorization and certificate.
    method : str
        The method used: "sketch", "cholqr", "iterative", "gram" or "direct".
    cond_estimate : float
        Estimate of the condition number of A with its columns scaled to unit length.
    rank : int
        Numerical rank of A.
    linf_bound : float or None
        For ``method="sketch"``, the bound on every coordinate's error that holds with probability
        ``1 - delta``.
    history : list of dict
        For every iterate ``nit``, ``error``, ``backward_error``, ``forward_error``,
        ``residual_norm`` and ``grad_norm``.
    stats : dict
        ``sketch`` and ``sketch_size``, kind and rows of the sketch, None and 0 where there is none;
        ``x_sketch``, the sketched solution that the refinement started from, or None; ``eps`` and
        ``delta`` of its guarantee, ``eps`` None where the size was given; ``n_blocks`` and
        ``n_retries``, for a Dask array its chunks and how often a pass was repeated, otherwise 1
        and 0; ``factorize_time``, the seconds of `execution_time` before the refinement.

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

    residual_norm: float
    grad_norm: float
    backward_error: float
    forward_error: float
    n_passes: int
    method: str
    cond_estimate: float
    rank: int
    linf_bound: float | None

    _inference: Inference

    def _attach(self, inference: Inference) -> None:
        # Set past the dictionary, so that printing the result shows its fields only.
        object.__setattr__(self, "_inference", inference)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled beside the fields: all but the design."""
        return {"_inference": self._inference._replace(design=None)}

    def verify(
        self,
        A: Any,
        b: Any,
        *,
        weights: Any = None,
        ridge: float = 0.0,
        precision: str = "auto",
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from `A`, `b`, `weights`, `ridge` and ``x`` alone.

        `precision` is that of the residual; `options` that only tune the solver are ignored. Takes
        a QR decomposition of A, and one pass more.
        """
        del options
        design, _ = design_of(A, b, weights=weights, ridge=ridge, precision=precision)
        columns, _ = right_hand_sides(b, design)
        xp = array_namespace(columns)
        x = xp.astype(self.x if self.x.ndim == 2 else self.x[:, None], design.dtype)
        with quiet():
            exact = directly(design, columns, default_rcond_of(design))
            if self.linf_bound is not None and exact.start is not None:
                return self._guarantee(exact.rank, float(xp.max(xp.abs(x - exact.start))))
            error = backward_errors(
                x,
                *design.gradient(columns, x),
                positive_norms(design.norms(columns)),
                norm=exact.norm,
                root=exact.P,
                overlap=exact.overlap,
            )
        return optimality(float(xp.max(error)), self.checks[0].limit)

    def _guarantee(self, rank: int, coordinate_error: float) -> list[Check]:
        """Return the checks of a sketched solution."""
        d, (eps, delta, size) = (
            self.x.shape[0],
            (self.stats[name] for name in ("eps", "delta", "sketch_size")),
        )
        wanted = size if eps is None else sketch_size_for(d, eps, delta)
        return guarantee(d - rank, max(0, wanted - size), coordinate_error, self.checks[-1].limit)

    def covariance(self) -> Array:
        """Return the covariance (d, d) of x for independent errors of equal variance.

        That is ``s^2 (A' W A + ridge I)^+``, with ``s^2`` the weighted sum of squares of the
        residuals over ``n - rank``, an array (k, d, d) for k right-hand sides. Takes one pass over
        A unless the method has the inverse already.
        """
        known = self._inference
        if not known.root.exact:
            if known.design is None:
                raise TypeError(
                    f"`covariance` of method {self.method!r} needs the design, which is not "
                    "pickled: call it before, or solve with method 'cholqr'."
                )
            known = known._replace(root=reorthonormalized(known.design, known.root))
            self._attach(known)
        xp = array_namespace(self.x)
        inverse = xp.matmul(known.root.P, known.root.P.T)
        covariance = known.variances[:, None, None] * inverse[None, :, :]
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
        ratio = self._inference.degrees / self.stats["sketch_size"]
        spread = self.standard_errors() * math.sqrt(ratio)
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
    checks : list of Check
        The backward error, at most `tol`; for ``method="sketch"`` that the factors have full rank,
        that the sketch has the size that its guarantee asks for, and that no coordinate is further
        off than `linf_bound`.
    status : Status
        0 solved, 3 backward error above `tol`, 4 rank-deficient and solved for the minimum norm, 16
        a sketch that keeps less than it promises, 98 a number that is not finite.
    nit : int
        Always 0: there is no iteration.
    method : str
        "exact" or "sketch".
    rank : int
        Numerical rank of the product.
    linf_bound : float or None
        For ``method="sketch"``, the bound on every coordinate's error.
    history : list of dict
        One record.
    stats : dict
        ``sketch_size``, rows of the sketch, 0 where there is none; ``eps`` and ``delta`` of its
        guarantee, ``eps`` None where the size was given.

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

    residual_norm: float
    grad_norm: float
    backward_error: float
    method: str
    rank: int
    linf_bound: float | None

    def verify(
        self, factors: Sequence[Array], b: Array, *, rcond: Any = None, **options: Any
    ) -> list[Check]:
        """Return the checks, recomputed from `factors`, `b`, `rcond` and ``x`` alone.

        `options` that only tune the solver are ignored.
        """
        del options
        problem = _kron.problem_of(factors, b, rcond)
        seen = _kron.measured(problem, self.x)
        return _kron.checks_of(problem, seen, self.checks[-1].limit, self.stats)
