"""Sinkhorn divergence between two weighted point clouds."""

from __future__ import annotations

from .._core.iterate import Callback, closing
from .._core.namespace import Array, array_namespace
from .._core.outcome import Result
from ._api import instance_of, settings_of, validated
from ._costs import PointCloudCost
from ._result import TransportResult
from ._solve import solve


class DivergenceResult(Result):
    """Outcome of `sinkhorn_divergence`.

    Attributes
    ----------
    x : array, shape (n + m,)
        ``f`` and ``g``, one after the other.
    f, g : array, shape (n,) and (m,)
        Derivatives of the divergence with respect to the masses, up to a constant: differences
        of the potentials of the three transport problems.
    fun : float
        The divergence, in the unit of the cost.
    marginal_error : float
        Largest of the three marginal errors.
    gap : float
        Bound of the error of `fun`: sum of the gaps, weighted as their problems are.
    success : bool
        Whether all three problems converged.
    status : int
        First status that is not zero, as in `TransportResult`.
    message : str
        What happened, for the problem that `status` is of.
    nit, npass : int
        Iterations and passes of the three problems together.
    history : list of dict
        Records of the three problems, one after the other.
    transport, self_a, self_b : TransportResult
        The transport between the clouds and of each cloud to itself.

    See Also
    --------
    sinkhorn_divergence : the function that returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> X = np.linspace(0, 1, 20)[:, None]
    >>> result = numopt.sinkhorn_divergence(X, X + 0.5, reg=0.05)
    >>> round(result.fun, 6), result.success
    (0.25, True)
    """

    def grad_points(self) -> tuple[Array, Array]:
        """Return the gradients of the divergence with respect to X and Y, (n, d) and (m, d)."""
        X, Y = self.transport.grad_points()
        X_first, X_second = self.self_a.grad_points()
        Y_first, Y_second = self.self_b.grad_points()
        return X - 0.5 * (X_first + X_second), Y - 0.5 * (Y_first + Y_second)

    def grad_masses(self) -> tuple[Array, Array]:
        """Return the gradients with respect to `a` and `b`, centered."""
        xp = array_namespace(self.f)
        return self.f - xp.mean(self.f), self.g - xp.mean(self.g)


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
    X : array, shape (n, d)
        First cloud, one point a row; real and finite.
    Y : array, shape (m, d)
        Second cloud, of the same library and device.
    a : array, shape (n,), optional
        Non-negative masses of X. Default ``1 / n`` each.
    b : array, shape (m,), optional
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
    settings = settings_of(reg=reg, tol=tol, maxiter=maxiter, callback=callback)
    cost = PointCloudCost(X, Y, metric)
    matrix, a, b, points = validated(cost, a, b)
    assert points is not None
    cloud_a = PointCloudCost(points.X, points.X, metric)
    cloud_b = PointCloudCost(points.Y, points.Y, metric)
    symmetric = settings._replace(method="symmetric")
    with closing(callback):
        results = [
            solve(instance_of(matrix, a, b, points), settings, None),
            solve(instance_of(cloud_a.kernel_cost(), a, a, cloud_a), symmetric, None),
            solve(instance_of(cloud_b.kernel_cost(), b, b, cloud_b), symmetric, None),
        ]
    return _combined(*results)


def _combined(
    transport: TransportResult, self_a: TransportResult, self_b: TransportResult
) -> DivergenceResult:
    parts = (transport, self_a, self_b)
    decisive = next((part for part in parts if part.status != 0), transport)
    xp = array_namespace(transport.f)
    f = transport.f - 0.5 * (self_a.f + self_a.g)
    g = transport.g - 0.5 * (self_b.f + self_b.g)
    return DivergenceResult(
        x=xp.concat([f, g]),
        f=f,
        g=g,
        fun=transport.dual_fun - 0.5 * (self_a.dual_fun + self_b.dual_fun),
        gap=transport.gap + 0.5 * (self_a.gap + self_b.gap),
        marginal_error=max(part.marginal_error for part in parts),
        success=all(part.success for part in parts),
        status=decisive.status,
        message=decisive.message,
        nit=sum(part.nit for part in parts),
        npass=sum(part.npass for part in parts),
        history=[record for part in parts for record in part.history],
        transport=transport,
        self_a=self_a,
        self_b=self_b,
    )
