"""From a task to a result: solve, enrich, map back to the user's units, certify, say it."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, filled
from .._core.outcome import (
    CONVERGED,
    ITERATION_LIMIT,
    NON_FINITE,
    STOPPED_BY_CALLBACK,
)
from ._certificate import infeasibility, moved_inside, objective
from ._inputs import Data, constant_loss, problem_of
from ._network import network_objective, network_of
from ._patterns import Patterns
from ._program import Program, predictions, pulled_back, responses, widened, zeros_like_neurons
from ._projection import affordable, closest_inside, project
from ._refine import largest_violation, next_patterns
from ._result import ConvexReLUResult
from ._robust import certified_share, with_robust_patterns
from ._solve import price_of_violations, solve
from ._verdict import (
    NETWORK_SETTLED,
    NO_PATTERN,
    PRECISION,
    UNPROVED,
    Outcome,
    Settings,
    Start,
)

# Shares of the largest value by which one may exceed the other through rounding alone.
_ROUNDING = 1e-12


class Task(NamedTuple):
    """Training data, the part of them that matters, patterns and options of one problem."""

    data: Data
    used: Data
    patterns: Patterns
    beta: float
    radius: Array | None
    robust: str


def start_of(x0: ConvexReLUResult | None, task: Task) -> Start:
    """Return the neurons (C, 2, P, d) and multipliers of an earlier result, in the user's units."""
    if x0 is None or x0.gates.shape[1] != task.patterns.gates.shape[0]:
        return None
    xp = array_namespace(x0.coef_pos)
    neurons = [x if x.ndim == 3 else x[..., None] for x in (x0.coef_pos, x0.coef_neg)]
    V = xp.permute_dims(xp.stack(neurons), (3, 0, 2, 1))
    if V.shape[0] != task.used.y.shape[0]:
        return None
    mu = x0.__dict__.get("_multipliers")
    fits = mu is not None and mu.shape[0] == V.shape[0] and mu.shape[-1] == task.used.X.shape[0]
    return V, mu if fits else None


def trained(task: Task, settings: Settings, refine: int, start: Start) -> ConvexReLUResult:
    """Return the result of a task, after some rounds of enrichment."""
    if task.radius is not None and task.robust == "pattern":
        task, dropped = with_robust_patterns(task)
        if task.patterns.active.shape[0] == 0:
            return _no_pattern(task, dropped)
    outcome, problem = _solved(task, settings, start)
    for _ in range(refine):
        if outcome.status == STOPPED_BY_CALLBACK:
            break
        patterns, V = next_patterns(problem, outcome, settings.rng)
        task = task._replace(patterns=patterns)
        before = outcome
        outcome, problem = _solved(task, settings, (V * problem.unit, None))
        outcome = outcome._replace(
            nit=before.nit + outcome.nit,
            factorizations=before.factorizations + outcome.factorizations,
            history=before.history + outcome.history,
        )
    violation = None
    if refine:
        violation = largest_violation(problem, outcome.lower.theta, settings.rng)[0] / problem.beta
    return _report(task, settings, problem, outcome, violation)


def _solved(task: Task, settings: Settings, start: Start) -> tuple[Outcome, Program]:
    problem = problem_of(task.used, task.patterns, task.beta, task.radius, task.robust)
    if start is not None:
        V, mu = start
        height = math.sqrt(problem.value_unit)
        start = V / problem.unit, None if mu is None else mu / height
    return solve(problem, settings, start), problem


def pull_of_zero(task: Task) -> float:
    """Return the largest norm of the projection of the slope at zero onto a cone."""
    problem = widened(problem_of(task.used, task.patterns, task.beta, None, "pattern"))
    xp = array_namespace(problem.X)
    n, d, _ = problem.shape
    zero = zeros_like_neurons(problem)
    z = predictions(problem, responses(problem, zero))
    pull = pulled_back(problem, problem.loss.theta(z, problem.y, problem.weights))
    signs = xp.reshape(xp.broadcast_to(problem.signs, (*pull.shape[:-1], n)), (-1, n))
    V, _ = project(problem.X, signs, xp.reshape(pull, (-1, d)))
    height = math.sqrt(problem.value_unit)
    row = height / problem.unit
    return row * height * math.sqrt(float(xp.max(xp.sum(V * V, axis=-1))))


def _in_users_units(problem: Program, task: Task) -> Program:
    """Return the problem as the user stated it, in float64 where there is one."""
    given = problem._replace(
        X=task.used.X,
        y=task.used.y,
        beta=task.beta,
        unit=1.0,
        value_unit=1.0,
        eps=task.radius,
    )
    return widened(given)


