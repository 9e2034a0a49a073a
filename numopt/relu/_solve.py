"""From a program to a solution with both bounds: choice of the method, and its loop."""

from __future__ import annotations

import math
from typing import Any

from .._conic.groups import Point, first_point, newton_step, theta_of
from .._conic.predictor_corrector import Iterate, Patience
from .._core.iterate import Record, iterate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Status
from .._linalg import quiet
from ._bounds import Bounds, Outcome, Start
from ._certificate import Lower, Upper, objective, price_of_violations, relative_gap
from ._inputs import Settings
from ._program import Program, adjoint, responses, widened, zeros_like_neurons
from ._published import BlockDescent
from .interior.newton import neurons
from .interior.projection import affordable, project
from .rows.in_memory import in_sums
from .splitting.admm import Penalties, Splitting
from .splitting.robust import RobustSplitting

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
# Multiples of beta of a gradient at zero above which the zero network cannot be the solution; cones
# shorten a gradient by less than this.
_CLEARLY_NOT_ZERO = 1e3
# The same along a gate; a little more than one, as the zero network may do to `tol`.
_NOT_NEARLY_ZERO = 1.1


def chosen_method(program: Program, settings: Settings) -> str:
    """Return the method that "auto" stands for."""
    if settings.method != "auto":
        return settings.method
    n, d, patterns = program.shape
    small = min(n, patterns * d)
    if program.eps is None:
        if n >= _TALL * patterns * d and 2 * n * small * small <= _INTERIOR_FLOPS:
            return "rows"
        if _interior_fits(program):
            return "interior"
    squared = program.loss.name == "squared" and program.eps is None
    return "cholesky" if squared and small <= 5000 else "sylvester"


def _interior_fits(program: Program) -> bool:
    """Tell whether a step of the interior-point method is affordable."""
    n, d, patterns = program.shape
    small, large = sorted((n, patterns * d))
    flops = 4 * patterns * n * d * d + 2 * small * small * large
    return flops <= _INTERIOR_FLOPS and small * large <= _INTERIOR_ENTRIES


def solve(program: Program, settings: Settings, start: Start) -> Outcome:
    """Return the outcome of the method asked for; `start` are neurons and multipliers, or None.

    With more features than samples all neurons are in the span of the samples: what is orthogonal
    to it changes no response and makes a norm larger. Coordinates of that span take the place of
    the features, unless they are perturbed one by one.
    """
    n, d, _ = program.shape
    if d <= n or program.eps is not None:
        return _solved(program, settings, start)
    xp = array_namespace(program.X)
    Q, R = xp.linalg.qr(widened(program).X.T, mode="reduced")
    gates = xp.matmul(xp.astype(program.gates, Q.dtype), Q)
    small = program._replace(X=_as(program, R.T), gates=_as(program, gates))
    if start is not None:
        start = _mapped(start[0], Q), start[1]
    found = _solved(small, settings, start)
    upper = found.upper._replace(V=_mapped(found.upper.V, Q.T))
    proof = tuple(_mapped(normal, Q.T) for normal in found.lower.proof)
    return found._replace(
        upper=upper, lower=found.lower._replace(proof=proof), V=_mapped(found.V, Q.T)
    )


def _as(program: Program, x: Array) -> Array:
    return array_namespace(x).astype(x, program.X.dtype, copy=False)


def _mapped(V: Array, Q: Array) -> Array:
    """Return ``V Q`` (..., k) for neurons (..., d), in the dtype of Q (d, k)."""
    xp = array_namespace(V)
    V = xp.astype(V, Q.dtype, copy=False)
    flat = xp.matmul(xp.reshape(V, (-1, V.shape[-1])), Q)
    return xp.reshape(flat, (*V.shape[:-1], Q.shape[1]))


