"""What is verified: gaps of regressions, residuals of scores, and the rank of samples.

Pure functions of a problem and of what was returned for it.
"""

from __future__ import annotations

from statistics import NormalDist

from .._core.namespace import Array, array_namespace, inner
from .._core.outcome import Check
from .._core.settings import non_negative
from .._losses.norms import Loss, dual_norm
from .._rows import Rows, Whitening, in_memory, whiten
from ._problem import Frozen, Regression, missing

# A residual of this many rounding units of the response is an exact fit.
EXACT_FIT = 64


def gap_check(gap: float, tol: float) -> Check:
    """Return what decides on a regression."""
    return Check("relative gap", gap, tol)


def certified(
    problem: Regression, x: Array, y: Array, frozen: Frozen | None = None
) -> tuple[float, Array]:
    """Return the relative gap of x (d,) and y (n,), and the residual, from the data alone."""
    rows, loss = problem.rows, problem.loss
    residual = problem.b - rows.times(x)
    y = in_box(loss, y) if loss.up is not None else y
    gradient = missing(problem, x, y, frozen)
    n = problem.b.shape[0]
    # |c A (x - x')| in the 2-norm is at most twice the p-th root of the loss times this.
    norms = n ** non_negative(0.5 - 1 / loss.p)
    off = problem.whitening.P.T @ gradient
    slack = 2 * norms * inner(off, off) ** 0.5
    penalty = problem.ridge * inner(x, x)
    lost = inner(gradient, gradient) / (4 * problem.ridge) if problem.ridge else float("inf")
    gap = relative_gap(
        loss,
        residual,
        y,
        penalty=penalty,
        base=0.0 if frozen is None else frozen.loss,
        floor=exact_fit(loss, problem.b),
        slack=slack,
        lost=lost,
    )
    return gap, residual


def relative_gap(
    loss: Loss,
    residual: Array,
    y: Array,
    *,
    penalty: float,
    floor: float,
    lost: float,
    slack: float = 0.0,
    base: float = 0.0,
) -> float:
    """Return a bound of ``1 - optimal / reached``, for the p-th root of the loss.

    `y` (n,) is a dual point: ``A'y`` is the gradient of a ridge penalty, zero without one, up to
    a difference that costs the lower bound at most `slack` times the p-th root of the loss and at
    most `lost`, infinite without a penalty. With a penalty, whose value is `penalty`, the bound
    is that of the sum of p-th powers and penalty, and y must be near the gradient of the loss.
    `base` is what other rows contribute to the loss, and `floor` the loss below which the fit is
    exact.
    """
    value = loss.value(residual)
    total = value + penalty + base
    if total <= floor:
        return 0.0
    coupling = inner(y, residual)
    if loss.up is not None:
        return non_negative((value - coupling + min(lost, slack * total)) / total)
    root, size = value ** (1 / loss.p), dual_norm(loss, y)
    if lost == float("inf"):
        lower = (coupling - slack * root) / size if size > 0 else 0.0
        return non_negative(float(1 - lower / root))
    # Without homogeneity: Young's inequality instead of Hoelder's.
    q = loss.p / (loss.p - 1)
    conjugate = (size / loss.p) ** q * (loss.p - 1)
    return non_negative(float((value + conjugate - coupling + lost) / total))


def in_box(loss: Loss, y: Array) -> Array:
    """Return y (n,) with entries that left the box of slopes put back on its boundary, p = 1."""
    return array_namespace(y).clip(y, -loss.down, loss.up)


def exact_fit(loss: Loss, b: Array) -> float:
    """Return the loss that rounding alone may leave."""
    eps = float(array_namespace(b).finfo(b.dtype).eps)
    return float(loss.value(b) * (EXACT_FIT * eps) ** loss.p)


