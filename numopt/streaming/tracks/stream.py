"""The tracks that read the stream side by side, and the blocks they are judged on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from ..._core.namespace import Array, array_namespace, device_of, widest_float
from ..._core.random import place
from .._problem import Plan
from .._rows import DenseRows, Rows, wide
from .frequent_directions import Factor, absorbed, spectrum
from .heavy_rows import Heavy, demoted, divided, no_heavy
from .power import Block, new_block, ritz, scanned, slot_closed, slot_end, stepped
from .selection import (
    NO_EVIDENCE,
    UNTESTED,
    Evidence,
    Order,
    compared,
    continued,
    judged,
    table,
)

# AdaOja starts from this share of the first squared norm.
OJA_START = 1e-5


class Stream(NamedTuple):
    """Tracks P and O, the heavy rows, and what blocks have shown."""

    block: Block
    heavy: Heavy
    oja: Array  # (d,), (0,) without the track
    oja_sum: Array  # (1,)
    mean: Array  # (d,) that rows are shifted by; (0,) if they are not centered
    values: Array  # (p,) eigenvalue estimates of the last block
    light: int  # light rows so far
    steps: int  # blocks finished
    evidence: Evidence
    order: Order


class Read(NamedTuple):
    """A part of a chunk, with what was found when it was scanned."""

    rows: Rows
    roots: Array  # (n,)
    squares: Array  # (n,) squared norms


def start_stream(like: Array, d: int, plan: Plan, rng: np.random.Generator) -> Stream:
    """Return the tracks before the first row."""
    xp, p = array_namespace(like), plan.layout.power
    dtype, device = widest_float(like), device_of(like)
    V = xp.linalg.qr(place(rng.standard_normal((d, p)), like, dtype))[0]
    candidates = xp.zeros((3, p, plan.rank), dtype=dtype, device=device)
    block = new_block(xp.astype(V, like.dtype), candidates, 0, plan.first)
    if plan.layout.oja:
        start = place(rng.standard_normal(d), like, dtype)
        oja = start / xp.linalg.vector_norm(start)
    else:
        oja = xp.zeros(0, dtype=dtype, device=device)
    return Stream(
        block=block,
        heavy=no_heavy(like, d),
        oja=oja,
        oja_sum=xp.zeros(1, dtype=dtype, device=device),
        mean=xp.zeros(d if plan.shape.center else 0, dtype=dtype, device=device),
        values=xp.zeros(p, dtype=dtype, device=device),
        light=0,
        steps=0,
        evidence=NO_EVIDENCE,
        order=UNTESTED,
    )


def advanced(
    stream: Stream,
    factor: Factor | None,
    part: Read,
    row: int,
    before: float,
    plan: Plan,
    rng: np.random.Generator,
) -> tuple[Stream, Factor | None]:
    """Return the tracks after rows that lie in one slot of the block, from `row` of the stream."""
    slot, stop = slot_end(stream.block, row)
    if factor is not None:
        factor = absorbed(factor, part.rows, part.roots, plan.shape)
    stream = _read(stream, part, slot, before, plan)
    if row + part.rows.n == stop:
        block = slot_closed(stream.block, slot)
        stream = stream._replace(block=block)
        if plan.shape.center and factor is not None:
            stream = stream._replace(mean=factor.mean)
        if stop == block.start + block.length:
            total = before + float(array_namespace(part.squares).sum(wide(part.squares)))
            stream = _next_block(stream, factor, stop, total, plan, rng)
    return stream, factor


def _read(stream: Stream, part: Read, slot: int, before: float, plan: Plan) -> Stream:
    rows, squares = part.rows, part.squares
    if plan.shape.center:
        if stream.steps == 0 and slot == 0:
            return stream  # there is no mean yet
        xp = array_namespace(squares)
        shifted = rows.dense() - xp.astype(
            part.roots[:, None] * stream.mean[None, :], squares.dtype
        )
        rows = DenseRows(shifted)
        squares = rows.norms2()
    block = scanned(stream.block, squares, slot)
    heavy, light = divided(stream.heavy, rows, wide(squares), before, plan.share, plan.layout.heavy)
    return _light(stream._replace(block=block, heavy=heavy), light, slot)


def _light(stream: Stream, rows: Rows, slot: int) -> Stream:
    """Return the tracks P and O after light rows."""
    if rows.n == 0:
        return stream
    stream = stream._replace(block=stepped(stream.block, rows, slot), light=stream.light + rows.n)
    if stream.oja.shape[0] == 0:
        return stream
    s = stream.oja_sum
    if stream.light == rows.n:
        s = s + OJA_START * wide(rows.part(0, 1).norms2())
    v, s = rows.stepped(stream.oja, s)
    return stream._replace(oja=v, oja_sum=s)


def _next_block(
    stream: Stream,
    factor: Factor | None,
    row: int,
    total: float,
    plan: Plan,
    rng: np.random.Generator,
) -> Stream:
    """Return the tracks at the start of the next block, what this one showed being noted."""
    evidence, order = shown(stream, row)
    heavy, light = demoted(stream.heavy, plan.share * total)
    values, vectors = ritz(stream.block, stream.light, stream.heavy.rows)
    V, candidates = _candidates(stream, vectors, factor, plan, rng)
    length = max(math.ceil(stream.block.length * plan.growth), 1)
    following = stream._replace(
        block=new_block(V, candidates, row, length),
        heavy=heavy,
        values=values,
        steps=stream.steps + 1,
        evidence=evidence,
        order=order,
    )
    return _light(following, DenseRows(light), 0)


def shown(stream: Stream, row: int) -> tuple[Evidence, Order]:
    """Return what the block says that `row` is the end of, or that is cut off there."""
    if row == stream.block.start:
        return stream.evidence, stream.order
    sums = table(stream.block, row)
    order = compared(stream.order, sums, candidates=stream.steps > 0)
    if stream.steps == 0:
        return NO_EVIDENCE, order
    evidence = judged(stream.block, sums, stream.heavy.rows, stream.light)
    return continued(evidence, stream.evidence), order


def _candidates(
    stream: Stream,
    vectors: Array,
    factor: Factor | None,
    plan: Plan,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Return the start of the next power step, and the candidates as combinations of it.

    Its last column is a new random vector: without it, a component that is absent from the first
    blocks is lost for good.
    """
    xp, k, p = array_namespace(vectors), plan.rank, plan.layout.power
    d = int(vectors.shape[0])
    others = [] if factor is None else [spectrum(factor)[1][:, :k]]
    others += [stream.oja[:, None]] if plan.layout.oja else []
    fresh = []
    if plan.layout.fresh:
        fresh = [place(rng.standard_normal((d, 1)), vectors)]
    held = sum(int(x.shape[1]) for x in others + fresh)
    V = xp.linalg.qr(xp.concat([vectors[:, : p - held], *others, *fresh], axis=1))[0]
    V = xp.astype(V, stream.block.V.dtype)
    absent = xp.zeros((d, k), dtype=vectors.dtype, device=device_of(vectors))
    track_t = absent if factor is None else others[0]
    track_o = others[-1] if plan.layout.oja else absent
    found = [xp.matmul(wide(V).T, x) for x in (track_t, vectors[:, :k], track_o)]
    return V, xp.stack(found)
