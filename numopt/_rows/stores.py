"""What rows can be read from: stores of known shape, by ranges of rows, and iterables of blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import array_api_compat
import numpy as np

from .._core.namespace import Array

# A block by default: large enough to hide what a read costs, small enough for any machine.
BLOCK_BYTES = 32 << 20
LEAST_ROWS = 1024
# Largest chunk of a Dask array that is made by joining chunks of its columns.
LARGEST_CHUNK = 256 << 20


class Store(Protocol):
    """A matrix whose rows can be gone through; `shape` and `dtype` may be unknown (None)."""

    shape: tuple[int | None, int | None]
    dtype: Any
    again: bool

    def ranges(self, rows: int | None, start: int) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of at most `rows` rows, from row `start` on, each with its block."""


class Part(NamedTuple):
    """Some consecutive rows of a store, and how to get at them."""

    size: int
    open: Callable[[], Any]


class Parts:
    """Consecutive parts, each of which is opened when its rows are due, and then sliced.

    `step` is how many rows are taken at once unless told otherwise; None for a part as a whole.
    """

    again = True
    shape: tuple[int | None, int | None]
    dask_array: Any = None

    def __init__(self, parts: list[Part], columns: int, dtype: Any, step: int | None) -> None:
        self.shape = sum(part.size for part in parts), columns
        self.dtype, self._parts, self._step = dtype, parts, step

    def ranges(self, rows: int | None, start: int) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of at most `rows` rows, from row `start` on, each with its block."""
        step, first = rows or self._step, 0
        for part in self._parts:
            low = max(0, start - first)
            if low < part.size:
                matrix = part.open()
                for here in range(low, part.size, step or part.size):
                    stop = min(part.size, here + (step or part.size))
                    yield slice(first + here, first + stop), matrix[here:stop, :]
                del matrix
            first += part.size


class Blocks:
    """An iterable of matrices, or a callable that returns an iterator over them."""

    dtype = None
    shape: tuple[int | None, int | None] = (None, None)

    def __init__(self, source: Any) -> None:
        self._source = source
        self.again = not isinstance(source, Iterator)

    def ranges(self, rows: int | None, start: int) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of at most `rows` rows, from row `start` on, each with its block."""
        first = 0
        for block in self._source() if callable(self._source) else self._source:
            if getattr(block, "ndim", None) != 2:
                raise _no_block(block)
            n = int(block.shape[0])
            for here in range(max(0, start - first), n, rows or max(1, n)):
                stop = min(n, here + (rows or n))
                whole = here == 0 and stop == n
                yield slice(first + here, first + stop), block if whole else block[here:stop, :]
            first += n
            del block  # or it would live on while the next one is made


def _no_block(block: Any) -> Exception:
    if hasattr(block, "ndim"):
        return ValueError(f"Blocks of `source` must be matrices, got shape {tuple(block.shape)}.")
    return TypeError(f"Blocks of `source` must be matrices, got {type(block).__name__}.")


def open_store(source: Any) -> Store:
    """Return what reads the rows of a source; libraries are known by the names of their types."""
    library = type(source).__module__.partition(".")[0]
    if is_dask(source):
        return _dask(source)
    if library == "pyarrow":
        return _parquet(source)
    if _are_files(source):
        return _files(source)
    if library in ("zarr", "h5py"):
        return _chunked(source)
    if hasattr(source, "tocsr"):
        return _sparse(source)
    if array_api_compat.is_array_api_obj(source):
        return _array(source)
    if callable(source) or isinstance(source, Iterable):
        if isinstance(source, (str, bytes, dict)):
            raise _unknown(source)
        return Blocks(source)
    raise _unknown(source)


def _unknown(source: Any) -> TypeError:
    return TypeError(
        f"`source` must be an array, a file of rows, or blocks of rows, got "
        f"{type(source).__name__}."
    )


def is_dask(x: Any) -> bool:
    """Tell whether `x` is a Dask array, without importing Dask."""
    return bool(array_api_compat.is_dask_array(x))


def is_stored(x: Any) -> bool:
    """Tell whether `x` is a matrix on disk: of zarr, HDF5, Parquet, or a list of .npy files."""
    return type(x).__module__.partition(".")[0] in ("zarr", "h5py", "pyarrow") or _are_files(x)