def rounding(b: Array, residual: Array) -> Array:
    """Return the size (n,) up to which residuals may be nothing but rounding errors."""
    xp = array_namespace(b)
    eps = float(xp.finfo(b.dtype).eps)
    return EXACT_FIT * eps * (xp.abs(b) + xp.abs(b - residual))


def sum_check(total: float, rank: int, tol: float) -> Check:
    """Return what decides on leverage scores: their sum is the rank."""
    return Check("relative difference of sum and rank", abs(total - rank) / max(rank, 1), tol)


def lewis_check(residual: float, tol: float) -> Check:
    """Return what decides on Lewis weights: they are the leverage of the rows they rescale."""
    return Check("relative residual of the fixed point", residual, tol)


def lewis_ratio(
    rows: Rows, p: float, log_weights: Array, nonzero: Array
) -> tuple[Array, Whitening]:
    """Return logarithms of ``tau(W^(1/2 - 1/p) A) / w`` (n,), zero at a fixed point.

    `nonzero` (n,) marks the rows that are not zero. The coordinates of the rescaled rows come, too.
    """
    xp = rows.xp
    exponent = (1 - 2 / p) * log_weights
    shift = xp.max(xp.where(nonzero, exponent, float("-inf")))
    weights = xp.where(nonzero, xp.exp(exponent - shift), 0.0)
    whitening = whiten(rows, weights)
    q = xp.where(nonzero, rows.quadform(whitening.P), 1.0)
    log_ratio = xp.log(q) - shift - (2 / p) * log_weights
    return xp.where(nonzero, log_ratio, 0.0), whitening


def lewis_residual(rows: Rows, p: float, weights: Array, nonzero: Array) -> float:
    """Return the largest relative difference of Lewis weights (n,) and leverage; 0 if all is 0."""
    xp = rows.xp
    log_weights = xp.where(nonzero, xp.log(xp.where(nonzero, weights, 1.0)), 0.0)
    ratio = lewis_ratio(rows, p, log_weights, nonzero)[0]
    return float(xp.max(xp.abs(xp.expm1(ratio)) + xp.where(nonzero, 0 * weights, weights)))


def bounds_check(difference: float, tol: float) -> Check:
    """Return what decides on sensitivities: a lower and an upper bound of each agree."""
    return Check("relative difference of the bounds", difference, tol)


def apart(lower: Array, upper: Array) -> float:
    """Return the largest relative difference of bounds (k,), 0 if there are none."""
    xp = array_namespace(upper)
    if not upper.shape[0]:
        return 0.0
    whole = xp.where(upper > 0, upper, xp.ones_like(upper))
    return float(xp.max(xp.abs(upper - lower) / whole))


def estimate_check(error: float, eps: float) -> Check:
    """Return what decides on an estimated sum."""
    return Check("relative error of the estimate", error, eps)


def estimated_sum(scores: Array, chances: Array, delta: float) -> tuple[float, float, float]:
    """Return the sum that scores (k,) drawn with some chances stand for, and how good it is.

    That is its standard error, and the relative error that is exceeded with probability `delta`.
    """
    xp, k = array_namespace(scores), scores.shape[0]
    ratios = scores / chances
    total = float(xp.mean(ratios))
    stderr = float(xp.std(ratios, correction=1)) / k**0.5
    return total, stderr, NormalDist().inv_cdf(1 - delta / 2) * stderr / total


def rank_check(lacking: int) -> Check:
    """Return what decides on a sample: its rank is that of all rows."""
    return Check("missing rank", float(lacking), 0.0)


def rank_of(rows: Rows, index: Array) -> int:
    """Return the rank of some rows (sorted indices)."""
    return int(whiten(in_memory(rows.take(index))).rank) if index.shape[0] else 0


def missing_rank(rows: Rows, index: Array) -> int:
    """Return by how much the rank of some rows (sorted indices) is below that of all."""
    sample = rank_of(rows, index)
    return 0 if sample == rows.d else max(whiten(rows).rank - sample, 0)
