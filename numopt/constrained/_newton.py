"""Newton steps on the conditions of Karush, Kuhn and Tucker, guided by the merit function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._core import random
from .._core.iterate import Record
from .._core.namespace import Array, array_namespace, inner
from .._core.outcome import Status
from ._certificate import Residuals
from ._curvature import Curvature
from ._feasibility import restore, stationary
from ._inputs import Settings
from ._matrices import all_finite, is_operator, largest
from ._merit import Penalties, Slope, Terms, slope_of, terms_of
from ._problem import Point, Problem, lagrangian_gradient
from .kkt.regularize import Shifts
from .kkt.system import identity_kkt
from .linear.direct import Counts

LARGEST_FIRST_MULTIPLIER = 1e3
HALVINGS = 25
# Times that penalties may be lowered: in the end they only rise, as the theory of the method asks.
MOST_LOWERED = 8
# Steps without looking ahead after that did not pay.
PATIENCE = 1
# The first length at which it is tried: a shorter step has then failed, too.
LOOK = 0.5
# An accepted residual this small may be halved in place of a smaller merit value: below, rounding
# of f hides the decrease.
SMALL_RESIDUAL = 1e-3
FLOOR_RTOL = 1e-12
LOOSEST_RTOL = 0.1
# Times that an inexact solve is tightened by ten before the penalties may change.
TIGHTENINGS = 2
# Multipliers are estimated anew where that cuts the gradient of the Lagrangian by this factor.
REFRESH = 10.0


class State(NamedTuple):
    """An iterate with its multipliers and what is remembered from one step to the next."""

    point: Point
    lam: Array
    curvature: Curvature
    penalties: Penalties
    shifts: Shifts
    fallbacks: int = 0
    patience: int = 0
    lowered: int = 0
    status: Status | None = None
    length: float = 0.0
    rtol: float = 0.0
    inner: int = 0
    primal_shift: float = 0.0

    @property
    def gradient(self) -> Array:
        """Gradient of the Lagrangian (n,)."""
        return lagrangian_gradient(self.point, self.lam)

    @property
    def regularization(self) -> float:
        """The last shift of the Hessian that the inertia asked for."""
        return self.shifts.last_shift


class Found(NamedTuple):
    """A trial point that was accepted."""

    length: float
    point: Point
    lam: Array
    penalties: Penalties
    lowered: int = 0
    patience: int = 0


class Direction(NamedTuple):
    """A step that descends, and the penalties with which it does."""

    dx: Array
    dlam: Array
    slope: Slope
    penalties: Penalties
    primal_shift: float
    rtol: float
    inner: int


@dataclass
class Newton:
    """The recommended method: `step` and `measure` for `iterate`."""

    problem: Problem
    linear: Any
    counts: Counts
    settings: Settings

    @property
    def linear_solver(self) -> str:
        """Who solves the systems."""
        return str(self.linear.name)

    def measure(self, state: State) -> Record:
        """Return the residuals in the user's units."""
        problem, point, settings = self.problem, state.point, self.settings
        found = Residuals(
            largest(state.gradient) / problem.scale_f,
            problem.violation(point.c),
            largest(point.g) / problem.scale_f,
        )
        return {
            "error": max(found.relative, found.infeasibility * settings.tol / settings.feas_tol),
            "fun": point.fun / problem.scale_f,
            "optimality": found.optimality,
            "infeasibility": found.infeasibility,
        }

    def step(self, state: State) -> State:
        """Return the next iterate; where none is better, the next fallback."""
        if state.fallbacks == 0 and stationary(state.point, self.settings.tol):
            return self._move_away(state)
        H = state.curvature.hessian(state.point, state.lam)
        direction = self.direction(state, H) if all_finite(H) else None
        if direction is None:
            return self._fall_back(state)
        found = self.search(state, direction)
        if found is None:
            return self._fall_back(state._replace(primal_shift=direction.primal_shift))
        return self._accepted(state, direction, found)

    def direction(self, state: State, H: Any) -> Direction | None:
        """Return a Newton step along which the merit function descends.

        An inexact solve is tightened twice by ten before the penalties change, and so on.
        """
        point, gL = state.point, state.gradient
        xp = array_namespace(gL)
        rhs = -xp.concat([gL, point.c])
        work = self.linear.begin(H, point.G, rhs, state.shifts)
        if work is None:
            return None
        rtol = LOOSEST_RTOL
        if self.settings.superlinear:
            rtol = max(min(rtol, math.sqrt(inner(rhs, rhs))), FLOOR_RTOL)
        tightened = 0
        while True:
            d = work.solve(rtol)
            if d is None or not all_finite(d):
                return None
            dx, dlam = d[: self.problem.n], d[self.problem.n :]
            slope = slope_of(point, gL, H, dx, dlam)
            penalties: Penalties | None = state.penalties
            if not slope.descends(state.penalties):
                final = work.exact or rtol <= FLOOR_RTOL
                penalties = None
                if final or tightened >= TIGHTENINGS:
                    penalties = slope.adapted(state.penalties, self.settings.penalty_rate)
                if penalties is None and final:
                    return None
            if penalties is not None:
                used = 0.0 if work.exact else rtol
                return Direction(dx, dlam, slope, penalties, work.primal_shift, used, work.inner)
            rtol, tightened = max(rtol / 10, FLOOR_RTOL), tightened + 1

    def search(self, state: State, direction: Direction) -> Found | None:
        """Return the first length 1, 1/2, 1/4 ... that decreases the merit function enough."""
        point = state.point
        start = terms_of(point, state.gradient, state.lam)
        length, patience = 1.0, state.patience
        full: tuple[Point, Array] | None = None
        for _ in range(HALVINGS):
            lam = state.lam + length * direction.dlam
            trial = self.problem.point(point.x + length * direction.dx)
            if trial is not None:
                found = self._judged(start, direction, length, trial, lam, state.lowered)
                if found is not None:
                    return found._replace(patience=max(patience - 1, 0))
                if length == 1:
                    full = trial, lam
                if length == LOOK and patience == 0 and full is not None:
                    found = self._looked_ahead(state, direction, start, *full)
                    if found is not None:
                        return found
                    patience = 2 * PATIENCE
            length /= 2
        return None

    def _judged(
        self,
        start: Terms,
        direction: Direction,
        length: float,
        trial: Point,
        lam: Array,
        lowered: int,
    ) -> Found | None:
        """Return a trial if it decreases the merit function enough, for penalties not larger."""
        gradient = lagrangian_gradient(trial, lam) if all_finite(lam) else lam + math.nan
        if not all_finite(gradient):
            return None
        change = terms_of(trial, gradient, lam).minus(
            start, direction.slope, self.settings.sufficient_decrease * length
        )
        eps = float(array_namespace(gradient).finfo(gradient.dtype).eps)
        value = start.value(direction.penalties)
        slack = 10 * eps * max(1.0, abs(value), abs(start.fun))
        if change.value(direction.penalties) <= slack:
            return Found(length, trial, lam, direction.penalties)
        if _halved(trial, gradient, direction.slope.residual):
            return Found(length, trial, lam, direction.penalties)
        if length == 1 and lowered < MOST_LOWERED:
            penalties = direction.slope.lowered(direction.penalties, change, slack)
            if penalties is not None:
                return Found(length, trial, lam, penalties, lowered=1)
        return None

    def _looked_ahead(
        self, state: State, direction: Direction, start: Terms, trial: Point, lam: Array
    ) -> Found | None:
        """Return the point two full steps away if that decreases the merit function enough.

        The first of them may raise it: it leaves a curved constraint, to which the second returns
        (the watchdog of Chamberlain, Powell, Lemarechal and Pedersen 1982).
        """
        ahead = state._replace(point=trial, lam=lam, penalties=direction.penalties)
        if not all_finite(ahead.gradient):
            return None
        H = ahead.curvature.hessian(trial, lam)
        second = self.direction(ahead, H) if all_finite(H) else None
        if second is None:
            return None
        lam = lam + second.dlam
        point = self.problem.point(trial.x + second.dx)
        if point is None:
            return None
        return self._judged(start, direction, 1.0, point, lam, MOST_LOWERED)

    def _accepted(self, state: State, direction: Direction, found: Found) -> State:
        """Return the state after a step."""
        length, point, lam = found.length, found.point, found.lam
        curvature = state.curvature
        if curvature.update is not None:
            curvature = curvature.update(state.point, lam, point)
        shifts = state.shifts.after_step(length)
        if direction.primal_shift > state.shifts.primal_damping:
            shifts = shifts._replace(last_shift=direction.primal_shift)
        penalties = found.penalties
        refreshed = self._refreshed(point, lam)
        if refreshed is not None:
            lam, penalties = refreshed, self.settings.penalty
        return State(
            point,
            lam,
            curvature,
            penalties,
            shifts,
            patience=found.patience,
            lowered=state.lowered + found.lowered,
            length=length,
            rtol=direction.rtol,
            inner=direction.inner,
            primal_shift=direction.primal_shift,
        )

    def _refreshed(self, point: Point, lam: Array) -> Array | None:
        """Return least-squares multipliers where they are far better than those at hand."""
        if not lam.shape[0]:
            return None
        gL = lagrangian_gradient(point, lam)
        size = largest(gL)
        if size <= REFRESH * max(largest(point.c), self.settings.tol):
            return None
        better = self.least_squares(point)
        if better is None or REFRESH * largest(lagrangian_gradient(point, better)) > size:
            return None
        return better

    def least_squares(self, point: Point) -> Array | None:
        """Return the multipliers that minimize ``|g + G' lam|``, None if they are not finite."""
        xp = array_namespace(point.x)
        if not point.c.shape[0]:
            return None
        if is_operator(point.G):
            return _by_products(point)
        kkt = identity_kkt(point.x, point.G)
        self.counts.factorizations += 1
        factor = kkt.factor(0.0, 0.0)
        if factor is None or factor.zero:
            factor = kkt.factor(0.0, 1e-8)
        if factor is None:
            return None
        lam = factor.solve(-xp.concat([point.g, xp.zeros_like(point.c)]))[point.x.shape[0] :]
        return lam if math.isfinite(inner(lam, lam)) else None

    def first_multipliers(self, point: Point) -> Array:
        """Return multipliers to start with: least squares, or zero where those are huge."""
        lam = self.least_squares(point)
        if lam is None or largest(lam) > LARGEST_FIRST_MULTIPLIER:
            return array_namespace(point.c).zeros_like(point.c)
        return lam

    def _restarted(self, state: State, point: Point) -> State:
        """Return a state at a point with multipliers and penalties that forget the past."""
        lam = self.least_squares(point)
        lam = state.lam if lam is None else lam
        return state._replace(point=point, lam=lam, penalties=self.settings.penalty, length=0.0)

    def _fall_back(self, state: State) -> State:
        """Return the state of the next fallback.

        New multipliers, damping, restoration, giving up.
        """
        tried = state.fallbacks + 1
        if tried <= 2:
            if tried == 1:
                state = self._restarted(state, state.point)
            return state._replace(fallbacks=tried, shifts=state.shifts.damped(first=tried == 1))
        if tried == 3 and self.problem.violation(state.point.c) > self.settings.feas_tol:
            point = restore(self.problem, state.point, self.settings.tol)
            if stationary(point, self.settings.tol):
                return state._replace(point=point, status=Status.INFEASIBLE)
            if point is not state.point:
                return self._restarted(state, point)._replace(fallbacks=tried, shifts=Shifts())
        return state._replace(status=Status.STALLED)

    def _move_away(self, state: State) -> State:
        """Return a state away from a point where the constraints have no slope.

        Along -g first, then at random.
        """
        point = state.point
        if self.problem.violation(point.c) <= self.settings.feas_tol:
            return state._replace(fallbacks=1)
        size = math.sqrt(inner(point.g, point.g))
        moves = [-point.g / size] if size > 0 else []
        radius = 1e-3 * (1 + math.sqrt(inner(point.x, point.x)))
        moves += [
            radius * random.place(self.settings.rng.standard_normal(self.problem.n), point.x)
            for _ in range(3)
        ]
        for move in moves:
            trial = self.problem.point(point.x + move)
            if trial is None:
                continue
            trial = restore(self.problem, trial, self.settings.tol)
            if not stationary(trial, self.settings.tol) and inner(trial.c, trial.c) < inner(
                point.c, point.c
            ):
                return self._restarted(state, trial)
        return state._replace(status=Status.INFEASIBLE)


def _by_products(point: Point) -> Array:
    """Return the multipliers that minimize ``|g + G' lam|`` for an operator G."""
    from scipy.sparse.linalg import lsmr

    return lsmr(point.G.T, -point.g, atol=1e-10, btol=1e-10)[0]


def _halved(trial: Point, gradient: Array, residual: float) -> bool:
    """Tell whether a trial has at most half the residual, and a small one."""
    size = inner(gradient, gradient) + inner(trial.c, trial.c)
    return size <= min(0.25 * residual, SMALL_RESIDUAL**2)
