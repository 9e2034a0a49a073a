"""Passes over the rows of a tall matrix: what any source of blocks offers, and their counter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .._core import validate
from .._core.namespace import Array
from .stores import is_dask
from .summaries import Merge, Summary, Tree, Work, add, all_joined, below, cut, pieces


class Passes:
    """The passes that any source of blocks offers; a subclass yields ranges and blocks.

    Attributes
    ----------
    name : str
        What the user calls the matrix.
    shape : tuple of int
        Rows and columns of the whole matrix.
    like : array
        An array of the library and the device of the blocks; holds no data of interest.
    dtype : dtype
        Of the blocks that `blocks` yields.
    cluster : Cluster or None
        What goes through the chunks of a Dask array, None for any other source.
    n_passes : int
        Passes so far, but for rows that were picked out; may be set back.
    """

    name: str
    shape: tuple[int, int]
    like: Array
    dtype: Any
    in_memory: bool
    mapped: bool = False
    cluster: Any = None
    n_passes: int = 0

    def counts(self) -> dict[str, int]:
        """Return the passes so far, the chunks, and how often a pass was repeated, for `stats`."""
        return {"n_passes": self.n_passes, "n_blocks": self.n_blocks, "n_retries": self.n_retries}

    @property
    def n_blocks(self) -> int:
        """Chunks of a Dask array, 1 for any other source."""
        return 1 if self.cluster is None else int(self.cluster.n_blocks)

    @property
    def n_retries(self) -> int:
        """How often a pass had to be repeated on the cluster."""
        return 0 if self.cluster is None else int(self.cluster.n_retries)

    def beside(
        self, name: str, x: Any, dtype: Any = None, *, ndim: int | tuple[int, ...] = 1
    ) -> Any:
        """Return numbers that lie beside the rows, (n,) or (n, k), in a dtype; None stays None.

        In memory, or of a Dask array in chunks that match those of the rows. Library, device, kind
        and shape are checked, entries are not looked at. The default dtype is that of `x`.
        """
        if x is None:
            return None
        like = beside_like(self.cluster, x)
        validate.common_namespace(**{self.name: self.like, name: like})
        dtype = validate.common_float(**{name: like}) if dtype is None else dtype
        if self.cluster is not None and is_dask(x):
            return self.cluster.beside(name, x, dtype, ndim)
        x = validate.as_array(name, x, ndim=ndim, dtype=dtype)
        return validate.same_shape(name, x, (self.shape[0], *x.shape[1:]), self.name)

    def parts(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows with their blocks, as they come from the source."""
        raise NotImplementedError

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows, each with its rows in C order in the dtype asked for.

        What is in memory in that form already is one block; other arrays are copied in pieces.
        """
        for rows, block in self.parts():
            for part, piece in pieces(block, self.dtype):
                yield slice(rows.start + part.start, rows.start + part.stop), piece

    def fold(
        self,
        summarize: Callable[..., Summary],
        *beside: Array | None,
        merge: Merge = add,
    ) -> Summary:
        """Return the merge over all blocks of ``summarize(block, rows, *parts)``.

        `beside` are arrays with as many rows as the matrix, or None; `parts` are their rows. The
        function and its result must be what can be sent to another process.
        """
        self.n_passes += 1
        return self._fold(Work(summarize, merge, self.dtype), merge, beside)

    def _fold(self, work: Work, merge: Merge, beside: tuple[Array | None, ...]) -> Summary:
        tree = Tree(merge)
        for rows, block in self.parts():
            tree.add(work(block, rows.start, *(cut(x, rows) for x in beside)))
        return tree.total()

    def each(self, function: Callable[..., Summary], *beside: Array | None) -> Summary:
        """Return ``function(block, rows, *parts)`` for all rows, the blocks below one another."""
        self.n_passes += 1
        return self._each(self.work(function), beside)

    def work(self, function: Callable[..., Summary]) -> Work:
        """Return what makes rows of each block, the pieces below one another."""
        return Work(function, below, self.dtype)

    def picked(self, function: Callable[..., Summary]) -> Summary:
        """Return what `each` does, for a few rows of each block: not counted as a pass."""
        return self._each(self.work(function), ())

    def _each(self, work: Work, beside: tuple[Array | None, ...]) -> Summary:
        found = [
            work(block, rows.start, *(cut(x, rows) for x in beside)) for rows, block in self.parts()
        ]
        return all_joined(found)

    def rowwise(self, function: Callable[..., Summary], *beside: Array | None) -> Any:
        """Return ``function(block, rows, *parts)`` (n,) where the rows are: here, or on a cluster.

        On a cluster a Dask array, which it holds from here on.
        """
        if self.cluster is None:
            return self.each(function, *beside)
        self.n_passes += 1
        return self.cluster.rowwise(self.work(function), beside)


def beside_like(cluster: Any, x: Any) -> Any:
    """Return what stands for the library and dtype of what lies beside a matrix."""
    return x._meta if cluster is not None and is_dask(x) else x
