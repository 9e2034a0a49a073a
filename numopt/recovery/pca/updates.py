"""Robust principal components: sweeps over rows and columns, each with a scale of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._core.namespace import Array, array_namespace, device_of
from ..._core.random import place
from ..._entries.layouts import Layout, Layouts, products, there_of, weight_of_rows, weighted
from ..._kernels.recovery import entry_reweighted_step, entry_sign_step
from ..._linalg import Factors, factors_of, frame_of, leading_singular
from .._robust_scale import median_at, to_deviation
from ._problem import Rule

# Clipping of the start, in medians of the magnitudes.
CLIP = 2.5
POWER_STEPS = 4
# Ridge of the normal equations of a row, relative to its trace and to the mean trace.
RIDGE = 1e-9


class Sweep(NamedTuple):
    """Factors with the scales of the residual that led to them."""

    factors: Factors
    row_scales: Array  # (n,)
    column_scales: Array  # (d,)


def sweep(entries: Layouts, rule: Rule, floor: float, state: Sweep) -> Sweep:
    """Return the factors after one update of all rows, then of all columns."""
    left, right = state.factors
    update = _reweighted if rule.method == "reweighted" else _subgradient
    left, rows = update(entries.rows, left, right, rule, floor)
    right, columns = update(entries.columns, right, left, rule, floor)
    return Sweep(Factors(left, right), rows, columns)


def _reweighted(
    layout: Layout, L: Array, R: Array, rule: Rule, floor: float
) -> tuple[Array, Array]:
    """Return each row after a weighted least squares fit that forgets outliers."""
    xp, k = array_namespace(L), L.shape[1]
    deviation = to_deviation(rule.q)
    grams, sums, quantiles = entry_reweighted_step(
        *layout, L, R, rule.q, rule.width * deviation, floor
    )
    eye = xp.eye(k, dtype=L.dtype, device=device_of(L))
    traces = xp.sum(grams * eye, axis=(1, 2)) / k
    ridge = max(RIDGE, 8 * float(xp.finfo(L.dtype).eps))
    ridges = ridge * (traces + xp.mean(traces)) + float(xp.finfo(L.dtype).smallest_normal) ** 0.5
    step = xp.linalg.solve(grams + ridges[:, None, None] * eye, sums[:, :, None])
    return L - step[:, :, 0], deviation * quantiles


def _subgradient(
    layout: Layout, L: Array, R: Array, rule: Rule, floor: float
) -> tuple[Array, Array]:
    """Return each row after a scaled subgradient step of the length of its residual."""
    del floor
    xp, k = array_namespace(L), L.shape[1]
    sums, quantiles = entry_sign_step(*layout, L, R, rule.q)
    scales = to_deviation(rule.q) * quantiles
    eye = xp.eye(k, dtype=L.dtype, device=device_of(L))
    gram = xp.matmul(R.T, R)
    gram = gram + (1e-3 * xp.linalg.trace(gram) / k) * eye
    weight = weight_of_rows(layout)
    observed = xp.where(weight > 0, weight, xp.ones_like(weight)) / R.shape[0]
    direction = xp.linalg.solve(gram, sums.T).T
    return L - rule.eta * (scales / observed)[:, None] * direction, scales


def zero_state(entries: Layouts) -> Sweep:
    """Return no factors at all, with the scales of the entries themselves."""
    xp, like = array_namespace(entries.rows.values), entries.rows.values
    n, d = entries.shape
    left = xp.zeros((n, 1), dtype=like.dtype, device=device_of(like))
    right = xp.zeros((d, 1), dtype=like.dtype, device=device_of(like))
    return Sweep(Factors(left, right), left[:, 0] + 1, right[:, 0] + 1)


def clipped_start(entries: Layouts, rank: int, center: float, generator: Any) -> Sweep:
    """Return the leading singular vectors of the entries around a center, cut at a few medians.

    A center keeps errors of one sign from taking a direction of their own.
    """
    xp = array_namespace(entries.rows.values)
    rows, columns = (_centered(part, center) for part in (entries.rows, entries.columns))
    there = there_of(entries.rows)
    bound = CLIP * median_at(xp.abs(rows), there)
    bound = bound if bound > 0 else float(xp.max(xp.abs(rows)))
    rows = weighted(entries.rows, xp.clip(rows, -bound, bound))
    columns = weighted(entries.columns, xp.clip(columns, -bound, bound))
    factors = leading(entries, rows, columns, rank, generator)
    state = zero_state(entries)
    return state._replace(factors=factors)


def _centered(layout: Layout, center: float) -> Array:
    xp = array_namespace(layout.values)
    return xp.where(there_of(layout), layout.values - center, 0 * layout.values)


def leading(entries: Layouts, rows: Array, columns: Array, rank: int, generator: Any) -> Factors:
    """Return balanced factors of about the best approximation to numbers at the entries.

    `rows` and `columns` hold the same numbers in the two layouts. Block power method; what was
    not observed, or has little weight, counts as zero, made up for by the observed share.
    """
    xp, (n, d) = array_namespace(rows), entries.shape
    share = float(xp.sum(weight_of_rows(entries.rows))) / (n * d)
    start = place(generator.normal(size=(d, min(n, d, rank + 4))), rows)
    frame = leading_singular(
        lambda Q: products(entries.rows, rows, Q),
        lambda P: products(entries.columns, columns, P),
        start,
        POWER_STEPS,
        rank,
    )
    return factors_of(frame._replace(values=frame.values / share))


def truncated(state: Sweep, rank: int) -> Sweep:
    """Return the state with the leading components only."""
    return state._replace(factors=factors_of(frame_of(state.factors), rank))
