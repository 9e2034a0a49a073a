"""The sum of all sensitivities, estimated from those of a few rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from ..._core.iterate import Record
from ..._core.namespace import Array
from ..._core.random import place
from ..._rows import Rows
from .._certificate import apart, estimated_sum
from .._inputs import NEWTON_STEPS, SENSITIVITY_TOL, nonzero_rows, tolerance
from .sensitivity import brackets, constraint_rows, lewis_basis

# Solves before a first look at the error of an estimated sum, and those between two looks.
FIRST_SOLVES, MORE_SOLVES = 48, 32
# Newton steps of the cheap sensitivities that rows are drawn by.
PROXY_STEPS = 2


class Estimate(NamedTuple):
    """An estimated sum with its standard error and relative error, and the draws it is made of.

    `indices`, the `scores` of those rows and the `chances` they were drawn with are (k,) each;
    `difference` is that of the two bounds of a score, and `tol` what it may be.
    """

    total: float
    stderr: float
    error: float
    indices: Array
    scores: Array
    chances: Array
    difference: float
    tol: float
    rank: int
    history: list[Record]


def estimate(rows: Rows, p: float, eps: float, delta: float, rng: np.random.Generator) -> Estimate:
    """Return the estimate by importance sampling, with as many rows as its error asks for."""
    xp = rows.xp
    nonzero = nonzero_rows(rows)
    basis = lewis_basis(rows, p, nonzero)
    images = rows.times(basis.P)
    proxy = constraint_rows(rows, p, basis, "coreset", rows.n, rng)
    rough = brackets(proxy, images, p, tol=0.5, maxiter=PROXY_STEPS)
    chances = xp.where(nonzero, rough.lower, 0.0)
    chances = chances / xp.sum(chances)
    sums = xp.cumulative_sum(chances)
    tol = difference_tol(images, eps)
    drawn: list[tuple[Array, Array, Array]] = []
    history: list[Record] = []
    difference, count = 0.0, FIRST_SOLVES
    while True:
        draws = place(rng.random(count), images) * sums[-1]
        index = xp.clip(xp.searchsorted(sums, draws, side="right"), 0, rows.n - 1)
        asked = xp.take(images, index, axis=0)
        found = brackets(images, asked, p, tol=tol, maxiter=NEWTON_STEPS)
        difference = max(found.difference(), difference)
        drawn.append((index, found.lower, xp.take(chances, index)))
        indices, scores, used = (xp.concat(column) for column in zip(*drawn, strict=True))
        total, stderr, error = estimated_sum(scores, used, delta)
        solves = int(scores.shape[0])
        history.append({"nit": solves, "error": error})
        if error <= eps or solves >= rows.n:
            return Estimate(
                total, stderr, error, indices, scores, used, difference, tol, basis.rank, history
            )
        count = MORE_SOLVES


def difference_tol(like: Array, eps: float) -> float:
    """Return how far apart the bounds of a sensitivity may be for an error of the sum."""
    return max(tolerance(None, like, SENSITIVITY_TOL), 1e-3 * eps)


def difference_again(rows: Rows, p: float, eps: float, index: Array, scores: Array) -> float:
    """Return the largest relative difference of scores (k,) and bounds that are found anew."""
    images = rows.times(lewis_basis(rows, p, nonzero_rows(rows)).P)
    asked = rows.xp.take(images, index, axis=0)
    found = brackets(images, asked, p, tol=difference_tol(images, eps), maxiter=NEWTON_STEPS)
    return apart(scores, found.upper)
