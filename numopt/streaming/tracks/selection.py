"""What held-out rows say: which track leads, how far it is from done, whether order is random."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..._core.namespace import Array, array_namespace, host_list
from .._certificate import ORDER_LEVEL
from .._rows import wide
from .power import (
    COUNT,
    GAP2,
    IMAGE,
    IMAGE2,
    LIGHT,
    NORM,
    NORM2,
    OFF,
    OWN,
    SUMS,
    Block,
    off_axis,
    slot_closed,
    slot_end,
)

TRACKS = ("truncate", "block-power", "oja")
# A track replaces T where its gain on held-out rows is this many standard errors.
LEAD = 3.0
# A lead in one block counts for at most this many where blocks are added up.
MOST = 10.0
# Samples smaller than this are not compared.
LEAST_ROWS = 16


Sums = tuple[float, ...] | list[float]


class Evidence(NamedTuple):
    """What the rows of a block say about the three candidates fixed before it."""

    light: int  # light rows in the block
    quotients: tuple[float, ...]  # estimates of ||A c||^2
    z: tuple[float, ...]  # gain of T over each, in standard errors
    residual2: tuple[float, ...]  # estimates of ||(I - c c') A'A c||^2 / ||A c||^4
    stderr: tuple[float, ...]
    merged: bool = False  # whether it is about one part only of what was merged
    leads: tuple[float, ...] = (0.0, 0.0, 0.0)  # sums over blocks of z times the root of `light`
    weight: float = 0.0  # sum of `light` over blocks

    def overall(self, j: int) -> float:
        """Return the gain of T over a track in all blocks so far, in standard errors."""
        return self.leads[j] / math.sqrt(self.weight) if self.weight else 0.0


NO_EVIDENCE = Evidence(0, (0.0,) * 3, (0.0,) * 3, (math.inf,) * 3, (math.inf,) * 3)


class Order(NamedTuple):
    """Tests of whether the order of the rows is random: how many, and the least p-value."""

    tests: int
    least: float
    before: tuple[float, float, float]  # count, sum and sum of squares of q in the last block

    @property
    def pvalue(self) -> float:
        """The least p-value times the number of tests (Bonferroni)."""
        return min(1.0, max(self.tests, 1) * self.least)


UNTESTED = Order(0, 1.0, (0.0, 0.0, 0.0))


def table(block: Block, row: int) -> list[list[float]]:
    """Return the sums of a block up to a row of the stream, by slots, on the host."""
    slot = slot_end(block, row - 1)[0]
    closed = slot_closed(block, slot).sums
    xp = array_namespace(closed)
    numbers = host_list(xp.reshape(closed, (-1,)))
    return [numbers[SUMS * g : SUMS * (g + 1)] for g in range(slot + 1)]


def judged(block: Block, sums: list[list[float]], heavy: Array, total: int) -> Evidence:
    """Return what a block says, given the heavy rows (h, d) and the number of light rows."""
    if block.light < LEAST_ROWS:
        return NO_EVIDENCE
    whole = [math.fsum(column) for column in zip(*sums, strict=True)]
    xp = array_namespace(block.Y)
    images = xp.matmul(wide(heavy), wide(block.V))
    exact = []
    for j in range(3):
        own = xp.matmul(images, block.candidates[j, :, :])
        exact.append(float(xp.sum(own * own)))
    light, n = whole[LIGHT], block.light
    quotients = tuple(whole[IMAGE + j] / light * total + exact[j] for j in range(3))
    z = (0.0, *(_z(whole, j, exact, total) for j in (1, 2)))
    if block.candidates.shape[2] > 1:
        return Evidence(n, quotients, z, NO_EVIDENCE.residual2, NO_EVIDENCE.stderr)
    residuals = _residuals(block, sums, heavy, total, quotients)
    return Evidence(n, quotients, z, *residuals)


def continued(evidence: Evidence, earlier: Evidence) -> Evidence:
    """Return evidence with the leads of earlier blocks added; no block counts for too much."""
    root = math.sqrt(evidence.light)
    added = [root * min(max(z, -MOST), MOST) for z in evidence.z]
    leads = tuple(a + b for a, b in zip(earlier.leads, added, strict=True))
    return evidence._replace(leads=leads, weight=earlier.weight + evidence.light)


def _z(whole: list[float], j: int, exact: list[float], total: int) -> float:
    """Return the gain of T over candidate j for each row, in standard errors."""
    n = whole[LIGHT]
    mean = (whole[IMAGE] - whole[IMAGE + j]) / n
    variance = max(whole[GAP2 + j - 1] / n - mean * mean, 0.0) / (n - 1)
    gain = mean + (exact[0] - exact[j]) / max(total, 1)
    # Differences that are rounding errors do not count, and cannot be divided by.
    unit = (whole[IMAGE] + whole[IMAGE + j]) / n + (exact[0] + exact[j]) / max(total, 1)
    spread = math.sqrt(variance) + 1e-12 * unit
    return gain / spread if spread > 0 else 0.0


def _residuals(
    block: Block, sums: list[list[float]], heavy: Array, total: int, quotients: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return unbiased squared residuals of the candidates, and their standard errors.

    With ``w_i = (I - cc') a_i (a_i'c)``, the products ``w_i'w_j`` of different rows have the mean
    ``||E w||^2``: the noise of a single row cancels. Their sum over a slot and all before it is
    a difference of ``||sum w||^2`` less the sum of ``||w_i||^2``, so one vector is enough.
    """
    xp = array_namespace(block.Y)
    rows, V = wide(heavy), wide(block.V)
    cross, squares = [0.0] * 3, [0.0] * 3
    if rows.shape[0]:
        S, c = off_axis(block), xp.matmul(V, block.candidates[:, :, 0].T)
        h = xp.matmul(rows.T, xp.matmul(rows, c))
        h = h - c * xp.vecdot(c, h, axis=-2)[None, :]
        cross = host_list(xp.vecdot(S, h, axis=-2))
        squares = host_list(xp.vecdot(h, h, axis=-2))
    values, errors = [], []
    for j in range(3):
        mean, error = _pairs(sums, j)
        scale = max(quotients[j], 0.0) ** 2
        if scale == 0 or not math.isfinite(scale):
            values.append(math.inf)
            errors.append(math.inf)
            continue
        outer = 2 * total / block.light * cross[j] + squares[j]
        values.append((total * total * mean + outer) / scale)
        errors.append(total * total * error / scale)
    return tuple(values), tuple(errors)


