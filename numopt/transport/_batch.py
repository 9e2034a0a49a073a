"""Results of a batch of transport problems."""

from __future__ import annotations

from typing import Any

from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Result
from ._result import TransportResult

_ARRAYS = ("x", "f", "g")
_FLOATS = (
    "fun",
    "dual_fun",
    "gap",
    "cost",
    "marginal_error",
    "marginal_error_rows",
    "marginal_error_cols",
)
_LISTS = (
    "status",
    "message",
    "nit",
    "nit_sinkhorn",
    "nit_newton",
    "nit_cg",
    "npass",
    "nnz",
    "reg_path",
    "history",
)


class TransportBatch(Result):
    """Outcome of `entropic_transport` on a batch of B problems.

    Attributes
    ----------
    x, f, g : array, shape (B, n + m), (B, n) and (B, m)
        Dual potentials, as in `TransportResult`.
    fun, dual_fun, gap, cost : array, shape (B,)
        Objectives and transport costs.
    marginal_error, marginal_error_rows, marginal_error_cols : array, shape (B,)
        Certificates.
    success : bool
        Whether every problem converged.
    status, message, nit, nit_sinkhorn, nit_newton, nit_cg, npass, nnz, reg_path, history : list
        One entry a problem, as in `TransportResult`.
    results : list of TransportResult
        The problems one by one, with all their methods.

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

    @classmethod
    def of(cls, results: list[TransportResult]) -> TransportBatch:
        """Return the batch of some results."""
        reference = results[0].f
        xp = array_namespace(reference)
        fields: dict[str, Any] = {
            name: xp.stack([result[name] for result in results]) for name in _ARRAYS
        }
        for name in _FLOATS:
            fields[name] = xp.asarray(
                [result[name] for result in results],
                dtype=reference.dtype,
                device=device_of(reference),
            )
        for name in _LISTS:
            fields[name] = [result[name] for result in results]
        success = all(result.success for result in results)
        return cls(**fields, success=success, results=results)

    def plan(self) -> Array:
        """Return the plans, array (B, n, m)."""
        return self._stacked([result.plan() for result in self.results])

    def rounded_plan(self) -> Array:
        """Return feasible plans next to the solutions, array (B, n, m)."""
        return self._stacked([result.rounded_plan() for result in self.results])

    def grad_cost(self) -> Array:
        """Return the gradients of the optimal values with respect to the costs: the plans."""
        return self.plan()

    def grad_masses(self) -> tuple[Array, Array]:
        """Return the gradients with respect to the masses, arrays (B, n) and (B, m)."""
        rows, columns = zip(*(result.grad_masses() for result in self.results), strict=True)
        return self._stacked(list(rows)), self._stacked(list(columns))

    def _stacked(self, arrays: list[Array]) -> Array:
        return array_namespace(self.f).stack(arrays)
