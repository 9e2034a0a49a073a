"""AdaSketch-Newton-GALM as published: exact in every rule, slow by intention.

Section and step numbers are those of Hong, Na, Mahoney and Kolar (2023), algorithm 1. Its linear
solvers, sketch-and-project on the rows of the Newton system, serve the recommended rules, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .._core import random
from .._core.iterate import Record
from .._core.namespace import Array, array_namespace, device_of, inner
from .._core.outcome import Status
from .._core.settings import index_dtype, is_sparse
from .._kernels.kaczmarz import block_project, gaussian_sketch_step, kaczmarz_sweep
from .._linalg import cholesky
from ._inputs import Settings
from ._matrices import LowRank, largest
from ._merit import Penalties, Slope, Terms, slope_of, terms_of
from ._problem import Point, Problem, lagrangian_gradient
from .kkt.factor import symmetric_factor
from .kkt.regularize import Shifts, regularize
from .kkt.system import DenseKkt, kkt_assemble
from .linear.direct import Counts, need_entries

# The published constants.
XI_B, DELTA, SMALLEST_DELTA = 0.1, 0.1, 1e-6
SMALLEST_XI_G, SMALLEST_CURVATURE = 1e-2, 1e-6
ETA1_LIMIT, ETA2_LIMIT = 1e8, 1e-8
MAX_SKETCHES = 100_000
ROUNDING = 1e-14
# Sweeps over all rows before a factorization takes over.
SWEEPS = 50
RUIZ_PASSES = 2
BLOCKS = 16
# Keeps the Cholesky factor of dependent rows from breaking down, relative to their trace.
BLOCK_SHIFT = 1e-8


class PublishedState(NamedTuple):
    """An iterate of the published method."""

    point: Point
    lam: Array
    penalties: Penalties
    delta: float
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
        """The last shift of the Hessian."""
        return self.primal_shift


@dataclass
class Published:
    """The published method: `step` and `measure` for `iterate`."""

    problem: Problem
    curvature: Any
    counts: Counts
    settings: Settings
    theta: float = field(default=1.0)

    @property
    def linear_solver(self) -> str:
        """Who solves the systems."""
        return self.settings.sketch or "direct"

    @property
    def max_sketches(self) -> int:
        """Sketches that one system may take."""
        return self.settings.max_inner or MAX_SKETCHES

    def measure(self, state: PublishedState) -> Record:
        """Return the Euclidean norm of the KKT residual, which this method stops on."""
        gL, c = state.gradient, state.point.c
        return {
            "error": math.sqrt(inner(gL, gL) + (inner(c, c) if c.shape[0] else 0.0)),
            "fun": state.point.fun,
            "optimality": largest(gL),
            "infeasibility": largest(c),
        }

    def step(self, state: PublishedState) -> PublishedState:
        """Return the next iterate."""
        point = state.point
        xi_G = smallest_eigenvalue(point.G)
        if xi_G < SMALLEST_XI_G:
            return state._replace(status=Status.STALLED)
        H = self.curvature.hessian(point, state.lam)
        B, shift = modified(H, point.G)
        bound = self._bound(B, H, point.G, xi_G)
        penalties, delta, d, slope, work = self._direction(state, H, B, bound)
        length, point, lam = self._search(state, d, slope, penalties)
        return PublishedState(
            point, lam, penalties, delta, None, length, work.reached, work.sketches, shift
        )

    def _bound(self, B: Array, H: Array, G: Array, xi_G: float) -> tuple[float, float]:
        """Return Psi and Upsilon of step 3."""
        psi = 20 * max(_norm(B) ** 2, 1.0) / (min(xi_G, 1.0) * min(XI_B, 1.0))
        return psi, max(_norm(G), _norm(H), 1.0)

    def _trial_delta(self, penalties: Penalties, bound: tuple[float, float]) -> float:
        psi, upsilon = bound
        eta1, eta2 = penalties
        beta = self.settings.sufficient_decrease
        return (0.5 - beta) * eta2 / ((1 + eta1 + eta2) * upsilon**2 * psi**2)

    def _direction(
        self, state: PublishedState, H: Array, B: Array, bound: tuple[float, float]
    ) -> tuple[Penalties, float, Array, Slope, Sketching]:
        """Return the direction of steps 4 and 5: sketches until accurate, then until descending."""
        point, gL, n = state.point, state.gradient, self.problem.n
        xp = array_namespace(gL)
        F = xp.concat([gL, point.c])
        size = math.sqrt(inner(F, F))
        theta = min(self.theta, size) if self.settings.superlinear else self.theta
        penalties = state.penalties
        delta = max(min(state.delta, self._trial_delta(penalties, bound)), SMALLEST_DELTA)
        K, nu = kkt_assemble(B, point.G), self.settings.penalty_rate
        work = Sketching(self, K, -F)
        while True:
            goal = theta * delta * size / (_norm(K) * bound[0])
            d = work.until(goal)
            slope = slope_of(point, gL, H, d[:n], d[n:])
            eta1, eta2 = penalties
            done = slope.descends(penalties) or eta1 > ETA1_LIMIT or eta2 < ETA2_LIMIT
            if done or work.sketches >= self.max_sketches:
                return penalties, delta, d, slope, work
            penalties = Penalties(nu**2 * eta1, eta2 / nu)
            delta = min(delta / nu**4, self._trial_delta(penalties, bound))

    def _search(
        self, state: PublishedState, d: Array, slope: Slope, penalties: Penalties
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
        bound = self.settings.sufficient_decrease * length
        excess = terms.minus(start, slope, bound).value(penalties)
        # Rounding of the two values, which near a solution is all of their difference.
        return excess <= ROUNDING * max(1.0, abs(start.value(penalties)))


class Sketching:
    """The inner loop: projections from where the last ones ended."""

    def __init__(self, method: Published, K: Array, rhs: Array) -> None:
        self._method, self._K, self._rhs = method, K, rhs
        self.sketches, self.reached = 0, 0.0
        self._size = math.sqrt(inner(rhs, rhs))
        self._d = array_namespace(rhs).zeros_like(rhs)
        name, options = method.settings.sketch, method.settings
        self._sketcher = (
            None if name is None else Sketcher(K, name, options.sketch_size, options.rng)
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


class Sketcher:
    """A symmetric system and the rule by which rows are drawn; one call is one sweep."""

    def __init__(self, K: Array, name: str, size: int | None, rng: Any) -> None:
        xp = array_namespace(K)
        self.K, self.rng, self.name = K, rng, name
        self.norms = xp.sum(K * K, axis=1)
        N = K.shape[0]
        self.size = size or (math.ceil(N / BLOCKS) if name == "block-kaczmarz" else 1)
        self._blocks: dict[int, tuple[Array, Array] | None] = {}
        self._order: Array | None = None

    def sweep(self, b: Array, d: Array) -> tuple[Array, int]:
        """Return d after as many projections as there are rows, and their number."""
        N = self.K.shape[0]
        if self.name == "gaussian":
            S = random.place(self.rng.standard_normal((N, N)), self.K)
            return gaussian_sketch_step(self.K, b, d, S), N
        if self.name == "block-kaczmarz":
            return self._block_sweep(b, d)
        idx = self._placed(self.rng.permutation(N))
        return kaczmarz_sweep(self.K, b, d, self.norms, idx), N

    def _placed(self, index: Any) -> Array:
        return random.place(index, self.K, index_dtype(self.K))

    def _block_sweep(self, b: Array, d: Array) -> tuple[Array, int]:
        """Project onto blocks of a fixed partition in random order; their factors are kept."""
        xp, N = array_namespace(self.K), self.K.shape[0]
        if self._order is None:
            self._order = self._placed(self.rng.permutation(N))
        count = math.ceil(N / self.size)
        for k in self.rng.permutation(count).tolist():
            rows = self._order[k * self.size : min((k + 1) * self.size, N)]
            if k not in self._blocks:
                self._blocks[k] = self._factored(xp.take(self.K, rows, axis=0))
            block = self._blocks[k]
            if block is not None:
                d = block_project(*block, xp.take(b, rows), d)
        return d, N

    def _factored(self, K_S: Array) -> tuple[Array, Array] | None:
        """Return rows with the Cholesky factor of their Gram matrix, None if they are zero."""
        xp = array_namespace(K_S)
        gram = K_S @ K_S.T
        shift = BLOCK_SHIFT * float(xp.linalg.trace(gram)) / K_S.shape[0]
        eye = xp.eye(K_S.shape[0], dtype=K_S.dtype, device=device_of(K_S))
        L = cholesky(gram + shift * eye)
        return None if L is None or shift == 0 else (K_S, L)


def equilibrated(K: Array) -> tuple[Array, Array]:
    """Return ``D K D`` and the diagonal of D, with rows of about equal size (Ruiz 2001)."""
    xp = array_namespace(K)
    scale = xp.ones_like(K[0, :])
    for _ in range(RUIZ_PASSES):
        peaks = xp.max(xp.abs(K), axis=1)
        step = 1 / xp.sqrt(xp.where(peaks > 0, peaks, xp.ones_like(peaks)))
        K, scale = K * step[:, None] * step[None, :], scale * step
    return K, scale


class SketchWork:
    """A Newton system solved by sweeps of projections, by its factor where those do not get far."""

    exact = False

    def __init__(
        self, K: Array, solve: Any, rhs: Array, primal_shift: float, solver: Sketches
    ) -> None:
        self.primal_shift = primal_shift
        self._original, self._factor, self._rhs, self._solver = K, solve, rhs, solver
        K, self._scale = equilibrated(K)
        self._sketcher = Sketcher(K, solver.name, solver.size, solver.rng)
        self._d = array_namespace(rhs).zeros_like(rhs)
        self.inner = 0

    def solve(self, rtol: float) -> Array | None:
        """Return a solution with that relative residual, going on from the last one."""
        N = self._rhs.shape[0]
        budget = self._solver.max_inner or SWEEPS * N
        goal = rtol * math.sqrt(inner(self._rhs, self._rhs))
        b, y = self._rhs * self._scale, self._d / self._scale
        while self.inner < budget:
            y, rows = self._sketcher.sweep(b, y)
            self.inner += rows
            self._solver.counts.inner += rows
            residual = (b - self._sketcher.K @ y) / self._scale
            if inner(residual, residual) <= goal**2:
                self._d = y * self._scale
                return self._d
        self.exact = True  # nothing is left to tighten
        if not self._solver.fallback:
            self._d = y * self._scale
            return self._d
        self._solver.counts.fallbacks += 1
        return self._factor(self._rhs)


class Sketches:
    """Solve by sketch-and-project; the shifts are those of the factorization."""

    def __init__(
        self,
        name: str,
        size: int | None,
        rng: Any,
        counts: Counts,
        max_inner: int | None,
        fallback: bool,
    ) -> None:
        self.name, self.size, self.rng, self.counts = name, size, rng, counts
        self.max_inner, self.fallback = max_inner, fallback

    def begin(self, H: Any, G: Any, rhs: Array, shifts: Shifts) -> SketchWork | None:
        """Return the system to be solved, None if no shift gives it the right inertia."""
        need_entries(self.name, H, G)
        kkt = DenseKkt(_dense(H), _dense(G))
        regularized = regularize(kkt, rhs, shifts)
        if regularized is None:
            return None
        self.counts.factorizations += regularized.tries
        shift = regularized.primal_shift
        K = kkt.shifted(shift, regularized.dual_shift)
        return SketchWork(K, regularized.factor.solve, rhs, shift, self)


def _dense(A: Any) -> Array:
    """Return a matrix in any format but an operator's as a dense one."""
    if isinstance(A, LowRank):
        xp = array_namespace(A.W)
        eye = xp.eye(A.W.shape[0], dtype=A.W.dtype, device=device_of(A.W))
        return xp.stack([A @ eye[:, k] for k in range(eye.shape[0])], axis=1)
    return A.toarray() if is_sparse(A) else A