def _returned(original: Program, V: Array, task: Task) -> Array:
    """Return neurons in the dtype of the input, still inside their cones where they were.

    Rounding takes neurons on the boundary of a cone out. Of those a little deeper and those moved
    along their gates the better are returned.
    """
    xp, dtype = array_namespace(V), task.data.X.dtype
    rounded = xp.astype(V, dtype)
    if infeasibility(original, xp.astype(rounded, original.X.dtype)) == 0:
        return rounded
    eps = float(xp.finfo(dtype).eps)
    longest = math.sqrt(float(xp.max(xp.sum(original.X * original.X, axis=1))))
    deeper = closest_inside(original, V, 4 * eps * longest)
    # Of neurons that rounding takes out, these are outside: only such are moved along their gates.
    along = xp.astype(rounded, V.dtype)
    tried = [along] if deeper is None else [along, deeper]
    tried = [xp.astype(moved_inside(original, x, eps), dtype) for x in tried]

    def outside_then_value(x: Array) -> tuple[float, float]:
        wide = xp.astype(x, original.X.dtype)
        return infeasibility(original, wide), float(xp.sum(objective(original, wide)))

    return min(tried, key=outside_then_value)


def _report(
    task: Task,
    settings: Settings,
    problem: Program,
    outcome: Outcome,
    violation: float | None,
) -> ConvexReLUResult:
    """Return the result, its certificate computed again from the arrays it holds."""
    xp = array_namespace(task.data.X)
    original = _in_users_units(problem, task)
    height = math.sqrt(problem.value_unit)
    beyond = not problem.narrowed and not affordable(problem, outcome.V.shape[0])
    polished = outcome.mu is None or (settings.polish and not (beyond and _iterated(outcome)))
    V = problem.unit * (outcome.upper.V if polished else outcome.V)
    V = _returned(original, V, task) if polished else xp.astype(V, task.data.X.dtype)
    wide = xp.astype(V, original.X.dtype)
    fixed = xp.astype(constant_loss(task.data), original.X.dtype)
    values = objective(original, wide) + fixed
    lower = problem.value_unit * outcome.lower.value + fixed
    funs, duals = _floats(values), _floats(lower)
    reached = funs if polished else _floats(values + _price(original, problem, outcome, wide))
    gap = max(_relative(f, b) for f, b in zip(reached, duals, strict=True))
    infeas = infeasibility(original, wide)
    network = V
    if settings.stop == "network":
        network = xp.astype(problem.unit * outcome.V, V.dtype)
    W1, w2 = network_of(network)
    success = gap <= settings.tol and infeas <= (0 if polished else settings.tol)
    success = success and polished == (settings.polish or outcome.mu is None)
    status = _final_status(success, outcome.status)
    result = ConvexReLUResult(
        **_arrays(task, V),
        W1=W1,
        w2=w2[:, 0] if task.data.single else w2,
        fun=sum(funs),
        dual=sum(duals),
        gap=gap,
        output_fun=funs,
        output_dual=duals,
        infeas=infeas,
        net_fun=_net_fun(task, W1, w2),
        theta=_columns(task, xp.astype(height * outcome.lower.theta, V.dtype)),
        violation=violation,
        certified=certified_share(original, wide),
        success=success,
        status=status,
        message=_message(status, outcome, gap, settings, task),
        nit=outcome.nit,
        nfac=outcome.factorizations,
        method=outcome.method,
        rho=outcome.rho,
        beta=task.beta,
        loss=task.data.loss.name,
        history=outcome.history,
        n_passes=0,
        n_blocks=1,
        n_retries=0,
    )
    if outcome.mu is not None:
        object.__setattr__(result, "_multipliers", xp.astype(height * outcome.mu, V.dtype))
    return result


def _iterated(outcome: Outcome) -> bool:
    """Tell whether a splitting method ended with neurons that no upper bound stands for."""
    xp = array_namespace(outcome.V)
    return bool(xp.any(outcome.V != 0)) and not bool(xp.any(outcome.upper.V != 0))


def _price(original: Program, problem: Program, outcome: Outcome, V: Array) -> Array:
    """Return the estimated price of moving each output of an iterate into its cones."""
    xp = array_namespace(V)
    mu = math.sqrt(problem.value_unit) * xp.astype(outcome.mu, V.dtype)
    return price_of_violations(original, responses(original, V), mu)


def _floats(x: Array) -> list[float]:
    return [float(x[k]) for k in range(x.shape[0])]


def _relative(upper: float, lower: float) -> float:
    """Return a gap relative to the upper bound; bounds that rounding has crossed agree."""
    if upper - lower <= _ROUNDING * abs(upper):
        return 0.0
    return (upper - lower) / abs(upper)


