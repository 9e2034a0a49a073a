"""Splitting methods: the ADMM with a cached factor, and a splitting on the weights of each sample.

Both keep copies of the neurons u: v in the norm, ``s = E X u`` in the cones, and one in the loss,
which is the prediction z for the first and ``q_k``, the linear model that acts on sample k, for the
second. They are written as Douglas-Rachford iterations on the reflected copies ``W``, ``T`` and
``Q``: a point is the proximal map of its state, and its multiplier the difference of the two.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._kernels.relu import reflect_slacks
from .._linalg import cholesky, cholesky_solve
from .._namespace import Array, array_namespace, device_of
from ._problem import (
    Problem,
    combined,
    group_norms,
    predictions,
    pulled_back,
    responses,
    zeros_like_neurons,
)

# Over-relaxation, from the middle of the range in which it is known to help.
RELAXATION = 1.6


# Steps between two comparisons of primal and dual residuals, and after how many the penalties stay:
# convergence is proved for penalties that do not change.
_ADAPT_EVERY, _ADAPT_UNTIL = 50, 1500


class Penalties(NamedTuple):
    """Penalties of the copies in norm and cones, and of the copy in the loss."""

    rho: float
    rho_loss: float


class State(NamedTuple):
    """Reflected copies of the neurons (C, 2, P, d), slacks (C, 2, P, n) and of the loss's copy."""

    W: Array
    T: Array
    Q: Array
    penalties: Penalties
    count: int = 0


def shrunk(W: Array, threshold: float) -> Array:
    """Return the proximal map of ``threshold |v|`` for each neuron."""
    xp = array_namespace(W)
    norms = group_norms(W)
    factor = 1 - threshold / xp.where(norms > threshold, norms, threshold + 0 * norms)
    return factor[..., None] * W


class SampleSplit:
    """The update of u with a Cholesky factor: exact loss if squared, else a copy of predictions."""

    def __init__(self, problem: Problem, penalties: Penalties) -> None:
        """Factor the smaller of an n by n and a P d by P d matrix."""
        xp = array_namespace(problem.X)
        self.problem, self.penalties = problem, penalties
        self.exact = problem.loss.name == "squared"
        X, (n, d, patterns) = problem.X, problem.shape
        rho, ones = penalties.rho, xp.ones_like(problem.weights)
        self.c = problem.weights if self.exact else penalties.rho_loss * ones
        eye = xp.eye(d, dtype=X.dtype, device=device_of(X))
        self.B = cholesky(eye + xp.matmul(X.T, X))
        self.by_samples = n <= patterns * d
        jitter = 8 * float(xp.finfo(X.dtype).eps)
        if self.by_samples:
            half = cholesky_solve(self.B, X.T)
            shared = xp.matmul(problem.active.T, problem.active)
            matrix = (2 / rho) * shared * xp.matmul(X, half) + _diagonal(1 / self.c)
        else:
            basis = xp.reshape(problem.active.T[:, :, None] * X[:, None, :], (n, patterns * d))
            blocks = eye + xp.matmul(X.T, X)
            same = xp.eye(patterns, dtype=X.dtype, device=device_of(X))
            spread = xp.reshape(
                same[:, None, :, None] * blocks[None, :, None, :], (patterns * d, patterns * d)
            )
            matrix = rho * spread + 2 * xp.matmul(basis.T, self.c[:, None] * basis)
        trace = float(xp.max(xp.sum(matrix * _diagonal(xp.ones_like(matrix[0, :])), axis=1)))
        self.factor = cholesky(matrix + jitter * trace * _diagonal(xp.ones_like(matrix[0, :])))

    def start(self) -> Array:
        """Return the first reflected copy."""
        return 0 * self.problem.y

    def point(self, Q: Array) -> Array:
        """Return the predictions that the loss prefers; an exact loss has no copy."""
        p = self.problem
        if self.exact:
            return Q
        step = 1 / self.penalties.rho_loss + 0 * p.weights
        return p.loss.prox(Q, p.y, p.weights, step)

    def theta(self, Q: Array, z: Array) -> Array:
        """Return minus the slope of the loss: of its copy where there is one."""
        if self.exact:
            return self.problem.loss.theta(z, self.problem.y, self.problem.weights)
        return self.penalties.rho_loss * (self.point(Q) - Q)

    def update(self, R: Array, Q: Array) -> tuple[Array, Array, Array]:
        """Return u, its responses, and the new reflected copy, for the right side R."""
        p, xp = self.problem, array_namespace(R)
        point = self.point(Q)
        q = p.y if self.exact else 2 * point - Q
        total, half = R[:, 0, ...] + R[:, 1, ...], 0.5 * (R[:, 0, ...] - R[:, 1, ...])
        b = 0.5 * self._divided(total)
        if self.by_samples:
            a = self._divided(half)
            seen = xp.sum(p.active * responses(p, a), axis=-2)
            t = cholesky_solve(self.factor, (q - 2 * seen).T).T
            a = a + self._divided(pulled_back(p, t)[:, 0, ...])
        else:
            rhs = half + pulled_back(p, self.c * q)[:, 0, ...]
            flat = xp.reshape(rhs, (rhs.shape[0], -1))
            a = xp.reshape(cholesky_solve(self.factor, flat.T).T, rhs.shape)
        U = xp.stack([b + a, b - a], axis=1)
        XU = responses(p, U)
        if not self.exact:
            Q = Q + RELAXATION * (predictions(p, XU) - point)
        return U, XU, Q

    def _divided(self, R: Array) -> Array:
        """Return ``B^-1 r / rho`` for each row."""
        xp = array_namespace(R)
        flat = xp.reshape(R, (-1, R.shape[-1]))
        return xp.reshape(cholesky_solve(self.B, flat.T).T, R.shape) / self.penalties.rho


