"""The convex program over rows that are only summed over: a sequence of small quadratic programs.

The loss is its second-order model at neurons inside all cones, which takes one sum over all rows,
and the cones are those of the few rows next to their gates. What minimizes that is found in one
place. A second pass looks where the way from the gates to the new neurons leaves the cones: the rows
met first join those kept, and neurons are drawn back to where they are inside. For the squared
loss the model is the loss, and its sums are formed once.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

from .._blocks import RowBlocks, add
from .._iterate import Callback, Record, Run, iterate
from .._linalg import one_blas_thread, quiet
from .._namespace import Array, array_namespace, device_of
from ._facets import joined, pruned
from ._problem import group_norms
from ._quadratic import Quadratic, linear_pull, minimized, pulled_by
from ._row_sums import (
    Crossings,
    Frame,
    Sums,
    Survey,
    crossings,
    crossings_merged,
    model_at,
    survey,
    surveys_merged,
)
from ._solve import PRECISION

# Rows kept for each pattern at first, for each column, and those added at a time. Twenty patterns of
# 20000 samples in 11 columns were left alone by all others with 200 rows, and took three rounds with 30.
_FIRST_ROWS, _MORE_ROWS = 20, 4
# Share of the largest array that rows kept, or those found in one pass, may take.
_ROOM = 0.1
# Accuracy of a quadratic program relative to the tolerance, and how it falls where that is too little.
_ACCURACY, _FINER = 0.05, 0.1
# Neurons shorter than this share of the longest are zero: their directions are arbitrary.
_TINY = 1e-7
# Shares of a step that are tried in the pass that looks for crossings.
_SHARES = (1.0, 0.7, 0.5, 0.3, 0.15, 0.05)
# First width of the smoothed kink of the hinge loss, its factor from step to step, and the share of the
# gap that its last may cause.
_FIRST_WIDTH, _NARROWER, _LAST_WIDTH = 0.3, 0.25, 0.2
# Steps without a gap smaller by a tenth after which rounding has the say.
_PATIENCE = 6


class Passes:
    """The rows, what lies beside them, and the passes so far."""

    def __init__(self, blocks: RowBlocks, y: Any, weights: Any) -> None:
        self.blocks, self.y, self.weights, self.n_passes = blocks, y, weights, 0

    def fold(self, function: Any, *shared: Any, merge: Any = add) -> Any:
        """Return the merge of ``function(*shared, block, rows, y, weights)`` over all blocks."""
        self.n_passes += 1
        # Sums of BLAS depend on its threads, and a cluster's workers have one.
        with one_blas_thread(self.blocks.like), quiet():
            return self.blocks.fold(
                partial(function, *shared), self.y, self.weights, merge=merge
            )

    def rowwise(self, function: Any, *shared: Any) -> Any:
        """Return a number for each row: where the rows are on a cluster, here otherwise."""
        self.n_passes += 1
        work = partial(function, *shared)
        if self.blocks.cluster is None:
            return self.blocks.each(work, self.y, self.weights)
        return self.blocks.cluster.rowwise(self.blocks.work(work), (self.y, self.weights))


class Job(NamedTuple):
    """A convex program in normalized units, and the rows it is about.

    `rows` (P, m, d) are those next to the gates, `mass` is the sum of the weights, `fixed` the loss
    that no network changes.
    """

    passes: Passes
    frame: Frame
    rows: Array
    beta: float
    mass: float
    fixed: float
    tol: float
    max_bytes: float


class Bounds:
    """The best bounds so far, and what proves them."""

    def __init__(self, fixed: float) -> None:
        self.fixed = fixed
        self.upper, self.lower = math.inf, -math.inf
        self.V: Array = None
        self.proof: Array = None
        self.push: Array = None
        self.width = 0.0

    @property
    def gap(self) -> float:
        """The gap relative to the upper bound."""
        if self.upper - self.lower <= 0:
            return 0.0
        return (self.upper - self.lower) / abs(self.upper)

    def see_neurons(self, V: Array, value: float) -> None:
        """Take note of neurons inside all cones."""
        if value < self.upper:
            self.V, self.upper = V, value

    def see_proof(self, job: Job, V: Array, sums: Sums, push: Array, width: float) -> None:
        """Take note of the theta at neurons V, and of ``C' mu`` (2, P, d) that goes with it."""
        squared = job.frame.loss == "squared"
        scale = dual_scale(squared, sums.pull, push, sums.linear, sums.square, job.beta)
        value = scale * float(sums.dual)
        if squared:
            value = scale * float(sums.linear) - 0.5 * scale**2 * float(sums.square)
        if value + self.fixed > self.lower:
            self.lower = value + self.fixed
            self.proof, self.push, self.width = V, push, width


