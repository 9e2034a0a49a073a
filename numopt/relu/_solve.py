"""From a validated problem to a certified solution: choice of the method, loop, verdict."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._iterate import Callback, Record, iterate
from .._namespace import Array, array_namespace
from .._result import CONVERGED
from ._certificate import (
    Lower,
    Upper,
    better_lower,
    better_upper,
    infeasibility,
    lower_bound,
    objective,
    relative_gap,
    upper_bound,
)
from ._interior import SHORTEST_STEP, Point, first_point, interior_step, theta_of
from ._network import network_objective, network_of
from ._problem import (
    Problem,
    per_output,
    predictions,
    pulled_back,
    responses,
    widened,
    zeros_like_neurons,
)
from ._projection import affordable, closest_inside, project
from ._rbcd import BlockDescent
from ._robust_splitting import RobustSplitting
from ._splitting import Penalties, Splitting

METHODS = ("auto", "interior", "cholesky", "sylvester", "rbcd")
STOPS = ("gap", "network")
NETWORK_SETTLED, PRECISION, NO_PATTERN, UNPROVED = 2, 3, 4, 5

# An interior-point step that takes more floating-point operations than this, about ten seconds on
# two cores, is left to the splitting methods.
_INTERIOR_FLOPS = 5e11
# Entries of the largest matrix of an interior-point step: 2 GB.
_INTERIOR_ENTRIES = 2.5e8
# Iterations of a splitting method between two checks.
_CHECK_EVERY = 25
# Checks without improvement after which a network counts as settled.
_PATIENCE = 5
# Multiples of beta of the pull on a zero network above which it cannot be the solution; the cones
# shorten a pull by less than this.
_CLEARLY_NOT_ZERO = 1e3
# The same of the pull along a gate; a little more than one, as the zero network may do to `tol`.
_NOT_NEARLY_ZERO = 1.1


class Settings(NamedTuple):
    """Validated options of a solve."""

    method: str
    tol: float
    maxiter: int
    stop: str
    polish: bool
    rho: float | None
    callback: Callback | None
    rng: Any


class Outcome(NamedTuple):
    """Both bounds, the neurons behind them and how they were found, in normalized units."""

    upper: Upper
    lower: Lower
    V: Array
    mu: Array | None
    nit: int
    factorizations: int
    status: int
    method: str
    rho: tuple[float, ...] | None
    history: list[Record]


class Verdict:
    """The best bounds seen so far. What it reports is relative to the units of the user."""

    def __init__(self, problem: Problem, output: int = -1) -> None:
        """Start from the zero network, whose objective bounds the optimum from above."""
        zero = zeros_like_neurons(problem)
        self.problem, self.output = problem, output
        self.upper = Upper(objective(problem, zero), zero)
        self.lower: Lower | None = None
        self.settled = 0
        self.best_network: tuple[float, Array] | None = None

    @property
    def gap(self) -> float:
        """The largest relative gap over the outputs."""
        return math.inf if self.lower is None else relative_gap(self.upper.value, self.lower.value)

    def see_multipliers(self, theta: Array, mu: Array) -> None:
        """Take note of a point of the dual problem."""
        self.lower = better_lower(self.lower, lower_bound(self.problem, theta, mu))

    def see_neurons(self, V: Array) -> None:
        """Take note of neurons in their cones, or so near that their gates take them in."""
        self.upper = better_upper(self.upper, upper_bound(self.problem, V))

    def project(self, V: Array) -> None:
        """Take note of the closest neurons in their cones."""
        points = closest_inside(self.problem, V)
        if points is not None:
            self.see_neurons(points)

    def record(self, V: Array) -> Record:
        """Return what the history keeps of a check."""
        xp, unit = array_namespace(V), self.problem.value_unit
        lower = -math.inf if self.lower is None else float(xp.sum(self.lower.value))
        return {
            "error": self.gap,
            "fun": unit * float(xp.sum(self.upper.value)),
            "dual": unit * lower,
            "infeas": infeasibility(self.problem, V),
            "output": self.output,
        }

    def network_settled(self, V: Array, tol: float) -> bool:
        """Tell whether the network of neurons has not improved by `tol` for some checks."""
        p = self.problem
        value = network_objective(p.X, p.y, p.weights, *network_of(V), p.beta, p.loss)
        if self.best_network is None or value < self.best_network[0] * (1 - tol):
            self.best_network, self.settled = (value, V), 0
        else:
            self.settled += 1
        return self.settled >= _PATIENCE


def chosen_method(problem: Problem, settings: Settings) -> str:
    """Return the method that "auto" stands for."""
    if settings.method != "auto":
        return settings.method
    n, d, patterns = problem.shape
    small, large = sorted((n, patterns * d))
    flops = 4 * patterns * n * d * d + 2 * small * small * large
    fits = flops <= _INTERIOR_FLOPS and small * large <= _INTERIOR_ENTRIES
    if fits and settings.stop == "gap" and problem.eps is None:
        return "interior"
    squared = problem.loss.name == "squared" and problem.eps is None
    return "cholesky" if squared and small <= 5000 else "sylvester"


def solve(
    problem: Problem, settings: Settings, start: tuple[Array, Array | None] | None
) -> Outcome:
    """Return the outcome of the method asked for; `start` are neurons and multipliers, or None.

    With more features than samples all neurons are in the span of the samples: what is orthogonal
    to it changes no response and makes a norm larger. Coordinates of that span take the place of
    the features, unless they are perturbed one by one.
    """
    n, d, _ = problem.shape
    if d <= n or problem.eps is not None:
        return _solved(problem, settings, start)
    xp = array_namespace(problem.X)
    Q, R = xp.linalg.qr(widened(problem).X.T, mode="reduced")
    gates = xp.matmul(xp.astype(problem.gates, Q.dtype), Q)
    small = problem._replace(X=_as(problem, R.T), gates=_as(problem, gates))
    if start is not None:
        start = _mapped(start[0], Q), start[1]
    found = _solved(small, settings, start)
    upper = found.upper._replace(V=_mapped(found.upper.V, Q.T))
    return found._replace(upper=upper, V=_mapped(found.V, Q.T))


def _as(problem: Problem, x: Array) -> Array:
    return array_namespace(x).astype(x, problem.X.dtype, copy=False)


def _mapped(V: Array, Q: Array) -> Array:
    """Return ``V Q`` (..., k) for neurons (..., d), in the dtype of Q (d, k)."""
    xp = array_namespace(V)
    V = xp.astype(V, Q.dtype, copy=False)
    flat = xp.matmul(xp.reshape(V, (-1, V.shape[-1])), Q)
    return xp.reshape(flat, (*V.shape[:-1], Q.shape[1]))


def _solved(
    problem: Problem, settings: Settings, start: tuple[Array, Array | None] | None
) -> Outcome:
    zero = None if problem.eps is not None else _zero_network(problem, settings)
    if zero is not None:
        return zero
    method = chosen_method(problem, settings)
    outputs = range(problem.y.shape[0])
    if method == "interior":
        parts = [_by_interior_point(problem.output(c), c, settings, start) for c in outputs]
        return _together(parts)
    if method == "rbcd":
        parts = [
            _by_splitting(
                one, BlockDescent(one, settings.rng), method, settings, _part(start, c), c
            )
            for c, one in ((c, problem.output(c)) for c in outputs)
        ]
        return _together(parts)
    engine: Any
    if problem.eps is not None:
        engine = RobustSplitting(problem, adapt=settings.rho is None)
    else:
        engine = Splitting(problem, method, adapt=settings.rho is None)
    return _by_splitting(problem, engine, method, settings, start, -1)


def _part(start: tuple[Array, Array | None] | None, c: int) -> tuple[Array, Array | None] | None:
    """Return the start of one output."""
    if start is None:
        return None
    V, mu = start
    return V[c : c + 1, ...], None if mu is None else mu[c : c + 1, ...]


def _zero_network(problem: Problem, settings: Settings) -> Outcome | None:
    """Return the zero network if it is the solution to `tol`, else None."""
    problem = widened(problem)
    verdict = Verdict(problem)
    zero = verdict.upper.V
    z = predictions(problem, responses(problem, zero))
    theta = problem.loss.theta(z, problem.y, problem.weights)
    mu = zero_multipliers(problem, theta)
    verdict.see_multipliers(theta, mu)
    if not verdict.gap <= settings.tol or verdict.lower is None:
        return None
    record = {"nit": 0, **verdict.record(zero)}
    return Outcome(verdict.upper, verdict.lower, zero, mu, 0, 0, CONVERGED, "none", None, [record])


def zero_multipliers(problem: Problem, theta: Array) -> Array:
    """Return multipliers that show how far theta pulls in each cone, zeros if too far anyway."""
    xp = array_namespace(theta)
    n, d, _ = problem.shape
    pull = pulled_back(problem, theta)
    mu = xp.zeros((*pull.shape[:-1], n), dtype=pull.dtype, device=pull.device)
    highest = math.sqrt(float(xp.max(xp.sum(pull * pull, axis=-1))))
    # A gate is in its cone: what pulls along it pulls there.
    along = float(xp.max(xp.sum(pull * problem.gates, axis=-1)))
    hopeless = max(highest / _CLEARLY_NOT_ZERO, along / _NOT_NEARLY_ZERO) > problem.beta
    if highest <= problem.beta or hopeless or not affordable(problem, pull.shape[0]):
        return mu
    signs = xp.reshape(xp.broadcast_to(problem.signs, mu.shape), (-1, n))
    found = project(problem.X, signs, xp.reshape(pull, (-1, d)))[1]
    return xp.clip(xp.reshape(found, mu.shape), 0.0, None)


def _by_interior_point(
    problem: Problem, output: int, settings: Settings, start: tuple[Array, Array | None] | None
) -> Outcome:
    problem = widened(problem)
    verdict = Verdict(problem, output)
    xp = array_namespace(problem.X)
    if start is not None:
        given = xp.astype(start[0][output : output + 1, ...], problem.X.dtype)
        verdict.see_neurons(given)

    def measure(point: Point) -> Record:
        verdict.see_multipliers(theta_of(problem, point)[None, :], point.mu[None, ...])
        verdict.see_neurons(point.V[None, ...])
        return verdict.record(point.V[None, ...])

    run = iterate(
        first_point(problem),
        lambda point: interior_step(problem, point),
        measure,
        tol=settings.tol,
        maxiter=settings.maxiter,
        callback=settings.callback,
        give_up=lambda point: PRECISION if point.step < SHORTEST_STEP else None,
    )
    assert verdict.lower is not None
    upper, lower = verdict.upper, verdict.lower
    mu = run.state.mu[None, ...]
    return Outcome(
        upper, lower, upper.V, mu, run.nit, run.nit, run.status, "interior", None, run.history
    )


def _together(parts: list[Outcome]) -> Outcome:
    """Return the outcomes of several outputs as one."""
    if len(parts) == 1:
        return parts[0]
    xp = array_namespace(parts[0].V)

    def joined(arrays: list[Array]) -> Array:
        return xp.concat(arrays, axis=0)

    upper = Upper(joined([p.upper.value for p in parts]), joined([p.upper.V for p in parts]))
    lower = Lower(joined([p.lower.value for p in parts]), joined([p.lower.theta for p in parts]))
    return Outcome(
        upper,
        lower,
        joined([p.V for p in parts]),
        joined([p.mu for p in parts]),
        sum(p.nit for p in parts),
        sum(p.factorizations for p in parts),
        max(p.status for p in parts),
        parts[0].method,
        parts[0].rho,
        [record for p in parts for record in p.history],
    )


def _by_splitting(
    problem: Problem,
    engine: Any,
    method: str,
    settings: Settings,
    start: tuple[Array, Array | None] | None,
    output: int,
) -> Outcome:
    wide = widened(problem)
    verdict = Verdict(wide, output)
    xp = array_namespace(problem.X)
    # Cones that perturbations narrow are not projected onto. Where neurons are too many to be
    # projected, or are not to be, the estimate is all there is.
    plain = problem.eps is None or problem.robust == "lipschitz"
    beyond = plain and not (settings.polish and affordable(problem, problem.y.shape[0]))
    projected_at = math.inf

    def measure(state: Any) -> Record:
        nonlocal projected_at
        V = xp.astype(engine.neurons(state), wide.X.dtype)
        mu = xp.astype(engine.multipliers(state), wide.X.dtype)
        verdict.lower = better_lower(verdict.lower, engine.lower(wide, state))
        if problem.eps is not None:
            verdict.see_neurons(V)
        guess = estimate(wide, verdict, V, responses(wide, V), mu) if plain else math.inf
        # A projection costs as much as many iterations: only where it may end the run.
        if not beyond and guess <= settings.tol and guess < 0.7 * projected_at:
            projected_at = guess
            verdict.project(V)
        return verdict.record(V) | ({"error": guess} if beyond else {})

    def give_up(state: Any) -> int | None:
        if settings.stop == "network":
            V = xp.astype(engine.neurons(state), wide.X.dtype)
            return NETWORK_SETTLED if verdict.network_settled(V, settings.tol) else None
        return None

    penalties = engine.first_penalties()
    if settings.rho is not None:
        penalties = Penalties(settings.rho, penalties.rho_loss)
    V0, mu0 = (None, None) if start is None else start
    run = iterate(
        engine.start(penalties, V0, mu0),
        engine.step,
        measure,
        tol=settings.tol,
        maxiter=settings.maxiter,
        check_every=_CHECK_EVERY,
        callback=settings.callback,
        give_up=give_up,
    )
    V = xp.astype(engine.neurons(run.state), wide.X.dtype)
    if verdict.best_network is not None:
        V = verdict.best_network[1]
    if verdict.gap > settings.tol and plain and not beyond:
        verdict.project(V)
    assert verdict.lower is not None
    return Outcome(
        verdict.upper,
        verdict.lower,
        V,
        engine.multipliers(run.state),
        run.nit,
        engine.factorizations,
        UNPROVED if beyond and run.status == CONVERGED else run.status,
        method,
        tuple(run.state.penalties),
        run.history,
    )


def estimate(problem: Problem, verdict: Verdict, V: Array, XV: Array, mu: Array) -> float:
    """Return a guess of the gap that neurons will have once they are moved into their cones.

    Each violated slack counts with its multiplier. Only a guess: it can be too small.
    """
    if verdict.lower is None:
        return math.inf
    value = objective(problem, V, XV) + price_of_violations(problem, XV, mu)
    return relative_gap(value, verdict.lower.value)


def price_of_violations(problem: Problem, XV: Array, mu: Array) -> Array:
    """Return what the violated slacks of each output cost at multipliers mu (C, 2, P, n)."""
    xp = array_namespace(XV)
    return per_output(mu * xp.clip(-problem.signs * XV, 0.0, None))
