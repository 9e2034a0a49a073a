"""Passes over tall matrices that l_p scores and l_p regression are made of.

Throughout, A is (n, d) with many more rows than columns. Sums over rows are taken block by block,
so that nothing of the size of A is ever stored beside it.
"""

from __future__ import annotations

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, device_of
from .least_squares import row_ranges

# Entries of a block, whose weighted copy stays in the cache. Measured for d from 10 to 64.
BLOCK_ENTRIES = 1 << 17


@kernel(min_size=100_000)
def weighted_gram(A: Array, weights: Array) -> Array:
    """Compute ``A' diag(weights) A`` (d, d) for non-negative `weights` (n,).

    One read of A, n d^2 multiplications.
    """
    xp = array_namespace(A)
    n, d = A.shape
    total = xp.zeros((d, d), dtype=A.dtype, device=device_of(A))
    root = xp.sqrt(weights)
    for rows in row_ranges(n, d, BLOCK_ENTRIES):
        block = A[rows, :] * root[rows][:, None]
        total = total + xp.matmul(block.T, block)
    return total


@kernel(min_size=1 << 17)
def row_quadform(A: Array, P: Array) -> Array:
    """Compute the squared norms ``||a_i P||^2`` (n,) of the rows of ``A P``, P (d, k).

    One read of A, 2 n d k operations; the product is never stored.
    """
    xp = array_namespace(A)
    parts = []
    for rows in row_ranges(A.shape[0], max(A.shape[1], P.shape[1]), BLOCK_ENTRIES):
        block = xp.matmul(A[rows, :], P)
        parts.append(xp.vecdot(block, block))
    return xp.concat(parts) if len(parts) > 1 else parts[0]


def batched_gram(C: Array, weights: Array) -> Array:
    """Compute ``C' diag(weights[k]) C`` for each k: (B, d, d) from C (m, d), `weights` (B, m).

    One product of matrices with the pairwise products of the columns of C, a block of rows at a
    time: m d^2 B multiplications.
    """
    xp = array_namespace(C)
    m, d = C.shape
    total = xp.zeros((weights.shape[0], d * d), dtype=C.dtype, device=device_of(C))
    for rows in row_ranges(m, d * d, BLOCK_ENTRIES):
        block = C[rows, :]
        pairs = xp.reshape(block[:, :, None] * block[:, None, :], (block.shape[0], d * d))
        total = total + xp.matmul(weights[:, rows], pairs)
    return xp.reshape(total, (weights.shape[0], d, d))


# The vectors of an interior point method for a problem with y in a box: `room_up` and `room_down`
# are the distances of y from its bounds, `positive` and `negative` their multipliers (the two
# parts of the residual), all (n,) and positive.


@kernel(min_size=20_000)
def box_curvature(
    positive: Array, negative: Array, room_up: Array, room_down: Array, residual: Array
) -> tuple[Array, Array]:
    """Compute D (n,), ``1 / (positive / room_up + negative / room_down)``, and ``D * residual``."""
    curvature = 1 / (positive / room_up + negative / room_down)
    return curvature, curvature * residual


@kernel(min_size=20_000)
def box_targets(
    positive: Array,
    negative: Array,
    room_up: Array,
    room_down: Array,
    residual: Array,
    curvature: Array,
    step_y: Array,
    center: float,
) -> tuple[Array, Array, Array, Array]:
    """Compute what the corrector of Mehrotra asks the products of room and multiplier to be.

    `step_y` (n,) is the predictor's step of y, `center` the mean product to aim at. Returns the
    targets minus the second-order terms of the predictor, of both sides, the right side h (n,)
    of the Newton equation ``A dx + step_y / D = h``, and ``D * h``.
    """
    up = center + (positive * step_y / room_up - positive) * step_y
    down = center + (negative * step_y / room_down + negative) * step_y
    right = residual - up / room_up + down / room_down
    return up, down, right, curvature * right


@kernel(min_size=20_000)
def box_direction(
    positive: Array,
    negative: Array,
    room_up: Array,
    room_down: Array,
    curvature: Array,
    right: Array,
    image: Array,
    up: Array,
    down: Array,
) -> tuple[Array, Array, Array, Array]:
    """Compute the steps of y and of both multipliers from ``image = A dx``, and how far they go.

    Returns three (n,) and six numbers: the largest relative decrease of a multiplier and of a
    room in a full step, and the sums that give the mean product after any step: ``products``,
    ``multipliers' step * room``, ``multipliers * rooms' step`` and that of both steps.
    """
    xp = array_namespace(positive)
    step_y = curvature * (right - image)
    step_p = (up + positive * step_y) / room_up - positive
    step_n = (down - negative * step_y) / room_down - negative
    shrink_multiplier = xp.maximum(xp.max(-step_p / positive), xp.max(-step_n / negative))
    shrink_room = xp.maximum(xp.max(step_y / room_up), xp.max(-step_y / room_down))
    sums = [
        xp.vecdot(positive, room_up) + xp.vecdot(negative, room_down),
        xp.vecdot(step_p, room_up) + xp.vecdot(step_n, room_down),
        xp.vecdot(negative, step_y) - xp.vecdot(positive, step_y),
        xp.vecdot(step_n, step_y) - xp.vecdot(step_p, step_y),
    ]
    return step_y, step_p, step_n, xp.stack([shrink_multiplier, shrink_room, *sums])


# The p-th power of a residual r, smoothed: phi(r) = (r^2 + smoothing^2)^(p/2) / p.


def root_power(square: Array, p: float) -> Array:
    """Return ``square ** (p / 2)``; the powers asked for most need no logarithm."""
    xp = array_namespace(square)
    if p == 0:
        return xp.ones_like(square)
    if p == -0.5:
        return 1 / xp.sqrt(xp.sqrt(square))
    if p == 1:
        return xp.sqrt(square)
    if p in (2, 4):
        return square if p == 2 else square * square
    return square ** (0.5 * p)


@kernel(min_size=2048)
def power_terms(
    residual: Array, weights: Array, p: float, smoothing: float
) -> tuple[Array, Array, Array]:
    """Compute ``w phi'(r)`` and ``w phi''(r)`` (n,), and the sum of ``w |r|^p`` without smoothing.

    `residual` and `weights` (n,).
    """
    xp = array_namespace(residual)
    size = xp.abs(residual)
    square = residual * residual + smoothing * smoothing
    positive = square > 0 if p != 2 else square >= 0
    safe = xp.where(square > 0, square, xp.ones_like(square))
    slope = weights * xp.where(positive, root_power(safe, p - 2), xp.zeros_like(square))
    curvature = slope * (1 + (p - 2) * residual * residual / safe)
    return slope * residual, curvature, xp.vecdot(weights, size**p)


@kernel(min_size=2048)
def power_slope(
    residual: Array, image: Array, weights: Array, p: float, smoothing: float, step: float
) -> Array:
    """Compute the derivative of ``sum w phi(r - t image)`` in t, at `step`: a number.

    `residual`, `image` and `weights` (n,).
    """
    xp = array_namespace(residual)
    moved = residual - step * image
    square = moved * moved + smoothing * smoothing
    safe = xp.where(square > 0, square, xp.ones_like(square))
    slope = xp.where(square > 0, root_power(safe, p - 2), xp.zeros_like(square))
    return -xp.vecdot(weights * slope * moved, image)
