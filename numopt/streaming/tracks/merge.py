"""Summaries of two streams made into one, and summaries in other units."""

from __future__ import annotations

from ..._core.namespace import Array, array_namespace, device_of
from .._problem import Plan
from .._rows import wide
from .heavy_rows import REMEMBERED, Heavy, demoted
from .power import COUNT, GAP2, IMAGE, IMAGE2, LIGHT, NORM, NORM2, OFF, OWN, SUMS, new_block
from .stream import Stream


def scaled_stream(stream: Stream, f: float) -> Stream:
    """Return the tracks that rows times a factor would have given."""
    block, heavy, square = stream.block, stream.heavy, f * f
    powers = [4] * SUMS
    for column, power in ((COUNT, 0), (NORM, 2), (NORM2, 4), (LIGHT, 0)):
        powers[column] = power
    powers[IMAGE:IMAGE2] = [2] * (IMAGE2 - IMAGE)
    assert GAP2 < OWN < OFF < SUMS
    xp = array_namespace(block.Y)
    units = xp.asarray([f**p for p in powers], dtype=block.sums.dtype, device=device_of(block.sums))
    count, total, squares = stream.order.before
    return stream._replace(
        block=block._replace(Y=block.Y * square, sums=block.sums * units[None, :]),
        heavy=heavy._replace(
            rows=heavy.rows * f,
            squares=tuple(square * q for q in heavy.squares),
            overflow=tuple(square * q for q in heavy.overflow),
        ),
        oja_sum=stream.oja_sum * square**2,
        mean=stream.mean * f,
        values=stream.values * square,
        evidence=stream.evidence._replace(
            quotients=tuple(square * q for q in stream.evidence.quotients)
        ),
        order=stream.order._replace(before=(count, total * square, squares * square**2)),
    )


def merged_streams(first: Stream, second: Stream, plan: Plan, row: int, least: float) -> Stream:
    """Return the tracks of two streams as one, at `row` of what is now one stream.

    Track P goes on with the block of the longer stream begun anew, whose last column becomes the
    other's leading vector: products with different vectors cannot be added. Evidence that was
    gathered on one part is kept until rows follow.
    """
    longer, shorter = (first, second) if first.light >= second.light else (second, first)
    xp, block = array_namespace(longer.block.Y), longer.block
    if plan.layout.fresh and shorter.steps:
        columns = [wide(block.V)[:, :-1], wide(shorter.block.V)[:, :1]]
        V = xp.linalg.qr(xp.concat(columns, axis=1))[0]
        found = [
            xp.matmul(V.T, xp.matmul(wide(block.V), block.candidates[j, :, :])) for j in range(3)
        ]
        block = block._replace(V=xp.astype(V, block.V.dtype), candidates=xp.stack(found))
    ratio = (longer.light + shorter.light) / max(longer.light, 1)
    evidence = longer.evidence
    both = _joined(longer.heavy, shorter.heavy, plan.layout.heavy, least)
    return longer._replace(
        block=new_block(block.V, block.candidates, row, block.length),
        heavy=both,
        light=longer.light + shorter.light,
        values=longer.values * ratio,
        evidence=evidence._replace(
            quotients=tuple(ratio * q for q in evidence.quotients), merged=True
        ),
        order=longer.order._replace(
            tests=longer.order.tests + shorter.order.tests,
            least=min(longer.order.least, shorter.order.least),
            before=(0.0, 0.0, 0.0),
        ),
    )


def _joined(first: Heavy, second: Heavy, capacity: int, least: float) -> Heavy:
    """Return the longest rows of both; those without room were merged into track T all along."""
    xp = array_namespace(first.rows)
    rows = [*_single(first.rows), *_single(second.rows)]
    order = sorted(
        zip((*first.squares, *second.squares), range(len(rows)), strict=True), reverse=True
    )
    kept, out = order[:capacity], order[capacity:]
    overflow = (*first.overflow, *second.overflow, *(square for square, _ in out))
    stored = xp.concat([rows[i] for _, i in kept]) if kept else first.rows[:0, :]
    heavy = Heavy(
        stored,
        tuple(square for square, _ in kept),
        tuple(sorted(overflow, reverse=True)[:REMEMBERED]),
        first.seen + second.seen,
    )
    return demoted(heavy, least)[0]


def _single(rows: Array) -> list[Array]:
    return [rows[i : i + 1, :] for i in range(rows.shape[0])]
