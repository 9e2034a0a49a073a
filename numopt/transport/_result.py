"""What the solution of one transport problem is returned in."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace, csr_matrix
from .._core.outcome import Check, Result
from .._core.settings import non_negative
from ._certificate import objective_size, recomputed
from ._costs import PointCloudCost
from ._inputs import checked_problems
from ._plan import Coupling, embedded, rounded


class TransportResult(Result):
    """Outcome of `entropic_transport`: potentials, certificate, and the plan they stand for.

    The plan is ``P[i, j] = a[i] b[j] exp((f[i] + g[j] - cost[i, j]) / reg)``. It is computed on
    demand; the cost given to the solver is referenced, not copied.

    Attributes
    ----------
    x : array, shape (n + m,)
        ``f`` and ``g``, one after the other.
    f, g : array, shape (n,) and (m,)
        Dual potentials, in the unit of the cost, unique up to ``(f + t, g - t)``; here
        ``sum(a * f) == sum(b * g)``. Finite where the mass is zero (soft c-transform).
    fun : float
        Primal objective ``<C, P> + reg KL(P | a b')`` at the plan.
    dual_fun : float
        Dual objective at the potentials: a lower bound of the optimal value.
    gap : float
        Upper bound of the distance of the objective of `rounded_plan` from the optimum, relative
        to ``abs(fun)`` or, where that is larger, to ``reg`` times the mass, which is never zero.
    cost : float
        Transport cost ``<C, P>``, without entropy.
    marginal_error, marginal_error_rows, marginal_error_cols : float
        l1 distance of the row and column sums of the plan from the masses, over the total mass,
        recomputed from ``f`` and ``g`` after the solve; the first is the sum of the others.
    checks : list of Check
        One: that ``marginal_error`` is at most ``tol``.
    status : Status
        0 converged, 1 iteration limit, 2 no further progress, 3 precision of the dtype reached,
        98 a number that is not finite, 99 stopped by the callback.
    nit : int
        Sweeps and Newton steps, over the whole path of regularizations.
    n_passes : int
        Passes over the cost, that of the certificate included.
    history : list of dict
        For every iteration ``nit``, ``reg``, ``marginal_error``, ``error`` (the same) and ``nnz``.
    stats : dict
        ``nit_sinkhorn``, ``nit_newton`` and ``nit_cg``, the Sinkhorn sweeps, Newton steps and
        conjugate gradient iterations; ``nnz``, the entries of the plan kept in the last Newton
        step, 0 if there was none; ``reg_path``, the regularizations solved on the way, the last
        of which is the target if it was reached.

    See Also
    --------
    entropic_transport : the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> result = numopt.entropic_transport(np.array([[0.0, 1.0], [1.0, 0.0]]), reg=0.2)
    >>> result.plan().round(4)
    array([[0.4967, 0.0033],
           [0.0033, 0.4967]])
    """

    f: Array
    g: Array
    dual_fun: float
    gap: float
    cost: float
    marginal_error: float
    marginal_error_rows: float
    marginal_error_cols: float
    n_passes: int

    _coupling: Coupling
    _masses: tuple[Array, Array]
    _support: tuple[Array | None, Array | None]
    _points: PointCloudCost | None

    def _attach(
        self,
        coupling: Coupling,
        masses: tuple[Array, Array],
        support: tuple[Array | None, Array | None],
        points: PointCloudCost | None,
    ) -> None:
        # Set past the dictionary, so that printing the result shows its fields only.
        for name, value in zip(
            ("_coupling", "_masses", "_support", "_points"),
            (coupling, masses, support, points),
            strict=True,
        ):
            object.__setattr__(self, name, value)

    @property
    def _size(self) -> float:
        """What `gap` is relative to."""
        mass = float(array_namespace(self.f).sum(self._masses[0]))
        return objective_size(self.fun, self._coupling.reg, mass)

    def _embed(self, values: Array, *axes: int) -> Array:
        """Return values on the support as values on everything, zero where there is no mass."""
        for axis, side in enumerate(axes):
            values = embedded(values, self._support[side], self._masses[side].shape[0], axis)
        return values

    def _restrict(self, values: Array, *axes: int) -> Array:
        """Return the part of an array that lies on the support."""
        xp = array_namespace(values)
        for axis, side in enumerate(axes):
            index = self._support[side]
            values = values if index is None else xp.take(values, index, axis=axis)
        return validate.contiguous(values)

    def _operand(self, name: str, x: Array, *sides: int, ndim: int | tuple[int, ...]) -> Array:
        """Return a validated array whose leading axes match the rows (0) or columns (1)."""
        reference = self._masses[0]
        _, x = validate.arrays(f=reference, **{name: x})
        dtype = validate.common_float(**{name: x})
        x = validate.as_array(name, x, ndim=ndim, dtype=dtype)
        wanted = tuple(self._masses[side].shape[0] for side in sides)
        if tuple(x.shape[: len(sides)]) != wanted:
            raise ValueError(
                f"`{name}` must have shape {wanted} along its first axes, got {tuple(x.shape)}."
            )
        return array_namespace(x).astype(x, reference.dtype, copy=False)

    def verify(
        self, cost: Any, a: Any = None, b: Any = None, *, reg: float, **options: Any
    ) -> list[Check]:
        """Return the checks, recomputed from `cost`, `a`, `b`, `reg` and the potentials here.

        Takes one pass over the cost. Other `options` of the solver change nothing.
        """
        del options
        (problem,), _ = checked_problems(cost, a, b)
        masses = problem.cost, problem.a, problem.b
        return recomputed(*masses, self.f, self.g, validate.positive("reg", reg), self.tol)

    def plan(self) -> Array:
        """Return the plan, array (n, m). Takes O(nm) time and memory."""
        return self._embed(self._coupling.matrix(), 0, 1)

    def sparse_plan(self, rtol: float = 1e-8) -> tuple[Any, float]:
        """Return the entries that matter as a sparse matrix, and the mass that was left out.

        No row and no column loses more than the share `rtol` of its mass. The matrix is a
        ``scipy.sparse.csr_array`` on NumPy and a ``cupyx.scipy.sparse.csr_matrix`` on CuPy;
        other libraries get the tuple ``(data, indices, indptr)``. Takes O(nm) time and O(nnz)
        memory.
        """
        rtol = validate.between("rtol", rtol, 0.0, 1.0)
        data, indices, indptr = self._coupling.sparse(rtol)
        xp = array_namespace(data)
        kept = float(xp.sum(data))
        dropped = non_negative(float(xp.sum(self._coupling.sums()[1])) - kept)
        rows, columns = self._support
        counts = embedded(indptr[1:] - indptr[:-1], rows, self._masses[0].shape[0], 0)
        if columns is not None:
            indices = xp.take(columns, xp.astype(indices, columns.dtype))
        indptr = xp.cumulative_sum(counts, include_initial=True)
        shape = (self._masses[0].shape[0], self._masses[1].shape[0])
        return csr_matrix(data, indices, indptr, shape), dropped

    def apply(self, V: Array, transpose: bool = False) -> Array:
        """Return ``P @ V``, or ``P.T @ V``, without storing the plan.

        `V` has shape (m,) or (m, k), with n in place of m if `transpose`. Takes O(nmk) time.
        """
        side = 0 if transpose else 1
        V = self._operand("V", V, side, ndim=(1, 2))
        columns = self._restrict(V if V.ndim == 2 else V[:, None], side)
        product = (
            self._coupling.apply_transposed(columns) if transpose else self._coupling.apply(columns)
        )
        product = self._embed(product, 1 - side)
        return product if V.ndim == 2 else product[:, 0]

    def barycentric_map(self, Y: Array) -> Array:
        """Return where each row's mass goes on average: ``(P @ Y) / P.sum(axis=1)``.

        `Y` (m, k) are the points of the columns. Rows without mass are mapped to zero. Takes
        O(nmk) time.
        """
        Y = self._operand("Y", Y, 1, ndim=2)
        sums = self._coupling.sums()[0]
        return self._embed(self._coupling.apply(self._restrict(Y, 1)) / sums[:, None], 0)

    def rounded_plan(self) -> Array:
        """Return a plan (n, m) next to the solution that is feasible to rounding.

        Rows and columns are scaled down to their masses and the remainder added as a rank-one
        matrix (Altschuler, Weed and Rigollet 2017). Takes O(nm) time and memory.
        """
        coupling = self._coupling
        return self._embed(rounded(coupling.matrix(), coupling.a, coupling.b), 0, 1)

    def grad_cost(self) -> Array:
        """Return the gradient of the optimal value with respect to the cost: the plan."""
        return self.plan()

    def grad_masses(self) -> tuple[Array, Array]:
        """Return the gradients of the optimal value with respect to `a` and `b`, centered.

        They are the potentials minus their means; constants have no meaning, as the total mass
        of both sides is fixed.
        """
        xp = array_namespace(self.f)
        return self.f - xp.mean(self.f), self.g - xp.mean(self.g)

    def grad_points(self) -> tuple[Array, Array]:
        """Return the gradients of the optimal value with respect to both point clouds.

        Arrays (n, d) and (m, d), for the points given to `PointCloudCost`; with the squared
        Euclidean distance ``2 scale (a[:, None] * X - P @ Y)``. Where two points coincide, the
        Euclidean and l1 distances have no gradient and contribute zero. Raises TypeError if the
        cost was a matrix.
        """
        if self._points is None:
            raise TypeError("`grad_points` needs a PointCloudCost, but the cost was a matrix.")
        rows, columns = self._coupling.point_gradients()
        factor = self._points.factor
        return self._embed(factor * rows, 0), self._embed(factor * columns, 1)

    def jvp_plan(
        self, dcost: Array | None = None, da: Array | None = None, db: Array | None = None
    ) -> Array:
        """Return the derivative of the plan in a direction, by implicit differentiation.

        `dcost` (n, m), `da` (n,) and `db` (m,) are changes of the cost and the masses, None for
        none; `da` and `db` must have equal sums and vanish where the mass does. Returns dP
        (n, m). Solves one linear system with the sparsified Hessian at the solution.
        """
        if dcost is not None:
            dcost = validate.finite("dcost", self._operand("dcost", dcost, 0, 1, ndim=2))
            dcost = self._restrict(dcost, 0, 1)
        da, db = self._mass_change("da", da, 0), self._mass_change("db", db, 1)
        given = [change for change in (da, db) if change is not None]
        xp = array_namespace(self.f)
        sums = [0.0 if change is None else float(xp.sum(change)) for change in (da, db)]
        size = sum(float(xp.sum(xp.abs(change))) for change in given)
        if abs(sums[0] - sums[1]) > 1e-6 * size:
            raise ValueError(f"`da` and `db` must have equal sums, got {sums[0]} and {sums[1]}.")
        return self._embed(self._coupling.jvp(dcost, da, db), 0, 1)

    def _mass_change(self, name: str, change: Array | None, side: int) -> Array | None:
        """Return a validated change of one side's masses on the support."""
        if change is None:
            return None
        change = validate.finite(name, self._operand(name, change, side, ndim=1))
        xp = array_namespace(change)
        if bool(xp.any((self._masses[side] == 0) & (change != 0))):
            raise ValueError(
                f"`{name}` must be zero where the mass is zero: the plan has no derivative there."
            )
        return self._restrict(change, side)

    def vjp_plan(self, weights: Array) -> tuple[Array, Array, Array]:
        """Return the gradients of ``sum(weights * P)`` with respect to the cost, `a` and `b`.

        `weights` (n, m). The gradients with respect to the masses are centered on the support
        and zero where the mass is zero. The transpose of `jvp_plan`, at the same cost.
        """
        weights = validate.finite("weights", self._operand("weights", weights, 0, 1, ndim=2))
        cost, a, b = self._coupling.vjp(self._restrict(weights, 0, 1))
        return self._embed(cost, 0, 1), self._embed(a, 0), self._embed(b, 1)
