"""Leverage scores, exact or from a sketch."""

from __future__ import annotations

from functools import partial

import numpy as np  # noqa: TID251 - the generator of the sketch

from ..._core.namespace import Array, array_namespace
from ..._core.random import place
from ..._kernels.sampling import row_quadform
from ..._rows import Rows, Whitening, in_memory, whiten
from ...sketching import SparseSign


def leverage(rows: Rows, weights: Array | None = None) -> tuple[Array, Whitening]:
    """Return the leverage scores (n,) of the weighted rows and the coordinates they come from."""
    whitening = whiten(rows, weights)
    tau = rows.quadform(whitening.P)
    tau = tau if weights is None else weights * tau
    return rows.xp.minimum(tau, rows.ones()), whitening


# Columns of the product that estimates norms: each is within a factor of about two, mostly.
ESTIMATE_COLUMNS = 16
# Rows of the sketch for each column of the matrix.
SKETCH_ROWS = 20
# Signs in each of its columns.
SKETCH_SIGNS = 4


def _sketch(sketch: SparseSign, block: Array, rows: slice) -> Array:
    return sketch.partial(block, block[:, :0], None, rows.start)


def coordinates(rows: Rows, method: str, rng: np.random.Generator) -> tuple[Array, int]:
    """Return P (d, k) for which the squared norms of the rows of A P are leverage; and the rank.

    For "sketch" they are that within about a factor of two.

    Coordinates come from a sketch of the rows, norms from a few random combinations of them
    (Drineas, Magdon-Ismail, Mahoney and Woodruff 2012).
    """
    m = SKETCH_ROWS * rows.d
    if method != "sketch" or m >= rows.n:
        whitening = whiten(rows)
        return whitening.P, whitening.rank
    sketch = SparseSign(m, rows.n, rng=rng, nnz=SKETCH_SIGNS)
    P, rank, _ = whiten(in_memory(rows.fold(partial(_sketch, sketch))))
    k = min(ESTIMATE_COLUMNS, rank)
    if k < rank:
        mixing = place(rng.normal(size=(rank, k)) / k**0.5, P)
        P = rows.xp.matmul(P, mixing)
    return P, rank


def power_of_leverage(P: Array, power: float, block: Array, _rows: slice) -> Array:
    """Return powers of the leverage scores of the rows of a block, from coordinates."""
    tau = row_quadform(block, P)
    tau = array_namespace(block).minimum(tau, array_namespace(block).ones_like(tau))
    return tau if power == 1.0 else tau**power