def _pairs(sums: list[list[float]], j: int) -> tuple[float, float]:
    """Return the mean of ``w_i'w_j`` over pairs of rows, and its standard error.

    Each slot gives the sum over the pairs that it completes; under a zero mean these sums are
    uncorrelated, with variances proportional to the numbers of pairs.
    """
    gains, pairs, rows, last = [], [], 0.0, 0.0
    for line in sums:
        n = line[LIGHT]
        gains.append(line[OFF + j] - last - line[OWN + j])
        pairs.append(n * (n - 1) + 2 * rows * n)
        rows, last = rows + n, line[OFF + j]
    used = [(g, p) for g, p in zip(gains, pairs, strict=True) if p > 0]
    if len(used) < 3:
        return math.inf, math.inf
    everything = math.fsum(p for _, p in used)
    mean = math.fsum(g for g, _ in used) / everything
    spread = math.fsum((g - mean * p) ** 2 / p for g, p in used) / (len(used) - 1)
    return mean, math.sqrt(spread / everything)


def compared(order: Order, sums: list[list[float]], candidates: bool) -> Order:
    """Return the tests of order with those of a block, or of a part of one, added."""
    half = len(sums) // 2
    first = [math.fsum(column) for column in zip(*sums[:half], strict=True)] or [0.0] * SUMS
    second = [math.fsum(column) for column in zip(*sums[half:], strict=True)]
    whole = [a + b for a, b in zip(first, second, strict=True)]
    found = [
        welch(first[COUNT : NORM2 + 1], second[COUNT : NORM2 + 1]),
        welch(order.before, whole[COUNT : NORM2 + 1]),
    ]
    if candidates:
        found += [welch(_image_sums(first, j), _image_sums(second, j)) for j in range(3)]
    pvalues = [p for p in found if p is not None]
    q = whole[COUNT], whole[NORM], whole[NORM2]
    return Order(order.tests + len(pvalues), min([order.least, *pvalues]), q)


def _image_sums(whole: list[float], j: int) -> tuple[float, float, float]:
    return whole[LIGHT], whole[IMAGE + j], whole[IMAGE2 + j]


def welch(first: Sums, second: Sums) -> float | None:
    """Return the p-value of Welch's test for equal means, from counts, sums and square sums.

    None where a sample is too small, or neither varies.
    """
    from scipy.special import stdtr

    terms, means = [], []
    for count, total, square in (first, second):
        if count < LEAST_ROWS:
            return None
        mean = total / count
        variance = max(square / count - mean * mean, 0.0) * count / (count - 1)
        if variance <= 1e-12 * mean * mean:
            variance = 0.0
        terms.append((variance / count, count - 1))
        means.append(mean)
    spread = terms[0][0] + terms[1][0]
    difference = abs(means[0] - means[1])
    if spread == 0:
        return 0.0 if difference > 1e-6 * max(means) else None
    freedom = spread**2 / math.fsum(s * s / f for s, f in terms)
    return 2 * float(stdtr(freedom, -difference / math.sqrt(spread)))


def _ahead(evidence: Evidence, j: int) -> bool:
    """Tell whether a track is better than T beyond doubt: by its quotient, or by its residual.

    A quotient that leads a little may have led for long.

    The residual tells good vectors apart long before the quotient does, but is as small for the
    wrong eigenvector: it counts only where the quotient does not contradict.
    """
    if evidence.z[j] < -LEAD or (evidence.z[j] < -1 and evidence.overall(j) < -LEAD):
        return True
    doubt = math.hypot(evidence.stderr[0], evidence.stderr[j])
    return evidence.z[j] < 0 and evidence.residual2[0] - evidence.residual2[j] > LEAD * doubt


def leader(evidence: Evidence, order: Order, present: tuple[bool, bool, bool]) -> int:
    """Return which of T, P and O to trust."""
    if not present[0]:
        return 1
    if evidence.light == 0 or order.pvalue < ORDER_LEVEL:
        return 0
    ahead = [j for j in (1, 2) if present[j] and _ahead(evidence, j)]
    return max(ahead, key=lambda j: evidence.quotients[j]) if ahead else 0
