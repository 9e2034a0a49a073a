"""The program as the solver sees it: scaled, counted and checked."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from ._constraints import Block, as_tuple, read_constraints, with_args
from ._differences import SCHEMES, Differences
from ._matrices import (
    all_finite,
    as_number,
    as_vector,
    converted,
    largest,
    largest_entry,
    row_peaks,
    scaled_rows,
    stacked,
)
from .row_sums import RowSum

# Functions whose gradient at the start has a larger entry are scaled down to it, at most so far.
LARGEST_GRADIENT = 100.0
SMALLEST_SCALE = 1e-8
# Constraints that are smaller than this, values and gradients, are scaled up to it.
SMALL_ROW = 1e-2


class Point(NamedTuple):
    """A point with all that is known there, in scaled units."""

    x: Array
    fun: float
    c: Array
    g: Array
    G: Any


class Objective:
    """The function to minimize with its gradient, each evaluated once at a point."""

    def __init__(self, fun: Any, jac: Any, args: tuple[Any, ...], rel_step: Any) -> None:
        if not callable(fun):
            raise TypeError(f"`fun` must be callable, got {type(fun).__name__}.")
        if not (callable(jac) or jac is None or isinstance(jac, bool)):
            validate.choice("jac", jac, SCHEMES)
        self._fun, self._together = with_args(fun, args), jac is True
        self._jac = with_args(jac, args) if callable(jac) else None
        scheme = jac if isinstance(jac, str) else "3-point"
        self._rule = Differences(scheme, rel_step)
        self.exact = self._together or self._jac is not None
        self._gradient: Array | None = None

    def value(self, x: Array) -> float:
        """Return f(x)."""
        if not self._together:
            return as_number("fun", self._fun(x))
        value, self._gradient = self._fun(x)
        return as_number("fun", value)

    def gradient(self, x: Array) -> Array:
        """Return the gradient (n,) at the point of the last value."""
        if self._together:
            return as_vector("fun: gradient", self._gradient, x, x.shape[0])
        if self._jac is not None:
            return as_vector("jac", self._jac(x), x, x.shape[0])
        return self._rule.gradient(lambda z: converted("fun", self._fun(z), x, real=False), x)


class Problem:
    """Minimize ``scale_f f(x)`` subject to ``scale_c c(x) = 0``; calls are counted."""

    def __init__(
        self, objective: Objective, blocks: list[Block], x0: Array, rows: RowSum | None = None
    ) -> None:
        self.objective, self.blocks, self.rows = objective, blocks, rows
        self._passes = 0 if rows is None else rows.n_passes
        self.n = x0.shape[0]
        self.sizes: list[int] = []
        self.scale_f = 1.0
        self.scale_c: Array | None = None
        self.counts = dict.fromkeys(("nfev", "njev", "nhev", "ncev"), 0)

    @property
    def work(self) -> dict[str, int]:
        """What was evaluated, and how often the rows of the objective were gone through."""
        rows = self.rows
        return {
            **self.counts,
            "n_passes": 0 if rows is None else rows.n_passes - self._passes,
            "n_blocks": 0 if rows is None else rows.n_blocks,
            "n_retries": 0 if rows is None else rows.n_retries,
        }

    @property
    def m(self) -> int:
        """Number of equations."""
        return sum(self.sizes)

    def first_point(self, x: Array) -> Point | None:
        """Return the start in the user's units, None if not finite; fix the number of equations."""
        self.sizes = [-1] * len(self.blocks)
        return self.point(x)

    def point(self, x: Array) -> Point | None:
        """Return a point with values and first derivatives, None if a number is not finite."""
        values = self.values(x)
        if values is None:
            return None
        fun, c = values
        self.counts["njev"] += 1
        g = self.objective.gradient(x) * self.scale_f
        G = self.jacobian(x)
        if not (all_finite(g) and all_finite(G)):
            return None
        return Point(x, fun, c, g, G)

    def values(self, x: Array) -> tuple[float, Array] | None:
        """Return f and c (m,), None if a number is not finite."""
        self.counts["nfev"] += 1
        fun = self.objective.value(x) * self.scale_f
        if not abs(fun) < largest_entry(x):
            return None
        c = self.constraints(x)
        return (fun, c) if all_finite(c) else None

    def constraints(self, x: Array) -> Array:
        """Return c (m,)."""
        xp = array_namespace(x)
        if not self.blocks:
            return xp.zeros((0,), dtype=x.dtype, device=device_of(x))
        self.counts["ncev"] += 1
        parts = [block.value(x) for block in self.blocks]
        sizes = [part.shape[0] for part in parts]
        if -1 in self.sizes:
            self.sizes = sizes
        if sizes != self.sizes:
            raise ValueError("`constraints` must return as many values at every point.")
        c = parts[0] if len(parts) == 1 else xp.concat(parts)
        return c if self.scale_c is None else c * self.scale_c

    def jacobian(self, x: Array) -> Any:
        """Return the Jacobian of the constraints (m, n)."""
        if not self.blocks:
            xp = array_namespace(x)
            return xp.zeros((0, self.n), dtype=x.dtype, device=device_of(x))
        return scaled_rows(
            stacked([self._rows(k, x) for k in range(len(self.blocks))]), self.scale_c
        )

    def _rows(self, k: int, x: Array) -> Any:
        block, size = self.blocks[k], self.sizes[k]
        rows = block.jacobian(x)
        if rows.shape[0] != size:
            raise ValueError(
                f"`constraints[{k}]: jac` must return {size} rows to match its values, "
                f"got shape {tuple(rows.shape)}."
            )
        return rows

    def scale(self, point: Point) -> Point:
        """Choose scales from the first point, and return it in scaled units."""
        xp = array_namespace(point.x)
        peak = largest(point.g)
        self.scale_f = max(min(1.0, LARGEST_GRADIENT / peak), SMALLEST_SCALE) if peak else 1.0
        if not self.blocks:
            return point._replace(fun=point.fun * self.scale_f, g=point.g * self.scale_f)
        peaks = row_peaks(point.G, point.x)
        ones = xp.ones_like(peaks)
        scale = xp.minimum(ones, LARGEST_GRADIENT / xp.maximum(peaks, ones))
        # Raised only where the value is small, too, and not zero: a gradient may vanish by chance.
        sizes = xp.maximum(peaks, xp.abs(point.c))
        small = (sizes < SMALL_ROW) & (sizes > SMALLEST_SCALE)
        raised = SMALL_ROW / xp.where(small, sizes, ones)
        scale = xp.where(small, raised, xp.maximum(scale, SMALLEST_SCALE * ones))
        self.scale_c = None if bool(xp.all(scale == ones)) else scale
        c = point.c if self.scale_c is None else point.c * scale
        return Point(
            point.x,
            point.fun * self.scale_f,
            c,
            point.g * self.scale_f,
            scaled_rows(point.G, self.scale_c),
        )

    def in_given_units(self, point: Point) -> Point:
        """Return a point of the scaled program as one of the user's."""
        G, c, scale = point.G, point.c, self.scale_c
        if scale is not None:
            G, c = scaled_rows(G, 1 / scale), c / scale
        return Point(point.x, point.fun / self.scale_f, c, point.g / self.scale_f, G)

    def user_multipliers(self, lam: Array) -> Array:
        """Return multipliers of the scaled program as those of the user's."""
        lam = lam if self.scale_c is None else lam * self.scale_c
        return lam / self.scale_f

    def scaled_multipliers(self, lam: Array) -> Array:
        """Return multipliers of the user's program as those of the scaled one."""
        lam = lam * self.scale_f
        return lam if self.scale_c is None else lam / self.scale_c

    def violation(self, c: Array) -> float:
        """Return the largest constraint violation in the user's units."""
        return largest(c if self.scale_c is None else c / self.scale_c)

    def split(self, values: Array) -> list[Array]:
        """Return a vector over all equations as one vector for each constraint."""
        starts = [sum(self.sizes[:k]) for k in range(len(self.sizes))]
        pairs = zip(starts, self.sizes, strict=True)
        return [values[start : start + size] for start, size in pairs]


def lagrangian_gradient(point: Point, lam: Array) -> Array:
    """Return ``g + G' lam`` (n,)."""
    return point.g + point.G.T @ lam if lam.shape[0] else point.g


def read_problem(
    fun: Any, x0: Array, args: Any, *, jac: Any, constraints: Any, rel_step: Any
) -> Problem:
    """Return the program that a user's functions stand for, not scaled."""
    args = as_tuple(args)
    blocks = read_constraints(constraints, x0, rel_step)
    if not isinstance(fun, RowSum):
        return Problem(Objective(fun, jac, args, rel_step), blocks, x0)
    for name, value in (("jac", jac), ("args", args)):
        if value is not None and value != ():
            raise ValueError(f"`{name}` must not be given with a RowSum, which has its own.")
    validate.same_shape("x0", x0, fun.shape[1:], "A")
    return Problem(Objective(fun.value_and_gradient, True, (), rel_step), blocks, x0, fun)
