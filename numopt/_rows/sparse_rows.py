"""A sparse matrix in memory as blocks of rows: dense ones, or itself as one sparse block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._core import validate
from .._core.namespace import Array
from .passes import Passes
from .summaries import Summary

# Entries of a block once it is dense.
BLOCK_ENTRIES = 1 << 20


class SparseRows(Passes):
    """A sparse matrix in the place of `RowBlocks`.

    Functions see dense blocks of some rows; with `dense` False they see the matrix itself, in rows
    with sorted columns.
    """

    in_memory = False

    def __init__(self, name: str, matrix: Any, dtype: Any = None, *, dense: bool = True) -> None:
        self.name, self._matrix = name, matrix.tocsr()
        self.shape = int(matrix.shape[0]), int(matrix.shape[1])
        if 0 in self.shape:
            raise ValueError(f"`{name}` must not be empty, got shape {self.shape}.")
        self._dense, self.in_memory = dense, not dense
        if not (dense or self._matrix.has_sorted_indices):
            self._matrix = self._matrix.sorted_indices()
        self.like = self._matrix.data
        own = validate.common_float(**{name: self.like})
        self.dtype = own if dtype is None else dtype

    def __repr__(self) -> str:
        """Return the name of the matrix, its shape and its entries."""
        return f"SparseRows {self.name} {self.shape}, {self._matrix.nnz} entries"

    def parts(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows with the dense matrices they are."""
        n, d = self.shape
        height = max(1, BLOCK_ENTRIES // d)
        for start in range(0, n, height):
            rows = slice(start, min(n, start + height))
            yield rows, self._matrix[rows].toarray()

    def _fold(self, work: Any, merge: Any, beside: tuple[Array | None, ...]) -> Summary:
        if self._dense:
            return super()._fold(work, merge, beside)
        if self._matrix.dtype != self.dtype:
            self._matrix = self._matrix.astype(self.dtype)
        return work.whole(self._matrix, *beside)
