"""The public solver of equality-constrained programs."""

from __future__ import annotations

import time
from typing import Any

from .._core.iterate import Callback, closing
from ._inputs import read_second_derivatives, read_settings, read_start
from ._problem import read_problem
from ._result import EqualityResult
from ._solve import report, solve


def minimize_equality(
    fun: Any,
    x0: Any,
    args: Any = (),
    *,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    constraints: Any = (),
    lagrangian_hess: Any = None,
    method: str = "auto",
    sketch: str | None = None,
    sketch_size: int | None = None,
    fallback: bool = True,
    superlinear: bool = True,
    tol: float | None = None,
    feas_tol: float | None = None,
    maxiter: int = 500,
    max_inner: int | None = None,
    time_limit: float | None = None,
    scale: bool = True,
    penalty: tuple[float, float] = (1.0, 0.1),
    penalty_rate: float = 1.5,
    sufficient_decrease: float | None = None,
    allow_overdetermined: bool = False,
    rng: Any = None,
    callback: Callback | None = None,
    finite_diff_rel_step: Any = None,
) -> EqualityResult:
    r"""Minimize a smooth function subject to nonlinear equations.

    .. math::

        \min_{x \in \mathbb{R}^n} f(x) \quad \text{subject to} \quad c(x) = 0,
        \quad c : \mathbb{R}^n \to \mathbb{R}^m, \; m \le n,

    by Newton steps on the optimality conditions :math:`\nabla f + G^\top \lambda = 0`,
    :math:`c = 0` (G the Jacobian of c), guided by an augmented Lagrangian that is exact in x and
    the multipliers :math:`\lambda`. Neither has to be convex.

    Parameters
    ----------
    fun : callable or RowSum
        ``fun(x, *args)`` returns f(x), or the pair of f(x) and its gradient if ``jac=True``. A
        `RowSum` brings its derivatives with it, and may lie in files or on a cluster.
    x0 : array, shape (n,), tuple of arrays, or EqualityResult
        Start, real and finite: a point, a pair of point and multipliers (one vector (m,), or one
        for each constraint as in ``dual``), or an earlier result, whose penalties and shift of the
        Hessian are taken over, too. Multipliers to start with are else a least-squares estimate
        (zero for the published method). The library, device and dtype of the point (float32 or
        float64; integers become the default float, lists arrays of NumPy) are those of everything
        the callables are given and the result holds. What they return may be lists, too.
    args : tuple, default ()
        Further arguments of `fun`, `jac`, `hess` and `hessp`.
    jac : callable, True or {"2-point", "3-point", "cs"}, optional
        ``jac(x, *args)`` returns the gradient (n,). Default is central differences, ``"3-point"``.
    hess : callable, str or scipy.optimize.HessianUpdateStrategy, optional
        ``hess(x, *args)`` returns the Hessian of f (n, n): an array, a SciPy sparse matrix or a
        ``LinearOperator``. Used if every nonlinear constraint has its own, too (``hess(x, v)`` of
        a ``NonlinearConstraint``). ``"2-point"``, ``"3-point"`` and ``"cs"`` difference the
        gradient of the Lagrangian; ``"bfgs"``, ``"sr1"`` and ``"l-bfgs"`` (or SciPy's ``BFGS()``
        and ``SR1()``) update an approximation of its Hessian. Default: differences for at most
        200 variables with exact first derivatives, ``"bfgs"`` for those without, else ``"l-bfgs"``.
    hessp : callable, optional
        ``hessp(x, p, *args)`` returns the product of the Hessian of f with p, for problems whose
        Hessians are not stored.
    constraints : constraint or list of them, default ()
        ``scipy.optimize.LinearConstraint`` and ``NonlinearConstraint`` with ``lb == ub``,
        ``Bounds`` that fix variables or leave them free, and dicts ``{"type": "eq", "fun": c,
        "jac": G, "hess": ..., "args": ...}``. Jacobians may be arrays, SciPy sparse matrices or
        operators.
    lagrangian_hess : callable, optional
        ``lagrangian_hess(x, lam)`` returns the Hessian of ``f + lam'c`` in one go.
    method : {"auto", "direct", "gmres", "minres", "published"}, default "auto"
        How steps are found. ``"direct"`` factors the systems; ``"gmres"`` and ``"minres"`` need
        products only; ``"auto"`` factors matrices and takes GMRES for operators.
        ``"published"`` is the algorithm of the paper with its rules and constants, for study.
    sketch : {"kaczmarz", "gaussian", "block-kaczmarz"}, optional
        Solve the systems by projections onto random rows, as the paper does: with its rules beside
        ``method="published"``, with those used here beside ``"auto"``. Default is to factor.
    sketch_size : int, optional
        Rows of a block. Default ``ceil((n + m) / 16)``.
    fallback : bool, default True
        Whether a factorization finishes a system on which an iterative solver spent its budget.
    superlinear : bool, default True
        Solve the systems more accurately as the residual falls.
    tol : float, optional
        Largest entry of the gradient of the Lagrangian relative to ``max(1, max|g|)``.
        Default 1e-8, in float32 and for the published method 1e-4.
    feas_tol : float, optional
        Largest constraint violation. Default `tol`.
    maxiter : int, default 500
        Largest number of iterations.
    max_inner : int, optional
        Largest number of Krylov steps or projections for a system. Default 2000 and 50 sweeps.
    time_limit : float, optional
        Seconds after which no further iteration begins.
    scale : bool, default True
        Scale f and each constraint whose gradient at `x0` has an entry above 100 down to that.
        Tolerances, objective and multipliers stay in the units given.
    penalty : tuple of float, default (1.0, 0.1)
        First penalties of the merit function, on ``|c|^2 / 2`` and ``|g + G'lam|^2 / 2``.
    penalty_rate : float, default 1.5
        Rate at which penalties change, greater than 1.
    sufficient_decrease : float, optional
        Share of the predicted decrease that a step has to bring, less than 0.5. Default 1e-4, for
        the published method 0.1.
    allow_overdetermined : bool, default False
        Accept more equations than variables, and look for a point that satisfies them by least
        squares.
    rng : int or numpy.random.Generator, optional
        For sketches, and for leaving a start at which the constraints are stationary.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with ``x`` and the fields of a record of
        ``history``; `StopIteration` ends the solve. See `ProgressBar`.
    finite_diff_rel_step : float or array, optional
        Step of finite differences relative to ``max(1, |x|)``.

    Returns
    -------
    EqualityResult
        ``x``, ``fun``, multipliers ``dual``, the certificate ``optimality`` and
        ``infeasibility``, ``success``, ``status``, ``message``, ``checks``, counters, ``history``.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an option is wrong, a constraint is an inequality, there are more equations than
        variables, or a function returns what is not of the right shape. What a function raises is
        passed on.

    Warns
    -----
    RuntimeWarning
        If a Hessian is not symmetric; its symmetric part is used.

    See Also
    --------
    EqualityResult : what comes back.
    RowSum : objectives that are sums over the rows of a matrix.
    scipy.optimize.minimize : for inequalities and bounds.

    Notes
    -----
    The merit function is ``f + lam'c + eta1/2 |c|^2 + eta2/2 |g + G'lam|^2``. It is smooth and, for
    suitable penalties, has its minima at solutions, so that full steps are accepted near them
    without a second-order correction. A step solves

    ``[[H + p I, G'], [G, -d I]] [dx, dlam] = -[g + G'lam, c]``

    with H the Hessian of the Lagrangian. The primal shift p and the dual shift d are raised until
    the matrix has n positive and m negative eigenvalues (d covers dependent constraints), and damp
    steps where short ones follow one another. Penalties that make the step descend follow in
    closed form. Where no step decreases the merit function, new multipliers, damping and a
    restoration of the constraints by Levenberg-Marquardt steps are tried in this order.

    A step costs one Hessian, one product with it, and one factorization: ``(n + m)^3 / 3``
    operations dense, fill-in sparse. A trial point costs f, c, g and G. Memory is that of the
    factors. Row sketches suit low accuracy and well-conditioned systems only; see the documentation
    for measured figures.

    Proved [1]_, for the published method, if iterates stay in a compact set, G has full rank on it
    and the modified Hessian is positive definite on its null space: the inner loops end and the
    penalties settle almost surely, the residual converges to zero from any start, linearly near a
    regular solution, superlinearly where the accuracy is raised with the residual. The rules used
    here keep the descent test and the line search of the paper, and lower penalties at most eight
    times; no theorem covers restoration or damping. The certificate is independent of all this.

    Dense arrays of NumPy, CuPy, PyTorch and any other Array API library; sparse matrices and
    operators with NumPy.

    References
    ----------
    .. [1] I. Hong, S. Na, M. W. Mahoney, M. Kolar, "Constrained Optimization via Exact Augmented
       Lagrangian and Randomized Iterative Sketching", ICML 2023, arXiv:2305.18379.

    Examples
    --------
    The point of a sphere closest to a plane's corner, with all derivatives given:

    >>> import numpy as np
    >>> import numopt
    >>> from scipy.optimize import NonlinearConstraint
    >>> sphere = NonlinearConstraint(
    ...     lambda x: x @ x, 1.0, 1.0, jac=lambda x: 2 * x, hess=lambda x, v: 2 * v[0] * np.eye(3)
    ... )
    >>> target = np.array([1.0, 2.0, 2.0])
    >>> result = numopt.minimize_equality(
    ...     lambda x: ((x - target) ** 2).sum(),
    ...     [1.0, 0.0, 0.0],
    ...     jac=lambda x: 2 * (x - target),
    ...     hess=lambda x: 2 * np.eye(3),
    ...     constraints=sphere,
    ... )
    >>> result.success
    True
    >>> result.x
    array([0.33333333, 0.66666667, 0.66666667])
    >>> result.dual
    [array([2.])]
    """
    begin = time.perf_counter()
    start = read_start(x0)
    settings = read_settings(
        start.x,
        begin,
        method=method,
        sketch=sketch,
        sketch_size=sketch_size,
        fallback=fallback,
        superlinear=superlinear,
        tol=tol,
        feas_tol=feas_tol,
        maxiter=maxiter,
        max_inner=max_inner,
        time_limit=time_limit,
        scale=scale,
        penalty=penalty,
        penalty_rate=penalty_rate,
        sufficient_decrease=sufficient_decrease,
        allow_overdetermined=allow_overdetermined,
        rng=rng,
        callback=callback,
    )
    given = read_second_derivatives(
        fun,
        hess=hess,
        hessp=hessp,
        lagrangian_hess=lagrangian_hess,
        args=args,
        rel_step=finite_diff_rel_step,
    )
    problem = read_problem(
        fun, start.x, args, jac=jac, constraints=constraints, rel_step=finite_diff_rel_step
    )
    with closing(callback):
        solution = solve(problem, given, settings, start)
    return report(problem, settings, solution)
