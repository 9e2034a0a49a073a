"""The convex program over rows that are only summed over: a sequence of small quadratic programs.

The loss is its second-order model at neurons inside all cones, which takes one sum over all rows,
and the cones are those of the few rows next to their gates. What minimizes that is found in one
place. A second pass looks where the way from the gates to the new neurons leaves the cones: the
rows met first join those kept, and neurons are drawn back to where they are inside. For the
squared loss the model is the loss, and its sums are formed once. The hinge loss is smoothed until
only samples near their hinges, the points where it is not smooth, are in doubt; from there on these
keep their loss, and all others are linear.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..._conic.quadratic import (
    Hinges,
    Quadratic,
    Solution,
    constraint_gradient,
    minimized,
    negative_gradient,
)
from ..._core.iterate import Callback, Record, Run, iterate
from ..._core.namespace import Array, array_namespace, device_of
from ..._core.outcome import Status
from ..._core.validate import contiguous
from ..._linalg import quiet
from .._program import group_norms
from .active_set import joined, pruned
from .passes import (
    NEARLY,
    Crossings,
    Frame,
    Near,
    Proof,
    Sums,
    Survey,
    crossings,
    crossings_merged,
    hinges_at,
    model_at,
    near_merged,
    surveys_merged,
)
from .problem import Passes

# Rows kept for each pattern at first, for each column, and those added at a time. With 200 rows for
# each of twenty patterns of 20000 samples in 11 columns no other was met, with 30 three rounds were
# needed.
_FIRST_ROWS, _MORE_ROWS = 20, 4
# Share of the largest array that rows kept, or those found in one pass, may take.
_ROOM = 0.1
# Accuracy of a quadratic program relative to the tolerance, and how it falls if that is too little.
_ACCURACY, _FINER, _FINEST = 0.05, 0.1, 1e-9
# Neurons shorter than this share of the longest are zero: their directions are arbitrary.
_TINY = 1e-9
# Shares of a step that are tried in the pass that looks for crossings.
_SHARES = (1.0, 0.7, 0.5, 0.3, 0.15, 0.05)
# First width of the smoothed hinges, its factor from step to step, and the last:
# from there on the samples near their hinges have a loss of their own, so many at least and so many
# for each entry of a neuron.
_FIRST_WIDTH, _NARROWER, _LAST_WIDTH = 0.3, 0.25, 0.01
_NEAR_SAMPLES, _NEAR_FOR_EACH = 4096, 16
# A step of a smaller share met what its model does not know.
_GOOD_SHARE = 0.5
# Steps after which rounding has the say, if the gap did not shrink by a tenth, nor the upper bound
# by this share of the tolerance.
_PATIENCE, _MOVED = 6, 0.1


class Job(NamedTuple):
    """A convex program in normalized units, and the rows it is about.

    `rows` (P, m, d) are those next to the gates, `mass` is the sum of the weights, `fixed` the loss
    that no network changes; `unit` is the value, in the units of the user, of one here, and
    `output` the number of the targets among several.
    """

    passes: Passes
    frame: Frame
    rows: Array
    beta: float
    mass: float
    fixed: float
    tol: float
    max_bytes: float
    unit: float
    output: int = 0


class RowBounds:
    """The best bounds so far, and what proves them."""

    def __init__(self, fixed: float) -> None:
        self.fixed = fixed
        self.upper, self.lower = math.inf, -math.inf
        self.V: Array = None
        self.proof: Proof = Proof(None)
        self.normal: Array = None
        self.scale = 0.0  # of what gives the lower bound

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

    def see_proof(self, job: Job, proof: Proof, sums: Sums, normal: Array) -> None:
        """Take note of a theta by its sums, and of ``C' mu`` (2, P, d) that goes with it."""
        squared = job.frame.loss == "squared"
        scale = dual_scale(squared, sums.gradient, normal, sums.linear, sums.square, job.beta)
        if squared:
            value = scale * float(sums.linear) - 0.5 * scale**2 * float(sums.square)
        elif scale < NEARLY:
            value = scale / NEARLY * float(sums.nearly)
        else:
            share = (scale - NEARLY) / (1 - NEARLY)
            value = share * float(sums.dual) + (1 - share) * float(sums.nearly)
        if value + self.fixed > self.lower:
            self.lower = value + self.fixed
            self.proof, self.normal, self.scale = proof, normal, scale


