"""The answer of a summary: which vectors, what is known of them, and the result."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, host_list
from .._core.outcome import Outcome, Status, settle
from ._certificate import ORDER_LEVEL, ROUNDING, Bounds, bounds_of, checks_of, ratio_at
from ._problem import Plan
from ._published import admissible
from ._result import EigenvectorResult
from ._rows import place_like, wide
from ._state import State
from .tracks.frequent_directions import settled, spectrum
from .tracks.heavy_rows import without_room
from .tracks.power import ritz
from .tracks.selection import NO_EVIDENCE, TRACKS, UNTESTED, Evidence, Order, leader
from .tracks.stream import Stream, shown

# An estimate of the gap below this says that the vector is not determined.
LEAST_GAP = 1.01


class Proven(NamedTuple):
    """What holds whatever the order of the rows, and the vectors it is about."""

    bounds: Bounds
    values: list[float]
    vectors: Array | None  # (d, rank)


class Answer(NamedTuple):
    """The vectors to return, and what is known of them."""

    vectors: Array  # (d, k)
    values: list[float]
    track: str
    sin2_bound: float
    sin2_estimate: float
    residual2: float
    stderr: float
    gap: float


def _proven(state: State, plan: Plan, frobenius2: float, d: int) -> Proven:
    """Return bounds from the factor or the Gram matrix, or those that need neither."""
    rank = plan.rank
    least = max(state.longest, frobenius2 / max(min(state.n, d), 1))
    if state.gram is not None:
        values, vectors = array_namespace(state.gram).linalg.eigh(state.gram)
        sizes = [max(value, 0.0) for value in reversed(host_list(values))]
        rounding = ROUNDING * _eps(values) * d * frobenius2
        bounds = bounds_of(sizes, (0.0, 0.0), rounding, rank=rank, d=d)
        return Proven(
            bounds, sizes[:rank], array_namespace(vectors).flip(vectors, axis=1)[:, :rank]
        )
    if state.factor is None:
        return Proven(Bounds(least, frobenius2, 1.0, 1.0), [], None)
    factor = settled(state.factor, plan.shape)
    values, vectors = spectrum(factor)
    sizes, (trace, norm) = host_list(values), host_list(factor.lost)
    bounds = bounds_of(
        sizes,
        (trace, norm),
        ROUNDING * _eps(values) * (factor.merges + 1) * max(sizes[0], 0.0),
        rank=rank,
        d=d,
        least=0.0 if plan.shape.center else least * (1 - 1e-12),
        frobenius2=frobenius2,
    )
    return Proven(bounds, sizes[:rank], vectors[:, :rank])


def _eps(x: Array) -> float:
    return float(array_namespace(x).finfo(x.dtype).eps)


def _power_gap(values: list[float], k: int, frobenius2: float) -> float:
    """Return the gap that track P sees; with a single column, what the sum of squares leaves."""
    if len(values) > k:
        return ratio_at(values, k)
    rest = frobenius2 - sum(values)
    return max(values[-1] / rest, 1.0) if rest > 0 else math.inf


def report(state: State, plan: Plan, *, stopped: bool, seconds: float) -> EigenvectorResult:
    """Return the result for the rows read so far; changes nothing."""
    d, stream = int(state.like.shape[1]), state.stream
    frobenius2 = state.frobenius2
    if plan.shape.center and state.factor is not None:
        frobenius2 = float(settled(state.factor, plan.shape).total[0])
    proven = _proven(state, plan, frobenius2, d)
    evidence, order = NO_EVIDENCE, UNTESTED
    overflow, n_heavy = 0, 0
    if stream is not None:
        evidence, order = _latest(state, stream)
        overflow = without_room(stream.heavy, plan.share * frobenius2)
        n_heavy = len(stream.heavy.squares)
    answer = _answer(state, plan, proven, evidence, order)
    answer, found = _trimmed(answer, plan.rank)

    def unit(value: float) -> float:
        return _squared_unit(value, state.exponent)

    return EigenvectorResult(
        x=_signed(answer.vectors, state.like, plan.rank),
        fun=unit(answer.values[0] if answer.values else 0.0),
        eigenvalues=place_like([unit(value) for value in answer.values], wide(state.like)),
        **_outcome(state, plan, answer, order, overflow, found, stopped)._asdict(),
        nit=0 if stream is None else stream.steps,
        n_rows=state.n,
        frobenius2=unit(frobenius2),
        method_used=answer.track,
        lambda1_bounds=(unit(proven.bounds.lower), unit(proven.bounds.upper)),
        sin2_bound=answer.sin2_bound,
        sin2_estimate=answer.sin2_estimate,
        order_pvalue=order.pvalue,
        gap_estimate=answer.gap,
        mean=_mean(state, plan),
        history=[dict(record) for record in state.history],
        tol=plan.settings.tol,
        execution_time=seconds,
        stats={
            "residual2": answer.residual2,
            "residual2_stderr": answer.stderr,
            "selection_z": {
                name: z
                for name, z, here in zip(TRACKS, evidence.z, plan.layout.present, strict=True)
                if here
            },
            "n_heavy": n_heavy,
            "n_heavy_overflow": overflow,
            "memory_rows_used": plan.memory_rows_used(d),
        },
    )


def _latest(state: State, stream: Stream) -> tuple[Evidence, Order]:
    """Return the evidence of the last full block, or of the one begun if that is larger."""
    evidence, order = shown(stream, state.n)
    return (evidence if evidence.light >= stream.evidence.light else stream.evidence), order


def _answer(state: State, plan: Plan, proven: Proven, evidence: Evidence, order: Order) -> Answer:
    if state.grid is not None:
        return _of_grid(state)
    stream = state.stream
    if stream is None:
        return _of_factor(plan, proven, NO_EVIDENCE)
    chosen = leader(evidence, order, plan.layout.present)
    if evidence.merged and chosen and proven.bounds.lower > evidence.quotients[chosen]:
        chosen = 0  # what T is certain of is more than what the other is estimated at
    if chosen == 0:
        return _of_factor(plan, proven, evidence)
    k = plan.rank
    values, vectors = _power_answer(stream)
    ratio = _power_gap(host_list(values), k, state.frobenius2)
    if chosen == 2:
        vectors = stream.oja[:, None]
        values = values[:1] * 0 + evidence.quotients[2]
    vectors, estimates = vectors[:, :k], host_list(values[:k])
    error, residual, stderr = _estimate(evidence, chosen, ratio)
    bound = 1.0
    if proven.vectors is not None and k == 1:
        bound = _carried(vectors[:, 0], proven.vectors[:, 0], proven.bounds.sin2)
    return Answer(vectors, estimates, TRACKS[chosen], bound, error, residual, stderr, ratio)


def _power_answer(stream: Stream) -> tuple[Array, Array]:
    """Return what the power method has: after the last full block, or a later one if larger."""
    block = stream.block
    if stream.steps == 0 or block.light >= stream.evidence.light:
        return ritz(block, stream.light, stream.heavy.rows)
    return stream.values, wide(block.V)


def _of_factor(plan: Plan, proven: Proven, evidence: Evidence) -> Answer:
    error, residual, stderr = _estimate(evidence, 0, proven.bounds.ratio)
    name = plan.settings.method if plan.settings.method in ("fd", "gram") else TRACKS[0]
    assert proven.vectors is not None
    return Answer(
        proven.vectors,
        proven.values,
        name,
        proven.bounds.sin2,
        error,
        residual,
        stderr,
        proven.bounds.ratio,
    )


def _of_grid(state: State) -> Answer:
    assert state.grid is not None
    found = admissible(state.grid)
    vectors = 0 * state.grid.vectors[:, :1] if found is None else found[:, None]
    values = [0.0] if found is None else [state.frobenius2]
    return Answer(vectors, values, TRACKS[2], 1.0, 1.0, math.inf, math.inf, 1.0)


def _estimate(evidence: Evidence, track: int, gap: float) -> tuple[float, float, float]:
    """Return the estimate of the squared sine, two standard errors up, and its residual."""
    residual, stderr = evidence.residual2[track], evidence.stderr[track]
    if not (math.isfinite(residual) and math.isfinite(stderr)):
        return 1.0, math.inf, math.inf
    room = 1 - 1 / max(gap, LEAST_GAP)
    return min(max(residual + 2 * stderr, 0.0) / room**2, 1.0), residual, stderr


def _carried(v: Array, c: Array, sin2: float) -> float:
    """Return the bound for v from that for c: angles add up."""
    xp = array_namespace(v)
    apart = v - c * xp.vecdot(c, v)
    return min(1.0, (float(xp.linalg.vector_norm(apart)) + math.sqrt(sin2)) ** 2)


def _trimmed(answer: Answer, k: int) -> tuple[Answer, int]:
    """Return the answer without vectors of eigenvalue zero, and how many are left."""
    if not answer.values:
        return answer, 0
    floor = 1e-13 * max(answer.values[0], 0.0)
    rank = sum(value > floor for value in answer.values[:k])
    if rank == 0:
        return answer._replace(vectors=0 * answer.vectors[:, :1], values=[0.0]), 0
    return answer._replace(vectors=answer.vectors[:, :rank], values=answer.values[:rank]), rank


ADVICE = {
    Status.TOO_EARLY: "read more rows or raise memory_rows",
    Status.ORDERED: "shuffle the rows or raise memory_rows",
}


def _outcome(
    state: State,
    plan: Plan,
    answer: Answer,
    order: Order,
    overflow: int,
    found: int,
    stopped: bool,
) -> Outcome:
    """Return what the checks of an answer come to."""
    rank, tol, advice = plan.rank, plan.settings.tol, ADVICE
    status, detail = (
        Status.TOO_EARLY,
        f"The bound for rows in any order is {answer.sin2_bound:.1e}.",
    )
    if order.pvalue < ORDER_LEVEL:
        status, detail = Status.ORDERED, f"(p = {order.pvalue:.1e})"
    if answer.sin2_bound <= tol:
        status, detail = Status.CONVERGED, ""
    if found < rank:
        status, detail = Status.TOO_EARLY, f"The rows so far have rank {found}, below {rank}."
    if found == 0:
        status, detail, advice = Status.NO_ANSWER, "", {Status.NO_ANSWER: _why_none(state)}
    checks = checks_of(
        bound=answer.sin2_bound,
        estimate=answer.sin2_estimate,
        pvalue=order.pvalue,
        overflow=overflow,
        missing=rank - found,
        tol=tol,
    )
    if stopped:
        status = Status.STOPPED_BY_CALLBACK
    return settle(status, checks, nit=state.n, unit="row", advice=advice, detail=detail)


def _why_none(state: State) -> str:
    if state.n == 0:
        return "no rows have been read"
    if state.frobenius2 == 0:
        return "all rows so far are zero"
    return "no rate of the grid is admissible yet: read more rows or use method 'auto'"


def _signed(vectors: Array, like: Array, rank: int) -> Array:
    """Return vectors in the dtype of the rows, the largest entry of each positive."""
    xp = array_namespace(vectors)
    negative = xp.max(-vectors, axis=0) > xp.max(vectors, axis=0)
    signed = xp.astype(xp.where(negative[None, :], -vectors, vectors), like.dtype)
    return signed[:, 0] if rank == 1 else signed


def _squared_unit(value: float, exponent: int) -> float:
    """Return a squared number in the units of the caller; infinite where floats end."""
    try:
        return math.ldexp(value, 2 * exponent)
    except OverflowError:
        return math.inf


def _mean(state: State, plan: Plan) -> Array | None:
    if not plan.shape.center or state.factor is None:
        return None
    xp = array_namespace(state.like)
    mean = settled(state.factor, plan.shape).mean * 2.0**state.exponent
    return xp.astype(mean, state.like.dtype)
