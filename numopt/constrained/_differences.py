"""Finite differences: columns one by one, or in groups where the sparsity is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace, device_of

SCHEMES = ("2-point", "3-point", "cs")
# Steps that balance truncation and rounding: eps to this power, relative to the size of x.
_POWERS = {"2-point": 1 / 2, "3-point": 1 / 3, "cs": 1 / 2}


class Differences(NamedTuple):
    """A scheme, its step relative to x (None for the default) and the pattern of a Jacobian."""

    scheme: str
    rel_step: Any = None
    sparsity: Any = None

    def jacobian(self, fun: Callable[[Array], Array], x: Array) -> Any:
        """Return the Jacobian (m, n) of a vector function, sparse if its pattern is given."""
        if self.sparsity is not None:
            return self._grouped(fun, x)
        xp = array_namespace(x)
        steps, base = self._steps(x), self._base(fun, x)
        unit = xp.eye(x.shape[0], dtype=x.dtype, device=device_of(x))
        columns = [
            self._slope(fun, x, steps * unit[k, :], base) / steps[k] for k in range(x.shape[0])
        ]
        return xp.stack(columns, axis=1)

    def gradient(self, fun: Callable[[Array], Array], x: Array) -> Array:
        """Return the gradient (n,) of a scalar function."""
        xp = array_namespace(x)
        dense = self._replace(sparsity=None)
        return dense.jacobian(lambda z: xp.reshape(fun(z), (1,)), x)[0, :]

    def _steps(self, x: Array) -> Array:
        """Return a step for each variable that ``x + step`` represents exactly."""
        xp = array_namespace(x)
        relative = float(xp.finfo(x.dtype).eps) ** _POWERS[self.scheme]
        if self.rel_step is not None:
            relative = xp.asarray(self.rel_step, dtype=x.dtype, device=device_of(x))
        steps = relative * xp.maximum(xp.abs(x), xp.ones_like(x))
        return (x + steps) - x

    def _base(self, fun: Callable[[Array], Array], x: Array) -> Array | None:
        return fun(x) if self.scheme == "2-point" else None

    def _slope(
        self, fun: Callable[[Array], Array], x: Array, move: Array, base: Array | None
    ) -> Array:
        """Return the change of a function along a move."""
        if self.scheme == "2-point":
            return fun(x + move) - base
        if self.scheme == "3-point":
            return (fun(x + move) - fun(x - move)) * 0.5
        xp = array_namespace(x)
        return xp.imag(fun(x + 1j * move))

    def _grouped(self, fun: Callable[[Array], Array], x: Array) -> Any:
        """Return a sparse Jacobian; columns that share no row are differenced together."""
        from scipy.sparse import csc_array, csr_array

        pattern = csc_array(self.sparsity)
        steps, base = self._steps(x), self._base(fun, x)
        data = pattern.data.astype(x.dtype)
        groups = column_groups(pattern)
        owner = columns_of_entries(pattern)
        for group in range(max(groups, default=-1) + 1):
            chosen = (groups == group).astype(x.dtype)
            change = self._slope(fun, x, steps * chosen, base)
            inside = chosen[owner] > 0
            data[inside] = change[pattern.indices[inside]] / steps[owner[inside]]
        return csr_array(csc_array((data, pattern.indices, pattern.indptr), shape=pattern.shape))


def columns_of_entries(pattern: Any) -> Array:
    """Return the column of every stored entry of a CSC matrix."""
    xp = array_namespace(pattern.indptr)
    return xp.repeat(xp.arange(pattern.shape[1]), xp.diff(pattern.indptr))


def column_groups(pattern: Any) -> Array:
    """Return a number for each column of a CSC pattern; columns that share a row differ.

    Greedy coloring in the order of decreasing column counts (Curtis, Powell and Reid 1974).
    """
    xp = array_namespace(pattern.indptr)
    counts = xp.diff(pattern.indptr)
    groups = xp.zeros(pattern.shape[1], dtype=pattern.indptr.dtype)
    taken: list[set[int]] = [set() for _ in range(pattern.shape[0])]
    for j in xp.argsort(-counts, stable=True).tolist():
        rows = pattern.indices[pattern.indptr[j] : pattern.indptr[j + 1]].tolist()
        used = set().union(*(taken[i] for i in rows))
        color = next(k for k in range(len(used) + 1) if k not in used)
        groups[j] = color
        for i in rows:
            taken[i].add(color)
    return groups