class Model(NamedTuple):
    """What stands for the loss at some neurons: ``a' G a / 2 - b' a``, and the loss of few samples.

    `gram` (P d, P d), `slope` b (P, d); `hinges` are the losses of samples near them,
    `index` (k,) the places of their rows, and `weight` is the dual value of all others.
    """

    sums: Sums
    gram: Array
    slope: Array
    hinges: Hinges
    index: Array
    weight: float = 0.0


class State(NamedTuple):
    """Neurons inside all cones, the model of the loss there, and the rows kept for the cones.

    `width` is that of the smoothed hinges, 0 where the model has `near` samples
    with a loss of their own.
    """

    V: Array
    model: Model
    rows: Array
    width: float
    near: int
    accuracy: float
    best: float = math.inf
    least: float = math.inf
    idle: int = 0
    n_factorizations: int = 0


def dual_scale(
    squared: bool, gradient: Array, normal: Array, linear: Any, square: Any, beta: float
) -> float:
    """Return the scaling of theta, and of the multipliers, with which both are feasible."""
    xp = array_namespace(gradient)
    highest = float(xp.max(group_norms(xp.stack([gradient, -gradient]) + normal)))
    limit = beta / highest if highest > 0 else math.inf
    if not squared:
        return min(1.0, limit)
    linear, square = float(linear), float(square)
    return min(limit, max(linear, 0.0) / square) if square > 0 else 0.0


def surveyed(summarize: Any, passes: Passes, frame: Frame) -> Survey:
    """Return what the first pass finds: by `survey`, or by `checked_survey` for new numbers."""
    count = min(frame.n, _FIRST_ROWS * frame.gates.shape[1])
    found: Survey = passes.fold(summarize, frame, count, merge=surveys_merged)
    return found


def solved(job: Job, maxiter: int, callback: Callback | None) -> tuple[Run[State], RowBounds]:
    """Return the run of the sequence from the zero network, and the bounds it reached."""
    bounds = RowBounds(job.fixed)

    def measure(_: State) -> Record:
        return {
            "error": bounds.gap,
            "fun": job.unit * bounds.upper,
            "dual_fun": job.unit * bounds.lower,
            "infeasibility": 0.0,
            "output": job.output,
        }

    with quiet():
        run = iterate(
            _first_state(job, bounds),
            lambda state: _step(job, bounds, state),
            measure,
            tol=job.tol,
            maxiter=maxiter,
            callback=callback,
            give_up=lambda state: Status.PRECISION_LIMIT if state.idle >= _PATIENCE else None,
        )
    return run, bounds


def _first_state(job: Job, bounds: RowBounds) -> State:
    xp, (patterns, d) = array_namespace(job.rows), job.frame.gates.shape
    V = xp.zeros((2, patterns, d), dtype=job.rows.dtype, device=device_of(job.rows))
    near = _at_most(job, max(_NEAR_SAMPLES, _NEAR_FOR_EACH * patterns * d))
    width = 0.0
    if job.frame.loss == "hinge" and near < job.frame.n:
        width = _FIRST_WIDTH
    model = _model(job, V, width, near)
    bounds.see_neurons(V, float(model.sums.loss))
    bounds.see_proof(job, Proof(V, width), model.sums, 0 * V)
    return State(V, model, job.rows, width, near, _ACCURACY * job.tol)


def _at_most(job: Job, near: int) -> int:
    """Return how many of so many samples there may be with a loss of their own."""
    patterns, d = job.frame.gates.shape
    return min(job.frame.n, near, max(1, int(_ROOM * job.max_bytes / (8 * patterns * d))))


