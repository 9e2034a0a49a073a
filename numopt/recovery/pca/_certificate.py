"""How exactly entries of a matrix agree with one of low rank, and whether they determine it."""

from __future__ import annotations

from typing import NamedTuple

from ..._core.namespace import Array, array_namespace
from ..._entries.layouts import Layout, Layouts, there_of
from ..._linalg import Factors, degrees_of_freedom
from .._certificate import Evidence, unknowns_of
from .._robust_scale import CONSENSUS, deviation, size_of
from ._problem import unit_of
from .spectral_partition import Graph, ties_needed


class Agreement(NamedTuple):
    """How exactly factors agree with the entries."""

    agreeing: int  # entries that agree
    surplus: int  # how many more than there are unknowns, 0 if too few to mean anything
    poor_rows: Array  # which rows have many entries, of which next to none agree
    poor_columns: Array
    clean: bool  # whether there are enough and no row or column is poor
    ties: float  # entries that two parts need between them, over those there are


def agreement_of(entries: Layouts, factors: Factors, tol: float) -> Agreement:
    """Return how many entries factors agree with exactly, and whether all rows are explained."""
    xp = array_namespace(factors.left)
    by_rows = entries.residual(factors)
    if entries.full:
        by_columns = by_rows.T
    else:
        transposed = entries._replace(rows=entries.columns, columns=entries.rows)
        by_columns = transposed.residual(Factors(factors.right, factors.left))
    agree = _agreeing(entries.rows, by_rows, tol), _agreeing(entries.columns, by_columns, tol)
    rows, columns = (xp.sum(xp.astype(part, entries.rows.counts.dtype), axis=1) for part in agree)
    poor_rows = _is_poor(entries.rows.counts, rows, factors.rank)
    poor_columns = _is_poor(entries.columns.counts, columns, factors.rank)
    agreeing = int(xp.sum(rows))
    unknowns = degrees_of_freedom(entries.shape, factors.rank, False)
    enough, ties = agreeing >= CONSENSUS * unknowns, 0.0
    if enough:
        joined = [xp.astype(part, by_rows.dtype) for part in agree]
        graph = Graph(joined[0], entries.rows.columns, joined[1], entries.columns.columns)
        ties = ties_needed(graph, factors.rank)
    surplus = agreeing - unknowns if enough and ties <= 1 else 0
    clean = surplus > 0 and not bool(xp.any(poor_rows) | xp.any(poor_columns))
    return Agreement(agreeing, surplus, poor_rows, poor_columns, clean, ties)


def _agreeing(layout: Layout, residual: Array, tol: float) -> Array:
    """Return which entries have a residual of at most `tol`."""
    return (array_namespace(residual).abs(residual) <= tol) & there_of(layout)


def _is_poor(counts: Array, agreeing: Array, rank: int) -> Array:
    """Return which rows could be verified by their number of entries, and are not."""
    enough = 2 * rank + 2
    return (counts >= 2 * enough) & (agreeing < enough)


def entry_evidence(
    entries: Layouts, factors: Factors, *, q: float, tol: float
) -> tuple[Evidence, Agreement]:
    """Return how exactly entries agree with a matrix, in all and by rows and columns.

    `q` is the quantile that scales are taken at, `tol` relative to the typical entry.
    """
    tol = tol * unit_of(entries)
    found = agreement_of(entries, factors, tol)
    residual = observed(entries, entries.residual(factors))
    xp = array_namespace(residual)
    poor = [found.poor_rows, found.poor_columns]
    evidence = Evidence(
        residual,
        tol,
        deviation(residual, q),
        lambda: size_of(observed(entries, entries.rows.values), q),
        found.agreeing,
        unknowns_of(factors, entries.shape, False),
        "entries",
        found.ties,
        max(int(xp.count_nonzero(part)) / part.shape[0] for part in poor),
    )
    return evidence, found


def observed(entries: Layouts, numbers: Array) -> Array:
    """Return numbers at the observed entries, by rows, as a vector."""
    xp = array_namespace(numbers)
    flat = xp.reshape(numbers, (-1,))
    return flat if entries.full else flat[xp.reshape(there_of(entries.rows), (-1,))]
