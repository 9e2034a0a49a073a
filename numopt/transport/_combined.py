"""What several transport problems are returned in: a batch of them, or a divergence."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Check, Result, Status, settle
from ._certificate import recomputed
from ._costs import PointCloudCost
from ._inputs import checked_problems
from ._result import TransportResult


class TransportBatch(TransportResult):
    """Outcome of `entropic_transport` on a batch of B problems.

    All methods of `TransportResult` are there, with a leading axis B on what they take and return.

    Attributes
    ----------
    x, f, g : array, shape (B, n + m), (B, n) and (B, m)
        Dual potentials, as in `TransportResult`.
    fun, dual_fun, gap, cost : array, shape (B,)
        Objectives, gaps and transport costs.
    marginal_error, marginal_error_rows, marginal_error_cols, tol : array, shape (B,)
        Certificates and tolerances.
    success : bool
        Whether every problem converged.
    checks : list of Check
        The check of each problem.
    status, message, nit, n_passes, history : list
        One entry a problem, as in `TransportResult`.
    stats : dict
        ``nit_sinkhorn``, ``nit_newton``, ``nit_cg``, ``nnz`` and ``reg_path``, lists of one entry
        a problem.
    results : list of TransportResult
        The problems one by one.

    See Also
    --------
    entropic_transport : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> costs = np.stack([np.eye(2), 2 * np.eye(2)])
    >>> batch = numopt.entropic_transport(costs, reg=0.5)
    >>> batch.success, batch.plan().shape
    (True, (2, 2, 2))
    """

    results: list[TransportResult]
    _points = None  # the costs of a batch are matrices

    @classmethod
    def of(cls, results: list[TransportResult]) -> TransportBatch:
        """Return the batch of some ``results``."""
        like = results[0].f
        xp, place = array_namespace(like), {"dtype": like.dtype, "device": device_of(like)}
        fields: dict[str, Any] = {}
        for name, value in results[0].items():
            column = [result[name] for result in results]
            if isinstance(value, float):
                fields[name] = xp.asarray(column, **place)
            else:
                fields[name] = xp.stack(column) if name in ("x", "f", "g") else column
        checks = _named([(f"of problem {k}", result) for k, result in enumerate(results)])
        fields |= {
            "success": settle(Status.CONVERGED, checks).success,
            "checks": checks,
            "execution_time": sum(result.execution_time for result in results),
            "stats": {
                name: [result.stats[name] for result in results] for name in results[0].stats
            },
            "results": results,
        }
        return cls(**fields)

    def verify(
        self, cost: Any, a: Any = None, b: Any = None, *, reg: float, **options: Any
    ) -> list[Check]:
        """Return the checks of all problems, recomputed from `cost`, `a`, `b` and `reg`.

        Other `options` of the solver change nothing.
        """
        del options
        problems, _ = checked_problems(cost, a, b)
        reg = validate.positive("reg", reg)
        found = []
        for k, (problem, limit) in enumerate(zip(problems, self.checks, strict=True)):
            masses = problem.cost, problem.a, problem.b
            checks = recomputed(*masses, self.f[k, :], self.g[k, :], reg, limit.limit)
            found += [check._replace(name=f"{check.name} of problem {k}") for check in checks]
        return found

    def plan(self) -> Array:
        """Return the plans, array (B, n, m)."""
        return self._each("plan")

    def sparse_plan(self, rtol: float = 1e-8) -> tuple[Any, float]:
        """Return a list of the sparse plans, and the largest mass that was left out of one.

        No row and no column loses more than the share `rtol` of its mass.
        """
        found = [result.sparse_plan(rtol) for result in self.results]
        return [plan for plan, _ in found], max(dropped for _, dropped in found)

    def apply(self, V: Array, transpose: bool = False) -> Array:
        """Return ``P @ V``, or ``P.T @ V`` if `transpose`, for `V` (B, m) or (B, m, k)."""
        return self._each("apply", V, transpose=transpose)

    def barycentric_map(self, Y: Array) -> Array:
        """Return where each row's mass goes on average, for points `Y` (B, m, k)."""
        return self._each("barycentric_map", Y)

    def rounded_plan(self) -> Array:
        """Return feasible plans next to the solutions, array (B, n, m)."""
        return self._each("rounded_plan")

    def grad_masses(self) -> tuple[Array, Array]:
        """Return the gradients with respect to the masses, arrays (B, n) and (B, m)."""
        rows, columns = self._each("grad_masses")
        return rows, columns

    def jvp_plan(
        self, dcost: Array | None = None, da: Array | None = None, db: Array | None = None
    ) -> Array:
        """Return the derivatives of the plans in the directions `dcost`, `da` and `db`."""
        return self._each("jvp_plan", dcost, da, db)

    def vjp_plan(self, weights: Array) -> tuple[Array, Array, Array]:
        """Return the gradients of ``sum(weights * P)`` for `weights` (B, n, m)."""
        cost, a, b = self._each("vjp_plan", weights)
        return cost, a, b

    def _each(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return what a method gives for each problem, stacked; None is an argument of all."""
        parts = zip(*(_split(x, len(self.results)) for x in arguments), strict=True)
        calls = parts if arguments else [()] * len(self.results)
        found = [
            getattr(result, method)(*given, **options)
            for result, given in zip(self.results, calls, strict=True)
        ]
        xp = array_namespace(self.f)
        if isinstance(found[0], tuple):
            return tuple(xp.stack(list(part)) for part in zip(*found, strict=True))
        return xp.stack(found)


def _split(x: Any, count: int) -> list[Any]:
    """Return the parts of an argument of a batch along its first axis."""
    if x is None:
        return [None] * count
    (x,) = validate.arrays(argument=x)
    if x.ndim == 0 or x.shape[0] != count:
        raise ValueError(
            f"Arguments of a batch must have {count} parts along the first axis, got shape "
            f"{tuple(x.shape)}."
        )
    return [x[k, ...] for k in range(count)]


_PARTS = ("between the clouds", "of X to itself", "of Y to itself")


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
        Bound of the error of `fun`: sum of the bounds of the three problems, weighted as they are,
        relative to the weighted sum of what their gaps are relative to.
    checks : list of Check
        The marginal errors of the three problems and their tolerances.
    status : Status
        First status that is not zero, as in `TransportResult`.
    message : str
        What happened, for the problem that `status` is of.
    tol : float
        Tolerance of the transport between the clouds.
    nit, n_passes : int
        Iterations and passes of the three problems together.
    history : list of dict
        Records of the three problems, one after the other.
    stats : dict
        ``nit_sinkhorn``, ``nit_newton`` and ``nit_cg`` of the three problems together.
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

    f: Array
    g: Array
    marginal_error: float
    gap: float
    n_passes: int
    transport: TransportResult
    self_a: TransportResult
    self_b: TransportResult

    @classmethod
    def of(
        cls, transport: TransportResult, self_a: TransportResult, self_b: TransportResult
    ) -> DivergenceResult:
        """Return what ``transport`` less half of ``self_a`` and ``self_b`` makes."""
        parts, weights = (transport, self_a, self_b), (1.0, 0.5, 0.5)
        decisive = next((part for part in parts if part.status != Status.CONVERGED), transport)
        checks = _named(list(zip(_PARTS, parts, strict=True)))
        xp, counters = array_namespace(transport.f), ("nit_sinkhorn", "nit_newton", "nit_cg")
        f = transport.f - 0.5 * (self_a.f + self_a.g)
        g = transport.g - 0.5 * (self_b.f + self_b.g)
        sizes = [w * part._size for w, part in zip(weights, parts, strict=True)]
        bounds = [size * part.gap for size, part in zip(sizes, parts, strict=True)]
        outcome = settle(decisive.status, checks)._replace(message=decisive.message)
        return cls(
            x=xp.concat([f, g]),
            f=f,
            g=g,
            fun=transport.dual_fun - 0.5 * (self_a.dual_fun + self_b.dual_fun),
            gap=sum(bounds) / sum(sizes),
            marginal_error=max(part.marginal_error for part in parts),
            **outcome._asdict(),
            nit=sum(part.nit for part in parts),
            n_passes=sum(part.n_passes for part in parts),
            history=[record for part in parts for record in part.history],
            tol=transport.tol,
            execution_time=sum(part.execution_time for part in parts),
            stats={name: sum(part.stats[name] for part in parts) for name in counters},
            transport=transport,
            self_a=self_a,
            self_b=self_b,
        )

    def verify(
        self,
        X: Any,
        Y: Any,
        a: Any = None,
        b: Any = None,
        *,
        reg: float,
        metric: str = "sqeuclidean",
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from `X`, `Y`, `a`, `b`, `reg` and `metric`.

        Of each of the three problems the potentials are taken as they are held here, and one pass
        over its cost. Other `options` of the solver change nothing.
        """
        del options
        given = (X, Y, a, b), (X, X, a, a), (Y, Y, b, b)
        parts = self.transport, self.self_a, self.self_b
        return [
            check._replace(name=f"{check.name} {label}")
            for label, part, (P, Q, p, q) in zip(_PARTS, parts, given, strict=True)
            for check in part.verify(PointCloudCost(P, Q, metric), p, q, reg=reg)
        ]

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


def _named(results: list[tuple[str, TransportResult]]) -> list[Check]:
    """Return the checks of several problems, each with the name of its problem."""
    return [
        check._replace(name=f"{check.name} {label}")
        for label, result in results
        for check in result.checks
    ]
