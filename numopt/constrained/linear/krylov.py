"""Newton systems of which only products are known: GMRES and MINRES."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..._core.namespace import Array, array_namespace, inner
from ..._core.settings import is_sparse
from .._matrices import is_operator
from ..kkt.factor import sparse_factor, symmetric_factor
from ..kkt.regularize import LARGEST_SHIFT, Shifts, curves_up, larger
from ..kkt.system import Blocks, identity_kkt
from .direct import Counts, Direct

RESTART = 100
MAX_INNER = 2000
MINRES_RESTARTS = 4
# Where a curvature test is made the system is solved at least this well.
TEST_RTOL = 1e-2


class Krylov:
    """Solve by a Krylov method; shifts rise until the step has positive curvature."""

    def __init__(self, name: str, counts: Counts, max_inner: int | None, fallback: bool) -> None:
        self.name, self.counts = name, counts
        self.max_inner, self.fallback = max_inner or MAX_INNER, fallback
        self._direct = Direct(counts)

    def begin(self, H: Any, G: Any, rhs: Array, shifts: Shifts) -> Any:
        """Return a system along whose solution the Hessian is positive, None if there is none."""
        primal_shift, blocks = shifts.primal_damping, Blocks(H, G)
        precondition = self._preconditioner(G)
        while primal_shift <= LARGEST_SHIFT:
            work = KrylovWork(self, blocks, rhs, primal_shift, shifts.dual_damping, precondition)
            d = work.solve(TEST_RTOL)
            if d is None:
                return self._instead(H, G, rhs, shifts)
            if curves_up(blocks, d, primal_shift):
                return work
            primal_shift = larger(primal_shift, shifts.last_shift)
        return None

    def _instead(self, H: Any, G: Any, rhs: Array, shifts: Shifts) -> Any:
        """Return the factored system, None where there is nothing to factor."""
        if not self.fallback or is_operator(H) or is_operator(G):
            return None
        self.counts.fallbacks += 1
        return self._direct.begin(H, G, rhs, shifts)

    def _preconditioner(self, G: Any) -> Callable[[Array], Array] | None:
        """Return the solve with the identity in place of the Hessian, None without a matrix G."""
        if is_operator(G) or not G.shape[0]:
            return None
        if self.name == "minres":
            return _block_diagonal(G)
        self.counts.factorizations += 1
        values = G.data if is_sparse(G) else G
        like = array_namespace(values).zeros(G.shape[1])
        factor = identity_kkt(like, G).factor(0.0, 1e-8)
        return None if factor is None else factor.solve


class Auto:
    """Factor matrices, use GMRES where derivatives are operators."""

    def __init__(self, counts: Counts, max_inner: int | None, fallback: bool) -> None:
        self.name = "direct"
        self._direct = Direct(counts)
        self._krylov = Krylov("gmres", counts, max_inner, fallback)

    def begin(self, H: Any, G: Any, rhs: Array, shifts: Shifts) -> Any:
        """Return the system, solved in the way its format asks for."""
        if is_operator(H) or is_operator(G):
            self.name = "gmres"
            return self._krylov.begin(H, G, rhs, shifts)
        return self._direct.begin(H, G, rhs, shifts)


def _block_diagonal(G: Any) -> Callable[[Array], Array] | None:
    """Return the solve with ``diag(I, G G')``, which is positive definite, as MINRES needs."""
    n = G.shape[1]
    gram = G @ G.T
    factor = sparse_factor(gram.tocsc()) if is_sparse(gram) else symmetric_factor(gram.copy())
    if factor is None or factor.zero or factor.negative:
        return None

    def solve(v: Array) -> Array:
        return array_namespace(v).concat([v[:n], factor.solve(v[n:])])

    return solve


class KrylovWork:
    """A system solved to one accuracy after the other."""

    exact = False

    def __init__(
        self,
        solver: Krylov,
        blocks: Blocks,
        rhs: Array,
        primal_shift: float,
        dual_shift: float,
        precondition: Callable[[Array], Array] | None,
    ) -> None:
        from scipy.sparse.linalg import LinearOperator

        self.primal_shift = primal_shift
        self._solver, self._rhs, self._d = solver, rhs, None
        shape = (rhs.shape[0], rhs.shape[0])
        self._matrix = LinearOperator(
            shape, matvec=lambda v: blocks.product(v, primal_shift, dual_shift), dtype=rhs.dtype
        )
        self._precondition = (
            None if precondition is None else LinearOperator(shape, matvec=precondition)
        )
        self.inner = 0

    def solve(self, rtol: float) -> Array | None:
        """Return a solution with that relative residual, None where it is out of reach."""
        d = self._krylov(rtol)
        if not self._residual(d) <= max(2 * rtol, 1e-10):
            if self._d is None:
                return None
            self.exact = True  # as good as it gets
        self._d = d
        return d

    def _residual(self, d: Array) -> float:
        """Return the relative residual."""
        residual = self._rhs - self._matrix @ d
        return math.sqrt(inner(residual, residual) / (inner(self._rhs, self._rhs) or 1.0))

    def _krylov(self, rtol: float) -> Array:
        from scipy.sparse.linalg import gmres, minres

        solver = self._solver

        def count(_: Any) -> None:
            self.inner += 1
            solver.counts.inner += 1

        if solver.name == "minres":
            d = self._d
            # It stops on a residual relative to |K| |d|, which may be far above that of the system.
            for k in range(MINRES_RESTARTS):
                d = minres(
                    self._matrix,
                    self._rhs,
                    x0=d,
                    rtol=rtol * 10.0 ** -(1 + 2 * k),
                    maxiter=solver.max_inner,
                    M=self._precondition,
                    callback=count,
                )[0]
                if self._residual(d) <= rtol:
                    break
            return d
        restart = min(RESTART, self._rhs.shape[0])
        return gmres(
            self._matrix,
            self._rhs,
            x0=self._d,
            rtol=rtol,
            atol=0.0,
            restart=restart,
            maxiter=max(1, solver.max_inner // restart),
            M=self._precondition,
            callback=count,
            callback_type="pr_norm",
        )[0]
