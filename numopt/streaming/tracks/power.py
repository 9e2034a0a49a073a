"""The power method over consecutive blocks of the stream, and sums that judge what it finds."""

from __future__ import annotations

from typing import NamedTuple

from ..._core.namespace import Array, array_namespace, device_of, widest_float
from .._rows import Rows, wide

# Parts of a block whose sums are kept apart, to tell whether the stream changes.
SLOTS = 8
# What is summed: of all rows 1, q, q^2 with the squared norm q; of light rows 1 and, for the
# candidates T, P and O with squared images s, the sums of s, of s^2, of (s_T - s)^2 for P and O,
# and of s (q - s); at the end of a slot, the squared length of `off_axis`.
COUNT, NORM, NORM2, LIGHT, IMAGE, IMAGE2, GAP2, OWN, OFF = 0, 1, 2, 3, 4, 7, 10, 12, 15
SUMS = 18
# Eigenvalues below this share of the largest are rounding errors of a product of matrices.
NEGLIGIBLE = 1e-12


class Block(NamedTuple):
    """The block that is being read."""

    V: Array  # (d, p), orthonormal: what the power step starts from
    Y: Array  # (d, p): A_b' A_b V for its light rows A_b
    candidates: Array  # (3, p, k): T, P, O before the block, as combinations of V; zero if absent
    sums: Array  # (SLOTS, SUMS)
    start: int  # row of the stream it begins with
    length: int
    light: int  # light rows so far


def new_block(V: Array, candidates: Array, start: int, length: int) -> Block:
    """Return a block before its first row."""
    xp, dtype, device = array_namespace(V), widest_float(V), device_of(V)
    Y = xp.zeros(V.shape, dtype=dtype, device=device)
    sums = xp.zeros((SLOTS, SUMS), dtype=dtype, device=device)
    return Block(V, Y, candidates, sums, start, length, 0)


def slot_end(block: Block, row: int) -> tuple[int, int]:
    """Return the slot that a row of the stream is in, and the row after its last."""
    slot = (row - block.start) * SLOTS // block.length
    return slot, block.start + -(-block.length * (slot + 1) // SLOTS)


def stepped(block: Block, rows: Rows, slot: int) -> Block:
    """Return the block after light rows."""
    if rows.n == 0:
        return block
    xp = array_namespace(block.V)
    Y, images = rows.product(block.V)
    squares = _squared_images(wide(images), block.candidates)
    norms = wide(rows.norms2())[:, None]
    gaps = squares[:, :1] - squares[:, 1:]
    own = squares * xp.clip(norms - squares, 0, None)
    parts = [squares, squares * squares, gaps * gaps, own]
    sums = xp.concat([xp.sum(part, axis=0) for part in parts])
    counted = xp.full(1, float(rows.n), dtype=sums.dtype, device=device_of(sums))
    block = _added(block, slot, LIGHT, xp.concat([counted, sums]))
    return block._replace(Y=block.Y + Y, light=block.light + rows.n)


def scanned(block: Block, squares: Array, slot: int) -> Block:
    """Return the block with the squared norms of all rows, long ones too, in its sums."""
    xp, squares = array_namespace(squares), wide(squares)
    one = xp.full((), float(squares.shape[0]), dtype=squares.dtype, device=device_of(squares))
    sums = [one, xp.sum(squares), xp.vecdot(squares, squares)]
    return _added(block, slot, COUNT, xp.stack(sums))


def _added(block: Block, slot: int, at: int, values: Array) -> Block:
    sums = array_namespace(values).asarray(block.sums, copy=True)
    stop = at + values.shape[0]
    sums[slot, at:stop] = sums[slot, at:stop] + values
    return block._replace(sums=sums)


def _squared_images(images: Array, candidates: Array) -> Array:
    """Return the squared images (n, 3) of rows, summed over the vectors of a candidate."""
    xp = array_namespace(images)
    return xp.stack(
        [xp.sum(xp.matmul(images, candidates[j, :, :]) ** 2, axis=1) for j in range(3)], axis=1
    )


def slot_closed(block: Block, slot: int) -> Block:
    """Return the block with the squared lengths of ``(I - c c') A_b' A_b c`` noted, c single."""
    if block.candidates.shape[2] > 1:
        return block
    xp = array_namespace(block.Y)
    lengths = xp.vecdot(*[off_axis(block)] * 2, axis=-2)
    sums = xp.asarray(block.sums, copy=True)
    sums[slot, OFF : OFF + 3] = lengths
    return block._replace(sums=sums)


def off_axis(block: Block) -> Array:
    """Return ``(I - c c') A_b' A_b c`` (d, 3) for the three candidates c."""
    xp = array_namespace(block.Y)
    C = block.candidates[:, :, 0].T
    S, V = xp.matmul(block.Y, C), wide(block.V)
    c = xp.matmul(V, C)
    S = S - c * xp.vecdot(c, S, axis=-2)[None, :]
    return S - c * xp.vecdot(c, S, axis=-2)[None, :]


def ritz(block: Block, total: int, heavy: Array) -> tuple[Array, Array]:
    """Return the leading eigenvalues (p,) and vectors (d, p) of the estimate of ``A'A``.

    Of the light rows the block is a sample: its Nystroem approximation from V, scaled to `total`
    rows, is stacked on the `heavy` rows.
    """
    xp, V = array_namespace(block.Y), wide(block.V)
    p = int(V.shape[1])
    C = xp.matmul(V.T, block.Y)
    values, U = xp.linalg.eigh(0.5 * (C + C.T))
    floor = xp.clip(NEGLIGIBLE * values[-1:], 0, None)
    used = values > floor
    safe = xp.where(used, values, xp.ones_like(values))
    inverse = xp.where(used, 1 / xp.sqrt(safe), xp.zeros_like(safe))
    scale = (total / max(block.light, 1)) ** 0.5
    F = xp.matmul(block.Y, U) * inverse[None, :] * scale
    return leading(xp.concat([F.T, wide(heavy)]), p)


def leading(rows: Array, p: int) -> tuple[Array, Array]:
    """Return the p largest eigenvalues of the Gram matrix of rows (r, d), and their vectors.

    Vectors (d, p) have length one, or zero where the eigenvalue is a rounding error.
    """
    xp = array_namespace(rows)
    values, U = xp.linalg.eigh(xp.matmul(rows, rows.T))
    values, U = xp.flip(values)[:p], xp.flip(U, axis=1)[:, :p]
    vectors = xp.matmul(rows.T, U)
    lengths = xp.linalg.vector_norm(vectors, axis=0)
    kept = values > xp.finfo(values.dtype).eps * xp.clip(values[:1], 0, None)
    safe = xp.where(kept & (lengths > 0), lengths, xp.ones_like(lengths))
    unit = xp.where(kept[None, :], vectors / safe[None, :], xp.zeros_like(vectors))
    return xp.clip(values, 0, None), unit