def _model(job: Job, V: Array, width: float, near: int) -> Model:
    """Return the model of the loss at neurons: one pass."""
    xp = array_namespace(V)
    if job.frame.loss == "hinge" and width == 0:
        return _model_with_hinges(job, V, near)
    *sums, gram = job.passes.fold(model_at, job.frame._replace(width=width), V)
    a = V[0, ...] - V[1, ...]
    found = Sums(*sums)
    none = xp.zeros((0,), dtype=V.dtype, device=device_of(V))
    hinges = Hinges(gram[:0, :], none, none)
    slope = negative_gradient(-gram, found.gradient, xp.stack([a, 0 * a]))
    return Model(found, gram, slope, hinges, none)


def _model_with_hinges(job: Job, V: Array, near: int) -> Model:
    """Return the hinge loss at neurons, linear but for the samples nearest to their hinges."""
    xp, (patterns, d) = array_namespace(V), job.frame.gates.shape
    seen: Near = job.passes.fold(hinges_at, job.frame, V, near, merge=near_merged)
    (found,) = xp.nonzero(seen.samples.order[0, :] < math.inf)
    table = xp.take(seen.samples.rows[0, ...], found, axis=0)
    table = xp.take(table, xp.argsort(table[:, -1]), axis=0)
    X, active = table[:, :d], table[:, d : d + patterns]
    y, weights, index = (contiguous(table[:, k]) for k in (-3, -2, -1))
    features = xp.reshape(active[:, :, None] * X[:, None, :], (table.shape[0], patterns * d))
    z = xp.matmul(features, xp.reshape(V[0, ...] - V[1, ...], (-1,)))
    slopes = xp.where(y * z < 1, weights, xp.zeros_like(weights))
    gradient = seen.gradient - xp.reshape(xp.matmul(features.T, y * slopes), seen.gradient.shape)
    weight = seen.weight
    sums = Sums(seen.loss, seen.loss, weight, NEARLY * weight, weight, weight, seen.gradient)
    gram = xp.zeros((patterns * d, patterns * d), dtype=V.dtype, device=device_of(V))
    others = float(weight - xp.sum(slopes))
    return Model(sums, gram, gradient, Hinges(features, y, weights / job.mass), index, others)


def _step(job: Job, bounds: RowBounds, state: State) -> State:
    """Return neurons inside all cones that minimize the model, and the model there."""
    model, mass = state.model, job.mass
    problem = Quadratic(
        model.gram / mass, model.slope / mass, state.rows, job.beta / mass, model.hinges
    )
    found = minimized(problem, job.frame.gates, state.accuracy * abs(bounds.upper) / mass)
    normal = mass * constraint_gradient(state.rows, found.mu)
    _see_solution(job, bounds, state, found, normal)
    target = _without_tiny(found.V)
    seen = _crossed(job, state, target)
    inside = drawn_back(job.frame.gates, target, seen.to_boundary)
    state = state._replace(
        rows=joined(pruned(state.rows, found.mu, _most_rows(job)), seen.active_rows),
        n_factorizations=state.n_factorizations + found.factorizations,
    )
    if job.frame.loss == "squared":
        sums = _sums_of(model, inside)
        bounds.see_neurons(inside, float(sums.loss) + job.beta * _norm(inside))
        return _judged(bounds, state._replace(V=inside), job.tol, exact=True)
    share = _best_share(job, state, target, seen.losses)
    V = state.V + share * (inside - state.V)
    width = _next_width(state, share)
    near = _at_most(job, 2 * state.near) if share < _GOOD_SHARE and width == 0 else state.near
    after = _model(job, V, width, near)
    bounds.see_neurons(V, float(after.sums.loss) + job.beta * _norm(V))
    bounds.see_proof(job, Proof(V, width), after.sums, normal)
    exact = job.frame.loss == "hinge" and state.width == 0
    state = state._replace(V=V, model=after, width=width, near=near)
    return _judged(bounds, state, job.tol, exact)


