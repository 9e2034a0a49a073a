"""The public solvers of entropic transport."""

from __future__ import annotations

from itertools import repeat

from .._core.iterate import Callback, closing
from .._core.namespace import Array
from ._combined import DivergenceResult, TransportBatch
from ._costs import PointCloudCost
from ._inputs import checked_problems, checked_settings, checked_starts, divergence_problems
from ._result import TransportResult
from ._solve import solve

Start = TransportResult | tuple[Array, Array] | Array | None


def entropic_transport(
    cost: Array | PointCloudCost,
    a: Array | None = None,
    b: Array | None = None,
    *,
    reg: float,
    method: str = "sns",
    tol: float | None = None,
    maxiter: int = 1000,
    x0: Start = None,
    scaling: float = 2.0,
    newton_options: dict[str, float] | None = None,
    density: float | None = None,
    callback: Callback | None = None,
) -> TransportResult:
    r"""Solve entropic optimal transport between two masses.

    .. math::

        \min_{P \ge 0} \; \langle C, P \rangle
        + \varepsilon \, \mathrm{KL}(P \,|\, a b^\top)
        \quad \text{subject to} \quad P 1 = a, \; P^\top 1 = b,

    with :math:`\mathrm{KL}(P|Q) = \sum P \log(P/Q) - P + Q`. The plan is
    :math:`P_{ij} = a_i b_j \exp((f_i + g_j - C_{ij}) / \varepsilon)` for the dual potentials f
    and g, which are what is computed.

    Parameters
    ----------
    cost : array-like, shape (n, m) or (B, n, m), or PointCloudCost
        Real and finite cost C. A 3-D array is a batch of B problems. Integers become the default
        float of the library; the common dtype of `cost`, `a` and `b` is that of the result.
    a : array-like, shape (n,) or (B, n), optional
        Non-negative masses of the rows, some may be zero. Default ``1 / n`` each.
    b : array-like, shape (m,) or (B, m), optional
        Non-negative masses of the columns. Default ``1 / m`` each. Both totals must agree to
        1e-6 (float32: 1e-4) and `b` is rescaled to that of `a`; they need not be 1.
    reg : float
        Regularization :math:`\varepsilon > 0`, in the unit of the cost. As a share of
        ``max(cost)``: 0.1 blurs the plan, 1e-3 is sharp, 1e-4 is close to unregularized.
    method : {"sns", "sinkhorn", "sns-paper"}, default "sns"
        The improved Sinkhorn-Newton-Sparse method; Sinkhorn sweeps alone in the log domain, at
        the target regularization; or Sinkhorn-Newton-Sparse as published, which may stall.
    tol : float, optional
        Largest l1 distance of the marginals of the plan from the masses, rows and columns
        together, relative to the total mass. Default 1e-8 or, where that is larger,
        the precision floor ``4 eps (max(cost) - min(cost)) / reg`` of the dtype, but at most
        1e-2.
    maxiter : int, default 1000
        Largest number of sweeps and Newton steps together.
    x0 : TransportResult, tuple (f, g), or array-like g, optional
        Warm start. Used at `reg` at once if its marginal error there is below 0.1, otherwise to
        start the path. Only g, shape (m,) or (B, m), matters: f follows from it.
    scaling : float, default 2.0
        First ratio between consecutive regularizations of the path, which then adapts.
    newton_options : dict, optional
        Fields of the Newton step to change: ``mass_fraction``, ``mass_floor``, ``mass_cap``
        (mass that sparsification may drop from a row or column), ``damping``, ``cg_rtol``,
        ``cg_maxiter``, ``clip``, ``density_limit`` and ``nnz_limit``.
    density : float, optional
        Share of the entries that ``method="sns-paper"`` keeps. Default ``2 / min(n, m)``. Other
        methods choose by mass and do not accept it.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with ``nit``, ``reg``, ``marginal_error`` and
        ``nnz``; `StopIteration` ends the solve. See `ProgressBar`.

    Returns
    -------
    TransportResult
        Potentials ``f`` and ``g``, ``fun``, ``dual_fun``, ``gap``, ``cost``, the marginal
        errors, ``success``, ``checks``, ``status``, ``message``, counters, ``history``, and
        methods for the plan and its derivatives. A batch gives a `TransportBatch`, a kind of it
        whose fields have a leading axis B.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a total or an option is wrong, a number is not finite, or `reg` is
        below ``4 eps (max(cost) - min(cost))``.

    Warns
    -----
    RuntimeWarning
        If `tol` is below the precision floor of the dtype.

    See Also
    --------
    PointCloudCost : a cost that is never stored.
    sinkhorn_divergence : a distance between point clouds built on this solver.

    Notes
    -----
    With g fixed, f is explicit, which leaves a concave function of g alone. The method follows
    its maximizer along decreasing regularizations. At each it does a few Sinkhorn sweeps, then
    Newton steps, whose matrix is cut to the entries of the plan that carry all but a small share
    of the mass of their row or column, and solved by preconditioned conjugate gradients. Steps
    that do not raise the objective are clipped and, in the end, replaced by sweeps, which always
    do.

    Every pass over the cost takes one exponential per entry, O(nm) time, and no n-by-m
    temporary; the sparse matrix takes O(nnz) memory, at most 100 MB. The smaller of n and m
    should be that of the columns; otherwise the cost is transposed once. Where the plan is not
    sparse (large `reg`), it is stored if it has at most four million entries, otherwise never.

    Proved [1]_: with a unique optimal plan P0 of the unregularized problem between uniform masses
    1/n, and D the gap between the best and the second-best vertex, the regularized plan is within
    :math:`6 n^2 e^{-D / \varepsilon}` of P0 in l1 norm once
    :math:`D / \varepsilon > 1 + 2 \log n`. That Newton steps converge fast is observed, not
    proved. The certificate is independent of both: marginal errors are measured on the returned
    potentials, and with ``gap`` they bound the distance from the optimum.

    Runs on NumPy (compiled by Numba from 4096 entries on), CuPy, PyTorch and any other Array API
    library with float64 or float32.

    References
    ----------
    .. [1] X. Tang, M. Shavlovsky, H. Rahmanian, E. Tardini, K. K. Thekumparampil, T. Xiao,
       L. Ying, "Accelerating Sinkhorn Algorithm with Sparse Newton Iterations", ICLR 2024,
       arXiv:2401.12253.

    Examples
    --------
    Move a sample to another one, at a regularization of a thousandth of the largest cost:

    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(300, 1)), 3 + rng.normal(size=(400, 1))
    >>> cost = (x - y.T) ** 2
    >>> result = numopt.entropic_transport(cost, reg=1e-3 * cost.max())
    >>> result.success
    True
    >>> bool(abs(result.plan().sum(axis=1) - 1 / 300).sum() < 1e-8)
    True
    """
    settings = checked_settings(
        reg=reg,
        method=method,
        tol=tol,
        maxiter=maxiter,
        scaling=scaling,
        newton_options=newton_options,
        density=density,
        callback=callback,
    )
    problems, batched = checked_problems(cost, a, b)
    starts = checked_starts(x0, problems, batched)
    with closing(callback):
        results = list(map(solve, problems, repeat(settings), starts))
    return TransportBatch.of(results) if batched else results[0]


