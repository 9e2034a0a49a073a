"""Blocks of rows in vector registers: products that the compiler does not find by itself.

Rows are those of C-contiguous matrices whose rows fill whole registers, padded with zeros. Each
function is defined in Python, and compiled to explicit vector instructions: a loop over a few
entries of a length known at run time only would end in a scalar remainder that costs more than the
rest of it.
"""

# ruff: noqa: ARG001 - Numba matches the names of arguments

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

# Bytes of a vector register: with as many columns as go into one, or a multiple, nothing is left.
REGISTER = 64
# Rows of a tile of a Gram matrix.
TILE = 8


def dots(A, r0, r1, r2, r3, P, p):
    """Return the inner products of four rows of A with row p of P."""
    x = P[p]
    return A[r0] @ x, A[r1] @ x, A[r2] @ x, A[r3] @ x


def add_rows(A, r0, r1, r2, r3, s0, s1, s2, s3, Q, q, start):
    """Add multiples of four rows of A to row q of Q, from the column `start` on."""
    Q[q, start:] += (
        s0 * A[r0, start:] + s1 * A[r1, start:] + s2 * A[r2, start:] + s3 * A[r3, start:]
    )


def scaled_row(A, r, s, B, t):
    """Write a multiple of row r of A to row t of B."""
    B[t] = s * A[r]


def add_squares(A, r, s, Q, q):
    """Add a multiple of the squares of row r of A to row q of Q."""
    Q[q] += s * A[r] * A[r]


def add_tile(A, n, i, j, vectors, G):
    """Add a tile of ``A[:n]' A[:n]``: `TILE` rows from i on, one or two vectors of columns."""
    width = vectors * (REGISTER // A.itemsize)
    G[i : i + TILE, j : j + width] += A[:n, i : i + TILE].T @ A[:n, j : j + width]


class _Emitter:
    """Writes vector instructions for matrices of one dtype."""

    def __init__(self, context, builder, dtype):
        self.context, self.builder = context, builder
        self.scalar = context.get_value_type(dtype)
        self.bytes = 8 if dtype == types.float64 else 4
        self.width = REGISTER // self.bytes
        self.vector = ir.VectorType(self.scalar, self.width)

    def row(self, kind, array, index):
        """Return a pointer to a row of a matrix."""
        made = self.context.make_array(kind)(self.context, self.builder, value=array)
        columns = self.builder.extract_value(made.shape, 1)
        return self.builder.gep(made.data, [self.builder.mul(index, columns)])

    def columns(self, kind, array):
        made = self.context.make_array(kind)(self.context, self.builder, value=array)
        return self.builder.extract_value(made.shape, 1)

    def address(self, pointer, offset):
        moved = self.builder.gep(pointer, [offset])
        return self.builder.bitcast(moved, self.vector.as_pointer())

    def load(self, pointer, offset):
        return self.builder.load(self.address(pointer, offset), align=self.bytes)

    def store(self, value, pointer, offset):
        self.builder.store(value, self.address(pointer, offset), align=self.bytes)

    def fma(self, a, b, c):
        flags = ["contract"]
        return self.builder.fadd(self.builder.fmul(a, b, flags=flags), c, flags=flags)

    def spread(self, x):
        """Return a vector of one number."""
        one = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), x, ir.Constant(ir.IntType(32), 0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.shuffle_vector(one, ir.Constant(self.vector, ir.Undefined), mask)

    def total(self, v):
        """Return the sum of a vector."""
        half = self.width // 2
        while half:
            order = [(lane + half) % self.width for lane in range(self.width)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), self.width), order)
            other = self.builder.shuffle_vector(v, v, mask)
            v = self.builder.fadd(v, other)
            half //= 2
        return self.builder.extract_element(v, ir.Constant(ir.IntType(32), 0))

    def zeros(self, count):
        """Return places for vectors, zero; the compiler keeps them in registers."""
        zero = ir.Constant(self.vector, [0.0] * self.width)
        made = [cgutils.alloca_once_value(self.builder, zero) for _ in range(count)]
        for place in made:
            self.builder.store(zero, place)
        return made

    def steps(self, start, stop, step):
        """Return a loop over offsets."""
        return cgutils.for_range_slice(self.builder, start, stop, step)


@intrinsic
def _dots(_context, A, r0, r1, r2, r3, P, p):
    def codegen(context, builder, signature, args):
        emit = _Emitter(context, builder, signature.args[0].dtype)
        rows = [emit.row(signature.args[0], args[0], index) for index in args[1:5]]
        x = emit.row(signature.args[5], args[5], args[6])
        sums = emit.zeros(4)
        size = emit.columns(signature.args[0], args[0])
        zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, emit.width)
        with emit.steps(zero, size, step) as (offset, _):
            v = emit.load(x, offset)
            for row, place in zip(rows, sums, strict=True):
                builder.store(emit.fma(emit.load(row, offset), v, builder.load(place)), place)
        found = [emit.total(builder.load(place)) for place in sums]
        return context.make_tuple(builder, signature.return_type, found)

    index = types.intp
    return types.UniTuple(A.dtype, 4)(A, index, index, index, index, P, index), codegen


@overload(dots, inline="always")
def _dots_overload(A, r0, r1, r2, r3, P, p):
    return lambda A, r0, r1, r2, r3, P, p: _dots(A, r0, r1, r2, r3, P, p)


