"""AdaSketch-Newton-GALM as published: exact in every rule, slow by intention.

Section and step numbers are those of Hong, Na, Mahoney and Kolar (2023), algorithm 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .._core.iterate import Record
from .._core.namespace import Array, array_namespace, device_of, inner
from ._factor import symmetric_factor
from ._kkt import kkt_assemble
from ._linear import Counts
from ._matrices import largest
from ._merit import Penalties, Slope, Terms, slope_of, terms_of
from ._problem import Point, Problem, lagrangian_gradient
from ._settings import Settings
from ._sketch import Sketcher

SINGULAR = 2
# The published constants.
XI_B, DELTA, SMALLEST_DELTA = 0.1, 0.1, 1e-6
SMALLEST_XI_G, SMALLEST_CURVATURE = 1e-2, 1e-6
ETA1_LIMIT, ETA2_LIMIT = 1e8, 1e-8
MAX_SKETCHES = 100_000
ROUNDING = 1e-14


class TheoryState(NamedTuple):
    """An iterate of the published method."""

    point: Point
    lam: Array
    penalties: Penalties
    delta: float
    status: int | None = None
    length: float = 0.0
    rtol: float = 0.0
    inner: int = 0
    delta_w: float = 0.0

    @property
    def gradient(self) -> Array:
        """Gradient of the Lagrangian (n,)."""
        return lagrangian_gradient(self.point, self.lam)


@dataclass
class Theory:
    """The published method: `step` and `measure` for `iterate`."""

    problem: Problem
    curvature: Any
    solver: str
    counts: Counts
    settings: Settings
    theta: float = field(default=1.0)

    @property
    def max_sketches(self) -> int:
        """Sketches that one system may take."""
        return self.settings.max_inner or MAX_SKETCHES

    def measure(self, state: TheoryState) -> Record:
        """Return the Euclidean norm of the KKT residual, which this method stops on."""
        gL, c = state.gradient, state.point.c
        return {
            "error": math.sqrt(inner(gL, gL) + (inner(c, c) if c.shape[0] else 0.0)),
            "fun": state.point.fun,
            "optimality": largest(gL),
            "constr_violation": largest(c),
            "step": state.length,
            "rtol": state.rtol,
            "inner": state.inner,
            "delta_w": state.delta_w,
            "eta1": state.penalties.eta1,
            "eta2": state.penalties.eta2,
        }

    def give_up(self, state: TheoryState) -> int | None:
        """Return the status of a run that cannot go on."""
        return state.status

    def step(self, state: TheoryState) -> TheoryState:
        """Return the next iterate."""
        point = state.point
        xi_G = smallest_eigenvalue(point.G)
        if xi_G < SMALLEST_XI_G:
            return state._replace(status=SINGULAR)
        H = self.curvature.hessian(point, state.lam)
        B, shift = modified(H, point.G)
        bound = self._bound(B, H, point.G, xi_G)
        penalties, delta, d, slope, work = self._direction(state, H, B, bound)
        length, point, lam = self._search(state, d, slope, penalties)
        return TheoryState(
            point, lam, penalties, delta, None, length, work.reached, work.sketches, shift
        )

    def _bound(self, B: Array, H: Array, G: Array, xi_G: float) -> tuple[float, float]:
        """Return Psi and Upsilon of step 3."""
        psi = 20 * max(_norm(B) ** 2, 1.0) / (min(xi_G, 1.0) * min(XI_B, 1.0))
        return psi, max(_norm(G), _norm(H), 1.0)

    def _trial_delta(self, penalties: Penalties, bound: tuple[float, float]) -> float:
        psi, upsilon = bound
        eta1, eta2 = penalties
        return (0.5 - self.settings.beta) * eta2 / ((1 + eta1 + eta2) * upsilon**2 * psi**2)

    def _direction(
        self, state: TheoryState, H: Array, B: Array, bound: tuple[float, float]
    ) -> tuple[Penalties, float, Array, Slope, Sketching]:
        """Return the direction of steps 4 and 5: sketches until accurate, then until descending."""
        point, gL, n = state.point, state.gradient, self.problem.n
        xp = array_namespace(gL)
        F = xp.concat([gL, point.c])
        size = math.sqrt(inner(F, F))
        theta = min(self.theta, size) if self.settings.superlinear else self.theta
        penalties = state.penalties
        delta = max(min(state.delta, self._trial_delta(penalties, bound)), SMALLEST_DELTA)
        K = kkt_assemble(B, point.G)
        work = Sketching(self, K, -F)
        while True:
            goal = theta * delta * size / (_norm(K) * bound[0])
            d = work.until(goal)
            slope = slope_of(point, gL, H, d[:n], d[n:])
            eta1, eta2 = penalties
            done = slope.descends(penalties) or eta1 > ETA1_LIMIT or eta2 < ETA2_LIMIT
            if done or work.sketches >= self.max_sketches:
                return penalties, delta, d, slope, work
            penalties = Penalties(self.settings.nu**2 * eta1, eta2 / self.settings.nu)
            delta = min(delta / self.settings.nu**4, self._trial_delta(penalties, bound))

    def _search(
        self, state: TheoryState, d: Array, slope: Slope, penalties: Penalties
    ) -> tuple[float, Point, Array]:
        """Return the point of step 6: Armijo's rule with halving."""
        start = terms_of(state.point, state.gradient, state.lam)
        n, length = self.problem.n, 1.0
        while length > 1e-16:
            lam = state.lam + length * d[n:]
            trial = self.problem.point(state.point.x + length * d[:n])
            if trial is not None and self._enough(trial, lam, start, slope, penalties, length):
                return length, trial, lam
            length /= 2
        return 0.0, state.point, state.lam

    def _enough(
        self,
        trial: Point,
        lam: Array,
        start: Terms,
        slope: Slope,
        penalties: Penalties,
        length: float,
    ) -> bool:
        terms = terms_of(trial, lagrangian_gradient(trial, lam), lam)
        excess = terms.minus(start, slope, self.settings.beta * length).value(penalties)
        # Rounding of the two values, which near a solution is all of their difference.
        return excess <= ROUNDING * max(1.0, abs(start.value(penalties)))


