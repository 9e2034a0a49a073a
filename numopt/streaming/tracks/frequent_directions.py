"""Merge and truncate: a small factor whose Gram matrix is below that of all rows."""

from __future__ import annotations

from typing import NamedTuple

from ..._core.namespace import Array, array_namespace, device_of, widest_float
from ..._kernels.streaming import merge_truncate
from .._problem import Shape
from .._rows import DenseRows, Rows, wide


class Factor(NamedTuple):
    """A factor B of the rows read so far; ``B'B`` is below ``A'A`` in the order of matrices."""

    rows: Array  # (k, d), orthogonal, the longest first
    waiting: Array  # (w, d), fewer than make a panel
    roots: Array  # (w,), square roots of their weights
    lost: Array  # (2,): trace, and a bound of the spectral norm, of A'A - B'B
    total: Array  # (1,): trace of A'A, without the rows that wait
    mean: Array  # (d,) weighted mean of the rows merged; (0,) where they are not centered
    mass: Array  # (1,), sum of their weights
    merges: int


def empty_factor(like: Array, size: int, d: int, shape: Shape) -> Factor:
    """Return the factor of no rows."""
    xp, dtype, device = array_namespace(like), widest_float(like), device_of(like)

    def zeros(*dimensions: int) -> Array:
        return xp.zeros(dimensions, dtype=dtype, device=device)

    return Factor(
        rows=zeros(size, d),
        waiting=xp.zeros((0, d), dtype=like.dtype, device=device),
        roots=zeros(0),
        lost=zeros(2),
        total=zeros(1),
        mean=zeros(d if shape.center else 0),
        mass=zeros(1),
        merges=0,
    )


def absorbed(factor: Factor, rows: Rows, roots: Array, shape: Shape) -> Factor:
    """Return the factor after more rows, whose squared `roots` (n,) are their weights."""
    waiting, n, panel = int(factor.waiting.shape[0]), rows.n, shape.panel
    xp = array_namespace(factor.waiting)
    if waiting + n < panel:
        return factor._replace(
            waiting=xp.concat([factor.waiting, rows.dense()]),
            roots=xp.concat([factor.roots, roots]),
        )
    head = (panel - waiting) % panel
    if waiting:
        first = DenseRows(xp.concat([factor.waiting, rows.part(0, head).dense()]))
        factor = _merged(factor, first, xp.concat([factor.roots, roots[:head]]), shape)
    stop = head + (n - head) // panel * panel
    if stop > head:
        factor = _merged(factor, rows.part(head, stop), roots[head:stop], shape)
    # A copy: what is kept must not be a view of a chunk that the caller writes over.
    return factor._replace(
        waiting=xp.asarray(rows.part(stop, n).dense(), copy=True),
        roots=xp.asarray(roots[stop:], copy=True),
    )


def settled(factor: Factor, shape: Shape) -> Factor:
    """Return the factor with the rows that wait merged, too."""
    if factor.waiting.shape[0] == 0:
        return factor
    none = factor.waiting[:0, :], factor.roots[:0]
    merged = _merged(factor, DenseRows(factor.waiting), factor.roots, shape)
    return merged._replace(waiting=none[0], roots=none[1])


def _merged(factor: Factor, added: Rows, roots: Array, shape: Shape) -> Factor:
    panel = min(shape.panel, added.n)
    merges = factor.merges + -(-added.n // panel)
    if shape.center:
        factor, X = _centered(factor, added.dense(), roots, panel)
        added, panel = DenseRows(X), panel + 1
    xp = array_namespace(factor.rows)
    rows, lost = added.merged_into(factor.rows, panel, shape.shrink)
    total = factor.total + xp.sum(wide(added.norms2()))
    return factor._replace(rows=rows, lost=factor.lost + lost, total=total, merges=merges)


def _centered(factor: Factor, X: Array, roots: Array, panel: int) -> tuple[Factor, Array]:
    """Return rows whose Gram matrix adds to the scatter about the mean what these rows add.

    A panel of rows with mean m adds its scatter about m, and the row ``sqrt(M w / (M + w))
    (mean - m)`` for the M that came before and its own mass w (Chan, Golub, LeVeque 1979).
    """
    xp = array_namespace(factor.rows)
    d, count = int(X.shape[1]), int(X.shape[0]) // panel
    blocks = xp.reshape(wide(X), (count, panel, d))
    r = xp.reshape(roots, (count, panel))
    masses = xp.sum(r * r, axis=1)
    sums = xp.sum(r[:, :, None] * blocks, axis=1)
    safe = xp.where(masses > 0, masses, xp.ones_like(masses))
    means = sums / safe[:, None]
    mass_after = factor.mass + xp.cumulative_sum(masses)
    sums_after = factor.mean * factor.mass + xp.cumulative_sum(sums, axis=0)
    mass_before = mass_after - masses
    held = xp.where(mass_before > 0, mass_before, xp.ones_like(masses))
    means_before = (sums_after - sums) / held[:, None]
    reach = xp.where(mass_before > 0, xp.sqrt(mass_before * masses / (held + masses)), 0 * masses)
    shift = reach[:, None] * (means_before - means)
    rows = xp.concat([blocks - r[:, :, None] * means[:, None, :], shift[:, None, :]], axis=1)
    last = mass_after[-1:]
    mean = sums_after[-1, :] / xp.where(last > 0, last, xp.ones_like(last))
    return factor._replace(mean=mean, mass=last), xp.reshape(rows, (count * (panel + 1), d))


def joined(first: Factor, second: Factor, shape: Shape) -> Factor:
    """Return the factor of the rows of both."""
    first, second = settled(first, shape), settled(second, shape)
    xp = array_namespace(first.rows)
    rows, mean, mass = second.rows, first.mean, first.mass
    extra = xp.zeros_like(first.total)
    if shape.center:
        mass = first.mass + second.mass
        safe = xp.where(mass > 0, mass, xp.ones_like(mass))
        shift = xp.sqrt(first.mass * second.mass / safe) * (first.mean - second.mean)
        extra = xp.vecdot(shift, shift)
        rows = xp.concat([rows, shift[None, :]])
        mean = (first.mass * first.mean + second.mass * second.mean) / safe
    kept, lost = merge_truncate(first.rows, rows, int(rows.shape[0]), shape.shrink)
    return first._replace(
        rows=kept,
        lost=first.lost + second.lost + lost,
        total=first.total + second.total + extra,
        mean=mean,
        mass=mass,
        merges=first.merges + second.merges + 1,
    )


def spectrum(factor: Factor) -> tuple[Array, Array]:
    """Return eigenvalues of ``B'B`` (k,), largest first, and orthonormal vectors (d, k)."""
    xp = array_namespace(factor.rows)
    values, U = xp.linalg.eigh(xp.matmul(factor.rows, factor.rows.T))
    values = xp.clip(xp.flip(values), 0, None)
    vectors = xp.matmul(factor.rows.T, xp.flip(U, axis=1))
    lengths = xp.linalg.vector_norm(vectors, axis=0)
    return values, vectors / xp.where(lengths > 0, lengths, xp.ones_like(lengths))[None, :]
