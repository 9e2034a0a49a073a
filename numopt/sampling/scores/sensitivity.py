"""Sensitivities of rows, all by convex problems on the whole matrix or on a coreset of it."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - the generator that draws the coreset

from ..._core.namespace import Array, array_namespace, device_of
from ..._core.random import place
from ..._rows import Rows
from .._certificate import apart
from .._draw import poisson, probabilities
from .batch import Batch, bracket
from .lewis import lewis_weights

# Rows times problems of a batch: its arrays stay in the cache.
BATCH_ENTRIES = 131_072
# Factor-2 weights are enough to sample from (Cohen and Peng 2015).
ROUGH = 0.5
# Multiplications on the whole matrix from which on a coreset takes its place: some seconds.
EXACT_WORK = 2e10
# Rows of that coreset for each unit of d log d, enough for a factor of some ten percent.
CORESET_ROWS = 40
# Probability that bounds of groups are above the sensitivities of all rows.
SURE = 0.99


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

    def difference(self) -> float:
        """Return the largest relative difference of two bounds, 0 if there are none."""
        return apart(self.lower, self.upper)


class Shared(NamedTuple):
    """Upper bounds (n,) that rows share, how exactly they were computed, and the work."""

    upper: Array
    residual: float
    n_solves: int
    nit: int

    def difference(self) -> float:
        """Return the largest relative difference of the two bounds of a group."""
        return self.residual


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


def grouped(
    C: Array, images: Array, p: float, size: int, rng: np.random.Generator, **budget: Any
) -> Shared:
    """Return bounds (n,) that rows (n, rank) share in groups of `size` (Padmanabhan et al. 2023).

    A combination of the rows of a group with random signs has, with a probability of a half or
    more, at least the share of any one of them, and never more than ``size^p`` times the largest;
    the largest of many draws is above all of them with probability `SURE`.
    """
    xp, (n, rank) = array_namespace(images), images.shape
    count = -(-n // size)
    padding = xp.zeros((count * size - n, rank), dtype=images.dtype, device=device_of(images))
    groups = xp.reshape(xp.concat([images, padding], axis=0), (count, size, rank))
    draws = math.ceil(math.log2(n / (1 - SURE)))
    upper, residual, solves, nit = 0 * groups[:, 0, 0], 0.0, 0, 0
    for _ in range(draws):
        signs = place(2.0 * rng.integers(2, size=(count, 1, size)) - 1, images)
        found = brackets(C, xp.matmul(signs, groups)[:, 0, :], p, **budget)
        upper, residual = xp.maximum(upper, found.upper), max(residual, found.difference())
        solves, nit = solves + found.n_solves, nit + found.nit
    shared = xp.reshape(xp.broadcast_to(upper[:, None], (count, size)), (-1,))[:n]
    return Shared(shared, residual, solves, nit)


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
