"""Sensitivities of rows, all by convex problems on the whole matrix or on a coreset of it."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np  # noqa: TID251 - the generator that draws the coreset

from .._namespace import Array, array_namespace
from ._batch import Batch, bracket
from ._draw import poisson, probabilities
from ._lewis import lewis_weights
from ._rows import Rows

# Rows times problems of a batch: its arrays stay in the cache.
BATCH_ENTRIES = 131_072
# Factor-2 weights are enough to sample from (Cohen and Peng 2015).
ROUGH = 0.5
# Multiplications on the whole matrix from which on a coreset takes its place: some seconds.
EXACT_WORK = 2e10
# Rows of that coreset for each unit of d log d, enough for a factor of some ten percent.
CORESET_ROWS = 40


class Basis(NamedTuple):
    """Rough Lewis weights (n,), coordinates P (d, rank) that suit them, and the nonzero rows."""

    weights: Array
    P: Array
    rank: int
    nonzero: Array
    nit: int


class Brackets(NamedTuple):
    """Bounds (k,) of the sensitivities asked for, and how much work they were."""

    lower: Array
    upper: Array
    n_solves: int
    nit: int


def lewis_basis(rows: Rows, p: float, nonzero: Array) -> Basis:
    """Return Lewis weights within a factor of 2."""
    run = lewis_weights(rows, p, tol=ROUGH, maxiter=100, nonzero=nonzero)
    state = run.best
    weights = rows.xp.where(nonzero, rows.xp.exp(state.log_weights), 0.0)
    return Basis(weights, state.whitening.P, state.whitening.rank, nonzero, run.nit)


def constraint_rows(
    rows: Rows, p: float, basis: Basis, method: str, wanted: int, rng: np.random.Generator
) -> Array:
    """Return the rows (m, rank) that stand for the matrix: all, or a Lewis coreset."""
    work = wanted * rows.n * basis.rank**2
    size = CORESET_ROWS * math.ceil(basis.rank * math.log(basis.rank + 2))
    if method == "exact" or (method == "auto" and work <= EXACT_WORK) or size >= rows.n:
        return rows.times(basis.P)
    sample = poisson(probabilities(basis.weights, size), rng)
    return (rows.take(sample.index) @ basis.P) * (sample.weights ** (1 / p))[:, None]


def all_brackets(rows: Rows, C: Array, P: Array, p: float, tol: float, maxiter: int) -> Brackets:
    """Return the bounds of all rows: each block asks for its own."""
    lower, upper, nit = rows.each(partial(_of_block, C, P, p, tol, maxiter))
    return Brackets(lower, upper, rows.n, int(rows.xp.sum(nit)))


def _of_block(
    C: Array, P: Array, p: float, tol: float, maxiter: int, block: Array, _rows: slice
) -> tuple[Array, Array, Array]:
    xp = array_namespace(block)
    found = brackets(C, xp.matmul(block, P), p, tol=tol, maxiter=maxiter)
    return found.lower, found.upper, xp.full_like(found.lower[:1], found.nit)


def brackets(C: Array, asked: Array, p: float, *, tol: float, maxiter: int) -> Brackets:
    """Return bounds of the largest share of each row asked for (k, rank) in ``||C x||_p^p``.

    A row outside the span of those of C has infinitely large share there; at most 1 is returned.
    """
    xp = array_namespace(C)
    height = max(1, BATCH_ENTRIES // C.shape[0])
    lower, upper, nit, solves = [], [], 0, 0
    for start in range(0, asked.shape[0], height):
        a = asked[start : min(start + height, asked.shape[0]), :]
        zero = xp.vecdot(a, a) == 0
        # A zero row has share zero; its problem is that of a row of ones.
        found = bracket(Batch(C, xp.where(zero[:, None], xp.ones_like(a), a), p, tol), maxiter)
        lower.append(xp.where(zero, 0.0, xp.clip(found.lower, None, 1.0)))
        upper.append(xp.where(zero, 0.0, xp.clip(found.upper, None, 1.0)))
        nit, solves = nit + found.nit, solves + a.shape[0]
    return Brackets(xp.concat(lower), xp.concat(upper), solves, nit)