class State(NamedTuple):
    """Neurons inside all cones, the model of the loss there, and the rows kept for the cones."""

    V: Array
    sums: Sums
    gram: Array
    rows: Array
    width: float
    accuracy: float
    best: float
    idle: int
    factorizations: int


def dual_scale(
    squared: bool, pull: Array, push: Array, linear: Any, square: Any, beta: float
) -> float:
    """Return the scaling of theta, and of the multipliers, with which both are feasible."""
    xp = array_namespace(pull)
    highest = float(xp.max(group_norms(xp.stack([pull, -pull]) + push)))
    limit = beta / highest if highest > 0 else math.inf
    if not squared:
        return min(1.0, limit)
    linear, square = float(linear), float(square)
    return min(limit, max(linear, 0.0) / square) if square > 0 else 0.0


def surveyed(passes: Passes, frame: Frame, columns: int) -> Survey:
    """Return what the first pass finds, having checked all numbers."""
    count = min(frame.n, _FIRST_ROWS * columns)
    found: Survey = passes.fold(survey, frame, count, merge=surveys_merged)
    return found


def solved(job: Job, maxiter: int, callback: Callback | None) -> tuple[Run[State], Bounds]:
    """Return the run of the sequence from the zero network, and the bounds it reached."""
    bounds = Bounds(job.fixed)

    def measure(_: State) -> Record:
        unit = job.frame.height**2
        return {
            "error": bounds.gap,
            "fun": unit * bounds.upper,
            "dual": unit * bounds.lower,
            "infeas": 0.0,
            "output": 0,
        }

    with quiet():
        run = iterate(
            _first_state(job, bounds),
            lambda state: _step(job, bounds, state),
            measure,
            tol=job.tol,
            maxiter=maxiter,
            callback=callback,
            give_up=lambda state: PRECISION if state.idle >= _PATIENCE else None,
        )
    return run, bounds


def _first_state(job: Job, bounds: Bounds) -> State:
    xp, (patterns, d) = array_namespace(job.rows), job.frame.gates.shape
    dtype, device = job.rows.dtype, device_of(job.rows)
    V = xp.zeros((2, patterns, d), dtype=dtype, device=device)
    width = 0.0 if job.frame.loss != "hinge" else _FIRST_WIDTH
    sums, gram = _modeled(job, V, width)
    bounds.see_neurons(V, float(sums.loss))
    bounds.see_proof(job, V, sums, 0 * V, width)
    return State(V, sums, gram, job.rows, width, _ACCURACY * job.tol, math.inf, 0, 0)


def _modeled(job: Job, V: Array, width: float) -> tuple[Sums, Array]:
    """Return the sums at neurons and the second derivative of the loss: one pass."""
    *sums, gram = job.passes.fold(model_at, job.frame._replace(width=width), V)
    return Sums(*sums), gram


