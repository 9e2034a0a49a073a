"""Splitting methods: the ADMM with a cached factor, and a splitting on the weights of each sample.

Both keep copies of the neurons u: v in the norm, ``s = E X u`` in the cones, and one in the loss,
which is the prediction z for the first and ``q_k``, the linear model that acts on sample k, for the
second. They are written as Douglas-Rachford iterations on the reflected copies ``W``, ``T`` and
``Q``: a point is the proximal map of its state, and its multiplier the difference of the two.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..._core.namespace import Array, array_namespace, device_of
from ..._kernels.relu import fold_slacks, reflect_slacks
from ..._linalg import cholesky, cholesky_solve
from .._certificate import Lower, lower_bound
from .._program import (
    Program,
    adjoint,
    combined,
    group_norms,
    predictions,
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
    """Reflected copies of the neurons (C, 2, P, d), slacks (C, 2, P, n) and of the loss's copy.

    What the last consists of is up to the update of u.
    """

    W: Array
    T: Array
    Q: tuple[Array, ...]
    penalties: Penalties
    age: int = 0


def shrunk(W: Array, threshold: float) -> Array:
    """Return the proximal map of ``threshold |v|`` for each neuron."""
    xp = array_namespace(W)
    norms = group_norms(W)
    factor = 1 - threshold / xp.where(norms > threshold, norms, threshold + 0 * norms)
    return factor[..., None] * W


class SampleSplit:
    """The update of u with a Cholesky factor: exact loss if squared, else a copy of predictions."""

    def __init__(self, program: Program, penalties: Penalties) -> None:
        """Factor the smaller of an n by n and a P d by P d matrix."""
        xp = array_namespace(program.X)
        self.program, self.penalties = program, penalties
        self.exact = program.loss.name == "squared"
        X, (n, d, patterns) = program.X, program.shape
        rho, ones = penalties.rho, xp.ones_like(program.weights)
        self.c = program.weights if self.exact else penalties.rho_loss * ones
        eye = xp.eye(d, dtype=X.dtype, device=device_of(X))
        self.B = cholesky(eye + xp.matmul(X.T, X))
        self.by_samples = n <= patterns * d
        jitter = 8 * float(xp.finfo(X.dtype).eps)
        if self.by_samples:
            half = cholesky_solve(self.B, X.T)
            shared = xp.matmul(program.active.T, program.active)
            matrix = (2 / rho) * shared * xp.matmul(X, half) + _diagonal(1 / self.c)
        else:
            basis = xp.reshape(program.active.T[:, :, None] * X[:, None, :], (n, patterns * d))
            blocks = eye + xp.matmul(X.T, X)
            same = xp.eye(patterns, dtype=X.dtype, device=device_of(X))
            spread = xp.reshape(
                same[:, None, :, None] * blocks[None, :, None, :], (patterns * d, patterns * d)
            )
            matrix = rho * spread + 2 * xp.matmul(basis.T, self.c[:, None] * basis)
        trace = float(xp.max(xp.sum(matrix * _diagonal(xp.ones_like(matrix[0, :])), axis=1)))
        self.factor = cholesky(matrix + jitter * trace * _diagonal(xp.ones_like(matrix[0, :])))

    def start(self, V: Array | None) -> tuple[Array, ...]:  # noqa: ARG002
        """Return the first reflected copy."""
        return (0 * self.program.y,)

    def point(self, Q: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the predictions that the loss prefers; an exact loss has no copy."""
        p = self.program
        if self.exact:
            return Q
        step = 1 / self.penalties.rho_loss + 0 * p.weights
        return (p.loss.prox(Q[0], p.y, p.weights, step),)

    def distance(self, a: tuple[Array, ...], b: tuple[Array, ...]) -> float:
        """Return the distance of two copies."""
        return norm(b[0] - a[0])

    def theta(self, Q: tuple[Array, ...], z: Array) -> Array:
        """Return minus the slope of the loss: of its copy where there is one."""
        if self.exact:
            return self.program.loss.theta(z, self.program.y, self.program.weights)
        return self.penalties.rho_loss * (self.point(Q)[0] - Q[0])

    def update(
        self, goal: Array, T: Array, Q: tuple[Array, ...]
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        """Return u, its responses, and the new reflected copy.

        The reflected points of the other copies are `goal` in the norm, ``|T|`` in the cones.
        """
        p, xp = self.program, array_namespace(goal)
        R = self.penalties.rho * (goal + combined(p, p.signs * xp.abs(T)))
        (point,) = self.point(Q)
        q = p.y if self.exact else 2 * point - Q[0]
        total, half = R[:, 0, ...] + R[:, 1, ...], 0.5 * (R[:, 0, ...] - R[:, 1, ...])
        b = 0.5 * self._divided(total)
        if self.by_samples:
            a = self._divided(half)
            seen = xp.sum(p.active * responses(p, a), axis=-2)
            t = cholesky_solve(self.factor, (q - 2 * seen).T).T
            a = a + self._divided(adjoint(p, t)[:, 0, ...])
        else:
            rhs = half + adjoint(p, self.c * q)[:, 0, ...]
            flat = xp.reshape(rhs, (rhs.shape[0], -1))
            a = xp.reshape(cholesky_solve(self.factor, flat.T).T, rhs.shape)
        U = xp.stack([b + a, b - a], axis=1)
        XU = responses(p, U)
        if not self.exact:
            Q = (Q[0] + RELAXATION * (predictions(p, XU) - point),)
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


def spectrum_of(program: Program) -> Spectrum:
    """Return both eigendecompositions."""
    xp = array_namespace(program.X)
    features, Qf = xp.linalg.eigh(xp.matmul(program.X.T, program.X))
    patterns, Qp = xp.linalg.eigh(xp.matmul(program.active, program.active.T))
    return Spectrum(xp.clip(features, 0.0, None), Qf, xp.clip(patterns, 0.0, None), Qp)


def sylvester_solve(
    spectrum: Spectrum, R: Array, slopes: Array, penalties: Penalties, copies: float
) -> tuple[Array, Array]:
    """Return u for right sides R (C, 2, P, d), and half the difference, rotated.

    With ``u = (b + a, b - a)``: ``rho B b`` is half the sum of both sides of R, and a solves the
    Sylvester equation ``rho B a + 2 rho_loss (D D') a = half the difference + slopes``, where
    ``B = copies I + X'X``. Rotated, it is ``Qp' a Qf``; `slopes` (C, P, d) is rotated already.
    """
    xp, s = array_namespace(R), spectrum
    block = penalties.rho * (copies + s.features)
    denominator = block[None, :] + 2 * penalties.rho_loss * s.patterns[:, None]
    total, half = R[:, 0, ...] + R[:, 1, ...], 0.5 * (R[:, 0, ...] - R[:, 1, ...])
    b = 0.5 * xp.matmul(xp.matmul(total, s.Qf) / block, s.Qf.T)
    rotated = (rotate(s, half) + slopes) / denominator
    a = rotate_back(s, rotated)
    return xp.stack([b + a, b - a], axis=1), rotated


def rotate(spectrum: Spectrum, a: Array) -> Array:
    """Return ``Qp' a Qf`` for a (C, P, d)."""
    xp = array_namespace(a)
    return xp.matmul(spectrum.Qp.T, xp.matmul(a, spectrum.Qf))


def rotate_back(spectrum: Spectrum, a: Array) -> Array:
    """Return ``Qp a Qf'`` for a (C, P, d)."""
    xp = array_namespace(a)
    return xp.matmul(spectrum.Qp, xp.matmul(a, spectrum.Qf.T))


def adapted(count: int) -> bool:
    """Tell whether penalties are looked at after so many steps."""
    return count % _ADAPT_EVERY == 0 and count <= _ADAPT_UNTIL


def balance(
    old: Penalties,
    states: list[tuple[Array, Array]],
    points: list[tuple[Array, Array]],
    state_loss: float,
    point_loss: float,
) -> Penalties:
    """Return penalties that balance primal residuals, of the states, and dual ones, of points.

    The lists are pairs before and after a step of all copies but the loss's, whose moves follow.
    """
    primal = math.hypot(*[norm(b - a) for a, b in states]) / RELAXATION
    dual = math.hypot(*[norm(b - a) for a, b in points])
    ratios = _root_ratio(primal, dual), _root_ratio(state_loss / RELAXATION, point_loss)
    changes = [r if not 0.5 < r < 2 else 1.0 for r in ratios]
    return Penalties(old.rho * changes[0], old.rho_loss * changes[1])


def moved_duals(state: Array, point: Array, factor: float) -> Array:
    """Return the state with the same point whose scaled multiplier is multiplied by a factor."""
    return point + factor * (state - point)


class Weights(NamedTuple):
    """The linear model that acts on each sample, q_k: row k of ``D' A + diag(along) X``.

    Every iterate is of this form, so that no n by d matrix is stored. `A` (C, P, d) in rotated
    coordinates, `z` (C, n) what its part predicts, `along` (C, n).
    """

    A: Array
    z: Array
    along: Array


class WeightSplit:
    """The update of u as a Sylvester equation: the loss has a copy of each sample's weights."""

    def __init__(self, program: Program, penalties: Penalties, spectrum: Spectrum) -> None:
        """Take the eigendecompositions; nothing is factored."""
        xp = array_namespace(program.X)
        self.program, self.penalties, self.spectrum = program, penalties, spectrum
        self.squares = xp.sum(program.X * program.X, axis=1)

    def start(self, V: Array | None) -> tuple[Array, ...]:
        """Return the first reflected copy: that of neurons V and the slope of the loss there."""
        p = self.program
        if V is None:
            return Weights(0 * zeros_like_neurons(p)[:, 0, ...], 0 * p.y, 0 * p.y)
        z = predictions(p, responses(p, V))
        A = rotate(self.spectrum, V[:, 0, ...] - V[:, 1, ...])
        return Weights(A, z, -p.loss.theta(z, p.y, p.weights) / self.penalties.rho_loss)

    def _preferred(self, Q: tuple[Array, ...]) -> Array:
        """Return how far along its sample the loss moves each linear model."""
        p, (_, z, along) = self.program, Q
        z = z + along * self.squares
        best = p.loss.prox(z, p.y, p.weights, self.squares / self.penalties.rho_loss)
        return (best - z) / self.squares

    def point(self, Q: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the weights of each sample that the loss prefers."""
        A, z, along = Q
        return Weights(A, z, along + self._preferred(Q))

    def distance(self, a: tuple[Array, ...], b: tuple[Array, ...]) -> float:
        """Return the distance of two copies."""
        xp = array_namespace(a[0])
        A, z, along = (y - x for x, y in zip(a, b, strict=True))
        square = float(xp.sum(self.spectrum.patterns[:, None] * A * A))
        square += float(xp.sum(along * (2 * z + along * self.squares)))
        return math.sqrt(max(square, 0.0))

    def theta(self, Q: tuple[Array, ...], z: Array) -> Array:  # noqa: ARG002
        """Return minus the slope of the loss at its copy, whatever the neurons predict."""
        return self.penalties.rho_loss * self._preferred(Q)

    def update(
        self, goal: Array, T: Array, Q: tuple[Array, ...]
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        """Return u, its responses, and the new reflected copy.

        The reflected points of the other copies are `goal` in the norm, ``|T|`` in the cones.
        """
        p, (A, z, along) = self.program, Q
        rho, rho_loss = self.penalties
        shift = self._preferred(Q)
        # What the loss adds along the samples takes the way of the slacks: one product with X.
        folded = fold_slacks(T, (rho_loss / rho) * (along + 2 * shift), p.signs)
        R = rho * (goal + combined(p, folded))
        slopes = rho_loss * self.spectrum.patterns[:, None] * A
        U, rotated = sylvester_solve(self.spectrum, R, slopes, self.penalties, 1.0)
        XU = responses(p, U)
        rest = 1 - RELAXATION
        moved = Weights(
            rest * A + 2 * RELAXATION * rotated,
            rest * z + RELAXATION * predictions(p, XU),
            along - RELAXATION * (along + shift),
        )
        return U, XU, moved


class Splitting:
    """A splitting method on one program: makes states, moves them and reads them."""

    def __init__(self, program: Program, method: str, adapt: bool) -> None:
        """Do what is done once: the eigendecompositions of the Sylvester equation."""
        self.program, self.adapt = program, adapt
        self.spectrum = spectrum_of(program) if method == "sylvester" else None
        self.n_factorizations = 0
        self._split: SampleSplit | WeightSplit | None = None

    def split(self, penalties: Penalties) -> SampleSplit | WeightSplit:
        """Return the update of u for some penalties; the last one is kept."""
        if self._split is None or self._split.penalties != penalties:
            self.n_factorizations += 1
            if self.spectrum is None:
                self._split = SampleSplit(self.program, penalties)
            else:
                self._split = WeightSplit(self.program, penalties, self.spectrum)
        return self._split

    def first_penalties(self) -> Penalties:
        """Return penalties that served well: the prox of the norm then has a threshold of one."""
        scale = 1.0 if self.program.loss.scales else 0.02
        if self.spectrum is not None and self.program.loss.scales:
            scale = 1 / math.sqrt(self.program.shape[2])
        return Penalties(self.program.beta, scale)

    def start(self, penalties: Penalties, V: Array | None, mu: Array | None) -> State:
        """Return a state at neurons V, or at zero, with multipliers mu, or none."""
        Q = self.split(penalties).start(V)
        V = zeros_like_neurons(self.program) if V is None else V
        T = self.program.signs * responses(self.program, V)
        if mu is not None:
            xp = array_namespace(V)
            T = xp.where(mu > 0, -mu / penalties.rho, xp.clip(T, 0.0, None))
        return State(V, T, Q, penalties)

    def step(self, state: State) -> State:
        """Return the next state, now and then with other penalties."""
        after = self._moved(state)
        if not (self.adapt and adapted(after.age)):
            return after
        (V, S, q), (V_after, S_after, q_after) = self._points(state), self._points(after)
        distance = self.split(state.penalties).distance
        new = balance(
            state.penalties,
            [(state.W, after.W), (state.T, after.T)],
            [(V, V_after), (S, S_after)],
            distance(state.Q, after.Q),
            distance(q, q_after),
        )
        if new == state.penalties:
            return after
        ratio, ratio_loss = (a / b for a, b in zip(state.penalties, new, strict=True))
        Q = [moved_duals(x, y, ratio_loss) for x, y in zip(after.Q, q_after, strict=True)]
        return State(
            moved_duals(after.W, V_after, ratio),
            moved_duals(after.T, S_after, ratio),
            tuple(Q),
            new,
            after.age,
        )

    def _points(self, state: State) -> tuple[Array, Array, tuple[Array, ...]]:
        """Return the proximal points of all copies."""
        xp = array_namespace(state.T)
        q = self.split(state.penalties).point(state.Q)
        return self.neurons(state), xp.clip(state.T, 0.0, None), q

    def _moved(self, state: State) -> State:
        """Return the state after an exact update of u, then of all reflected copies."""
        program, rho = self.program, state.penalties.rho
        V = shrunk(state.W, program.beta / rho)
        split = self.split(state.penalties)
        U, XU, Q = split.update(2 * V - state.W, state.T, state.Q)
        T = reflect_slacks(state.T, XU, program.signs, RELAXATION)
        return State(state.W + RELAXATION * (U - V), T, Q, state.penalties, state.age + 1)

    def neurons(self, state: State) -> Array:
        """Return the neurons v of a state, many of them exactly zero."""
        return shrunk(state.W, self.program.beta / state.penalties.rho)

    def multipliers(self, state: State) -> Array:
        """Return the multipliers of the constraints, all non-negative."""
        xp = array_namespace(state.T)
        return state.penalties.rho * xp.clip(-state.T, 0.0, None)

    def lower(self, wide: Program, state: State) -> Lower:
        """Return the lower bound that the multipliers of a state prove, in `wide` precision."""
        xp, dtype = array_namespace(state.W), wide.X.dtype
        z = predictions(self.program, responses(self.program, self.neurons(state)))
        theta = self.split(state.penalties).theta(state.Q, z)
        return lower_bound(wide, xp.astype(theta, dtype), xp.astype(self.multipliers(state), dtype))


def _root_ratio(primal: float, dual: float) -> float:
    if not (primal > 0 and dual > 0):
        return 1.0
    return min(max(math.sqrt(primal / dual), 0.3), 3.0)


def norm(x: Array) -> float:
    """Return the root of the sum of squares."""
    xp = array_namespace(x)
    return math.sqrt(float(xp.sum(x * x)))


def _diagonal(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.eye(x.shape[0], dtype=x.dtype, device=device_of(x)) * x[None, :]