class Spectrum(NamedTuple):
    """Eigendecompositions of ``X'X`` and of the shared samples of patterns, computed once."""

    features: Array
    Qf: Array
    patterns: Array
    Qp: Array


def spectrum_of(problem: Problem) -> Spectrum:
    """Return both eigendecompositions."""
    xp = array_namespace(problem.X)
    features, Qf = xp.linalg.eigh(xp.matmul(problem.X.T, problem.X))
    patterns, Qp = xp.linalg.eigh(xp.matmul(problem.active, problem.active.T))
    return Spectrum(
        xp.clip(features, 0.0, None), Qf, xp.clip(patterns, 0.0, None), Qp
    )


class WeightSplit:
    """The update of u as a Sylvester equation: the loss has a copy of each sample's weights."""

    def __init__(self, problem: Problem, penalties: Penalties, spectrum: Spectrum) -> None:
        """Prepare the denominators of the Sylvester equation; nothing is factored."""
        xp = array_namespace(problem.X)
        self.problem, self.penalties, self.spectrum = problem, penalties, spectrum
        block = penalties.rho * (1 + spectrum.features)
        self.denominator = block[None, :] + 2 * penalties.rho_loss * spectrum.patterns[:, None]
        self.block = block
        self.squares = xp.sum(problem.X * problem.X, axis=1)

    def start(self) -> Array:
        """Return the first reflected copy."""
        xp, p = array_namespace(self.problem.X), self.problem
        shape = (p.y.shape[0], *p.X.shape)
        return xp.zeros(shape, dtype=p.X.dtype, device=device_of(p.X))

    def _prediction(self, Q: Array) -> tuple[Array, Array]:
        """Return the predictions of the reflected weights and those that the loss prefers."""
        xp, p = array_namespace(Q), self.problem
        z = xp.sum(p.X * Q, axis=-1)
        return z, p.loss.prox(z, p.y, p.weights, self.squares / self.penalties.rho_loss)

    def point(self, Q: Array) -> Array:
        """Return the weights of each sample that the loss prefers."""
        z, best = self._prediction(Q)
        return Q + ((best - z) / self.squares)[..., None] * self.problem.X

    def theta(self, Q: Array, z: Array) -> Array:
        """Return minus the slope of the loss at its copy, whatever the neurons predict."""
        z, best = self._prediction(Q)
        return (best - z) * (self.penalties.rho_loss / self.squares)

    def update(self, R: Array, Q: Array) -> tuple[Array, Array, Array]:
        """Return u, its responses, and the new reflected copy, for the right side R."""
        p, xp, s = self.problem, array_namespace(R), self.spectrum
        point = self.point(Q)
        pull = self.penalties.rho_loss * xp.matmul(p.active, 2 * point - Q)
        total, half = R[:, 0, ...] + R[:, 1, ...], 0.5 * (R[:, 0, ...] - R[:, 1, ...])
        b = 0.5 * xp.matmul(xp.matmul(total, s.Qf) / self.block, s.Qf.T)
        rotated = xp.matmul(s.Qp.T, xp.matmul(half + pull, s.Qf))
        a = xp.matmul(s.Qp, xp.matmul(rotated / self.denominator, s.Qf.T))
        U = xp.stack([b + a, b - a], axis=1)
        Q = Q + RELAXATION * (2 * xp.matmul(p.active.T, a) - point)
        return U, responses(p, U), Q


