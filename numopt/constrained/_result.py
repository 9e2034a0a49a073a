"""What `minimize_equality` returns."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Check, Result
from ._certificate import residuals_at
from ._curvature import Curvature
from ._matrices import is_operator
from ._problem import Point, Problem, read_problem
from .kkt.regularize import Shifts, regularize
from .kkt.system import build_kkt


class Known(NamedTuple):
    """A program and its solution in scaled units, which a result holds in this process only."""

    problem: Problem
    point: Point
    lam: Array
    curvature: Curvature


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
        Whether both `checks` are passed: the relative gradient of the Lagrangian, ``optimality /
        max(1, max|g|)``, is at most `tol`, and the `infeasibility` at most `feas_tol`.
    status : Status
        0 converged, 1 limit of iterations or time, 2 no step made progress, 5 the constraints are
        locally infeasible, 98 a number at the start that is not finite, 99 stopped by the callback.
    nit : int
        Iterations done.
    jac : array, shape (n,)
        Gradient g of the objective.
    dual : list of array
        Multipliers, a vector for each constraint in the order given.
    constr : list of array
        Values of the constraints minus their targets, a vector for each.
    infeasibility : float
        Largest absolute value among them.
    optimality : float
        Largest absolute entry of ``g + G'lam``, G the Jacobian of the constraints.
    feas_tol : float
        Tolerance of the infeasibility.
    nfev, njev, nhev : int
        Evaluations of the objective, of all first derivatives together, and of Hessians (products
        with them for ``hessp``). Finite differences count as one each.
    n_passes : int
        Passes over the rows of a `RowSum`, with Dask a barrier each; 0 for other objectives.
    n_factorizations : int
        Matrices factored.
    hess_mode : str
        Where second derivatives came from: ``"exact"``, ``"operator"``, ``"finite-difference"``,
        ``"bfgs"``, ``"sr1"``, ``"l-bfgs"``, or ``"sketched"`` for a `RowSum` with a sketch.
    history : list of dict
        For every iteration ``nit``, ``error``, ``fun``, ``optimality``, ``infeasibility``,
        ``step`` (length along the direction), ``rtol`` (relative residual of its system),
        ``inner`` (Krylov steps or projections), ``primal_shift`` (of the Hessian),
        ``constraint_penalty`` and ``gradient_penalty`` (of the merit function).
    stats : dict
        ``ncev``, evaluations of the constraints; ``n_inner``, projections or Krylov steps;
        ``n_fallbacks``, systems a factorization had to finish because the iterative solver did not
        get there; ``n_blocks`` and ``n_retries``, chunks of the Dask array of a `RowSum` (1 for
        other rows, 0 for other objectives) and how often a pass over it was repeated;
        ``linear_solver``, who solved the Newton systems; ``penalty``, the pair of penalties of the
        merit function at the end; ``regularization``, the last shift of the Hessian that the
        inertia asked for, 0 if there was none.

    See Also
    --------
    minimize_equality : the solver.
    verify : recomputes the checks.

    Examples
    --------
    >>> import numopt
    >>> sums_to_one = {"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: [1, 1]}
    >>> program = {"jac": lambda x: 2 * x, "constraints": sums_to_one}
    >>> result = numopt.minimize_equality(lambda x: x @ x, [1.0, 3.0], **program)
    >>> result.x, result.dual
    (array([0.5, 0.5]), [array([-1.])])
    >>> all(check.passed for check in result.verify(lambda x: x @ x, **program))
    True
    """

    jac: Array
    dual: list[Array]
    constr: list[Array]
    infeasibility: float
    optimality: float
    feas_tol: float
    nfev: int
    njev: int
    nhev: int
    n_passes: int
    n_factorizations: int
    hess_mode: str

    def __getstate__(self) -> None:
        """Leave out the program, whose functions may not travel to another process."""

    def _attach(self, known: Known) -> None:
        # Set past the dictionary, so that printing the result shows its fields only.
        object.__setattr__(self, "_known", known)

    def dual_vector(self) -> Array:
        """Return the multipliers of all equations as one vector (m,)."""
        return array_namespace(self.x).concat([self.x[:0], *self.dual])

    def verify(
        self,
        fun: Any,
        x0: Any = None,
        args: Any = (),
        *,
        jac: Any = None,
        constraints: Any = (),
        finite_diff_rel_step: Any = None,
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed at `x` and `dual` from the functions of the program alone.

        `fun`, `args`, `jac`, `constraints` and `finite_diff_rel_step` are what the solver was
        given. Its start `x0` and its other `options` are not looked at and may be left out.
        """
        del x0, options
        problem = read_problem(
            fun, self.x, args, jac=jac, constraints=constraints, rel_step=finite_diff_rel_step
        )
        found = residuals_at(problem, self.x, self.dual_vector())
        return found.checks(self.tol, self.feas_tol)

    def kkt_solve(self, rx: Array, rc: Array) -> tuple[Array, Array]:
        """Solve the linearized optimality conditions at the solution, for derivatives of it.

        Returns (dx, dlam) with ``H dx + G' dlam = rx`` and ``G dx = rc``, where H is the Hessian of
        the Lagrangian; `rx` (n,), `rc` (m,). When f and c depend on a parameter p, the solution
        moves by ``dx/dp`` for ``rx = -d(g + G'lam)/dp`` and ``rc = -dc/dp``. Evaluates one Hessian
        and takes one factorization. Raises ValueError if the system is singular, and for a result
        that was pickled.
        """
        known: Known | None = vars(self).get("_known")
        if known is None:
            raise ValueError(
                "`kkt_solve` needs the functions of the program, which a result does not hold if "
                "it comes from another process or its start was not finite."
            )
        problem, point = known.problem, known.point
        _, rx, rc = validate.arrays(x=self.x, rx=rx, rc=rc)
        xp = array_namespace(self.x)
        for name, vector, size in (("rx", rx, problem.n), ("rc", rc, problem.m)):
            validate.finite(name, validate.same_shape(name, vector, (size,), "x"))
        H = known.curvature.hessian(point, known.lam)
        if is_operator(H) or is_operator(point.G):
            raise TypeError("`kkt_solve` needs derivatives with entries, but operators were given.")
        scale_c = xp.ones_like(point.c) if problem.scale_c is None else problem.scale_c
        rhs = xp.concat([rx * problem.scale_f, rc * scale_c])
        regularized = regularize(build_kkt(H, point.G), rhs, Shifts())
        if regularized is None or regularized.primal_shift or regularized.dual_shift:
            raise ValueError(
                "`kkt_solve` needs a strict local solution with independent constraints: the "
                "system is singular or has the wrong inertia."
            )
        d = regularized.factor.solve(rhs)
        return d[: problem.n], problem.user_multipliers(d[problem.n :])