def sinkhorn_divergence(
    X: Array,
    Y: Array,
    a: Array | None = None,
    b: Array | None = None,
    *,
    reg: float,
    metric: str = "sqeuclidean",
    tol: float | None = None,
    maxiter: int = 1000,
    callback: Callback | None = None,
) -> DivergenceResult:
    r"""Compute the Sinkhorn divergence between two weighted point clouds.

    .. math::

        S_\varepsilon(a, b) = \mathrm{OT}_\varepsilon(a, b)
        - \tfrac12 \mathrm{OT}_\varepsilon(a, a) - \tfrac12 \mathrm{OT}_\varepsilon(b, b),

    where :math:`\mathrm{OT}_\varepsilon` is the value of `entropic_transport`. Unlike that value
    it is zero between equal clouds, and positive otherwise for the three metrics here.

    Parameters
    ----------
    X : array-like, shape (n, d)
        First cloud, one point a row; real and finite.
    Y : array-like, shape (m, d)
        Second cloud, of the same library and device.
    a : array-like, shape (n,), optional
        Non-negative masses of X. Default ``1 / n`` each.
    b : array-like, shape (m,), optional
        Non-negative masses of Y, of the same total. Default ``1 / m`` each.
    reg : float
        Regularization :math:`\varepsilon > 0`, in the unit of the cost.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, default "sqeuclidean"
        Cost between points.
    tol : float, optional
        Marginal error asked of each of the three problems, as in `entropic_transport`.
    maxiter : int, default 1000
        Largest number of iterations of each problem.
    callback : callable, optional
        As in `entropic_transport`, called by the three problems in turn.

    Returns
    -------
    DivergenceResult
        ``fun``, derivatives ``f`` and ``g`` with respect to the masses, ``success``, and
        ``grad_points()``; the three transports are in ``transport``, ``self_a``, ``self_b``.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a total or an option is wrong, or a number is not finite.

    See Also
    --------
    entropic_transport : the solver underneath.

    Notes
    -----
    The transport of a cloud to itself has equal potentials on both sides, found by the averaged
    update ``f <- (f + T f) / 2``, T being a Sinkhorn half-step, followed by Newton steps where
    that is slow. Values are those of the dual, whose error is quadratic in the marginal error.
    No cost is stored: O((n + m) d) memory and O((n + m)^2 d) time a pass, plus the sparse plan.

    References
    ----------
    .. [1] J. Feydy, T. Séjourné, F.-X. Vialard, S. Amari, A. Trouvé, G. Peyré, "Interpolating
       between Optimal Transport and MMD using Sinkhorn Divergences", AISTATS 2019,
       arXiv:1810.08278.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> same = numopt.sinkhorn_divergence(X, X.copy(), reg=0.1)
    >>> moved = numopt.sinkhorn_divergence(X, X + 1.0, reg=0.1)
    >>> abs(same.fun) < 1e-8, round(moved.fun, 4)
    (True, 2.0)
    """
    settings = checked_settings(reg=reg, tol=tol, maxiter=maxiter, callback=callback)
    pairs = divergence_problems(X, Y, a, b, metric)
    methods = settings, *[settings._replace(method="symmetric")] * 2
    with closing(callback):
        transport, self_a, self_b = map(solve, pairs, methods, repeat(None))
    return DivergenceResult.of(transport, self_a, self_b)