def _columns(task: Task, x: Array) -> Array:
    """Return values (C, n) of the samples that matter as (n,) or (n, C) for all, zero elsewhere."""
    xp = array_namespace(x)
    if task.used.rows is not None:
        data = task.data
        matters = (data.weights > 0) & xp.any(data.X != 0, axis=1)
        zero = xp.zeros_like(data.weights, dtype=x.dtype)
        x = xp.stack([filled(matters, x[c, :], zero) for c in range(x.shape[0])])
    return x[0, :] if task.data.single else x.T


def _arrays(task: Task, V: Array) -> dict[str, Array]:
    """Return the neurons and patterns in the layout of the result."""
    xp = array_namespace(V)
    neurons = xp.permute_dims(V, (1, 3, 2, 0))
    if task.data.single:
        neurons = neurons[..., 0]
    positive, negative = neurons[0, ...], neurons[1, ...]
    gates = task.patterns.gates.T
    return {
        "x": xp.concat([positive, negative], axis=1),
        "coef_pos": positive,
        "coef_neg": negative,
        "patterns": xp.matmul(task.data.X, gates) >= 0,
        "gates": gates,
    }


def _net_fun(task: Task, W1: Array, w2: Array) -> float:
    data = task.data
    return network_objective(data.X, data.y, data.weights, W1, w2, task.beta, data.loss)


def _final_status(success: bool, status: int) -> int:
    """Return the status, given what the certificate says of what is returned."""
    if success and status not in (STOPPED_BY_CALLBACK, NETWORK_SETTLED):
        return CONVERGED
    return PRECISION if status == CONVERGED and not success else status


def _message(status: int, outcome: Outcome, gap: float, settings: Settings, task: Task) -> str:
    """Return what happened and, where it failed, what to try."""
    count = f"{outcome.nit} iteration" + ("" if outcome.nit == 1 else "s")
    patterns = task.patterns.active.shape[0]
    reached = f"with a relative gap of {gap:.1e} (tol {settings.tol:.1e}) over {patterns} patterns"
    return {
        CONVERGED: f"Converged after {count} {reached}.",
        ITERATION_LIMIT: f"Stopped after {count} {reached}; raise maxiter or tol"
        + (", or use method='interior'." if task.radius is None else "."),
        NETWORK_SETTLED: f"Stopped after {count} {reached}, as the network got no better.",
        PRECISION: f"Stopped after {count} {reached} at the precision of the dtype; "
        "raise tol, standardize the features or use float64.",
        UNPROVED: f"Stopped after {count} with a relative gap estimated as {gap:.1e} "
        f"(tol {settings.tol:.1e}) over {patterns} patterns: with so many samples and features "
        "neurons are not moved into their cones, so that nothing is proved; with polish=False the "
        "estimate decides.",
        NON_FINITE: f"Stopped after {count} because a number was not finite; "
        "standardize the features.",
        STOPPED_BY_CALLBACK: f"Stopped by the callback after {count} {reached}.",
    }[status]


def _no_pattern(task: Task, dropped: int) -> ConvexReLUResult:
    """Return the zero network: no pattern holds under all perturbations."""
    zero = zeros_like_neurons(problem_of(task.used, task.patterns, task.beta, None, "pattern"))
    W1, w2 = network_of(zero)
    data = task.data
    values = _floats(data.loss.value(0 * data.y, data.y, data.weights))
    return ConvexReLUResult(
        **_arrays(task, zero),
        W1=W1,
        w2=w2[:, 0] if data.single else w2,
        fun=sum(values),
        dual=sum(values),
        gap=0.0,
        output_fun=values,
        output_dual=values,
        infeas=0.0,
        net_fun=_net_fun(task, W1, w2),
        theta=_columns(task, data.loss.theta(0 * task.used.y, task.used.y, task.used.weights)),
        violation=None,
        certified=0.0 if not data.loss.scales else None,
        success=False,
        status=NO_PATTERN,
        message=f"No pattern survives the perturbation: 0 of {dropped} patterns have a neuron that "
        "keeps them, as some sample is within eps of every hyperplane; lower eps or use "
        "robust='lipschitz'.",
        nit=0,
        nfac=0,
        method="none",
        rho=None,
        beta=task.beta,
        loss=data.loss.name,
        history=[
            {
                "nit": 0,
                "error": 0.0,
                "fun": sum(values),
                "dual": sum(values),
                "infeas": 0.0,
                "output": -1,
            }
        ],
        n_passes=0,
        n_blocks=1,
        n_retries=0,
    )
