"""From a validated problem to a certified solution: choice of the method, loop, verdict."""

from __future__ import annotations

import math
from typing import Any

from .._core.iterate import Record, iterate
from .._core.namespace import Array, array_namespace
from .._core.outcome import CONVERGED, NON_FINITE
from .._linalg import quiet
from ._certificate import Lower, Upper, better_lower, objective, relative_gap
from ._interior import SHORTEST_STEP, Point, first_point, interior_step, theta_of
from ._program import (
    Program,
    per_output,
    predictions,
    pulled_back,
    responses,
    widened,
)
from ._projection import affordable, project
from ._rbcd import BlockDescent
from ._robust_splitting import RobustSplitting
from ._splitting import Penalties, Splitting
from ._tall import in_sums
from ._verdict import NETWORK_SETTLED, PRECISION, UNPROVED, Outcome, Settings, Start, Verdict

# An interior-point step that takes more floating-point operations than this, about ten seconds on
# two cores, is left to the splitting methods.
_INTERIOR_FLOPS = 5e11
# Entries of the largest matrix of an interior-point step: 2 GB.
_INTERIOR_ENTRIES = 2.5e8
# Samples for each entry of the neurons of all patterns from which on only sums over them are
# formed: with 10 patterns of 5 columns to 20 of 20 that took half of the time or less, mostly a
# tenth; with as many samples as entries it took longer.
_TALL = 3
# Interior-point steps without a smaller gap after which rounding has the say, once the gap is as
# small as this: before, some problems make no progress that shows for a hundred steps.
_STEPS_WITHOUT_PROGRESS, _SMALL_GAP = 40, 1e-6
# Iterations of a splitting method between two checks.
_CHECK_EVERY = 25
# Multiples of beta of the pull on a zero network above which it cannot be the solution; the cones
# shorten a pull by less than this.
_CLEARLY_NOT_ZERO = 1e3
# The same of the pull along a gate; a little more than one, as the zero network may do to `tol`.
_NOT_NEARLY_ZERO = 1.1


def chosen_method(problem: Program, settings: Settings) -> str:
    """Return the method that "auto" stands for."""
    if settings.method != "auto":
        return settings.method
    n, d, patterns = problem.shape
    small = min(n, patterns * d)
    if settings.stop == "gap" and problem.eps is None:
        if n >= _TALL * patterns * d and 2 * n * small * small <= _INTERIOR_FLOPS:
            return "rows"
        if _interior_fits(problem):
            return "interior"
    squared = problem.loss.name == "squared" and problem.eps is None
    return "cholesky" if squared and small <= 5000 else "sylvester"


def _interior_fits(problem: Program) -> bool:
    """Tell whether a step of the interior-point method is affordable."""
    n, d, patterns = problem.shape
    small, large = sorted((n, patterns * d))
    flops = 4 * patterns * n * d * d + 2 * small * small * large
    return flops <= _INTERIOR_FLOPS and small * large <= _INTERIOR_ENTRIES


def solve(problem: Program, settings: Settings, start: Start) -> Outcome:
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


def _as(problem: Program, x: Array) -> Array:
    return array_namespace(x).astype(x, problem.X.dtype, copy=False)


def _mapped(V: Array, Q: Array) -> Array:
    """Return ``V Q`` (..., k) for neurons (..., d), in the dtype of Q (d, k)."""
    xp = array_namespace(V)
    V = xp.astype(V, Q.dtype, copy=False)
    flat = xp.matmul(xp.reshape(V, (-1, V.shape[-1])), Q)
    return xp.reshape(flat, (*V.shape[:-1], Q.shape[1]))


def _solved(problem: Program, settings: Settings, start: Start) -> Outcome:
    zero = None if problem.eps is not None else _zero_network(problem, settings)
    if zero is not None:
        return zero
    method = chosen_method(problem, settings)
    alone = {"interior": _by_interior_point, "rows": _by_rows, "rbcd": _by_block_descent}
    if method in alone:
        outputs = range(problem.y.shape[0])
        return _together(
            [alone[method](problem.output(c), c, settings, _part(start, c)) for c in outputs]
        )
    engine: Any
    if problem.eps is not None:
        engine = RobustSplitting(problem, adapt=settings.rho is None)
    else:
        engine = Splitting(problem, method, adapt=settings.rho is None)
    return _by_splitting(problem, engine, method, settings, start, -1)