class Sketching:
    """The inner loop: projections from where the last ones ended."""

    def __init__(self, method: Theory, K: Array, rhs: Array) -> None:
        self._method, self._K, self._rhs = method, K, rhs
        self.sketches, self.reached = 0, 0.0
        self._size = math.sqrt(inner(rhs, rhs))
        self._d = array_namespace(rhs).zeros_like(rhs)
        exact, options = method.solver == "direct", method.settings
        self._sketcher = (
            None if exact else Sketcher(K, method.solver, options.sketch_size, options.rng)
        )

    def until(self, goal: float) -> Array:
        """Return d with a residual of at most the goal, or the floor that rounding sets."""
        if self._sketcher is None:
            self._method.counts.factorizations += 1
            xp = array_namespace(self._K)
            return symmetric_factor(xp.asarray(self._K, copy=True)).solve(self._rhs)
        goal = max(goal, ROUNDING * self._size)
        while self._residual() > goal and self.sketches < self._method.max_sketches:
            self._d, rows = self._sketcher.sweep(self._rhs, self._d)
            self.sketches += rows
            self._method.counts.inner += rows
        self.reached = self._residual() / self._size if self._size else 0.0
        return self._d

    def _residual(self) -> float:
        residual = self._K @ self._d - self._rhs
        return math.sqrt(inner(residual, residual))


def _norm(A: Array) -> float:
    """Return the Frobenius norm."""
    return math.sqrt(float(array_namespace(A).sum(A * A)))


def smallest_eigenvalue(G: Array) -> float:
    """Return the smallest eigenvalue of ``G G'``."""
    xp = array_namespace(G)
    return float(xp.min(xp.linalg.eigvalsh(G @ G.T))) if G.shape[0] else 1.0


def modified(H: Array, G: Array) -> tuple[Array, float]:
    """Return the Hessian of step 2, shifted where it is not positive on the null space of G."""
    xp = array_namespace(H)
    m, n = G.shape
    if m == n:
        return H, 0.0
    if not m:
        Z = xp.eye(n, dtype=H.dtype, device=device_of(H))
    else:
        Z = xp.linalg.qr(G.T, mode="complete")[0][:, m:]
    if float(xp.min(xp.linalg.eigvalsh(Z.T @ H @ Z))) >= SMALLEST_CURVATURE:
        return H, 0.0
    shift = XI_B + _norm(H)
    return H + shift * xp.eye(n, dtype=H.dtype, device=device_of(H)), shift
