"""A few weighted rows that stand for all."""

from __future__ import annotations

import math
from time import perf_counter
from typing import NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core.iterate import Record
from .._core.namespace import Array, array_namespace
from .._core.outcome import Status, settle
from .._linalg import one_blas_thread
from .._rows import Rows, in_memory, whiten
from ._certificate import rank_check, rank_of
from ._draw import Sample, multinomial, poisson, probabilities
from ._inputs import Sampling, nonzero_rows
from ._problem import Data
from ._result import CoresetResult
from .scores.leverage import leverage
from .scores.sensitivity import all_brackets, constraint_rows, lewis_basis

# Rows for a distortion eps: this many times d log(2 / delta) / eps^2 (times S / d for p > 2).
SIZE_FACTOR = 2.5
DEFAULT_EPS = 0.5
# Sensitivities that scores are made of need no digits.
ROUGH_SENSITIVITY, ROUGH_STEPS = 0.1, 20
# A sample that lacks rank is drawn again with twice as many rows, at most this often.
ATTEMPTS = 30


class Drawn(NamedTuple):
    """A sample, its expected size, and what was done for it."""

    sample: Sample
    expected: float
    attempts: list[Record]


def coreset_of(
    data: Data, p: float, wanted: Sampling, rng: np.random.Generator, started: float | None = None
) -> CoresetResult:
    """Return weighted rows of a validated matrix; `started` is when the caller did."""
    started = perf_counter() if started is None else started
    rows = data.joined(p)
    with one_blas_thread(rows.like):
        scores, method, rank = scores_for(rows, p, wanted.method, wanted.scores, rng)
        size = _size(scores, p, rows.d, wanted)
        if method == "root_leverage":
            drawn = _recursive(rows, p, scores, size, rank, rng)
        else:
            drawn = _full_rank(rows, scores, size, rank, rng, wanted.replace, wanted.floor)
        return _report(data, rows, drawn, scores, method, started)


def scores_for(
    rows: Rows, p: float, method: str, given: Array | None, rng: np.random.Generator
) -> tuple[Array, str, int | None]:
    """Return scores (n,), the method they are of, and the rank where it came with them."""
    xp = rows.xp
    nonzero = nonzero_rows(rows)
    if given is not None:
        return xp.where(nonzero, given, 0.0), "given", None
    if method == "auto":
        method = "leverage" if p == 2 else "lewis" if p < 2 else "combined"
    if method == "uniform":
        return xp.astype(nonzero, rows.dtype), method, None
    if method in ("leverage", "root_leverage"):
        tau, whitening = leverage(rows)
        return tau if method == "leverage" else tau ** (p / 2), method, whitening.rank
    basis = lewis_basis(rows, p, nonzero)
    if method == "lewis":
        return basis.weights, method, basis.rank
    C = constraint_rows(rows, p, basis, "coreset", rows.n, rng)
    found = all_brackets(rows, C, basis.P, p, ROUGH_SENSITIVITY, ROUGH_STEPS)
    values = xp.minimum(found.upper, 2 * found.lower)
    return (values if method == "sensitivity" else values + leverage(rows)[0]), method, basis.rank


def _size(scores: Array, p: float, d: int, wanted: Sampling) -> int:
    """Return the expected size of the sample."""
    if wanted.size is not None:
        return wanted.size
    eps = DEFAULT_EPS if wanted.eps is None else wanted.eps
    xp = array_namespace(scores)
    factor = max(1.0, float(xp.sum(scores)) / d) if p > 2 else 1.0
    rows = math.ceil(SIZE_FACTOR * d * factor * math.log(2 / wanted.delta) / eps**2)
    return min(int(scores.shape[0]), rows)


def _full_rank(
    rows: Rows,
    scores: Array,
    size: int,
    rank: int | None,
    rng: np.random.Generator,
    replace: bool,
    floor: float,
) -> Drawn:
    """Return a sample of the rank of all rows, enlarged until it has that."""
    xp = rows.xp
    attempts: list[Record] = []
    positive = int(xp.count_nonzero(scores))
    for _ in range(ATTEMPTS):
        if replace and size < positive:
            sample, expected = multinomial(scores, size, rng), float(size)
        else:
            q = probabilities(scores, size)
            q = xp.where(scores > 0, xp.clip(q, min(1.0, floor / rows.n), None), q)
            sample, expected = poisson(q, rng), float(xp.sum(q))
        reached = rank_of(rows, sample.index)
        if rank is None and reached < rows.d:
            rank = whiten(rows).rank
        lacking = (rows.d if rank is None else rank) - reached
        attempts.append(
            {
                "nit": len(attempts) + 1,
                "error": float(max(lacking, 0)),
                "size": sample.index.shape[0],
            }
        )
        if lacking <= 0 or size >= positive:
            break
        size = 2 * size
    return Drawn(sample, expected, attempts)


def _recursive(
    rows: Rows, p: float, scores: Array, size: int, rank: int | None, rng: np.random.Generator
) -> Drawn:
    """Return a sample drawn in rounds, with the scores of the weighted rows of the one before.

    From n' rows a round goes to about ``size (n' / d)^(1 - p/2)``, as long as that halves them.
    """
    xp, d = rows.xp, rows.d
    current, chosen, weights, share = rows, None, None, None
    attempts: list[Record] = []
    while True:
        here = current.n
        step = math.ceil(size * (here / d) ** max(0.0, 1 - p / 2))
        last = step > here / 2 or here <= 2 * size
        drawn = _full_rank(current, scores, size if last else step, rank, rng, False, 0.0)
        sample = drawn.sample
        attempts += drawn.attempts
        index = sample.index
        chosen = index if chosen is None else xp.take(chosen, index)
        weights = sample.weights if weights is None else xp.take(weights, index) * sample.weights
        share = (
            sample.probabilities if share is None else xp.take(share, index) * sample.probabilities
        )
        if last or index.shape[0] <= size:
            return Drawn(Sample(chosen, weights, share), drawn.expected, attempts)
        current = in_memory(rows.take(chosen) * (weights ** (1 / p))[:, None])
        scores = leverage(current)[0] ** (p / 2)


def _report(
    data: Data, rows: Rows, drawn: Drawn, scores: Array, method: str, started: float
) -> CoresetResult:
    sample, xp = drawn.sample, rows.xp
    index, size = sample.index, int(sample.index.shape[0])
    weights = sample.weights
    if data.weights is not None:
        weights = weights * xp.take(data.weights, index)
    taken = data.rows.take(index) / data.scale
    redrawn = drawn.attempts[0]["error"] > 0
    again = " A smaller sample lacked rank." if redrawn else ""
    outcome = settle(
        Status.CONVERGED,
        [rank_check(drawn.attempts[-1]["error"])],
        nit=len(drawn.attempts),
        unit="sample",
        solved=Status.SAMPLE_ENLARGED if redrawn else Status.CONVERGED,
        advice={Status.STALLED: "raise sample_size"},
        detail=f"Drew {size} of {rows.n} rows by {method} scores.{again}",
    )
    return CoresetResult(
        x=weights,
        fun=float(xp.sum(weights)),
        **outcome._asdict(),
        nit=len(drawn.attempts),
        history=drawn.attempts,
        tol=0.0,
        execution_time=perf_counter() - started,
        indices=index,
        weights=weights,
        probabilities=sample.probabilities,
        A=taken,
        b=None if data.b is None else xp.take(data.b, index, axis=0) / data.scale_b,
        size=size,
        expected_size=drawn.expected,
        scores=rows.as_given(scores),
        method=method,
        stats=rows.counts(),
    )
