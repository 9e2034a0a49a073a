"""Elementary functions that vectorize inside a compiled loop."""

from __future__ import annotations

import math

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from ._jit import jit

# exp(x) = 2**k * exp(r) with k = round(x / log 2). log 2 is split in two (Cody & Waite 1980)
# so that k * LOG2_HIGH is exact; exp(r), |r| <= log(2)/2, is its Taylor polynomial, whose
# remainder is below half an ulp at degree 12 (float64) and 6 (float32).
_LOG2_HIGH, _LOG2_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6
_LOG2_HIGH_32, _LOG2_LOW_32 = 0.693359375, -2.12194440e-4
_INVERSE_LOG2 = 1.4426950408889634

# Arguments are clamped to this range: exp stays normal with room for a product, while a
# subnormal intermediate would slow a loop down by a factor of 2 to 3.
LARGEST_EXPONENT = 600.0
LARGEST_EXPONENT_32 = 70.0


@intrinsic
def _rint(_context, x):
    """Round to the nearest integer in one instruction, untouched by reassociation."""

    def codegen(_codegen, builder, _signature, args):
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [args[0].type]), args)

    return x(x), codegen


@intrinsic
def _power_of_two(_context, k):
    """2**k for an integer-valued float, by writing the exponent bits.

    Adding 1.5 * 2**52 (2**23 in float32) leaves the integer in the low mantissa bits, which
    vectorizes on every x86-64, where float-to-int64 conversion needs AVX-512.
    """
    double = k == types.float64
    bits, magic = (52, 1.5 * 2.0**52 + 1023) if double else (23, 1.5 * 2.0**23 + 127)

    def codegen(_codegen, builder, _signature, args):
        integer = ir.IntType(64 if double else 32)
        shifted = builder.fadd(args[0], ir.Constant(args[0].type, magic))
        exponent = builder.shl(builder.bitcast(shifted, integer), ir.Constant(integer, bits))
        return builder.bitcast(exponent, args[0].type)

    return k(k), codegen


def exp(x: float) -> float:
    """Exponential of a number clamped to +-600 (float64) or +-70 (float32).

    Relative error of at most two units in the last place over that range.
    """
    return math.exp(min(max(x, -LARGEST_EXPONENT), LARGEST_EXPONENT))


@jit(inner=True)
def _exp_64(x):
    x = min(max(x, -LARGEST_EXPONENT), LARGEST_EXPONENT)
    k = _rint(x * _INVERSE_LOG2)
    r = x - k * _LOG2_HIGH
    r = r - k * _LOG2_LOW
    p = r * (1 / 479001600) + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * _power_of_two(k)


@jit(inner=True)
def _exp_32(x):
    one = types.float32(1.0)
    largest = types.float32(LARGEST_EXPONENT_32)
    x = min(max(x, -largest), largest)
    k = _rint(x * types.float32(_INVERSE_LOG2))
    r = x - k * types.float32(_LOG2_HIGH_32)
    r = r - k * types.float32(_LOG2_LOW_32)
    p = r * types.float32(1 / 5040) + types.float32(1 / 720)
    p = p * r + types.float32(1 / 120)
    p = p * r + types.float32(1 / 24)
    p = p * r + types.float32(1 / 6)
    p = p * r + types.float32(0.5)
    p = p * r + one
    p = p * r + one
    return p * _power_of_two(k)


@overload(exp, inline="always")
def _exp(x):
    if x == types.float32:
        return lambda x: _exp_32(x)
    return lambda x: _exp_64(x)


# Coefficients 1/(2k + 1) of the series of the inverse hyperbolic tangent up to s**32, s <= 1/3.
@jit(inner=True)
def log1p_up_to_one(x):
    """Logarithm of 1 + x in double precision for 0 <= x <= 1.

    By ``2 atanh(s)`` with ``s = x / (2 + x)``, at most 1/3: its series without a branch.
    """
    s = x / (2 + x)
    z = s * s
    p = z * (1 / 33) + 1 / 31
    p = p * z + 1 / 29
    p = p * z + 1 / 27
    p = p * z + 1 / 25
    p = p * z + 1 / 23
    p = p * z + 1 / 21
    p = p * z + 1 / 19
    p = p * z + 1 / 17
    p = p * z + 1 / 15
    p = p * z + 1 / 13
    p = p * z + 1 / 11
    p = p * z + 1 / 9
    p = p * z + 1 / 7
    p = p * z + 1 / 5
    p = p * z + 1 / 3
    return 2 * (s + s * z * p)
