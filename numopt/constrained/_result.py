"""What `minimize_equality` returns."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Result
from ._inertia import Shifts, regularize
from ._kkt import build_kkt
from ._matrices import is_operator


class EqualityResult(Result):
    """Outcome of `minimize_equality`: point, multipliers, and the certificate measured on them.

    Multipliers belong to the Lagrangian ``f + lam'c``, where c are the values of the constraints
    minus their targets, in the units and the order given.

    Attributes
    ----------
    x : array, shape (n,)
        The point.
    fun : float
        Objective at `x`.
    success : bool
        Whether ``optimality <= tol max(1, |g|)`` and ``constr_violation <= feas_tol``.
    status : int
        0 converged, 1 limit of iterations or time, 2 no step made progress, 3 the constraints are
        locally infeasible, 98 a number at `x0` that is not finite, 99 stopped by the callback.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Iterations done.
    jac : array, shape (n,)
        Gradient g of the objective.
    lam : list of array
        Multipliers, a vector for each constraint in the order given.
    lam_flat : array, shape (m,)
        The same as one vector.
    constr : list of array
        Values of the constraints minus their targets, a vector for each.
    constr_violation : float
        Largest absolute value among them.
    optimality : float
        Largest absolute entry of ``g + G'lam``, G the Jacobian of the constraints.
    tol, feas_tol : float
        Tolerances of the solve.
    nfev, njev, nhev, ncev : int
        Evaluations of the objective, of all first derivatives together, of Hessians (products with
        them for ``hessp``), and of the constraints. Finite differences count as one each.
    n_passes : int
        Passes over the rows of a `RowSum`, with Dask a barrier each; 0 for other objectives.
    n_blocks, n_retries : int
        Chunks of its Dask array (1 for other rows, 0 for other objectives), and how often a pass
        over it was repeated.
    n_factorizations : int
        Matrices factored.
    n_inner : int
        Sketches or Krylov steps.
    n_fallback : int
        Systems a factorization had to finish because the iterative solver did not get there.
    penalty : tuple of float
        The penalties ``(eta1, eta2)`` of the merit function at the end.
    regularization : float
        The last shift of the Hessian that the inertia asked for, 0 if there was none.
    hess_mode : str
        Where second derivatives came from: ``"exact"``, ``"operator"``, ``"finite-difference"``,
        ``"bfgs"``, ``"sr1"``, ``"l-bfgs"``, or ``"sketched"`` for a `RowSum` with a sketch.
    linear_solver : str
        The solver of the Newton systems.
    history : list of dict
        For every iteration ``nit``, ``error``, ``fun``, ``optimality``, ``constr_violation``,
        ``step`` (length along the direction), ``rtol``, ``inner``, ``delta_w`` (shift of the
        Hessian), ``eta1`` and ``eta2``.
    execution_time : float
        Seconds.

    See Also
    --------
    minimize_equality : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> result = numopt.minimize_equality(
    ...     lambda x: x @ x,
    ...     np.array([1.0, 3.0]),
    ...     jac=lambda x: 2 * x,
    ...     constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: np.ones(2)},
    ... )
    >>> result.x, result.lam_flat
    (array([0.5, 0.5]), array([-1.]))
    """

    _solution: Any = None

    def __getstate__(self) -> None:
        """Leave out the program, whose functions may not travel to another process."""

    def _attach(self, solution: Any) -> None:
        # Set past the dictionary, so that printing the result shows its fields only.
        object.__setattr__(self, "_solution", solution)

    def kkt_solve(self, rx: Array, rc: Array) -> tuple[Array, Array]:
        """Solve the linearized optimality conditions at the solution, for derivatives of it.

        Returns (dx, dlam) with ``H dx + G' dlam = rx`` and ``G dx = rc``, where H is the Hessian of
        the Lagrangian; `rx` (n,), `rc` (m,). When f and c depend on a parameter p, the solution
        moves by ``dx/dp`` for ``rx = -d(g + G'lam)/dp`` and ``rc = -dc/dp``. Evaluates one Hessian
        and takes one factorization. Raises ValueError if the
        system is singular, and for a result that was pickled.
        """
        if self._solution is None:
            raise ValueError(
                "`kkt_solve` needs the functions of the program, which a result does not hold if "
                "it comes from another process or its start was not finite."
            )
        problem, point, lam, curvature = self._solution
        validate.common_namespace(x=self.x, rx=rx, rc=rc)
        for name, vector, size in (("rx", rx, problem.n), ("rc", rc, problem.m)):
            validate.finite(name, validate.same_shape(name, vector, (size,), "x"))
        H = curvature.hessian(point, lam)
        if is_operator(H) or is_operator(point.G):
            raise TypeError("`kkt_solve` needs derivatives with entries, but operators were given.")
        xp = array_namespace(self.x)
        scale_c = xp.ones_like(point.c) if problem.scale_c is None else problem.scale_c
        rhs = xp.concat([rx * problem.scale_f, rc * scale_c])
        regularized = regularize(build_kkt(H, point.G), rhs, Shifts())
        if regularized is None or regularized.delta_w or regularized.delta_c:
            raise ValueError(
                "`kkt_solve` needs a strict local solution with independent constraints: the "
                "system is singular or has the wrong inertia."
            )
        d = regularized.factor.solve(rhs)
        return d[: problem.n], problem.user_multipliers(d[problem.n :])