@intrinsic
def _add_rows(_context, A, r0, r1, r2, r3, s0, s1, s2, s3, Q, q, start):
    def codegen(context, builder, signature, args):
        emit = _Emitter(context, builder, signature.args[0].dtype)
        rows = [emit.row(signature.args[0], args[0], index) for index in args[1:5]]
        scales = [emit.spread(scale) for scale in args[5:9]]
        target = emit.row(signature.args[9], args[9], args[10])
        size = emit.columns(signature.args[0], args[0])
        with emit.steps(args[11], size, ir.Constant(size.type, emit.width)) as (offset, _):
            v = emit.load(target, offset)
            for row, scale in zip(rows, scales, strict=True):
                v = emit.fma(emit.load(row, offset), scale, v)
            emit.store(v, target, offset)
        return context.get_dummy_value()

    index, kind = types.intp, A.dtype
    where, scales = (index,) * 4, (kind,) * 4
    return types.void(A, *where, *scales, Q, index, index), codegen


@overload(add_rows, inline="always")
def _add_rows_overload(A, r0, r1, r2, r3, s0, s1, s2, s3, Q, q, start):
    return lambda A, r0, r1, r2, r3, s0, s1, s2, s3, Q, q, start: _add_rows(
        A, r0, r1, r2, r3, s0, s1, s2, s3, Q, q, start
    )


@intrinsic
def _scaled_row(_context, A, r, s, B, t):
    def codegen(context, builder, signature, args):
        emit = _Emitter(context, builder, signature.args[0].dtype)
        row = emit.row(signature.args[0], args[0], args[1])
        target = emit.row(signature.args[3], args[3], args[4])
        scale, size = emit.spread(args[2]), emit.columns(signature.args[0], args[0])
        zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, emit.width)
        with emit.steps(zero, size, step) as (offset, _):
            emit.store(builder.fmul(emit.load(row, offset), scale), target, offset)
        return context.get_dummy_value()

    return types.void(A, types.intp, A.dtype, B, types.intp), codegen


@overload(scaled_row, inline="always")
def _scaled_row_overload(A, r, s, B, t):
    return lambda A, r, s, B, t: _scaled_row(A, r, s, B, t)


@intrinsic
def _add_squares(_context, A, r, s, Q, q):
    def codegen(context, builder, signature, args):
        emit = _Emitter(context, builder, signature.args[0].dtype)
        row = emit.row(signature.args[0], args[0], args[1])
        target = emit.row(signature.args[3], args[3], args[4])
        scale, size = emit.spread(args[2]), emit.columns(signature.args[0], args[0])
        zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, emit.width)
        with emit.steps(zero, size, step) as (offset, _):
            v = emit.load(row, offset)
            v = emit.fma(builder.fmul(v, scale), v, emit.load(target, offset))
            emit.store(v, target, offset)
        return context.get_dummy_value()

    return types.void(A, types.intp, A.dtype, Q, types.intp), codegen


@overload(add_squares, inline="always")
def _add_squares_overload(A, r, s, Q, q):
    return lambda A, r, s, Q, q: _add_squares(A, r, s, Q, q)


def _tile(context, builder, signature, args, vectors):
    emit = _Emitter(context, builder, signature.args[0].dtype)
    A, n, i, j, G = args
    sums = emit.zeros(TILE * vectors)
    size = emit.columns(signature.args[0], A)
    first = emit.row(signature.args[0], A, ir.Constant(size.type, 0))
    one = ir.Constant(size.type, 1)
    offsets = [builder.add(j, ir.Constant(size.type, c * emit.width)) for c in range(vectors)]
    with emit.steps(ir.Constant(size.type, 0), n, one) as (t, _):
        row = builder.gep(first, [builder.mul(t, size)])
        loaded = [emit.load(row, offset) for offset in offsets]
        for r in range(TILE):
            place = builder.gep(row, [builder.add(i, ir.Constant(size.type, r))])
            scale = emit.spread(builder.load(place))
            for v, total in zip(loaded, sums[r * vectors : (r + 1) * vectors], strict=True):
                builder.store(emit.fma(v, scale, builder.load(total)), total)
    for r in range(TILE):
        target = emit.row(signature.args[4], G, builder.add(i, ir.Constant(size.type, r)))
        for offset, total in zip(offsets, sums[r * vectors : (r + 1) * vectors], strict=True):
            emit.store(builder.fadd(emit.load(target, offset), builder.load(total)), target, offset)
    return context.get_dummy_value()


@intrinsic
def _narrow_tile(_context, A, n, i, j, G):
    def codegen(context, builder, signature, args):
        return _tile(context, builder, signature, args, 1)

    return types.void(A, types.intp, types.intp, types.intp, G), codegen


@intrinsic
def _wide_tile(_context, A, n, i, j, G):
    def codegen(context, builder, signature, args):
        return _tile(context, builder, signature, args, 2)

    return types.void(A, types.intp, types.intp, types.intp, G), codegen


@overload(add_tile, inline="always")
def _add_tile_overload(A, n, i, j, vectors, G):
    def choose(A, n, i, j, vectors, G):
        if vectors == 2:
            _wide_tile(A, n, i, j, G)
        else:
            _narrow_tile(A, n, i, j, G)

    return choose