def _part(start: Start, c: int) -> Start:
    """Return the start of one output."""
    if start is None:
        return None
    V, mu = start
    return V[c : c + 1, ...], None if mu is None else mu[c : c + 1, ...]


def _zero_network(problem: Program, settings: Settings) -> Outcome | None:
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


def zero_multipliers(problem: Program, theta: Array) -> Array:
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


def _by_rows(problem: Program, output: int, settings: Settings, start: Start) -> Outcome:
    """Return the outcome of sums over the samples; where rounding stops them, of the samples."""
    found = in_sums(problem, output, settings, start)
    stuck = found.status in (PRECISION, NON_FINITE)
    if settings.method == "auto" and stuck and _interior_fits(problem):
        return _by_interior_point(problem, output, settings, (found.upper.V, None))
    return found


def _by_block_descent(problem: Program, output: int, settings: Settings, start: Start) -> Outcome:
    engine = BlockDescent(problem, settings.rng)
    return _by_splitting(problem, engine, "rbcd", settings, start, output)


def _by_interior_point(problem: Program, output: int, settings: Settings, start: Start) -> Outcome:
    problem = widened(problem)
    verdict = Verdict(problem, output)
    xp = array_namespace(problem.X)
    if start is not None:
        verdict.see_neurons(xp.astype(start[0], problem.X.dtype))

    least, idle = math.inf, 0

    def measure(point: Point) -> Record:
        nonlocal least, idle
        verdict.see_multipliers(theta_of(problem, point)[None, :], point.mu[None, ...])
        verdict.see_neurons(point.V[None, ...])
        idle = 0 if verdict.gap < 0.9 * least else idle + 1
        least = min(least, verdict.gap)
        return verdict.record(point.V[None, ...])

    def give_up(point: Point) -> int | None:
        settled = idle >= _STEPS_WITHOUT_PROGRESS and least <= _SMALL_GAP
        return PRECISION if settled or point.step < SHORTEST_STEP else None

    with quiet():
        run = iterate(
            first_point(problem),
            lambda point: interior_step(problem, point),
            measure,
            tol=settings.tol,
            maxiter=settings.maxiter,
            callback=settings.callback,
            give_up=give_up,
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
        joined([p.mu for p in parts]) if all(p.mu is not None for p in parts) else None,
        sum(p.nit for p in parts),
        sum(p.factorizations for p in parts),
        max(p.status for p in parts),
        parts[0].method,
        parts[0].rho,
        [record for p in parts for record in p.history],
    )


def _by_splitting(
    problem: Program,
    engine: Any,
    method: str,
    settings: Settings,
    start: Start,
    output: int,
) -> Outcome:
    wide = widened(problem)
    verdict = Verdict(wide, output)
    xp = array_namespace(problem.X)
    # Cones that perturbations narrow are not projected onto. Where neurons are too many to be
    # projected, or are not to be, the estimate is all there is.
    beyond = not problem.narrowed and not (
        settings.polish and affordable(problem, problem.y.shape[0])
    )
    projected_at = math.inf

    def measure(state: Any) -> Record:
        nonlocal projected_at
        V = xp.astype(engine.neurons(state), wide.X.dtype)
        mu = xp.astype(engine.multipliers(state), wide.X.dtype)
        verdict.lower = better_lower(verdict.lower, engine.lower(wide, state))
        if problem.eps is not None:
            verdict.see_neurons(V)
        guess = (
            estimate(wide, verdict, V, responses(wide, V), mu) if not problem.narrowed else math.inf
        )
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
    if verdict.gap > settings.tol and not (problem.narrowed or beyond):
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


def estimate(problem: Program, verdict: Verdict, V: Array, XV: Array, mu: Array) -> float:
    """Return a guess of the gap that neurons will have once they are moved into their cones.

    Each violated slack counts with its multiplier. Only a guess: it can be too small.
    """
    if verdict.lower is None:
        return math.inf
    value = objective(problem, V, XV) + price_of_violations(problem, XV, mu)
    return relative_gap(value, verdict.lower.value)


def price_of_violations(problem: Program, XV: Array, mu: Array) -> Array:
    """Return what the violated slacks of each output cost at multipliers mu (C, 2, P, n)."""
    xp = array_namespace(XV)
    return per_output(mu * xp.clip(-problem.signs * XV, 0.0, None))