def _solved(program: Program, settings: Settings, start: Start) -> Outcome:
    zero = None if program.eps is not None else _zero_network(program, settings)
    if zero is not None:
        return zero
    method = chosen_method(program, settings)
    alone = {"interior": _by_interior_point, "rows": _by_rows, "rbcd": _by_block_descent}
    if method in alone:
        outputs = range(program.y.shape[0])
        return _together(
            [alone[method](program.output(c), c, settings, _part(start, c)) for c in outputs]
        )
    engine: Any
    if program.eps is not None:
        engine = RobustSplitting(program, adapt=settings.rho is None)
    else:
        engine = Splitting(program, method, adapt=settings.rho is None)
    return _by_splitting(program, engine, method, settings, start, -1)


def _part(start: Start, c: int) -> Start:
    """Return the start of one output."""
    if start is None:
        return None
    V, mu = start
    return V[c : c + 1, ...], None if mu is None else mu[c : c + 1, ...]


def _zero_network(program: Program, settings: Settings) -> Outcome | None:
    """Return the zero network if it is the solution to `tol`, else None."""
    program = widened(program)
    bounds = Bounds(program)
    zero = bounds.upper.V
    theta = program.loss.theta(0 * program.y, program.y, program.weights)
    mu = zero_multipliers(program, theta)
    bounds.see_multipliers(theta, mu)
    if not bounds.gap <= settings.tol or bounds.lower is None:
        return None
    record = {"nit": 0, **bounds.record(zero)}
    status = Status.CONVERGED
    return Outcome(bounds.upper, bounds.lower, zero, mu, 0, 0, status, "none", None, [record])


def zero_multipliers(program: Program, theta: Array) -> Array:
    """Return multipliers that show how small gradients are in the cones, zeros if they are not."""
    xp = array_namespace(theta)
    n, d, _ = program.shape
    gradient = adjoint(program, theta)
    mu = xp.zeros((*gradient.shape[:-1], n), dtype=gradient.dtype, device=gradient.device)
    highest = math.sqrt(float(xp.max(xp.sum(gradient * gradient, axis=-1))))
    # A gate is in its cone: a gradient along it is one there.
    along = float(xp.max(xp.sum(gradient * program.gates, axis=-1)))
    hopeless = max(highest / _CLEARLY_NOT_ZERO, along / _NOT_NEARLY_ZERO) > program.beta
    if highest <= program.beta or hopeless or not affordable(program, gradient.shape[0]):
        return mu
    signs = xp.reshape(xp.broadcast_to(program.signs, mu.shape), (-1, n))
    found = project(program.X, signs, xp.reshape(gradient, (-1, d)))[1]
    return xp.clip(xp.reshape(found, mu.shape), 0.0, None)


def _by_rows(program: Program, output: int, settings: Settings, start: Start) -> Outcome:
    """Return the outcome of sums over the samples; where rounding stops them, of the samples."""
    found = in_sums(program, output, settings.tol, settings.maxiter, settings.callback, start)
    stuck = found.status in (Status.PRECISION_LIMIT, Status.NON_FINITE)
    if settings.method == "auto" and stuck and _interior_fits(program):
        return _by_interior_point(program, output, settings, (found.upper.V, None), found)
    return found


def _by_block_descent(program: Program, output: int, settings: Settings, start: Start) -> Outcome:
    engine = BlockDescent(program, settings.rng)
    return _by_splitting(program, engine, "rbcd", settings, start, output)


def _by_interior_point(
    program: Program,
    output: int,
    settings: Settings,
    start: Start,
    before: Outcome | None = None,
) -> Outcome:
    """Return the outcome of an interior-point method, which may go on where another one stopped."""
    program = widened(program)
    bounds = Bounds(program, output)
    xp = array_namespace(program.X)
    if start is not None:
        bounds.see_neurons(xp.astype(start[0], program.X.dtype))

    groups, patience = neurons(program), Patience()

    def measure(now: Iterate[Point]) -> Record:
        theta, V = theta_of(groups, now.point), now.point.u[None, ...]
        bounds.see_multipliers(theta[None, :], now.point.multiplier[None, ...])
        bounds.see_neurons(V)
        patience.note(bounds.gap)
        return bounds.record(V)

    def give_up(now: Iterate[Point]) -> Status | None:
        settled = patience.idle >= _STEPS_WITHOUT_PROGRESS and patience.least[0] <= _SMALL_GAP
        return Status.PRECISION_LIMIT if settled or now.stuck else None

    nit, n_factorizations = (0, 0) if before is None else (before.nit, before.n_factorizations)
    with quiet():
        run = iterate(
            Iterate(first_point(groups, zeros_like_neurons(program)[0, ...])),
            lambda now: newton_step(groups, now.point),
            measure,
            tol=settings.tol,
            maxiter=settings.maxiter,
            callback=settings.callback,
            give_up=give_up,
            history=None if before is None else before.history,
            nit=nit,
        )
    assert bounds.lower is not None
    return Outcome(
        bounds.upper,
        bounds.lower,
        bounds.upper.V,
        run.state.point.multiplier[None, ...],
        run.nit,
        n_factorizations + run.nit - nit,
        run.status,
        "interior",
        None,
        run.history,
    )


