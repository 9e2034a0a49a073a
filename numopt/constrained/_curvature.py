"""Where the Hessian of the Lagrangian comes from: the user, finite differences, or updates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of, inner
from ._constraints import Block
from ._differences import SCHEMES, Differences
from ._matrices import LowRank, added, as_hessian, as_vector, operator
from ._problem import Point, Problem, lagrangian_gradient
from .row_sums import RowSum

UPDATES = ("bfgs", "sr1", "l-bfgs")
# Finite differences of gradients, and full matrices of updates, up to this many variables.
FULL_MATRIX = 200
MEMORY = 10
# Powell's damping keeps y's at least this share of s'Bs.
_DAMPING = 0.2
_SR1_SKIP = 1e-8


class Curvature(NamedTuple):
    """A rule for Hessians; `hessian(point, lam)` returns a matrix, an operator or a `LowRank`.

    A sketched one has the rule that it stands for beside it.
    """

    mode: str
    hessian: Callable[[Point, Array], Any]
    update: Callable[[Point, Array, Point], Curvature] | None = None
    sketch_of: Curvature | None = None

    @property
    def approximate(self) -> bool:
        """Whether products with these Hessians are not the change of the gradient."""
        return self.update is not None or self.sketch_of is not None


class Given(NamedTuple):
    """What the user says about second derivatives."""

    hess: Any
    hessp: Any
    lagrangian_hess: Any
    args: tuple[Any, ...]
    rel_step: Any


def choose_curvature(problem: Problem, given: Given) -> Curvature:
    """Return the best rule for what is there."""
    if given.lagrangian_hess is not None:
        return Curvature("exact", _from_lagrangian(problem, given))
    if problem.rows is not None and given.hess is None:
        return _from_rows(problem, problem.rows, given)
    blocks_known = all(b.linear or b.hessian is not None for b in problem.blocks)
    if callable(given.hess) and blocks_known:
        return Curvature("exact", _from_parts(problem, given, problem.blocks))
    if given.hessp is not None and blocks_known:
        return Curvature("operator", _from_parts(problem, given, problem.blocks))
    mode = given.hess if isinstance(given.hess, str) else _mode_of_strategy(given.hess)
    if mode in SCHEMES:
        return Curvature("finite-difference", _from_differences(problem, mode, given.rel_step))
    if mode is None:
        mode = _default_mode(problem)
        if mode == "finite-difference":
            return Curvature(mode, _from_differences(problem, "2-point", given.rel_step))
    return LimitedMemory(()).curvature() if mode == "l-bfgs" else FullUpdate(mode, None).curvature()


def check_hess(hess: Any) -> Any:
    """Return the `hess` argument, having checked that it is one of the things it may be."""
    if hess is None or callable(hess) or _mode_of_strategy(hess):
        return hess
    return validate.choice("hess", hess, (*SCHEMES, *UPDATES))


def _mode_of_strategy(hess: Any) -> str | None:
    """Return the update that one of SciPy's strategies stands for."""
    from scipy.optimize import BFGS, SR1

    if isinstance(hess, BFGS):
        return "bfgs"
    return "sr1" if isinstance(hess, SR1) else None


def _default_mode(problem: Problem) -> str:
    exact = problem.objective.exact and all(block.exact for block in problem.blocks)
    if problem.n > FULL_MATRIX:
        return "l-bfgs"
    return "finite-difference" if exact else "bfgs"


def _from_lagrangian(problem: Problem, given: Given) -> Callable[[Point, Array], Any]:
    def hessian(point: Point, lam: Array) -> Any:
        check = problem.counts["nhev"] == 0
        problem.counts["nhev"] += 1
        found = given.lagrangian_hess(point.x, problem.user_multipliers(lam))
        return problem.scale_f * as_hessian("lagrangian_hess", found, point.x, check=check)

    return hessian


def _from_parts(
    problem: Problem, given: Given, blocks: list[Block]
) -> Callable[[Point, Array], Any]:
    """Return the sum of the Hessian of f and those of the constraints."""

    def objective(x: Array, check: bool) -> Any:
        if callable(given.hess):
            return as_hessian("hess", given.hess(x, *given.args), x, check=check)

        def product(v: Array) -> Array:
            problem.counts["nhev"] += 1
            return as_vector("hessp", given.hessp(x, v, *given.args), x, problem.n)

        return operator((problem.n, problem.n), product, product)

    def hessian(point: Point, lam: Array) -> Any:
        check = problem.counts["nhev"] == 0
        if callable(given.hess):
            problem.counts["nhev"] += 1
        total = objective(point.x, check)
        parts = problem.split(problem.user_multipliers(lam))
        for k, (block, v) in enumerate(zip(blocks, parts, strict=True)):
            if block.hessian is not None:
                found = block.hessian(point.x, v)
                name = f"constraints[{k}]: hess"
                total = added(total, as_hessian(name, found, point.x, check=check))
        return problem.scale_f * total

    return hessian


def _from_rows(problem: Problem, rows: RowSum, given: Given) -> Curvature:
    """Return the rule of a sum over rows.

    Constraints without a Hessian get one by differences: only theirs, which cost no pass.
    """
    rule = Differences("3-point", given.rel_step)
    unknown = [not block.linear and block.hessian is None for block in problem.blocks]
    blocks = [
        block._replace(hessian=partial(_differenced, rule, block)) if missing else block
        for block, missing in zip(problem.blocks, unknown, strict=True)
    ]
    source = rows if rows.sketch_size is None else rows.exact()
    exact = Curvature(
        "finite-difference" if any(unknown) else "exact",
        _from_parts(problem, given._replace(hess=source.hessian), blocks),
    )
    if source is rows:
        return exact
    sketched = _from_parts(problem, given._replace(hess=rows.hessian), blocks)
    return Curvature("sketched", sketched, sketch_of=exact)