def _step(job: Job, bounds: Bounds, state: State) -> State:
    """Return neurons inside all cones that minimize the model, and the model there."""
    a = state.V[0, ...] - state.V[1, ...]
    slope = linear_pull(state.gram, state.sums.pull, array_namespace(a).stack([-a, 0 * a]))
    problem = Quadratic(state.gram / job.mass, slope / job.mass, state.rows, job.beta / job.mass)
    found = minimized(problem, state.accuracy * abs(bounds.upper) / job.mass)
    target = _without_tiny(found.V)
    seen = _crossed(job, state, target)
    inside = drawn_back(job.frame.gates, target, seen.reach)
    rows = joined(pruned(state.rows, found.mu, _most_rows(job)), seen.facets)
    push = job.mass * pulled_by(state.rows, found.mu)
    state = state._replace(rows=rows, factorizations=state.factorizations + found.factorizations)
    if job.frame.loss == "squared":
        bounds.see_proof(job, found.V, _moved_sums(state, found.V), push, 0.0)
        sums = _moved_sums(state, inside)
        bounds.see_neurons(inside, float(sums.loss) + job.beta * _norm(inside))
        return _judged(job, bounds, state._replace(V=inside, sums=sums))
    share = _best_share(job, state, target, seen.losses)
    V = state.V + share * (inside - state.V)
    width = _next_width(job, bounds, state.width, share)
    sums, gram = _modeled(job, V, width)
    bounds.see_neurons(V, float(sums.loss) + job.beta * _norm(V))
    bounds.see_proof(job, V, sums, push, width)
    return _judged(job, bounds, state._replace(V=V, sums=sums, gram=gram, width=width))


def _crossed(job: Job, state: State, target: Array) -> Crossings:
    """Return what the way from the gates to new neurons crosses: one pass."""
    patterns, m, d = state.rows.shape
    count = max(_MORE_ROWS * d, m // 2)
    most = int(_ROOM * job.max_bytes / (16 * patterns * (d + 1)))
    count = min(count, max(1, most), job.frame.n)
    frame = job.frame._replace(width=state.width)
    shares = () if job.frame.loss == "squared" else _SHARES
    seen: Crossings = job.passes.fold(
        crossings, frame, target, state.V, shares, count, merge=crossings_merged
    )
    return seen


def _most_rows(job: Job) -> int:
    """Return how many rows may be kept for each pattern."""
    patterns, d = job.frame.gates.shape
    return max(4 * d, int(_ROOM * job.max_bytes / (8 * patterns * d)))


def _without_tiny(V: Array) -> Array:
    xp = array_namespace(V)
    norms = group_norms(V)[..., None]
    return xp.where(norms > _TINY * xp.max(norms), V, xp.zeros_like(V))


def drawn_back(gates: Array, V: Array, reach: Array) -> Array:
    """Return neurons at a share of the way from their gates, both of the same length, to them."""
    back = ((1 - reach) * group_norms(V))[..., None] * gates
    return reach[..., None] * V + back


def _norm(V: Array) -> float:
    return float(array_namespace(V).sum(group_norms(V)))


def _moved_sums(state: State, V: Array) -> Sums:
    """Return the sums of the squared loss at other neurons, of which its model knows all."""
    xp = array_namespace(V)
    step = (V[0, ...] - V[1, ...]) - (state.V[0, ...] - state.V[1, ...])
    before, sums = state.sums.pull, state.sums
    pull = linear_pull(state.gram, before, xp.stack([step, 0 * step]))
    first, second = xp.sum(before * step), xp.sum((before - pull) * step)
    a = V[0, ...] - V[1, ...]
    # Sums over theta (y - z) / ... : theta'y = |theta|^2 + theta'z, theta'z = pull'a.
    square = sums.square - 2 * first + second
    loss = sums.loss - first + 0.5 * second
    linear = square + xp.sum(pull * a)
    return Sums(loss, loss, linear - 0.5 * square, linear, square, pull)


def _best_share(job: Job, state: State, target: Array, losses: Array) -> float:
    """Return the share of the step to new neurons with the least objective, the loss smoothed."""
    values = [
        float(losses[k]) + job.beta * _norm(state.V + share * (target - state.V))
        for k, share in enumerate(_SHARES)
    ]
    return _SHARES[values.index(min(values))]


def _next_width(job: Job, bounds: Bounds, width: float, share: float) -> float:
    """Return the width of the kink of the hinge loss for the next step."""
    if share < 0.5:
        return width
    last = _LAST_WIDTH * job.tol * abs(bounds.upper) / (2 * job.mass)
    return max(min(width, last), _NARROWER * width)


def _judged(job: Job, bounds: Bounds, state: State) -> State:
    """Return a state that knows for how many steps the gap has stayed where it was."""
    gap = bounds.gap
    if gap < 0.9 * state.best:
        return state._replace(best=gap, idle=0)
    return state._replace(idle=state.idle + 1, accuracy=_FINER * state.accuracy)
