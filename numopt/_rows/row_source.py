"""The public protocol of row sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import array_api_compat
import numpy as np

from .._core import validate
from .._core.namespace import Array
from .cluster import Limits
from .read_ahead import read_ahead
from .stores import Store, is_dask, is_stored, open_store

PAGE = 4096


class RowSource:
    """Rows of a matrix in blocks, made by `row_blocks`: iterate over it, as often as it allows.

    Attributes
    ----------
    shape : tuple of int or None
        Rows and columns; each None where only going through the source would tell.
    dtype : dtype or None
        Of the entries, None where it is not known.
    again : bool
        Whether the rows can be gone through more than once.

    See Also
    --------
    row_blocks : makes it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> source = numopt.row_blocks(np.ones((2500, 2)), rows=1000)
    >>> [block.shape for block in source]
    [(1000, 2), (1000, 2), (500, 2)]
    >>> [rows.start for rows, _ in source.blocks(start=1200)]
    [1200, 2200]
    """

    shape: tuple[int | None, int | None]
    dtype: Any
    again: bool

    _store: Store
    _rows: int | None
    _readahead: int
    _limits: Limits
    _started: bool

    @classmethod
    def _of(cls, store: Store, rows: int | None, readahead: int, limits: Limits) -> RowSource:
        made = cls()
        made._store, made._rows, made._readahead, made._limits = store, rows, readahead, limits
        made.shape, made.dtype, made.again = store.shape, store.dtype, store.again
        made._started = False
        return made

    def __repr__(self) -> str:
        """Return the shape and the dtype, as far as they are known."""
        return f"RowSource(shape={self.shape}, dtype={self.dtype})"

    def __iter__(self) -> Iterator[Array]:
        """Yield the blocks in order."""
        blocks = self.blocks()
        try:
            for _, block in blocks:
                yield block
                del block
        finally:
            blocks.close()  # type: ignore[attr-defined]

    def blocks(self, start: int = 0) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows with their blocks, the first one beginning at row `start`."""
        if self._started and not self.again:
            raise TypeError(
                "`source` must be re-iterable to be gone through twice, got an iterator; give a "
                "callable that returns a new one each time."
            )
        self._started = True
        ranges = self._store.ranges(self._rows, start)
        if not self._readahead:
            return ranges
        return read_ahead(_touched(ranges), self._readahead)


def _touched(ranges: Iterator[tuple[slice, Array]]) -> Iterator[tuple[slice, Array]]:
    """Yield blocks after the pages of those mapped from disk have been read."""
    for rows, block in ranges:
        if isinstance(block, np.memmap) and block.flags.c_contiguous:
            np.max(block.reshape(-1).view("uint8")[::PAGE], initial=0)
        yield rows, block
        del block


def dask_array(source: Any) -> Any:
    """Return the Dask array that a source is or was made of, None for any other."""
    if is_dask(source):
        return source
    return getattr(source._store, "dask_array", None) if isinstance(source, RowSource) else None


def limits_of(source: Any) -> Limits:
    """Return the limits that come with a source."""
    return source._limits if isinstance(source, RowSource) else Limits()


def in_blocks(source: Any) -> bool:
    """Tell whether a matrix is given by its rows, or mapped from a file: not as one array."""
    if is_dask(source) or is_stored(source) or isinstance(source, (RowSource, np.memmap)):
        return True
    if isinstance(source, (list, tuple)):
        return len(source) > 0 and getattr(source[0], "ndim", None) == 2
    return callable(source) and not hasattr(source, "shape")


def is_array_like(source: Any) -> bool:
    """Tell whether a matrix is given by numbers in lists, a data frame or the like."""
    if array_api_compat.is_array_api_obj(source) or hasattr(source, "tocsr") or in_blocks(source):
        return False
    return isinstance(source, (list, tuple)) or hasattr(source, "__array__")


def row_blocks(
    source: Any,
    *,
    rows: int | None = None,
    readahead: int = 1,
    max_retries: int = 3,
    max_bytes: float = 1e9,
) -> RowSource:
    r"""Go through the rows of a matrix in blocks, wherever it lies.

    .. math:: A = \begin{pmatrix} A_1 \\ \vdots \\ A_q \end{pmatrix}, \qquad
       A^\top A = \sum_{i=1}^q A_i^\top A_i

    so that what sums over rows needs one block in memory at a time. Solvers that take blocks
    accept the sources below as they are; this function is for loops of your own, for methods such
    as ``partial_fit``, and to choose the size of the blocks.

    Parameters
    ----------
    source : array or object with rows
        An array, table or memory map, sparse matrix (blocks are sparse), zarr array, HDF5 dataset,
        ``pyarrow.parquet.ParquetFile`` (numeric columns, or lists of fixed size, side by side),
        Dask array (computed chunk by chunk), list of paths of .npy files, iterable of matrices, or
        callable that returns an iterator over matrices.
    rows : int, optional
        Largest number of rows of a block. Default: about 32 MB, at least 1024 rows, in whole chunks
        of the store; Parquet files, Dask arrays and iterables keep the blocks they have.
    readahead : int, default 1
        Blocks read before they are due, in a thread. 0 reads in the thread of the caller, which
        some iterators need.
    max_retries : int, default 3
        For solvers on a Dask array: how often all passes together may be repeated after the
        cluster lost workers and could not recover by itself.
    max_bytes : float, default 1000000000.0
        For solvers on a Dask array: the largest array that they may gather in this process, such as
        one number for each row.

    Returns
    -------
    RowSource
        Iterating over it yields the blocks; ``blocks(start)`` yields ``(slice, block)``.

    Raises
    ------
    TypeError
        If `source` is none of these, or an iterator that is gone through twice.
    ValueError
        If `source` is not a matrix, its parts do not fit together, the chunks of a Dask array have
        unknown sizes or would take more than 256 MB as whole rows, or an option is out of range.

    See Also
    --------
    lstsq : least squares on any such source.
    lp_regression : regression in the p-norm.

    Notes
    -----
    At most ``readahead + 1`` blocks exist at a time, beside what is held by the caller. Blocks of
    arrays and memory maps are views; a map's pages are read ahead, and belong to the system. An
    error of the source is raised where its block would have come, and leaving the loop early ends
    the thread. A seek with ``blocks(start)`` costs nothing but for iterables, which are gone
    through. How far such sums reach, and what they cost to communicate, is in [1]_.

    zarr, h5py, pyarrow and Dask are recognized by the names of their types and never imported.

    References
    ----------
    .. [1] J. Demmel, L. Grigori, M. Hoemmen, J. Langou, "Communication-optimal parallel and
       sequential QR and LU factorizations", SIAM J. Sci. Comput. 34(1), 2012, arXiv:0808.2664.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> A = np.arange(12.0).reshape(6, 2)
    >>> sum(block.T @ block for block in numopt.row_blocks(A, rows=4))
    array([[220., 250.],
           [250., 286.]])
    """
    if rows is not None and validate.count("rows", rows) == 0:
        raise ValueError("`rows` must be positive, got 0.")
    readahead = validate.count("readahead", readahead)
    limits = Limits(
        validate.count("max_retries", max_retries), validate.positive("max_bytes", max_bytes)
    )
    if is_array_like(source) and not isinstance(source, (list, tuple)):
        (source,) = validate.arrays(source=source)
    if isinstance(source, RowSource):
        return RowSource._of(source._store, rows or source._rows, readahead, limits)
    return RowSource._of(open_store(source), rows, readahead, limits)
