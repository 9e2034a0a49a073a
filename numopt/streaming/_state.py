"""Everything that is kept of a stream, and how rows enter it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core.namespace import Array, array_namespace, device_of, widest_float
from .._linalg import quiet
from ._problem import Plan
from ._published import Grid, grid_absorbed, start_grid
from ._rows import Rows, wide
from .tracks.frequent_directions import Factor, absorbed, empty_factor, joined
from .tracks.merge import merged_streams, scaled_stream
from .tracks.power import slot_end
from .tracks.selection import TRACKS, leader
from .tracks.stream import Read, Stream, advanced, start_stream

# Squared norms within these bounds (exponents of ten, by dtype) need no change of unit: their
# fourth powers are still numbers.
COMFORT = {"float32": 12.0, "float64": 60.0}


class State(NamedTuple):
    """What is kept of a stream; nothing in it is ever modified."""

    like: Array  # (0, d)
    n: int  # rows read
    frobenius2: float  # sum of their squares, in units of 4^exponent
    longest: float  # largest squared norm of a row
    exponent: int  # numbers kept are those of the rows times 2^-exponent
    factor: Factor | None
    stream: Stream | None
    grid: Grid | None
    gram: Array | None  # (d, d)
    history: tuple[dict[str, Any], ...]


def start(like: Array, plan: Plan, rng: np.random.Generator) -> State:
    """Return the state before the first row; `like` (0, d)."""
    d, held = int(like.shape[1]), plan.layout
    xp = array_namespace(like)
    gram = None
    if plan.settings.method == "gram":
        gram = xp.zeros((d, d), dtype=widest_float(like), device=device_of(like))
    return State(
        like=like,
        n=0,
        frobenius2=0.0,
        longest=0.0,
        exponent=0,
        factor=empty_factor(like, held.factor, d, plan.shape) if held.factor else None,
        stream=start_stream(like, d, plan, rng) if held.power else None,
        grid=start_grid(like, d, held.rates, rng) if held.rates else None,
        gram=gram,
        history=(),
    )


def read(state: State, rows: Rows, roots: Array, plan: Plan, rng: np.random.Generator) -> State:
    """Return the state after finite rows whose squared `roots` (n,) are their weights."""
    state, rows, squares = _scaled_alike(state, rows)
    if plan.settings.decay is not None:
        state, rows, squares = _decayed(state, rows, squares, plan.settings.decay)
    xp = array_namespace(squares)
    part = Read(rows, roots, squares)
    if state.stream is not None:
        state = _through_blocks(state, part, plan, rng)
    elif state.factor is not None:
        state = state._replace(factor=absorbed(state.factor, rows, roots, plan.shape))
    elif state.grid is not None:
        grid = grid_absorbed(state.grid, rows, squares, state.frobenius2, rng)
        state = state._replace(grid=grid)
    else:
        dense = wide(rows.dense())
        state = state._replace(gram=state.gram + xp.matmul(dense.T, dense))
    return state._replace(
        n=state.n + rows.n,
        frobenius2=state.frobenius2 + float(xp.sum(squares)),
        longest=max(state.longest, float(xp.max(squares))),
    )


def _through_blocks(state: State, part: Read, plan: Plan, rng: np.random.Generator) -> State:
    """Return the state with its tracks advanced, slot by slot of the blocks."""
    xp, done, before = array_namespace(part.squares), 0, state.frobenius2
    stream, factor, history = state.stream, state.factor, state.history
    assert stream is not None
    while done < part.rows.n:
        row = state.n + done
        stop = min(part.rows.n, slot_end(stream.block, row)[1] - state.n)
        piece = Read(part.rows.part(done, stop), part.roots[done:stop], part.squares[done:stop])
        steps = stream.steps
        stream, factor = advanced(stream, factor, piece, row, before, plan, rng)
        before += float(xp.sum(piece.squares))
        if stream.steps > steps:
            history = (*history, _record(stream, row + stop - done, plan))
        done = stop
    return state._replace(stream=stream, factor=factor, history=history)


def _record(stream: Stream, n_rows: int, plan: Plan) -> dict[str, Any]:
    track = leader(stream.evidence, stream.order, plan.layout.present)
    residual, stderr = stream.evidence.residual2[track], stream.evidence.stderr[track]
    error = max(residual + 2 * stderr, 0.0)
    return {
        "nit": stream.steps,
        "error": min(error, 1.0),
        "n_rows": n_rows,
        "method_used": TRACKS[track],
    }


def _scaled_alike(state: State, rows: Rows) -> tuple[State, Rows, Array]:
    """Return state and rows in one unit, in which squares neither overflow nor underflow.

    Raises before anything else if a number is not finite.
    """
    xp = array_namespace(state.like)
    decades = COMFORT["float64" if state.like.dtype == xp.float64 else "float32"]
    if state.exponent == 0:
        with quiet():
            squares = wide(rows.norms2())
        if 10**-decades < float(xp.sum(squares)) < 10**decades:
            return state, rows, squares
    peak = rows.finite_peak(state.n)
    reach = int(1.6 * decades)
    if peak > 0:
        wanted = max(math.frexp(peak)[1], -8 * reach)
        first = state.frobenius2 == 0 and abs(wanted - state.exponent) > reach
        if first or wanted > state.exponent + reach:
            state = _in_unit(state, wanted)
    rows = rows.times(2.0**-state.exponent) if state.exponent else rows
    return state, rows, wide(rows.norms2())


def _in_unit(state: State, exponent: int) -> State:
    """Return the state with its numbers in units of 2^exponent."""
    shift = state.exponent - exponent
    if state.frobenius2 == 0:
        return state._replace(exponent=exponent)
    state = scaled(state, 2.0**shift)._replace(exponent=exponent)
    if state.grid is not None:
        state = state._replace(grid=state.grid._replace(top=state.grid.top - 2 * shift))
    return state


def scaled(state: State, f: float) -> State:
    """Return the state that rows times a factor would have given."""
    factor, stream, gram = state.factor, state.stream, state.gram
    if factor is not None:
        factor = factor._replace(
            rows=factor.rows * f,
            waiting=factor.waiting * f,
            lost=factor.lost * f**2,
            total=factor.total * f**2,
            mean=factor.mean * f,
        )
    return state._replace(
        frobenius2=state.frobenius2 * f**2,
        longest=state.longest * f**2,
        factor=factor,
        stream=None if stream is None else scaled_stream(stream, f),
        gram=None if gram is None else gram * f**2,
    )


def _decayed(state: State, rows: Rows, squares: Array, decay: float) -> tuple[State, Rows, Array]:
    """Return a state that has forgotten a little for each new row, and rows weighted likewise."""
    xp, mean = array_namespace(squares), state.factor.mean  # type: ignore[union-attr]
    f = decay ** (rows.n / 2)
    state = scaled(state, f)
    factor = state.factor
    assert factor is not None
    factor = factor._replace(mean=mean, roots=factor.roots * f, mass=factor.mass * f**2)
    ages = xp.arange(rows.n - 1, -1, -1, dtype=squares.dtype, device=device_of(squares))
    weights = decay**ages
    rows = rows.times(xp.astype(xp.sqrt(weights), rows.like.dtype))
    return state._replace(factor=factor), rows, squares * weights


def merged(first: State, second: State, plan: Plan) -> State:
    """Return the state of the rows of both; the order of rows is lost for all but the bounds."""
    unit = max(first.exponent, second.exponent)
    first, second = _in_unit(first, unit), _in_unit(second, unit)
    if second.n == 0 or first.n == 0:
        return first if second.n == 0 else second
    factor, stream, grid, gram = first.factor, first.stream, first.grid, first.gram
    if factor is not None and second.factor is not None:
        factor = joined(factor, second.factor, plan.shape)
    if stream is not None and second.stream is not None:
        share = plan.share * (first.frobenius2 + second.frobenius2)
        stream = merged_streams(stream, second.stream, plan, first.n + second.n, share)
    if grid is not None and second.grid is not None and second.n > first.n:
        grid = second.grid
    if gram is not None and second.gram is not None:
        gram = gram + second.gram
    return first._replace(
        n=first.n + second.n,
        frobenius2=first.frobenius2 + second.frobenius2,
        longest=max(first.longest, second.longest),
        factor=factor,
        stream=stream,
        grid=grid,
        gram=gram,
        history=first.history if first.n >= second.n else second.history,
    )