def default_rows(row_bytes: float, chunk: int = 1) -> int:
    """Return the rows of a block: about 32 MB, in whole chunks of the store."""
    rows = max(LEAST_ROWS, int(BLOCK_BYTES // max(1.0, row_bytes)))
    return max(1, rows // chunk) * chunk


def matrix_shape(source: Any) -> tuple[int, int]:
    """Return the shape of a store that must be a matrix."""
    if len(source.shape) != 2:
        raise ValueError(f"`source` must be a matrix, got shape {tuple(source.shape)}.")
    return int(source.shape[0]), int(source.shape[1])


def _array(x: Array) -> Parts:
    n, d = matrix_shape(x)
    size = int(getattr(x.dtype, "itemsize", 8))
    return Parts([Part(n, lambda: x)], d, x.dtype, default_rows(d * size))


def _sparse(x: Any) -> Parts:
    n, d = matrix_shape(x)
    rows = x.tocsr()
    return Parts([Part(n, lambda: _Rows(rows))], d, x.dtype, default_rows(12 * x.nnz / max(1, n)))


class _Rows:
    """A sparse matrix, sliced by rows alone, which some of its classes want."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix

    def __getitem__(self, key: tuple[slice, slice]) -> Any:
        return self._matrix[key[0]]


def _chunked(x: Any) -> Parts:
    """Return an array of zarr or HDF5, read in whole chunks."""
    if not hasattr(x, "shape"):
        raise _unknown(x)
    n, d = matrix_shape(x)
    # Zarr writes shards of chunks, if at all, and HDF5 may have neither.
    chunks = getattr(x, "shards", None) or getattr(x, "chunks", None) or (1, d)
    return Parts([Part(n, lambda: x)], d, x.dtype, default_rows(d * x.dtype.itemsize, chunks[0]))


def _are_files(source: Any) -> bool:
    return (
        isinstance(source, (list, tuple))
        and len(source) > 0
        and all(isinstance(item, (str, os.PathLike)) for item in source)
    )


def _files(paths: Any) -> Parts:
    """Return .npy files, one below the other, each mapped while its rows are due."""
    parts, columns, dtypes = [], None, []
    for path in paths:
        mapped = np.load(path, mmap_mode="r")
        n, d = matrix_shape(mapped)
        if columns not in (None, d):
            raise ValueError(
                f"Files of `source` must have the same number of columns, got {columns} and {d} "
                f"in {os.fspath(path)!r}."
            )
        columns = d
        dtypes.append(mapped.dtype)
        parts.append(Part(n, partial(np.load, path, mmap_mode="r")))
    dtype = np.result_type(*dtypes)
    return Parts(parts, int(columns or 0), dtype, default_rows(int(columns or 0) * dtype.itemsize))


def _parquet(source: Any) -> Parts:
    """Return a Parquet file, one row group at a time."""
    if not hasattr(source, "read_row_group"):
        raise _unknown(source)
    widths, dtypes = [], []
    for field in source.schema_arrow:
        width = getattr(field.type, "list_size", 1)
        kind = getattr(field.type, "value_type", field.type) if width != 1 else field.type
        try:
            dtypes.append(np.dtype(kind.to_pandas_dtype()))
        except (NotImplementedError, TypeError):
            dtypes.append(np.dtype(object))
        if dtypes[-1].kind not in "fiu":
            raise TypeError(
                f"Columns of `source` must hold numbers, got {field.type} in {field.name!r}."
            )
        widths.append(width)
    dtype = np.result_type(*dtypes)

    def group(k: int) -> Any:
        return _table(source.read_row_group(k), sum(widths), dtype)

    sizes = [source.metadata.row_group(k).num_rows for k in range(source.num_row_groups)]
    parts = [Part(n, partial(group, k)) for k, n in enumerate(sizes)]
    return Parts(parts, sum(widths), dtype, None)


def _table(table: Any, d: int, dtype: Any) -> Any:
    """Return the columns of a table of Arrow side by side; what is missing becomes nan."""
    columns = [_column(column) for column in table.columns]
    if len(columns) == 1 and columns[0].ndim == 2 and columns[0].dtype == dtype:
        return columns[0]
    out, start = np.empty((table.num_rows, d), dtype=dtype), 0
    for column in columns:
        width = 1 if column.ndim == 1 else column.shape[1]
        out[:, start : start + width] = column if column.ndim == 2 else column[:, None]
        start += width
    return out


def _column(column: Any) -> Any:
    width = getattr(column.type, "list_size", None)
    if width is None:
        return column.to_numpy()
    pieces = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    pieces = [np.reshape(piece, (-1, width)) for piece in pieces]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _dask(source: Any) -> Parts:
    """Return a Dask array, computed one chunk of rows at a time."""
    rows = whole_rows("source", source)
    sizes = [int(n) for n in rows.chunks[0]]
    parts = [Part(n, partial(_computed, rows, k)) for k, n in enumerate(sizes)]
    store = Parts(parts, int(rows.shape[1]), rows.dtype, None)
    store.dask_array = rows
    return store


def _computed(rows: Any, k: int) -> Array:
    return rows.blocks[k, 0].compute()


def whole_rows(name: str, x: Any) -> Any:
    """Return a Dask array whose chunks are whole rows."""
    if x.ndim != 2:
        raise ValueError(f"`{name}` must be a matrix, got chunks {x.chunks}.")
    if any(np.isnan(size) for sizes in x.chunks for size in sizes):
        raise ValueError(
            f"`{name}` must have chunks of known sizes, got {x.chunks}; call compute_chunk_sizes()."
        )
    if len(x.chunks[1]) <= 1:
        return x
    largest = max(x.chunks[0]) * x.shape[1] * x.dtype.itemsize
    if largest > LARGEST_CHUNK:
        raise ValueError(
            f"`{name}` must have chunks of whole rows; joined, those of {x.chunks} would take "
            f"{largest / 1e6:.0f} MB each: rechunk it to fewer rows and all columns."
        )
    return x.rechunk({1: -1})