def _together(parts: list[Outcome]) -> Outcome:
    """Return the outcomes of several outputs as one."""
    if len(parts) == 1:
        return parts[0]
    xp = array_namespace(parts[0].V)

    def joined(arrays: list[Array]) -> Array:
        return xp.concat(arrays, axis=0)

    proofs = zip(*[p.lower.proof for p in parts], strict=True)
    return Outcome(
        Upper(joined([p.upper.value for p in parts]), joined([p.upper.V for p in parts])),
        Lower(
            joined([p.lower.value for p in parts]),
            joined([p.lower.theta for p in parts]),
            tuple(joined(list(arrays)) for arrays in proofs),
        ),
        joined([p.V for p in parts]),
        joined([p.mu for p in parts]) if all(p.mu is not None for p in parts) else None,
        sum(p.nit for p in parts),
        sum(p.n_factorizations for p in parts),
        max(p.status for p in parts),
        parts[0].method,
        parts[0].rho,
        [record for p in parts for record in p.history],
    )


def _by_splitting(
    program: Program,
    engine: Any,
    method: str,
    settings: Settings,
    start: Start,
    output: int,
) -> Outcome:
    wide = widened(program)
    bounds = Bounds(wide, output)
    xp = array_namespace(program.X)
    # Cones that perturbations narrow are not projected onto. Where neurons are too many to be
    # projected, or are not to be, the estimate is all there is.
    projected = settings.polish and affordable(program, program.y.shape[0])
    projected, beyond = (projected, not projected) if not program.narrowed else (False, False)
    projected_at = math.inf

    def measure(state: Any) -> Record:
        nonlocal projected_at
        V = xp.astype(engine.neurons(state), wide.X.dtype)
        bounds.see_lower(engine.lower(wide, state))
        if program.eps is not None:
            bounds.see_neurons(V)
        if not (projected or beyond):
            return bounds.record(V)
        guess = estimate(wide, bounds, V, xp.astype(engine.multipliers(state), wide.X.dtype))
        # A projection costs as much as many iterations: only where it may end the run.
        if projected and guess <= settings.tol and guess < 0.7 * projected_at:
            projected_at = guess
            bounds.project(V)
        return bounds.record(V) | ({"error": guess} if beyond else {})

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
    )
    V = xp.astype(engine.neurons(run.state), wide.X.dtype)
    if projected and bounds.gap > settings.tol:
        bounds.project(V)
    assert bounds.lower is not None
    return Outcome(
        bounds.upper,
        bounds.lower,
        V,
        engine.multipliers(run.state),
        run.nit,
        engine.n_factorizations,
        Status.UNPROVED if beyond and run.status == Status.CONVERGED else run.status,
        method,
        tuple(run.state.penalties),
        run.history,
    )


def estimate(program: Program, bounds: Bounds, V: Array, mu: Array) -> float:
    """Return a guess of the gap that neurons will have once they are moved into their cones.

    Each violated slack counts with its multiplier. Only a guess: it can be too small.
    """
    if bounds.lower is None:
        return math.inf
    XV = responses(program, V)
    value = objective(program, V, XV) + price_of_violations(program, XV, mu)
    return relative_gap(value, bounds.lower.value)
