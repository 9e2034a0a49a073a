"""The published method for smooth losses: ADMM whose u-update is randomized block descent."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace
from .._core.random import generator
from ._certificate import Lower, lower_bound
from ._program import (
    Program,
    combined,
    predictions,
    responses,
    zeros_like_neurons,
)
from .splitting.admm import Penalties, shrunk

# Constants of the publication: stopping threshold of the inner loop, its decrease in each outer
# iteration, growth and shrinkage of the step, its least length.
_THRESHOLD, _DECAY = 1.3e-3, 0.95
_GROW, _SHRINK, _LEAST_STEP = 1.05, 2.5, 1e-8
_MOST_INNER = 400


class State(NamedTuple):
    """Neurons of both copies, slacks, and scaled multipliers of both equations."""

    U: Array
    V: Array
    S: Array
    lam: Array
    nu: Array
    length: float
    threshold: float
    penalties: Penalties
    age: int = 0


class BlockDescent:
    """ADMM with block-coordinate descent on one program with one output."""

    def __init__(self, program: Program, rng: object) -> None:
        """Form ``X'X`` once."""
        xp = array_namespace(program.X)
        self.program = program
        self.gram = xp.matmul(program.X.T, program.X)
        self.rng = generator(rng)  # type: ignore[arg-type]
        self.n_factorizations = 0

    def first_penalties(self) -> Penalties:
        """Return the penalty; the loss has no copy."""
        return Penalties(self.program.beta, math.nan)

    def start(self, penalties: Penalties, V: Array | None, mu: Array | None) -> State:
        """Return a state at neurons V, or at zero, with multipliers mu, or none."""
        xp = array_namespace(self.program.X)
        V = zeros_like_neurons(self.program) if V is None else V
        S = xp.clip(self.program.signs * responses(self.program, V), 0.0, None)
        nu = 0 * S if mu is None else -mu / penalties.rho
        return State(V, V, S, 0 * V, nu, 1.0, _THRESHOLD, penalties)

    def step(self, state: State) -> State:
        """Return the next state."""
        p, rho = self.program, state.penalties.rho
        xp = array_namespace(state.V)
        U, length = self._descended(state)
        V = shrunk(U + state.lam, p.beta / rho)
        XU = p.signs * responses(p, U)
        S = xp.clip(XU + state.nu, 0.0, None)
        return State(
            U,
            V,
            S,
            state.lam + U - V,
            state.nu + XU - S,
            length,
            state.threshold * _DECAY,
            state.penalties,
            state.age + 1,
        )

    def neurons(self, state: State) -> Array:
        """Return the neurons v of a state, many of them exactly zero."""
        return state.V

    def multipliers(self, state: State) -> Array:
        """Return the multipliers of the constraints, all non-negative."""
        xp = array_namespace(state.nu)
        return state.penalties.rho * xp.clip(-state.nu, 0.0, None)

    def lower(self, wide: Program, state: State) -> Lower:
        """Return the lower bound that the multipliers of a state prove, in `wide` precision."""
        xp, dtype = array_namespace(state.V), wide.X.dtype
        z = predictions(wide, responses(wide, xp.astype(state.V, dtype)))
        theta = wide.loss.theta(z, wide.y, wide.weights)
        return lower_bound(wide, theta, xp.astype(self.multipliers(state), dtype))

    def _descended(self, state: State) -> tuple[Array, float]:
        """Return u after random block steps, and the last step length."""
        p, rho, U = self.program, state.penalties.rho, state.U
        patterns = p.shape[2]
        z = predictions(p, responses(p, U))
        goal = state.V - state.lam + combined(p, p.signs * (state.S - state.nu))
        window = math.ceil(8 * math.sqrt(2 * patterns))
        length, decreases = state.length, [math.inf]
        for _ in range(_MOST_INNER):
            sign, i = self.rng.integers(2), self.rng.integers(patterns)
            length, decrease, z, U = self._block_step(int(sign), int(i), goal, rho, length, z, U)
            decreases.append(decrease)
            if len(decreases) > window and sum(decreases[-window:]) / window < state.threshold:
                break
        return U, length

    def _block_step(
        self, sign: int, i: int, goal: Array, rho: float, length: float, z: Array, U: Array
    ) -> tuple[float, float, Array, Array]:
        """Return step length, decrease, predictions and neurons after a step in one block."""
        p, xp = self.program, array_namespace(U)
        u, side = U[0, sign, i, :], 1.0 - 2.0 * sign
        theta = p.loss.theta(z, p.y, p.weights)[0, :]
        gradient = rho * (u + xp.matmul(self.gram, u) - goal[0, sign, i, :])
        slope = gradient - side * xp.matmul(p.active[i, :] * theta, p.X)
        square = float(xp.sum(slope * slope))
        seen = side * p.active[i, :] * xp.matmul(p.X, slope)
        before = float(p.loss.value(z, p.y, p.weights)[0])
        linear = float(xp.sum(slope * gradient))
        bend = rho * (square + float(xp.sum(slope * xp.matmul(self.gram, slope))))
        while True:
            trial = z - length * seen[None, :]
            after = float(p.loss.value(trial, p.y, p.weights)[0])
            decrease = before - after + length * linear - 0.5 * length * length * bend
            if decrease >= 0.5 * length * square or length <= _LEAST_STEP:
                break
            length = max(length / _SHRINK, _LEAST_STEP)
        if decrease < 0:
            return length, 0.0, z, U
        moved = xp.asarray(U, copy=True)
        moved[0, sign, i, :] = u - length * slope
        return length * _GROW, decrease, trial, moved
