"""A few weighted rows that stand for all."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core import validate
from .._core.iterate import Record
from .._core.namespace import Array, array_namespace
from .._linalg import one_blas_thread
from .._rows.products import Rows, in_memory
from ._draw import Sample, multinomial, own_generator, poisson, probabilities
from ._inputs import Data, exponent, nonzero_rows, validated
from ._leverage import leverage, whiten
from ._result import CoresetResult
from ._sensitivity import all_brackets, constraint_rows, lewis_basis

SCHEMES = ("auto", "uniform", "leverage", "root_leverage", "lewis", "sensitivity", "combined")
# Rows for a distortion eps: this many times d log(2 / delta) / eps^2 (times S / d for p > 2).
SIZE_FACTOR = 2.5
DEFAULT_EPS = 0.5
# Sensitivities that scores are made of need no digits.
ROUGH_SENSITIVITY, ROUGH_STEPS = 0.1, 20
# A sample that lacks rank is drawn again with twice as many rows, at most this often.
ATTEMPTS = 30
NOT_ENOUGH = 4


class Drawn(NamedTuple):
    """A sample, its expected size, and what was done for it."""

    sample: Sample
    expected: float
    attempts: list[Record]


def lp_coreset(
    A: Array,
    p: float,
    b: Array | None = None,
    *,
    scheme: str = "auto",
    sample_size: int | None = None,
    eps: float | None = None,
    delta: float = 0.05,
    replace: bool = False,
    rng: int | np.random.Generator | None = None,
    scores: Array | None = None,
    weights: Array | None = None,
    floor: float | None = None,
) -> CoresetResult:
    r"""Draw weighted rows whose p-th powers add up to those of all rows, for every x.

    .. math::

        (1 - \varepsilon) \sum_{i=1}^n |a_i^\top x|^p
        \le \sum_{i \in C} w_i |a_i^\top x|^p
        \le (1 + \varepsilon) \sum_{i=1}^n |a_i^\top x|^p
        \quad \text{for all } x .

    Row i is kept with probability ``min(1, c * score_i)`` and then weighs the inverse of that.

    Parameters
    ----------
    A : array, shape (n, d), or source of its rows
        Real and finite. Zero rows are never drawn. A Dask array, a memory map, or whatever else
        `row_blocks` takes is read by blocks.
    p : float
        Power, at least 1.
    b : array, shape (n,) or (n, k), optional
        Responses. The scores are then those of the rows of [A b], so that a regression on the
        coreset is close to that on all rows; for k responses one coreset serves all.
    scheme : str, default "auto"
        Scores to draw by: "leverage", "root_leverage", "lewis", "sensitivity" or "combined", see
        `lp_scores`. "auto" is "lewis" for p < 2, "leverage" for p = 2 and
        "combined" for p > 2. "uniform" takes all rows alike, which fails where few rows matter.
    sample_size : int, optional
        Expected number of rows. Default from `eps`; more than there are nonzero rows gives all of
        them with weight 1.
    eps : float, optional
        Distortion in (0, 1) to choose the size for: ``2.5 d log(2 / delta) / eps**2`` rows, times
        ``S / d`` for p > 2 with the sum S of the scores. Default 0.5.
    delta : float, default 0.05
        Probability in (0, 1) of a larger distortion; see `eps`.
    replace : bool, default False
        Draw `sample_size` times with replacement, rows drawn twice being merged, in place of an
        independent decision for each row.
    rng : None, int or numpy.random.Generator, optional
        Source of the draws.
    scores : array, shape (n,), optional
        Scores to draw by in place of those of a scheme.
    weights : array, shape (n,), optional
        Sample weights: the p-th power of row i counts that often.
    floor : float, optional
        Every nonzero row is drawn with probability at least ``floor / n``, which bounds the
        weights. Adds at most `floor` to the expected size.

    Returns
    -------
    CoresetResult
        ``indices``, ``weights``, ``probabilities``, the rows ``A`` and ``b``, ``size``,
        ``expected_size``, ``scores`` and ``scheme``.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a range or an option is wrong, or a number is not finite.

    See Also
    --------
    lp_scores : the scores alone.
    lp_regression : regression on all rows, or on a coreset.

    Notes
    -----
    Known for q_i at least the score times the logarithms and powers of eps that theorems ask for:
    Lewis weights need about d rows for p <= 2 and d^(p/2) for p > 2; sensitivities, with sum S,
    need S^(2/p) and S^(2 - 2/p); "combined" scores d^(2/p) S^(2 - 4/p) for p > 2 [1]_ and S + d
    for p <= 2 [2]_; and "root_leverage", repeated with the weights of each round, about d for
    p < 2 [1]_. S is at most d, or d^(p/2) for p > 2, and much smaller for many structured
    matrices. The sizes by default are what experiments need rather than these constants. A
    sample whose rank is below that of A is replaced by one of twice the size; `success` is about
    the rank alone, as no sample can be checked for all x.

    Takes a few passes over A for all but sensitivities (see `lp_scores`), O(n d^2) time and
    memory O(n) beside A.

    References
    ----------
    .. [1] D. P. Woodruff, T. Yasuda, "Sharper Bounds for l_p Sensitivity Sampling", ICML 2023,
       arXiv:2306.00732.
    .. [2] A. Munteanu, S. Omlor, "Optimal bounds for l_p sensitivity sampling via l_2
       augmentation", ICML 2024, arXiv:2406.00328.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_cauchy((20_000, 5))
    >>> coreset = numopt.lp_coreset(A, 1, eps=0.2, rng=0)
    >>> x = np.array([1.0, 2.0, 0.0, -1.0, 1.0])
    >>> estimate = (coreset.weights * abs(coreset.A @ x)).sum()
    >>> bool(abs(estimate / abs(A @ x).sum() - 1) < 0.2)
    True
    """
    data, p = validated(A, b, weights, responses=(1, 2)), exponent(p)
    scheme = validate.choice("scheme", scheme, SCHEMES)
    delta = validate.fraction("delta", delta)
    size = None if sample_size is None else validate.at_least_one("sample_size", sample_size)
    eps = None if eps is None else validate.fraction("eps", eps)
    floor = 0.0 if floor is None else validate.positive("floor", floor)
    random = own_generator(rng)
    rows, wanted = _joined(data, p), (size, eps, delta)
    scores = None if scores is None else _given(scores, data)
    with one_blas_thread(rows.like):
        values, scheme, rank = scores_for(rows, p, scheme, scores, random)
        size = _target(values, p, rows.d, wanted)
        if scheme == "root_leverage":
            drawn = _recursive(rows, p, values, size, rank, random)
        else:
            drawn = _full_rank(rows, values, size, rank, random, replace, floor)
        return _report(data, rows, drawn, values, scheme)


def _given(scores: Any, data: Data) -> Array:
    """Return the scores of the caller, checked."""
    if data.rows.cluster is not None:
        scores = data.rows.cluster.gather("scores", scores)
    validate.common_namespace(A=data.like, scores=scores)
    scores = validate.as_array("scores", scores, ndim=1, dtype=data.rows.dtype)
    validate.non_negative("scores", validate.same_shape("scores", scores, (data.rows.n,), "A"))
    if not bool(array_namespace(scores).any(scores > 0)):
        raise ValueError("`scores` must not be zero everywhere.")
    return scores


def _joined(data: Data, p: float) -> Rows:
    """Return the rows whose p-norms count: of [A b], by the p-th root of the sample weights."""
    rows = data.rows if data.b is None else data.rows.joined(data.b)
    return rows if data.weights is None else rows.scaled(data.weights ** (1 / p))


def scores_for(
    rows: Rows, p: float, scheme: str, given: Array | None, rng: np.random.Generator
) -> tuple[Array, str, int | None]:
    """Return scores (n,), the scheme they are of, and the rank where it came with them."""
    xp = rows.xp
    nonzero = nonzero_rows(rows)
    if given is not None:
        return xp.where(nonzero, given, 0.0), "given", None
    if scheme == "auto":
        scheme = "leverage" if p == 2 else "lewis" if p < 2 else "combined"
    if scheme == "uniform":
        return xp.astype(nonzero, rows.dtype), scheme, None
    if scheme in ("leverage", "root_leverage"):
        tau, whitening = leverage(rows)
        return tau if scheme == "leverage" else tau ** (p / 2), scheme, whitening.rank
    basis = lewis_basis(rows, p, nonzero)
    if scheme == "lewis":
        return basis.weights, scheme, basis.rank
    C = constraint_rows(rows, p, basis, "coreset", rows.n, rng)
    found = all_brackets(rows, C, basis.P, p, ROUGH_SENSITIVITY, ROUGH_STEPS)
    values = xp.minimum(found.upper, 2 * found.lower)
    return (values if scheme == "sensitivity" else values + leverage(rows)[0]), scheme, basis.rank


def _target(scores: Array, p: float, d: int, wanted: tuple[int | None, float | None, float]) -> int:
    """Return the expected size of the sample."""
    size, eps, delta = wanted
    if size is not None:
        return size
    eps = DEFAULT_EPS if eps is None else eps
    xp = array_namespace(scores)
    factor = max(1.0, float(xp.sum(scores)) / d) if p > 2 else 1.0
    rows = math.ceil(SIZE_FACTOR * d * factor * math.log(2 / delta) / eps**2)
    return min(int(scores.shape[0]), rows)


def _rank_of(rows: Rows, sample: Sample) -> int:
    if sample.index.shape[0] == 0:
        return 0
    return int(whiten(in_memory(rows.take(sample.index))).rank)


def _full_rank(
    rows: Rows,
    scores: Array,
    size: int,
    rank: int | None,
    rng: np.random.Generator,
    replace: bool,
    floor: float,
) -> Drawn:
    """Return a sample of the rank of all rows, enlarged until it has that."""
    xp = rows.xp
    attempts: list[Record] = []
    positive = int(xp.count_nonzero(scores))
    for _ in range(ATTEMPTS):
        if replace and size < positive:
            sample, expected = multinomial(scores, size, rng), float(size)
        else:
            q = probabilities(scores, size)
            q = xp.where(scores > 0, xp.clip(q, min(1.0, floor / rows.n), None), q)
            sample, expected = poisson(q, rng), float(xp.sum(q))
        reached = _rank_of(rows, sample)
        if rank is None and reached < rows.d:
            rank = whiten(rows).rank
        lacking = (rows.d if rank is None else rank) - reached
        attempts.append(
            {"nit": len(attempts) + 1, "error": float(lacking), "size": sample.index.shape[0]}
        )
        if lacking <= 0 or size >= positive:
            break
        size = 2 * size
    return Drawn(sample, expected, attempts)


def _recursive(
    rows: Rows, p: float, scores: Array, size: int, rank: int | None, rng: np.random.Generator
) -> Drawn:
    """Return a sample drawn in rounds, with the scores of the weighted rows of the one before.

    From n' rows a round goes to about ``size (n' / d)^(1 - p/2)``, as long as that halves them.
    """
    xp, d = rows.xp, rows.d
    current, chosen, weights, share = rows, None, None, None
    attempts: list[Record] = []
    while True:
        here = current.n
        step = math.ceil(size * (here / d) ** max(0.0, 1 - p / 2))
        last = step > here / 2 or here <= 2 * size
        drawn = _full_rank(current, scores, size if last else step, rank, rng, False, 0.0)
        sample = drawn.sample
        attempts += drawn.attempts
        index = sample.index
        chosen = index if chosen is None else xp.take(chosen, index)
        weights = sample.weights if weights is None else xp.take(weights, index) * sample.weights
        share = (
            sample.probabilities if share is None else xp.take(share, index) * sample.probabilities
        )
        if last or index.shape[0] <= size:
            return Drawn(Sample(chosen, weights, share), drawn.expected, attempts)
        current = in_memory(rows.take(chosen) * (weights ** (1 / p))[:, None])
        scores = leverage(current)[0] ** (p / 2)


def _report(data: Data, rows: Rows, drawn: Drawn, scores: Array, scheme: str) -> CoresetResult:
    sample, xp = drawn.sample, rows.xp
    index, size = sample.index, int(sample.index.shape[0])
    weights = sample.weights
    if data.weights is not None:
        weights = weights * xp.take(data.weights, index)
    taken = data.rows.take(index) / data.scale
    lacking, redrawn = drawn.attempts[-1]["error"], drawn.attempts[0]["error"] > 0
    message = f"Drew {size} of {rows.n} rows by {scheme} scores."
    if redrawn:
        message = f"{message[:-1]}, after a smaller sample that lacked rank."
    if lacking:
        message = f"The sample of {size} rows lacks rank {int(lacking)}; raise sample_size."
    return CoresetResult(
        x=weights,
        fun=float(xp.sum(weights)),
        success=lacking == 0,
        status=NOT_ENOUGH if redrawn else 0,
        message=message,
        nit=len(drawn.attempts),
        history=drawn.attempts,
        indices=index,
        weights=weights,
        probabilities=sample.probabilities,
        A=taken,
        b=None if data.b is None else xp.take(data.b, index, axis=0) / data.scale_b,
        size=size,
        expected_size=drawn.expected,
        scores=rows.as_given(scores),
        scheme=scheme,
        n_passes=rows.n_passes,
        n_blocks=rows.n_blocks,
        n_retries=rows.n_retries,
    )
