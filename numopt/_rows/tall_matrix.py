"""What solvers see of a tall matrix: its shape, and its rows in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import array_api_compat
import numpy as np

from .._core import validate
from .._core.namespace import Array
from .cluster import Cluster
from .passes import Passes
from .row_source import RowSource, dask_array, limits_of, row_blocks
from .stores import is_dask, is_stored, whole_rows
from .summaries import Merge, Summary, Work


class RowBlocks(Passes):
    """A tall matrix that is gone through by blocks of rows, as often as one likes.

    Attributes
    ----------
    in_memory : bool
        Whether the matrix is one array, so that a random row can be had.
    mapped : bool
        Whether that array is a file, which may be larger than memory.
    max_bytes : float
        The largest array to be gathered, or made of all columns, in one place.
    """

    def __init__(self, name: str, source: Any, dtype: Any = None) -> None:
        self.name = name
        self._source = source
        self.max_bytes = limits_of(source).max_bytes
        self.in_memory = array_api_compat.is_array_api_obj(source) and not is_dask(source)
        if is_stored(source):
            source = self._source = row_blocks(source)
        self.mapped = isinstance(source, np.memmap)
        if self.in_memory:
            # A memory map is read like any array; its class would only confuse the libraries.
            self._source = np.asarray(source) if self.mapped else source
            _matrix(name, self._source.shape)
            self.shape = _shape(self._source)
            self.like = self._source
        elif (chunked := dask_array(source)) is not None:
            self._source = whole_rows(name, chunked)
            _matrix(name, chunked.shape)
            self.shape, self.like = _shape(chunked), chunked._meta
            self.cluster = Cluster(name, self._source, limits_of(source))
        else:
            self.shape, self.like = self._known() or self._count()
        own = validate.common_float(**{name: self.like})
        self.dtype = own if dtype is None else dtype

    def _known(self) -> tuple[tuple[int, int], Array] | None:
        """Return the shape of a source that tells it; raise where it cannot be gone through."""
        source = self._source
        if not (callable(source) or isinstance(source, Iterable)):
            raise TypeError(
                f"`{self.name}` must be an array or blocks of its rows, got "
                f"{type(source).__name__}."
            )
        if isinstance(source, Iterator) or not getattr(source, "again", True):
            raise TypeError(
                f"`{self.name}` must be re-iterable, since it is gone through several times, got "
                f"{type(source).__name__}; give a callable that returns a new iterator."
            )
        if not isinstance(source, RowSource) or source.dtype is None:
            return None
        _matrix(self.name, source.shape)
        shape = _shape(source)
        return shape, np.zeros((0, shape[1]), dtype=source.dtype)

    def _count(self) -> tuple[tuple[int, int], Array]:
        """Return the shape of a matrix given as blocks, by going through it once."""
        n, like = 0, None
        for block in self._raw():
            known = block if like is None else like
            validate.common_namespace(**{self.name: known, "block": block})
            _matrix(self.name, block.shape)
            if like is None:
                like = block
            elif block.shape[1] != like.shape[1]:
                raise ValueError(
                    f"Blocks of `{self.name}` must have the same number of columns, got "
                    f"{like.shape[1]} and {block.shape[1]}."
                )
            n += block.shape[0]
        if like is None:
            raise ValueError(f"`{self.name}` must not be empty, got no blocks.")
        return (n, int(like.shape[1])), like[:0, :]

    def _raw(self) -> Iterator[Array]:
        """Yield the blocks as they come from the source."""
        if self.cluster is not None:
            yield from row_blocks(self._source)
        elif callable(self._source):
            yield from self._source()
        elif self.in_memory:
            yield self._source
        else:
            yield from self._source

    def parts(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows with their blocks, as they come from the source."""
        start = 0
        for block in self._raw():
            stop = start + block.shape[0]
            if block.shape[0] == 0:
                continue
            if stop > self.shape[0] or block.shape[1] != self.shape[1]:
                self._refuse(f"more than {stop - 1}", block.shape[1])
            yield slice(start, stop), block
            start = stop
        if start != self.shape[0]:
            self._refuse(start, self.shape[1])

    def _fold(self, work: Work, merge: Merge, beside: tuple[Array | None, ...]) -> Summary:
        if self.cluster is None:
            return super()._fold(work, merge, beside)
        return self.cluster.fold(work, merge, beside)

    def _each(self, work: Work, beside: tuple[Array | None, ...]) -> Summary:
        if self.cluster is None:
            return super()._each(work, beside)
        return self.cluster.each(work, beside)

    def __repr__(self) -> str:
        """Return the name of the matrix, its shape, and where it lies."""
        place = "on a cluster" if self.cluster is not None else "by blocks"
        return f"RowBlocks {self.name} {self.shape}, {'in memory' if self.in_memory else place}"

    def _refuse(self, rows: Any, columns: int) -> None:
        raise ValueError(
            f"Blocks of `{self.name}` must be the same each time they are gone through, got "
            f"{self.shape[0]} rows of {self.shape[1]}, then {rows} of {columns}."
        )

    def sample(self, size: int) -> Array:
        """Return about `size` evenly spaced rows of a matrix in memory."""
        step = max(1, self.shape[0] // size)
        return validate.as_array(self.name, self._source[::step, :], ndim=2, dtype=self.dtype)


def _shape(x: Any) -> tuple[int, int]:
    return int(x.shape[0]), int(x.shape[1])


def _matrix(name: str, shape: tuple[Any, ...]) -> None:
    if len(shape) != 2:
        raise ValueError(f"`{name}` must be a matrix, got shape {tuple(shape)}.")
    if 0 in shape:
        raise ValueError(f"`{name}` must not be empty, got shape {tuple(shape)}.")
