"""Coresets of rows that arrive in chunks, by merging and reducing."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core import validate
from .._core.iterate import Record
from .._core.namespace import Array, array_namespace, device_of
from ._coreset import coreset_of
from ._draw import own_generator
from ._inputs import CORESET_METHODS, Sampling, exponent, validated
from ._result import CoresetResult


class Part(NamedTuple):
    """Weighted rows: numbers in the stream (m,), A (m, d), b (m, ...) or None, and weights."""

    index: Array
    A: Array
    b: Array | None
    weights: Array
    probabilities: Array

    @property
    def size(self) -> int:
        """The number of rows m."""
        return int(self.A.shape[0])


class StreamingCoreset:
    r"""Weighted rows that stand for all rows of a stream, in memory that does not grow with it.

    Chunks of rows are reduced to coresets, and two coresets of as many reductions are merged and
    reduced to one, so that at most one of each level is kept:

    .. math::

        \text{coreset}(A_1 \cup A_2) =
        \text{reduce}(\text{coreset}(A_1) \cup \text{coreset}(A_2)) .

    Parameters
    ----------
    p : float
        Power, at least 1.
    sample_size : int
        Expected number of rows of a coreset.
    method : str, default "auto"
        Scores to draw by, see `lp_coreset`.
    rng : None, int or numpy.random.Generator, optional
        Source of the draws.

    Attributes
    ----------
    n_rows : int
        Rows seen so far.
    n_reductions : int
        Coresets drawn so far.

    Raises
    ------
    TypeError
        If a number or a generator is of another kind.
    ValueError
        If a number or an option is out of its range.

    See Also
    --------
    lp_coreset : a coreset of rows that can be read more than once, which is more accurate.

    Notes
    -----
    After n rows a row has been through at most ``log2(n / sample_size)`` reductions, each of which
    adds its own distortion; a single `lp_coreset` of the same size has that of one. The weighted
    sums stay unbiased all the same. Memory is ``O(sample_size d log(n / sample_size))``, and time
    that of `lp_coreset` for twice as many rows as there are. The order of the rows does not matter
    to the guarantee, and streams read in different places can be merged.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> stream = numopt.StreamingCoreset(1, 600, rng=0)
    >>> A = rng.standard_cauchy((40_000, 3))
    >>> for start in range(0, 40_000, 1_000):
    ...     stream = stream.partial_fit(A[start : start + 1_000])
    >>> coreset = stream.result()
    >>> x = np.array([1.0, 2.0, -1.0])
    >>> estimate = (coreset.weights * abs(coreset.A @ x)).sum()
    >>> bool(abs(estimate / abs(A @ x).sum() - 1) < 0.2)
    True
    """

    def __init__(
        self,
        p: float,
        sample_size: int,
        *,
        method: str = "auto",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.p = exponent(p)
        self.sample_size = validate.at_least_one("sample_size", sample_size)
        self.method = validate.choice("method", method, CORESET_METHODS)
        self.n_rows = self.n_reductions = 0
        self._rng = own_generator(rng)
        # Rows not yet reduced, then at each level no part or one.
        self._waiting: list[Part] = []
        self._levels: list[Part | None] = []

    def partial_fit(
        self, A: Array, b: Array | None = None, *, weights: Array | None = None
    ) -> StreamingCoreset:
        """Take in rows `A` (n, d), responses `b` (n,) or (n, k), and sample `weights` (n,)."""
        A, b, weights = validate.arrays(A=A, b=b, weights=weights)
        data = validated(A, b, weights, responses=(1, 2))
        chunk = self._chunk(validate.as_array("A", A, ndim=2, dtype=data.rows.dtype), b, weights)
        self._check(chunk, "A")
        self.n_rows += chunk.size
        self._take_in(chunk)
        return self

    def merge(self, other: StreamingCoreset) -> StreamingCoreset:
        """Take in the rows of another stream, numbered after those seen here; it is not changed."""
        if not isinstance(other, StreamingCoreset):
            raise TypeError(f"`other` must be a StreamingCoreset, got {type(other).__name__}.")
        if other.p != self.p:
            raise ValueError(f"`other` must be for p = {self.p:g}, got p = {other.p:g}.")
        parts = [part._replace(index=part.index + self.n_rows) for part in other._parts()]
        for part in parts:
            self._check(part, "other")
        self.n_rows += other.n_rows
        for part in parts:
            self._take_in(part)
        return self

    def result(self) -> CoresetResult:
        """Return a coreset of all rows seen; more rows may follow.

        ``probabilities`` are the products of those of all reductions a row went through, and
        ``scores`` belong to the rows that the last of them had. Raises ValueError if no rows have
        been seen.
        """
        parts = self._parts()
        if not parts:
            raise ValueError("`result` needs rows: call `partial_fit` first.")
        together = _union(parts)
        # With a copy of the generator: asking twice gives the same answer.
        drawn = self._coreset(together, copy.deepcopy(self._rng))
        part = _taken(together, drawn)
        history: list[Record] = [
            {"nit": level, "error": 0.0, "size": 0 if kept is None else kept.size}
            for level, kept in enumerate(self._levels, start=1)
        ]
        drawn.update(
            indices=part.index,
            weights=part.weights,
            x=part.weights,
            probabilities=part.probabilities,
            nit=self.n_reductions,
            history=history,
            stats={**drawn.stats, "n_passes": 1},
            message=f"{drawn.message} Kept {part.size} of {self.n_rows} rows after "
            f"{self.n_reductions} reductions.",
        )
        return drawn

    def __repr__(self) -> str:
        """Return what the stream is for and what it has seen."""
        return (
            f"StreamingCoreset(p={self.p:g}, sample_size={self.sample_size}, "
            f"method={self.method!r}), {self.n_rows} rows seen, {self.n_reductions} reductions"
        )

    def _chunk(self, A: Array, b: Array | None, weights: Array | None) -> Part:
        """Return a copy of rows as they arrive: a stream may reuse its buffer."""
        xp = array_namespace(A)
        n, device = A.shape[0], device_of(A)
        index = xp.arange(self.n_rows, self.n_rows + n, device=device)
        ones = xp.ones((n,), dtype=A.dtype, device=device)
        given = [
            None if values is None else xp.astype(values, A.dtype, copy=True)
            for values in (b, weights)
        ]
        return Part(
            index,
            xp.asarray(A, copy=True),
            given[0],
            ones if given[1] is None else given[1],
            ones,
        )

    def _check(self, part: Part, name: str) -> None:
        """Raise unless rows go with those seen before."""
        known = next(iter(self._parts()), None)
        if known is None:
            return
        validate.common_namespace(**{"rows before": known.A, name: part.A})
        if part.A.shape[1] != known.A.shape[1]:
            raise ValueError(
                f"`{name}` must have {known.A.shape[1]} columns, as the rows before, got "
                f"{part.A.shape[1]}."
            )
        if part.A.dtype != known.A.dtype:
            raise TypeError(
                f"`{name}` must be {known.A.dtype}, as the rows before, got {part.A.dtype}."
            )
        if (part.b is None) != (known.b is None):
            raise ValueError(f"`{name}` must come with `b` each time, or never.")
        if part.b is None or known.b is None:
            return
        if part.b.shape[1:] != known.b.shape[1:]:
            shape = f"(m, {known.b.shape[1]})" if known.b.ndim > 1 else "(m,)"
            raise ValueError(
                f"`b` must have shape {shape} as before, got shape {tuple(part.b.shape)}."
            )

    def _parts(self) -> list[Part]:
        return [*self._waiting, *(part for part in self._levels if part is not None)]

    def _take_in(self, part: Part) -> None:
        """Wait for twice as many rows as a coreset has, then reduce them and carry upwards."""
        self._waiting.append(part)
        if sum(waiting.size for waiting in self._waiting) < 2 * self.sample_size:
            return
        carried = self._reduced(self._waiting)
        self._waiting = []
        for level, kept in enumerate(self._levels):
            if kept is None:
                self._levels[level] = carried
                return
            carried = self._reduced([kept, carried])
            self._levels[level] = None
        self._levels.append(carried)

    def _reduced(self, parts: Iterable[Part]) -> Part:
        together = _union(list(parts))
        self.n_reductions += 1
        return _taken(together, self._coreset(together, self._rng))

    def _coreset(self, part: Part, rng: np.random.Generator) -> CoresetResult:
        data = validated(part.A, part.b, part.weights, responses=(1, 2))
        wanted = Sampling(self.method, self.sample_size)
        return coreset_of(data, self.p, wanted, rng)


def _union(parts: list[Part]) -> Part:
    """Return all rows in the order of the stream."""
    xp = array_namespace(parts[0].A)
    order = xp.argsort(xp.concat([part.index for part in parts]))

    def joined(values: list[Any]) -> Any:
        return None if values[0] is None else xp.take(xp.concat(values), order, axis=0)

    return Part(*(joined(list(column)) for column in zip(*parts, strict=True)))


def _taken(part: Part, drawn: CoresetResult) -> Part:
    """Return the rows that a coreset of a part has kept."""
    xp = array_namespace(part.A)
    return Part(
        xp.take(part.index, drawn.indices),
        drawn.A,
        drawn.b,
        drawn.weights,
        xp.take(part.probabilities, drawn.indices) * drawn.probabilities,
    )
