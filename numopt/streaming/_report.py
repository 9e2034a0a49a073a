"""Certificates, the choice of the answer, and the result."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of, widest_float
from ._factor import settled, spectrum
from ._grid import admissible
from ._heavy import without_room
from ._power import ritz
from ._race import NO_EVIDENCE, ORDER_LEVEL, TRACKS, UNTESTED, Evidence, Order, leader
from ._result import EigenvectorResult
from ._rows import host_list, wide
from ._state import Plan, State
from ._stream import Stream, shown

ACCURATE, TOO_EARLY, ORDERED, NO_ANSWER = 0, 1, 2, 3
# Rounding errors of a merge, in units of eps times the largest eigenvalue.
ROUNDING = 16
# An estimate of the gap below this says that the vector is not determined.
LEAST_GAP = 1.01


class Certificate(NamedTuple):
    """What holds whatever the order of the rows."""

    lower: float  # of the largest eigenvalue
    upper: float
    sin2: float  # of the track that `vectors` are from
    gap: float
    values: tuple[float, ...]
    vectors: Array | None  # (d, k)


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


def certificate(state: State, plan: Plan, frobenius2: float, d: int) -> Certificate:
    """Return bounds from the factor or the Gram matrix, or those that need neither.

    With ``E = A'A - B'B >= 0``: ``l1 <= lambda1 <= l1 cos^2 + l2 sin^2 + ||E||``, and lambda1 is
    at least l1, so that ``sin^2 <= ||E|| / (l1 - l2)``; for k vectors the sum of the squared
    sines is at most ``tr(E) / (l_k - l_{k+1})``.
    """
    k = plan.settings.k
    least = max(state.longest, frobenius2 / max(min(state.n, d), 1))
    if state.gram is not None:
        return _exact(state.gram, k, frobenius2)
    if state.factor is None:
        return Certificate(least, frobenius2, 1.0, 1.0, (), None)
    factor = settled(state.factor, plan.shape)
    values, vectors = spectrum(factor)
    sizes = host_list(values)
    trace, norm = host_list(factor.lost)
    eps = float(array_namespace(values).finfo(values.dtype).eps)
    rounding = ROUNDING * eps * (factor.merges + 1) * max(sizes[0], 0.0)
    norm = min(norm, trace) + rounding
    missing = norm if k == 1 else trace + rounding
    following = sizes[k] if len(sizes) > k else 0.0
    room = sizes[k - 1] - following
    sin2 = min(missing / room, 1.0) if room > 0 else 1.0
    if k == 1:
        least = max(least, 0.0)
    lower = max(sizes[0] - rounding, 0.0 if plan.shape.center else least * (1 - 1e-12))
    upper = max(min(sizes[0] + norm, frobenius2 * (1 + 1e-12)), lower)
    sin2 = 0.0 if d == 1 and sizes[0] > 0 else sin2
    return Certificate(lower, upper, sin2, _ratio(sizes, k), tuple(sizes[:k]), vectors[:, :k])


def _exact(gram: Array, k: int, frobenius2: float) -> Certificate:
    """Return the certificate of the Gram matrix itself, which only rounding limits."""
    xp = array_namespace(gram)
    values, vectors = xp.linalg.eigh(gram)
    sizes = [max(value, 0.0) for value in reversed(host_list(values))]
    rounding = ROUNDING * float(xp.finfo(values.dtype).eps) * len(sizes) * frobenius2
    room = sizes[k - 1] - (sizes[k] if len(sizes) > k else 0.0)
    sin2 = min(rounding / room, 1.0) if room > 0 else 1.0
    sin2 = 0.0 if len(sizes) == 1 and sizes[0] > 0 else sin2
    vectors = xp.flip(vectors, axis=1)[:, :k]
    return Certificate(
        max(sizes[0] - rounding, 0.0),
        sizes[0] + rounding,
        sin2,
        _ratio(sizes, k),
        tuple(sizes[:k]),
        vectors,
    )


def _power_gap(values: list[float], k: int, frobenius2: float) -> float:
    """Return the gap that track P sees; with a single column, what the sum of squares leaves."""
    if len(values) > k:
        return _ratio(values, k)
    rest = frobenius2 - sum(values)
    return max(values[-1] / rest, 1.0) if rest > 0 else math.inf


def _ratio(values: list[float], k: int) -> float:
    following = values[k] if len(values) > k else 0.0
    if values[k - 1] <= 0:
        return 1.0
    return values[k - 1] / following if following > 0 else math.inf


def report(state: State, plan: Plan) -> EigenvectorResult:
    """Return the result for the rows read so far; changes nothing."""
    d = int(state.like.shape[1])
    frobenius2 = state.frobenius2
    if plan.shape.center and state.factor is not None:
        frobenius2 = float(settled(state.factor, plan.shape).total[0])
    proven = certificate(state, plan, frobenius2, d)
    evidence, order = NO_EVIDENCE, UNTESTED
    if state.stream is not None:
        evidence, order = _latest(state, state.stream)
    answer = _answer(state, plan, proven, evidence, order)
    overflow = 0
    if state.stream is not None:
        overflow = without_room(state.stream.heavy, plan.share * frobenius2)
    answer, rank = _trimmed(answer, plan.settings.k)
    status = _status(plan, answer, order, overflow, frobenius2, rank)

    def unit(value: float) -> float:
        return _squared_unit(value, state.exponent)

    return EigenvectorResult(
        x=_signed(answer.vectors, state.like, plan.settings.k),
        fun=unit(answer.values[0] if answer.values else 0.0),
        eigenvalues=_numbers([unit(value) for value in answer.values], state.like),
        success=status == ACCURATE,
        status=status,
        message=_message(status, answer, order, overflow, plan, rank, frobenius2, state.n),
        nit=0 if state.stream is None else state.stream.steps,
        n_rows=state.n,
        frobenius2=unit(frobenius2),
        method_used=answer.track,
        lambda1_bounds=(unit(proven.lower), unit(proven.upper)),
        sin2_bound=answer.sin2_bound,
        sin2_estimate=answer.sin2_estimate,
        residual2=answer.residual2,
        residual2_stderr=answer.stderr,
        order_pvalue=order.pvalue,
        gap_estimate=answer.gap,
        race_z={
            name: z
            for name, z, here in zip(TRACKS, evidence.z, _present(plan), strict=True)
            if here
        },
        n_heavy=0 if state.stream is None else len(state.stream.heavy.squares),
        n_heavy_overflow=overflow,
        memory_rows_used=plan.memory_rows_used(d),
        mean=_mean(state, plan),
        history=[dict(record) for record in state.history],
    )


def _present(plan: Plan) -> tuple[bool, bool, bool]:
    held = plan.layout
    return held.factor > 0, held.power > 0, held.oja


def _latest(state: State, stream: Stream) -> tuple[Evidence, Order]:
    """Return the evidence of the last full block, or of the one begun if that is larger."""
    evidence, order = shown(stream, state.n)
    return (evidence if evidence.light >= stream.evidence.light else stream.evidence), order


def _answer(
    state: State, plan: Plan, proven: Certificate, evidence: Evidence, order: Order
) -> Answer:
    if state.grid is not None:
        return _of_grid(state)
    stream = state.stream
    if stream is None:
        return _of_factor(plan, proven, NO_EVIDENCE)
    chosen = leader(evidence, order, _present(plan))
    if evidence.merged and chosen and proven.lower > evidence.quotients[chosen]:
        chosen = 0  # what T is certain of is more than what the other is estimated at
    if chosen == 0:
        return _of_factor(plan, proven, evidence)
    k = plan.settings.k
    values, vectors = _power_answer(stream)
    ratio = _power_gap(host_list(values), k, state.frobenius2)
    if chosen == 2:
        vectors = stream.oja[:, None]
        values = values[:1] * 0 + evidence.quotients[2]
    vectors, estimates = vectors[:, :k], host_list(values[:k])
    error, residual, stderr = _estimate(evidence, chosen, ratio)
    bound = 1.0
    if proven.vectors is not None and k == 1:
        bound = _carried(vectors[:, 0], proven.vectors[:, 0], proven.sin2)
    return Answer(vectors, estimates, TRACKS[chosen], bound, error, residual, stderr, ratio)


def _power_answer(stream: Stream) -> tuple[Array, Array]:
    """Return what the power method has: after the last full block, or a later one if larger."""
    block = stream.block
    if stream.steps == 0 or block.light >= stream.evidence.light:
        return ritz(block, stream.light, stream.heavy.rows)
    return stream.values, wide(block.V)


def _of_factor(plan: Plan, proven: Certificate, evidence: Evidence) -> Answer:
    error, residual, stderr = _estimate(evidence, 0, proven.gap)
    name = plan.settings.method if plan.settings.method in ("fd", "gram") else TRACKS[0]
    assert proven.vectors is not None
    return Answer(
        proven.vectors, list(proven.values), name, proven.sin2, error, residual, stderr, proven.gap
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


def _status(
    plan: Plan, answer: Answer, order: Order, overflow: int, frobenius2: float, rank: int
) -> int:
    tol = plan.settings.tol
    if frobenius2 == 0 or rank == 0:
        return NO_ANSWER
    if rank < plan.settings.k:
        return TOO_EARLY
    if answer.sin2_bound <= tol:
        return ACCURATE
    if order.pvalue < ORDER_LEVEL:
        return ORDERED
    good = answer.sin2_estimate <= tol and overflow == 0
    return ACCURATE if good else TOO_EARLY


def _message(
    status: int,
    answer: Answer,
    order: Order,
    overflow: int,
    plan: Plan,
    rank: int,
    frobenius2: float,
    n_rows: int,
) -> str:
    tol = plan.settings.tol
    if status == NO_ANSWER:
        if n_rows == 0:
            return "There is no eigenvector: no rows have been read."
        if frobenius2 == 0:
            return "There is no eigenvector: all rows so far are zero."
        return "No rate of the grid is admissible yet; read more rows or use method 'auto'."
    if status == ORDERED:
        return (
            f"The order of the rows is not random (p = {order.pvalue:.1e}) and the certificate "
            f"{answer.sin2_bound:.1e} is above tol {tol:g}; shuffle the rows or raise memory_rows."
        )
    if status == ACCURATE:
        if answer.sin2_bound <= tol:
            return f"The squared sine is certified to be at most {answer.sin2_bound:.1e}."
        return f"The squared sine is estimated to be at most {answer.sin2_estimate:.1e}."
    if rank < plan.settings.k:
        return f"The rows so far have rank {rank}, below k = {plan.settings.k}; read more rows."
    if overflow and answer.sin2_estimate <= tol:
        return (
            f"{overflow} long rows found no room, so the estimate {answer.sin2_estimate:.1e} is "
            f"not to be trusted; raise memory_rows."
        )
    return (
        f"Not accurate enough yet: bound {answer.sin2_bound:.1e}, estimate "
        f"{answer.sin2_estimate:.1e} (tol {tol:g}); read more rows or raise memory_rows."
    )


def _signed(vectors: Array, like: Array, k: int) -> Array:
    """Return vectors in the dtype of the rows, the largest entry of each positive."""
    xp = array_namespace(vectors)
    negative = xp.max(-vectors, axis=0) > xp.max(vectors, axis=0)
    signed = xp.astype(xp.where(negative[None, :], -vectors, vectors), like.dtype)
    return signed[:, 0] if k == 1 else signed


def _numbers(values: list[float], like: Array) -> Array:
    xp = array_namespace(like)
    return xp.asarray(values, dtype=widest_float(like), device=device_of(like))


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