def _differenced(rule: Differences, block: Block, x: Array, v: Array) -> Array:
    """Return the Hessian of ``v' c`` from differences of the Jacobian."""
    found = rule.jacobian(lambda z: block.jacobian(z).T @ v, x)
    return (found + found.T) * 0.5


def _from_differences(
    problem: Problem, scheme: str, rel_step: Any
) -> Callable[[Point, Array], Any]:
    """Return finite differences of the gradient of the Lagrangian."""
    rule = Differences(scheme, rel_step)

    def hessian(point: Point, lam: Array) -> Any:
        problem.counts["nhev"] += 1

        def gradient(x: Array) -> Array:
            # The value first: a function that returns both keeps its gradient from there.
            if problem.objective._together:
                problem.objective.value(x)
            g = problem.objective.gradient(x) * problem.scale_f
            G = problem.jacobian(x)
            return lagrangian_gradient(Point(x, 0.0, point.c, g, G), lam)

        found = rule.jacobian(gradient, point.x)
        return (found + found.T) * 0.5

    return hessian


class FullUpdate(NamedTuple):
    """A dense quasi-Newton matrix of the Hessian of the Lagrangian."""

    mode: str
    matrix: Array | None

    def curvature(self) -> Curvature:
        """Return the rule with this matrix."""
        return Curvature(self.mode, self._hessian, self._updated)

    def _hessian(self, point: Point, _: Array) -> Array:
        if self.matrix is not None:
            return self.matrix
        xp = array_namespace(point.x)
        return xp.eye(point.x.shape[0], dtype=point.x.dtype, device=device_of(point.x))

    def _updated(self, old: Point, lam: Array, new: Point) -> Curvature:
        s, y = _pair(old, lam, new)
        curvature, size = inner(s, y), inner(s, s)
        if size == 0:
            return self.curvature()
        B = self.matrix
        if B is None:
            # The first matrix has the curvature that was seen along the first step.
            scale = max(inner(y, y) / curvature, 1e-8) if curvature > 0 else 1.0
            B = scale * self._hessian(old, lam)
        rule = _bfgs if self.mode == "bfgs" else _sr1
        return FullUpdate(self.mode, rule(B, s, y)).curvature()


def _pair(old: Point, lam: Array, new: Point) -> tuple[Array, Array]:
    """Return the step and the change of the gradient of the Lagrangian along it."""
    return new.x - old.x, lagrangian_gradient(new, lam) - lagrangian_gradient(old, lam)


def _bfgs(B: Array, s: Array, y: Array) -> Array:
    """Return the BFGS update with Powell's damping, which keeps the matrix positive definite."""
    Bs = B @ s
    sBs = inner(s, Bs)
    y = damped(y, Bs, inner(s, y), sBs)
    return B - Bs[:, None] * Bs[None, :] / sBs + y[:, None] * y[None, :] / inner(s, y)


def damped(y: Array, Bs: Array, sy: float, sBs: float) -> Array:
    """Return y moved towards B s until its curvature is a share of that of B (Powell 1978)."""
    if sy >= _DAMPING * sBs:
        return y
    theta = (1 - _DAMPING) * sBs / (sBs - sy)
    return theta * y + (1 - theta) * Bs


def _sr1(B: Array, s: Array, y: Array) -> Array:
    rest = y - B @ s
    along = inner(rest, s)
    if abs(along) <= _SR1_SKIP * (inner(s, s) * inner(rest, rest)) ** 0.5:
        return B
    return B + rest[:, None] * rest[None, :] / along


class LimitedMemory(NamedTuple):
    """The last damped pairs of BFGS, in compact form."""

    pairs: tuple[tuple[Array, Array], ...]

    def curvature(self) -> Curvature:
        """Return the rule with these pairs."""
        return Curvature("l-bfgs", self._hessian, self._updated)

    def _hessian(self, point: Point, _: Array) -> LowRank:
        return compact(self.pairs, point.x)

    def _updated(self, old: Point, lam: Array, new: Point) -> Curvature:
        s, y = _pair(old, lam, new)
        if inner(s, s) == 0:
            return self.curvature()
        B = compact(self.pairs, s)
        Bs = B @ s
        y = damped(y, Bs, inner(s, y), inner(s, Bs))
        return LimitedMemory((*self.pairs, (s, y))[-MEMORY:]).curvature()


def compact(pairs: tuple[tuple[Array, Array], ...], like: Array) -> LowRank:
    """Return the compact form of BFGS (Byrd, Nocedal and Schnabel 1994, theorem 2.3)."""
    xp = array_namespace(like)
    n, k = like.shape[0], len(pairs)
    if not k:
        empty = xp.zeros((n, 0), dtype=like.dtype, device=device_of(like))
        return LowRank(1.0, empty, empty[:0, :])
    S, Y = (xp.stack([pair[i] for pair in pairs], axis=1) for i in (0, 1))
    sigma = inner(Y[:, -1], Y[:, -1]) / inner(S[:, -1], Y[:, -1])
    SY = S.T @ Y
    lower = xp.tril(SY, k=-1)
    diagonal = SY * xp.eye(k, dtype=like.dtype, device=device_of(like))
    M = xp.concat(
        [
            xp.concat([sigma * (S.T @ S), lower], axis=1),
            xp.concat([lower.T, -diagonal], axis=1),
        ]
    )
    return LowRank(sigma, xp.concat([sigma * S, Y], axis=1), M)
