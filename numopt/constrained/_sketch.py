"""The paper's linear solvers: sketch-and-project on the rows of the Newton system."""

from __future__ import annotations

import math
from typing import Any

from .._core import random
from .._core.namespace import Array, array_namespace, inner
from .._kernels.kaczmarz import block_project, gaussian_sketch_step, kaczmarz_sweep
from .._linalg import cholesky
from ._inertia import Shifts, regularize
from ._kkt import DenseKkt
from ._linear import Counts, need_entries

# Sweeps over all rows before a factorization takes over.
SWEEPS = 50
RUIZ_PASSES = 2
BLOCKS = 16
# Keeps the Cholesky factor of dependent rows from breaking down, relative to their trace.
BLOCK_SHIFT = 1e-8


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
        xp = array_namespace(self.K)
        integers = xp.__array_namespace_info__().default_dtypes()["indexing"]
        return random.place(index, self.K, integers)

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
        eye = xp.eye(K_S.shape[0], dtype=K_S.dtype, device=K_S.device)
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
        self, K: Array, solve: Any, rhs: Array, shifts: tuple[float, float], solver: Sketches
    ) -> None:
        self.delta_w, self.delta_c = shifts
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
        counts: Counts,
        rng: Any,
        *,
        size: int | None,
        max_inner: int | None,
        fallback: bool,
    ) -> None:
        self.name, self.counts, self.rng = name, counts, rng
        self.size, self.max_inner, self.fallback = size, max_inner, fallback

    def begin(self, H: Any, G: Any, rhs: Array, shifts: Shifts) -> SketchWork | None:
        """Return the system to be solved, None if no shift gives it the right inertia."""
        need_entries(self.name, H, G)
        kkt = DenseKkt(_dense(H), G.toarray() if hasattr(G, "toarray") else G)
        regularized = regularize(kkt, rhs, shifts)
        if regularized is None:
            return None
        self.counts.factorizations += regularized.tries
        pair = regularized.delta_w, regularized.delta_c
        return SketchWork(kkt.shifted(*pair), regularized.factor.solve, rhs, pair, self)


def _dense(H: Any) -> Array:
    """Return a Hessian in any format but an operator's as a dense matrix."""
    if hasattr(H, "toarray"):
        return H.toarray()
    if hasattr(H, "sigma"):  # a low-rank update
        xp = array_namespace(H.W)
        eye = xp.eye(H.W.shape[0], dtype=H.W.dtype, device=H.W.device)
        return xp.stack([H @ eye[:, k] for k in range(eye.shape[0])], axis=1)
    return H
