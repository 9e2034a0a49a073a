"""The splitting on the weights of each sample, for training against perturbations."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..._core.namespace import Array, array_namespace, device_of
from ..._kernels.relu import project_robust_cone, prox_robust_margin, prox_robust_square
from .._certificate import Lower
from .._program import Program, combined, responses, zeros_like_neurons
from .._robust import robust_lower
from .admm import (
    RELAXATION,
    Penalties,
    adapted,
    balance,
    moved_duals,
    norm,
    rotate,
    rotate_back,
    shrunk,
    spectrum_of,
    sylvester_solve,
)

_BISECTIONS = 60


class State(NamedTuple):
    """Reflected copies: neurons in norm and robust cone, slacks, weights of samples.

    `B` (C, 2, P) and `R` (C,) are the bounds of l1 norms and their sum, used by "lipschitz" alone.
    """

    W: Array
    T: Array
    A: Array
    Q: Array
    B: Array
    R: Array
    penalties: Penalties
    age: int = 0


class Points(NamedTuple):
    """The proximal points of a state, and the multipliers of the loss at them."""

    V: Array
    S: Array
    A: Array
    Q: Array
    B: Array
    R: Array
    theta: Array
    center: Array


class RobustSplitting:
    """The method on one program: makes states, moves them and reads them."""

    def __init__(self, program: Program, adapt: bool) -> None:
        """Do what is done once: the eigendecompositions of the Sylvester equation."""
        xp = array_namespace(program.X)
        self.program, self.adapt = program, adapt
        self.spectrum = spectrum_of(program)
        self.n_factorizations = 1
        self.lipschitz = program.robust == "lipschitz"
        self.squares = xp.sum(program.X * program.X, axis=1)

    def first_penalties(self) -> Penalties:
        """Return the first penalties, then adapted."""
        scale = 1 / math.sqrt(self.program.shape[2]) if self.program.loss.scales else 0.02
        return Penalties(self.program.beta, scale)

    def start(self, penalties: Penalties, V: Array | None, mu: Array | None) -> State:  # noqa: ARG002
        """Return a state at neurons V, or at zero."""
        p, xp = self.program, array_namespace(self.program.X)
        V = zeros_like_neurons(p) if V is None else V
        dtype, device = p.X.dtype, device_of(p.X)
        half = xp.matmul(p.active.T, V[:, 0, ...] - V[:, 1, ...])
        B = xp.sum(p.eps * xp.abs(V), axis=-1)
        C = p.y.shape[0]
        R = xp.sum(xp.reshape(B, (C, -1)), axis=1)
        T = p.signs * responses(p, V)
        return State(
            V, T, V, half + xp.zeros_like(half, dtype=dtype, device=device), B, R, penalties
        )

    def points(self, state: State) -> Points:
        """Return the proximal points of a state."""
        p, xp, rho = self.program, array_namespace(state.W), state.penalties.rho
        V = shrunk(state.W, p.beta / rho)
        flat = xp.reshape(state.A, (-1, p.X.shape[1]))
        if self.lipschitz:
            S = xp.clip(state.T, 0.0, None)
            bound, A = project_robust_cone(xp.reshape(state.B, (-1, 1)), flat, p.eps, 0.0)
            B = xp.reshape(bound, state.B.shape)
            Q, R, theta, center = self._lipschitz_loss(state)
        else:
            rows = xp.reshape(state.T, (-1, p.X.shape[0]))
            slacks, A = project_robust_cone(rows, flat, p.eps, 0.0)
            S, B, R = xp.reshape(slacks, state.T.shape), state.B, state.R
            Q, theta, center = self._pattern_loss(state)
        return Points(V, S, xp.reshape(A, state.A.shape), Q, B, R, theta, center)

    def _pattern_loss(self, state: State) -> tuple[Array, Array, Array]:
        """Return weights, multipliers and slopes in the prediction, for each sample."""
        p, xp, rho = self.program, array_namespace(state.Q), state.penalties.rho_loss
        found = []
        for c in range(p.y.shape[0]):
            y, Q = p.y[c, :], state.Q[c, ...]
            if p.loss.scales:
                q, theta, t = prox_robust_square(Q, p.X, y, p.weights, p.eps, rho)
                found.append((q, theta, -t))
            else:
                logistic = p.loss.name == "logistic"
                q, theta = prox_robust_margin(Q, p.X, y, p.weights, p.eps, rho, logistic)
                found.append((q, theta, y * theta))
        Q, theta, center = (xp.stack(list(parts)) for parts in zip(*found, strict=True))
        return Q, theta, center

    def _lipschitz_loss(self, state: State) -> tuple[Array, Array, Array, Array]:
        """Return weights, their common shift, multipliers and slopes in the prediction.

        The shift r balances its penalty with the multipliers, which rise with r.
        """
        p, xp, rho = self.program, array_namespace(state.Q), state.penalties.rho_loss
        z = xp.sum(p.X * state.Q, axis=-1)
        step = self.squares / rho
        high = state.R
        top = xp.sum(self._shifted(z, step, high)[1], axis=1)
        low = state.R - top / rho
        for _ in range(_BISECTIONS):
            r = 0.5 * (low + high)
            rising = rho * (r - state.R) + xp.sum(self._shifted(z, step, r)[1], axis=1) > 0
            low, high = xp.where(rising, low, r), xp.where(rising, r, high)
        best, theta = self._shifted(z, step, high)
        center = (best - z) / step
        return state.Q + (center / rho)[..., None] * p.X, high, theta, center

    def _shifted(self, z: Array, step: Array, r: Array) -> tuple[Array, Array]:
        """Return the prox of the loss whose worst case is r away, and its multipliers."""
        p, xp = self.program, array_namespace(z)
        r = r[:, None] + 0 * z
        if not p.loss.scales:
            best = p.loss.prox(z - p.y * r, p.y, p.weights, step) + p.y * r
            return best, xp.clip(p.y * (best - z) / step, 0.0, None)
        away = xp.abs(z - p.y)
        stiff = step * p.weights
        size = xp.clip((away - stiff * r) / (1 + stiff), 0.0, None)
        size = xp.where(away + r <= 0, away, size)
        best = p.y + xp.sign(z - p.y) * size
        return best, p.weights * xp.clip(size + r, 0.0, None)

    def step(self, state: State) -> State:
        """Return the next state, now and then with other penalties."""
        points = self.points(state)
        after = self._moved(state, points)
        if not (self.adapt and adapted(after.age)):
            return after
        later = self.points(after)
        new = balance(
            state.penalties,
            [(state[k], after[k]) for k in (0, 1, 2)],
            [(points[k], later[k]) for k in (0, 1, 2)],
            norm(after.Q - state.Q),
            norm(later.Q - points.Q),
        )
        return after if new == state.penalties else self._with_penalties(after, later, new)

    def _moved(self, state: State, points: Points) -> State:
        """Return the state after an exact update of u, then of all reflected copies."""
        p, xp = self.program, array_namespace(state.W)
        rho, rho_loss = state.penalties
        folded = p.signs * (2 * points.S - state.T)
        R = 2 * points.V - state.W + combined(p, folded) + 2 * points.A - state.A
        slopes = rho_loss * rotate(self.spectrum, xp.matmul(p.active, 2 * points.Q - state.Q))
        U, rotated = sylvester_solve(self.spectrum, rho * R, slopes, state.penalties, 2.0)
        a = rotate_back(self.spectrum, rotated)
        B, total = state.B, state.R
        if self.lipschitz:
            goal = 2 * points.B - state.B
            C, per = goal.shape[0], goal.shape[1] * goal.shape[2]
            missing = 2 * points.R - state.R - xp.sum(xp.reshape(goal, (C, -1)), axis=1)
            bounds = goal + (rho_loss / (rho + rho_loss * per) * missing)[:, None, None]
            B = B + RELAXATION * (bounds - points.B)
            total = total + RELAXATION * (xp.sum(xp.reshape(bounds, (C, -1)), axis=1) - points.R)
        return State(
            state.W + RELAXATION * (U - points.V),
            state.T + RELAXATION * (p.signs * responses(p, U) - points.S),
            state.A + RELAXATION * (U - points.A),
            state.Q + RELAXATION * (2 * xp.matmul(p.active.T, a) - points.Q),
            B,
            total,
            state.penalties,
            state.age + 1,
        )

    def _with_penalties(self, state: State, points: Points, penalties: Penalties) -> State:
        """Return a state with other penalties: same points, same multipliers."""
        old = state.penalties
        ratio, ratio_loss = old.rho / penalties.rho, old.rho_loss / penalties.rho_loss
        factors = (ratio, ratio, ratio, ratio_loss, ratio, ratio_loss)
        moved = [
            moved_duals(x, point, factor)
            for x, point, factor in zip(state[:6], points[:6], factors, strict=True)
        ]
        W, T, A, Q, B, R = moved
        return State(W, T, A, Q, B, R, penalties, state.age)

    def neurons(self, state: State) -> Array:
        """Return the neurons v of a state, many of them exactly zero."""
        return shrunk(state.W, self.program.beta / state.penalties.rho)

    def multipliers(self, state: State) -> Array:
        """Return the multipliers of the constraints, all non-negative."""
        xp = array_namespace(state.T)
        points = self.points(state)
        return state.penalties.rho * xp.clip(points.S - state.T, 0.0, None)

    def lower(self, wide: Program, state: State) -> Lower:
        """Return the lower bound that the multipliers of a state prove, in `wide` precision."""
        xp, dtype = array_namespace(state.W), wide.X.dtype
        points = self.points(state)
        mu = state.penalties.rho * xp.clip(points.S - state.T, 0.0, None)
        slopes = None
        if not self.lipschitz:
            slopes = xp.astype(state.penalties.rho_loss * (points.Q - state.Q), dtype)
        theta, center, mu = (xp.astype(x, dtype) for x in (points.theta, points.center, mu))
        return robust_lower(wide, theta, center, mu, slopes)
