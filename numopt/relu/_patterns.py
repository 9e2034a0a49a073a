"""Activation patterns: drawn from random gates, or given; and vectors inside their cones."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.random import place
from ._projection import hard_margin_gates


class Patterns(NamedTuple):
    """Distinct patterns (P, n), ones where a sample is on, and gates (P, d) inside their cones."""

    active: Array
    gates: Array


def n_patterns_for(n: int, *, psi: float, xi: float) -> int:
    r"""Return how many sampled patterns make another one unlikely to help.

    .. math::

        N \ge \frac{2}{\psi} \left( n + 1 + \log \frac{1}{\xi} \right)

    With this many independent patterns, with probability at least ``1 - xi`` over their draw, a
    further one lowers the optimum of the convex program with probability at most `psi`. The
    number is linear in the samples, while all patterns are exponentially many in the rank.

    Parameters
    ----------
    n : int
        Number of training samples, at least 1.
    psi : float
        Largest probability, in (0, 1], that one more pattern helps.
    xi : float
        Largest probability, in (0, 1], that the draw fails to achieve this.

    Returns
    -------
    int
        Number of patterns or, for `convex_relu_scp`, of hidden units to draw.

    Raises
    ------
    TypeError
        If an argument is not a number.
    ValueError
        If it is out of its range.

    See Also
    --------
    convex_relu : the program whose patterns these are.
    convex_relu_scp : the program with sampled hidden units.

    Notes
    -----
    A bound of the scenario approach: the optimum rests on at most n + 1 of the constraints of the
    dual problem, of which each pattern is one [1]_. The published statement for this problem [2]_
    has a smaller number for which we know of no proof.

    References
    ----------
    .. [1] M. C. Campi, S. Garatti, M. Prandini, "The scenario approach for systems and control
       design", Annual Reviews in Control 33, 2009.
    .. [2] Y. Bai, T. Gautam, S. Sojoudi, "Efficient Global Optimization of Two-layer ReLU
       Networks", SIAM J. Math. Data Sci. 2023, arXiv:2201.01965.

    Examples
    --------
    >>> import numopt
    >>> numopt.n_patterns_for(100, psi=0.1, xi=0.01)
    2113
    """
    n = validate.at_least_one("n", n)
    psi = validate.between("psi", psi, 0.0, 1.0)
    xi = validate.between("xi", xi, 0.0, 1.0)
    return math.ceil(2 / psi * (n + 1 + math.log(1 / xi)))


def drawn_gates(X: Array, count: int, rng: Any) -> Array:
    """Return standard normal gates (count, d), the same ones for every library and dtype."""
    return place(rng.standard_normal((count, X.shape[1])), X)


def patterns_of_gates(X: Array, gates: Array) -> Patterns:
    """Return the distinct patterns ``X g >= 0`` of gates (P, d) in order, without the empty one."""
    xp = array_namespace(X)
    return distinct(xp.matmul(gates, X.T) >= 0, gates)


def patterns_of_mask(X: Array, mask: Array) -> Patterns:
    """Return given patterns (P, n) that some vector has, with such vectors as gates."""
    xp = array_namespace(X)
    kept = distinct(mask, xp.zeros((mask.shape[0], X.shape[1]), dtype=X.dtype, device=device_of(X)))
    if kept.active.shape[0] == 0:
        return kept
    gates, found = hard_margin_gates(X, 2 * kept.active - 1)
    (index,) = xp.nonzero(found)
    return Patterns(xp.take(kept.active, index, axis=0), xp.take(gates, index, axis=0))


def distinct(mask: Array, gates: Array) -> Patterns:
    """Return patterns without repetitions and without the one that is off everywhere."""
    xp = array_namespace(gates)
    active = xp.astype(mask, gates.dtype)
    counts = xp.sum(active, axis=1)
    # Two patterns are equal if and only if they share as many samples as each of them has.
    shared = xp.matmul(active, active.T)
    same = (shared == counts[:, None]) & (shared == counts[None, :])
    repeated = xp.any(xp.tril(same, k=-1), axis=1)
    (index,) = xp.nonzero(~repeated & (counts > 0))
    return Patterns(xp.take(active, index, axis=0), xp.take(gates, index, axis=0))
