"""What solvers ask of the entries seen of a matrix, in memory or on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from .._core.namespace import Array
from ._observations import Side


class Rows(Protocol):
    """All that a sweep asks of a sparse matrix by its rows, wherever these lie."""

    @property
    def lengths(self) -> Array:
        """Number of entries of each row (m,), as floats."""

    @property
    def mean_length(self) -> float:
        """Entries of a row on average."""

    def each(self, work: Callable[..., Any], *beside: Array | None) -> Any:
        """Return ``work(side, *beside)`` for all rows, those of parts below one another.

        `beside` are arrays with as many rows as the matrix, or None.
        """


class Places(Protocol):
    """What knows which entries were seen."""

    def columns_seen(self, row: int) -> Array:
        """Return the columns of the entries of a row, ascending."""


class Seen(Protocol):
    """All that a solver asks of the entries seen of a matrix, wherever these lie."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""

    @property
    def n_blocks(self) -> int:
        """Chunks of what was given, 1 in memory."""

    @property
    def n_retries(self) -> int:
        """How often a pass was repeated on a cluster."""

    @property
    def rows(self) -> Rows:
        """The matrix by its rows."""

    @property
    def columns(self) -> Rows:
        """Its transpose by its rows."""

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype of the values."""

    @property
    def size(self) -> int:
        """Number of entries."""

    @property
    def share(self) -> float:
        """Share of all entries that were seen."""

    @property
    def weighted(self) -> bool:
        """Whether entries have weights."""

    def norm(self) -> float:
        """Return the root of the weighted sum of squares of all values."""

    def mean(self) -> float:
        """Return the weighted mean of the values."""

    def largest(self, mu: float) -> float:
        """Return the largest distance of a value from `mu`."""

    def normalized(self, mu: float, scale: float) -> Any:
        """Return the same places with their values less `mu`, divided by `scale`."""

    def left(self, X: Array, Y: Array, row_bias: Array | None, col_bias: Array | None) -> Any:
        """Return the same places with what a model leaves of their values."""

    def places(self) -> Places:
        """Return what knows which entries were seen."""


def times(rows: Rows, W: Array) -> Array:
    """Return the product of a sparse matrix with a dense one."""
    return rows.each(partial(_product, W))


def _product(W: Array, side: Side) -> Array:
    return side.times(W)