class Splitting:
    """A splitting method on one problem: makes states, moves them and reads them."""

    def __init__(self, problem: Problem, method: str, adapt: bool) -> None:
        """Do what is done once: the eigendecompositions of the Sylvester equation."""
        self.problem, self.adapt = problem, adapt
        self.spectrum = spectrum_of(problem) if method == "sylvester" else None
        self.factorizations = 0
        self._split: SampleSplit | WeightSplit | None = None

    def split(self, penalties: Penalties) -> SampleSplit | WeightSplit:
        """Return the update of u for some penalties; the last one is kept."""
        if self._split is None or self._split.penalties != penalties:
            self.factorizations += 1
            if self.spectrum is None:
                self._split = SampleSplit(self.problem, penalties)
            else:
                self._split = WeightSplit(self.problem, penalties, self.spectrum)
        return self._split

    def first_penalties(self) -> Penalties:
        """Return penalties that served well: the prox of the norm then has a threshold of one."""
        scale = 1.0 if self.problem.loss.scales else 0.02
        if self.spectrum is not None and self.problem.loss.scales:
            scale = 1 / math.sqrt(self.problem.shape[2])
        return Penalties(self.problem.beta, scale)

    def start(self, penalties: Penalties, V: Array | None, mu: Array | None) -> State:
        """Return a state at neurons V, or at zero, with multipliers mu, or none."""
        split = self.split(penalties)
        V = zeros_like_neurons(self.problem) if V is None else V
        T = self.problem.signs * responses(self.problem, V)
        if mu is not None:
            xp = array_namespace(V)
            T = xp.where(mu > 0, -mu / penalties.rho, xp.clip(T, 0.0, None))
        return State(V, T, split.start(), penalties)

    def step(self, state: State) -> State:
        """Return the next state, now and then with other penalties."""
        after = self._moved(state)
        if not self.adapt or after.count % _ADAPT_EVERY or after.count > _ADAPT_UNTIL:
            return after
        ratios = self._residual_ratios(state, after)
        changes = [r if not 0.5 < r < 2 else 1.0 for r in ratios]
        old = state.penalties
        new = Penalties(old.rho * changes[0], old.rho_loss * changes[1])
        return after if new == old else self._with_penalties(after, new)

    def _moved(self, state: State) -> State:
        """Return the state after an exact update of u, then of all reflected copies."""
        problem, rho = self.problem, state.penalties.rho
        xp = array_namespace(state.W)
        V = shrunk(state.W, problem.beta / rho)
        R = rho * (2 * V - state.W + combined(problem, problem.signs * xp.abs(state.T)))
        U, XU, Q = self.split(state.penalties).update(R, state.Q)
        T = reflect_slacks(state.T, XU, problem.signs, RELAXATION)
        return State(state.W + RELAXATION * (U - V), T, Q, state.penalties, state.count + 1)

    def neurons(self, state: State) -> Array:
        """Return the neurons v of a state, many of them exactly zero."""
        return shrunk(state.W, self.problem.beta / state.penalties.rho)

    def multipliers(self, state: State) -> Array:
        """Return the multipliers of the constraints, all non-negative."""
        xp = array_namespace(state.T)
        return state.penalties.rho * xp.clip(-state.T, 0.0, None)

    def theta(self, state: State, z: Array) -> Array:
        """Return minus the slope of the loss, with z the predictions of the neurons."""
        return self.split(state.penalties).theta(state.Q, z)

    def _residual_ratios(self, state: State, after: State) -> tuple[float, float]:
        """Return root ratios of primal to dual residuals: for norm and cones, and for the loss."""
        xp, split = array_namespace(state.W), self.split(state.penalties)
        points = [
            (self.neurons(one), xp.clip(one.T, 0.0, None), split.point(one.Q))
            for one in (state, after)
        ]
        dual = [_norm(b - a) for a, b in zip(*points, strict=True)]
        primal = [_norm(b - a) / RELAXATION for a, b in zip(state[:3], after[:3], strict=True)]
        joint = _root_ratio(math.hypot(*primal[:2]), math.hypot(*dual[:2]))
        return joint, _root_ratio(primal[2], dual[2])

    def _with_penalties(self, state: State, penalties: Penalties) -> State:
        """Return a state with other penalties: same points, same multipliers."""
        xp, old = array_namespace(state.W), state.penalties
        V, S = self.neurons(state), xp.clip(state.T, 0.0, None)
        point = self.split(old).point(state.Q)
        factor, factor_loss = old.rho / penalties.rho, old.rho_loss / penalties.rho_loss
        return State(
            V + factor * (state.W - V),
            S + factor * (state.T - S),
            point + factor_loss * (state.Q - point),
            penalties,
            state.count,
        )


def _root_ratio(primal: float, dual: float) -> float:
    if not (primal > 0 and dual > 0):
        return 1.0
    return min(max(math.sqrt(primal / dual), 0.3), 3.0)


def _norm(x: Array) -> float:
    xp = array_namespace(x)
    return math.sqrt(float(xp.sum(x * x)))


def _diagonal(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.eye(x.shape[0], dtype=x.dtype, device=device_of(x)) * x[None, :]
