"""From a problem to a result: solve, add patterns, go back to the user's units, certify, report."""

from __future__ import annotations

import math
from dataclasses import replace
from time import perf_counter

from .._core.namespace import Array, array_namespace
from .._core.outcome import Status
from ._bounds import Outcome, Start
from ._certificate import infeasibility, moved_inside, objective
from ._column_generation import largest_violation, next_patterns
from ._inputs import Settings
from ._network import network_of
from ._problem import Answer, InMemory, Problem
from ._program import Program
from ._result import ConvexReLUResult, result_of
from ._robust import with_surviving_patterns
from ._solve import solve
from .interior.projection import affordable, closest_inside
from .rows.in_blocks import solved_in_blocks
from .rows.problem import InBlocks


def train(problem: Problem, settings: Settings, start: Start = None) -> ConvexReLUResult:
    """Return the network of a problem, certified by what is returned."""
    begin = perf_counter()
    trained: Problem
    if isinstance(problem, InBlocks):
        trained, answer = solved_in_blocks(
            problem, settings.tol, settings.maxiter, settings.callback
        )
    else:
        assert isinstance(problem, InMemory)
        trained, answer = _solved(problem, settings, start)
    network = network_of(answer.V)
    certificate = trained.certificate(answer.V, answer.dual, answer.proof, network, answer.mu)
    seconds = perf_counter() - begin
    return result_of(trained, answer, network, certificate, settings, seconds)


def train_path(problem: InMemory, betas: list[float], settings: Settings) -> list[ConvexReLUResult]:
    """Return results for several weight decays, from the largest on, in the order given."""
    results: dict[int, ConvexReLUResult] = {}
    start: Start = None
    for index in sorted(range(len(betas)), key=lambda k: -betas[k]):
        current = replace(problem, beta=betas[index])
        results[index] = train(current, settings, start)
        start = start_of(results[index], current)
    return [results[index] for index in range(len(betas))]


def start_of(x0: ConvexReLUResult | None, problem: Problem) -> Start:
    """Return the neurons (C, 2, P, d) and multipliers of an earlier result, in the user's units."""
    if x0 is None or not isinstance(problem, InMemory):
        return None
    data = problem.data
    if x0.gates.shape[1] != problem.gates.shape[0] or (x0.coef_pos.ndim == 2) != data.single:
        return None
    V, mu = x0.neurons(), x0.multipliers
    if V.shape[0] != data.y.shape[0]:
        return None
    fits = mu is not None and mu.shape[2] == data.X.shape[0]
    return V, problem.as_held("x0", mu) if fits else None


def _solved(problem: InMemory, settings: Settings, start: Start) -> tuple[InMemory, Answer]:
    """Return the answer after some rounds of column generation, and the problem it is of."""
    if problem.radius is not None and problem.robust == "pattern":
        count = problem.gates.shape[0]
        kept = with_surviving_patterns(problem.patterns, problem.used.X, problem.radius)
        problem = replace(problem, patterns=kept)
        if problem.gates.shape[0] == 0:
            why = "as some sample is within eps of every hyperplane"
            why = f"(0 of {count} patterns have a neuron that keeps them, {why})"
            return problem, problem.zero_network(Status.NO_PATTERN, why)
    outcome = solve(problem.program, settings, _normalized(start, problem.program))
    for _ in range(settings.refine):
        if outcome.status == Status.STOPPED_BY_CALLBACK:
            break
        patterns, V = next_patterns(problem.program, outcome, settings.rng)
        problem, before = replace(problem, patterns=patterns), outcome
        outcome = solve(problem.program, settings, (V, None))
        outcome = outcome._replace(
            nit=before.nit + outcome.nit,
            n_factorizations=before.n_factorizations + outcome.n_factorizations,
            history=before.history + outcome.history,
        )
    violation = None
    if settings.refine:
        found, _ = largest_violation(problem.program, outcome.lower.theta, settings.rng)
        violation = found / problem.program.beta
    return problem, _answer(problem, settings, outcome, violation)


def _normalized(start: Start, program: Program) -> Start:
    """Return a start in the units of a program."""
    if start is None:
        return None
    V, mu = start
    return V / program.unit, None if mu is None else mu / math.sqrt(program.value_unit)


def _answer(
    problem: InMemory, settings: Settings, outcome: Outcome, violation: float | None
) -> Answer:
    """Return an outcome in the units of the user, its neurons in the dtype of the samples."""
    program, dtype = problem.program, problem.data.X.dtype
    xp, height = array_namespace(program.X), math.sqrt(program.value_unit)
    beyond = not program.narrowed and not affordable(program, outcome.V.shape[0])
    inside = outcome.mu is None or (settings.polish and not (beyond and _iterated(outcome)))
    V = program.unit * (outcome.upper.V if inside else outcome.V)
    return Answer(
        _rounded(problem.given, V, dtype) if inside else xp.astype(V, dtype),
        xp.astype(height * outcome.lower.theta, dtype),
        _proof(problem, outcome),
        None if outcome.mu is None else xp.astype(height * outcome.mu, dtype),
        outcome.nit,
        outcome.n_factorizations,
        outcome.status,
        outcome.method,
        outcome.rho,
        outcome.history,
        violation,
    )


def _proof(problem: InMemory, outcome: Outcome) -> tuple[Array, ...]:
    """Return what proves the lower bound besides dual variables, in the units of the user."""
    program, proof = problem.program, outcome.lower.proof
    height, slope = math.sqrt(program.value_unit), problem.beta / program.beta
    if program.eps is None:
        (normal,) = proof
        return (slope * normal,)
    xp, dtype = array_namespace(program.X), problem.data.X.dtype
    units = (height, height, slope)[: len(proof)]
    return tuple(xp.astype(unit * x, dtype) for unit, x in zip(units, proof, strict=True))


def _iterated(outcome: Outcome) -> bool:
    """Tell whether a splitting method ended with neurons that no upper bound stands for."""
    xp = array_namespace(outcome.V)
    return bool(xp.any(outcome.V != 0)) and not bool(xp.any(outcome.upper.V != 0))


def _rounded(given: Program, V: Array, dtype: object) -> Array:
    """Return neurons in the dtype of the samples, still inside their cones where they were.

    Rounding takes neurons on the boundary of a cone out. Of those a little deeper and those moved
    along their gates the better are returned.
    """
    xp = array_namespace(V)
    rounded = xp.astype(V, dtype)
    if infeasibility(given, xp.astype(rounded, given.X.dtype)) == 0:
        return rounded
    eps = float(xp.finfo(dtype).eps)
    longest = math.sqrt(float(xp.max(xp.sum(given.X * given.X, axis=1))))
    deeper = closest_inside(given, V, 4 * eps * longest)
    # Of neurons that rounding takes out, these are outside: only such are moved along their gates.
    along = xp.astype(rounded, V.dtype)
    tried = [along] if deeper is None else [along, deeper]
    tried = [xp.astype(moved_inside(given, x, eps), dtype) for x in tried]

    def outside_then_value(x: Array) -> tuple[float, float]:
        wide = xp.astype(x, given.X.dtype)
        return infeasibility(given, wide), float(xp.sum(objective(given, wide)))

    return min(tried, key=outside_then_value)
