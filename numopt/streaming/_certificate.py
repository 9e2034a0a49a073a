"""What holds of an answer: bounds for rows in any order, checks, and a second look at the data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of, host_list
from .._core.outcome import Check
from .._core.settings import non_negative
from ._rows import Rows, wide

# Below this probability the order of the rows is not taken for random.
ORDER_LEVEL = 1e-4
# Rounding errors of a merge, in units of eps times the largest eigenvalue.
ROUNDING = 16
# Columns up to which `squared_sine` forms the matrix A'A.
GRAM_COLUMNS = 2048


class Bounds(NamedTuple):
    """What holds whatever the order of the rows."""

    lower: float  # of the largest eigenvalue
    upper: float
    sin2: float  # of the leading vectors of the factor
    ratio: float  # of the eigenvalues at the rank and after it


def bounds_of(
    sizes: list[float],
    lost: tuple[float, float],
    rounding: float,
    *,
    rank: int,
    d: int,
    least: float = 0.0,
    frobenius2: float = math.inf,
) -> Bounds:
    """Return bounds from the eigenvalues of ``B'B``, largest first, for a factor B of d columns.

    `lost` holds the trace and a bound of the spectral norm of ``E = A'A - B'B >= 0``, both but for
    `rounding`; the largest eigenvalue of A'A is known to be at least `least` and at most
    `frobenius2`. As ``l1 <= lambda1 <= l1 cos^2 + l2 sin^2 + ||E||``, and lambda1 is at least l1,
    ``sin^2 <= ||E|| / (l1 - l2)``; for several vectors the sum of the squared sines is at most
    ``tr(E) / (l_k - l_{k+1})``.
    """
    trace, norm = lost[0], min(lost[1], lost[0]) + rounding
    following = sizes[rank] if len(sizes) > rank else 0.0
    room = sizes[rank - 1] - following
    sin2 = min((norm if rank == 1 else trace + rounding) / room, 1.0) if room > 0 else 1.0
    lower = max(sizes[0] - rounding, least)
    upper = max(min(sizes[0] + norm, frobenius2 * (1 + 1e-12)), lower)
    return Bounds(lower, upper, 0.0 if d == 1 and sizes[0] > 0 else sin2, ratio_at(sizes, rank))


def ratio_at(sizes: list[float], rank: int) -> float:
    """Return the ratio of the eigenvalues at a rank and after it, one where both are zero."""
    following = sizes[rank] if len(sizes) > rank else 0.0
    if sizes[rank - 1] <= 0:
        return 1.0
    return sizes[rank - 1] / following if following > 0 else math.inf


def checks_of(
    *, bound: float, estimate: float, pvalue: float, overflow: int, missing: int, tol: float
) -> list[Check]:
    """Return what makes an answer a success: the bound if it is small enough, else the estimate.

    The estimate is about rows in random order, none of which was heavy and found no room.
    """
    if missing:
        return [Check("number of missing eigenvectors", float(missing), 0.0)]
    certified = Check("bound of the squared sine", bound, tol)
    if certified.passed:
        return [certified]
    order = -math.log10(pvalue) if pvalue > 0 else math.inf
    return [
        Check("estimate of the squared sine", estimate, tol),
        Check("negative logarithm of the order's p-value", order, -math.log10(ORDER_LEVEL)),
        Check("number of heavy rows without room", float(overflow), 0.0),
    ]


def squared_sine(
    chunks: Iterable[tuple[Rows, Array]],
    x: Array,
    rank: int,
    mean: Array | None,
    decay: float | None,
) -> float:
    """Return the sum of the squared sines between vectors x and the leading ones of A'A.

    `chunks` are rows with the roots of their weights; x is (d,) or (d, rank). Exact but for
    rounding up to 2048 columns, for which A'A is formed. Beyond it is a bound by the theorem of
    Davis and Kahan: the norm of the residual over the distance of the Ritz values from the largest
    eigenvalue that the trace leaves for the others.
    """
    xp, X = array_namespace(x), wide(x[:, None] if x.ndim == 1 else x)
    d, whole = int(X.shape[0]), int(X.shape[0]) <= GRAM_COLUMNS
    shape = (d, d) if whole else X.shape
    product, total, merges = xp.zeros(shape, dtype=X.dtype, device=device_of(X)), 0.0, 0
    for rows, roots in chunks:
        weights = 1.0 if decay is None else decay**rows.n
        block = _prepared(rows, roots, mean, decay)
        images = block if whole else xp.matmul(block, X)
        product = weights * product + xp.matmul(block.T, images)
        total = weights * total + float(xp.sum(block * block))
        merges += 1
    eps = float(xp.finfo(X.dtype).eps)
    rounding = ROUNDING * eps * (d + merges) * total
    if whole:
        return _from_gram(product, X, rank, rounding)
    return _from_residual(product, X, rank, total, rounding)


def _prepared(rows: Rows, roots: Array, mean: Array | None, decay: float | None) -> Array:
    """Return rows about a mean, and with their weights and those of their age within the chunk."""
    block = wide(rows.dense())
    xp = array_namespace(block)
    if mean is not None:
        block = block - wide(mean)[None, :]
    block = block * wide(roots)[:, None]
    if decay is not None:
        ages = xp.arange(rows.n - 1, -1, -1, dtype=block.dtype, device=device_of(block))
        block = block * xp.sqrt(decay**ages)[:, None]
    return block


def _from_gram(gram: Array, X: Array, rank: int, rounding: float) -> float:
    xp = array_namespace(gram)
    values, vectors = xp.linalg.eigh(gram)
    sizes = host_list(xp.flip(values))
    V = xp.flip(vectors, axis=1)[:, :rank]
    apart = V - xp.matmul(X, xp.matmul(X.T, V))
    room = sizes[rank - 1] - (sizes[rank] if len(sizes) > rank else 0.0)
    if not room > 0:
        return float(rank)
    return min(float(xp.sum(apart * apart)) + rounding / room, float(rank))


def _from_residual(Y: Array, X: Array, rank: int, total: float, rounding: float) -> float:
    xp = array_namespace(Y)
    if X.shape[1] < rank:
        return float(rank)
    inside = xp.matmul(X.T, X)
    defect = float(xp.max(xp.abs(inside - xp.eye(rank, dtype=X.dtype, device=device_of(X)))))
    H = xp.matmul(X.T, Y)
    values = host_list(xp.linalg.eigvalsh(0.5 * (H + H.T)))
    residual = float(xp.linalg.vector_norm(Y - xp.matmul(X, H))) + rounding
    room = values[0] - non_negative(total - math.fsum(values)) - rounding
    if not (room > 0 and defect < 1e-3):
        return float(rank)
    return min((residual / room) ** 2 + defect, float(rank))