def _see_solution(
    job: Job, bounds: RowBounds, state: State, found: Solution, normal: Array
) -> None:
    """Take note of the theta at which the model has its minimum, where it is one of the loss."""
    xp, model = array_namespace(normal), state.model
    if job.frame.loss == "squared":
        bounds.see_proof(job, Proof(found.V), _sums_of(model, found.V), normal)
    elif job.frame.loss == "hinge" and state.width == 0:
        slopes = job.mass * found.slopes
        theta = model.hinges.y * slopes
        gradient = model.slope + xp.reshape(
            xp.matmul(model.hinges.features.T, theta), model.slope.shape
        )
        dual = model.weight + xp.sum(slopes)
        sums = Sums(dual, dual, dual, NEARLY * dual, dual, dual, gradient)
        bounds.see_proof(job, Proof(state.V, 0.0, model.index, slopes), sums, normal)


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
    patterns: int = job.frame.gates.shape[0]
    d: int = job.frame.gates.shape[1]
    return max(4 * d, int(_ROOM * job.max_bytes / (8 * patterns * d)))


def _without_tiny(V: Array) -> Array:
    xp = array_namespace(V)
    norms = group_norms(V)[..., None]
    return xp.where(norms > _TINY * xp.max(norms), V, xp.zeros_like(V))


def drawn_back(gates: Array, V: Array, to_boundary: Array) -> Array:
    """Return neurons at a share of the way from their gates, both of the same length, to them."""
    back = ((1 - to_boundary) * group_norms(V))[..., None] * gates
    return to_boundary[..., None] * V + back


def _norm(V: Array) -> float:
    return float(array_namespace(V).sum(group_norms(V)))


def _sums_of(model: Model, V: Array) -> Sums:
    """Return the sums of the squared loss at neurons, of which its model at zero knows all."""
    xp, sums = array_namespace(V), model.sums
    a = V[0, ...] - V[1, ...]
    gradient = negative_gradient(model.gram, model.slope, V)
    first, second = xp.sum(model.slope * a), xp.sum((model.slope - gradient) * a)
    loss = sums.loss - first + 0.5 * second
    square = sums.square - 2 * first + second
    linear = sums.linear - first
    return Sums(loss, loss, loss, loss, linear, square, gradient)


def _best_share(job: Job, state: State, target: Array, losses: Array) -> float:
    """Return the share of the step to new neurons with the least objective, the loss smoothed.

    The largest one with the least but for what minima of the model are accurate to.
    """
    values = [
        float(losses[k]) + job.beta * _norm(state.V + share * (target - state.V))
        for k, share in enumerate(_SHARES)
    ]
    enough = min(values) + state.accuracy * abs(min(values))
    return next(share for share, value in zip(_SHARES, values, strict=True) if value <= enough)


def _next_width(state: State, share: float) -> float:
    """Return the width of the smoothed hinges for the next step.

    It is 0 once it is narrow, and few enough samples are close to their hinges that each of these
    can have its own loss.
    """
    if share < _GOOD_SHARE:
        return state.width
    few = state.width <= _LAST_WIDTH and float(state.model.sums.close) <= state.near
    return 0.0 if few else _NARROWER * state.width


def _judged(bounds: RowBounds, state: State, tol: float, exact: bool) -> State:
    """Return a state that knows for how many steps the bounds have stayed where they were.

    Where the model gave the bounds itself, a finer minimum of it may be what is missing.
    """
    moved = bounds.upper < state.least * (1 - _MOVED * tol)
    if bounds.gap < 0.9 * state.best or moved:
        return state._replace(best=bounds.gap, least=bounds.upper, idle=0)
    accuracy = min(state.accuracy, max(_FINEST, _FINER * state.accuracy if exact else 1.0))
    return state._replace(idle=state.idle + 1, accuracy=accuracy)
