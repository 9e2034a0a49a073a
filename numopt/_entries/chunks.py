"""Observed entries that are given by the chunks of Dask arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise
from math import prod
from typing import Any, NamedTuple

import array_api_compat

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.settings import is_sparse
from .._rows import Exchange, Limits, dask_array, is_dask, limits_of
from .distributed import BYTES, Regrouped, joined
from .read import (
    Entries,
    four_items,
    from_dense,
    from_sparse,
    no_mask,
    of_positive_weight,
    places,
    read_entries,
    shape_of,
)

# Entries that are read by one task, if chunks are smaller and workers large enough.
GROUP = 1 << 21


class Load(NamedTuple):
    """What reads a chunk: where it begins, its size, and the tasks of what belongs to it."""

    place: tuple[int, ...]
    shape: tuple[int, ...]
    parts: Sequence[Any]


class ClusterEntries(NamedTuple):
    """Entries that tasks read, checked as far as they can be without reading them."""

    shape: tuple[int, int]
    like: Array
    weighted: bool
    nodes: list[Any]
    exchange: Exchange

    def sorted(self, duplicates: str, width: int) -> Regrouped:
        """Return the entries regrouped by rows, ready to be by columns as well.

        `width` is that of the widest matrix with a row for each of their rows or columns.
        """
        largest = max(self.shape) * width * self.like.dtype.itemsize
        self.exchange.check_size(max(largest, 8 * sum(self.shape)))
        found = Regrouped(self.exchange, self.nodes, self.like, self.weighted, duplicates)
        return found.sorted(self.shape)


def on_cluster(M: Any) -> bool:
    """Tell whether the entries of a matrix are given by Dask arrays."""
    if isinstance(M, tuple):
        return any(is_dask(x) for x in M)
    return dask_array(M) is not None


def refuse(M: Any, needs: dict[str, tuple[bool, str]]) -> None:
    """Raise where something was asked for that entries on a cluster do not offer."""
    for name, (asked, what) in needs.items():
        if asked and on_cluster(M):
            raise ValueError(f"{name} needs {what}, got Dask arrays for `M`.")


def given_entries(M: Any, mask: Any, weights: Any) -> Entries | ClusterEntries:
    """Return the entries that are given, checked but not sorted: in memory or on a cluster."""
    if on_cluster(M):
        return cluster_entries(M, mask, weights)
    return read_entries(M, mask, weights)


def cluster_entries(M: Any, mask: Any, weights: Any) -> ClusterEntries:
    """Return the entries of Dask arrays, in either of the forms they may have."""
    if isinstance(M, tuple):
        no_mask(mask, "coordinates")
        return _vectors(M, weights)
    return _blocks(dask_array(M), mask, weights, limits_of(M))


def _vectors(M: tuple[Any, ...], weights: Any) -> ClusterEntries:
    rows, columns, values, shape = four_items(M)
    given = {"values": values, "rows": rows, "columns": columns, "weights": weights}
    arrays = {name: _known(name, x) for name, x in given.items() if x is not None}
    for name, x in arrays.items():
        if x.ndim != 1:
            raise ValueError(f"`{name}` must be a vector, got chunks {x.chunks}.")
        validate.same_shape(name, x, arrays["values"].shape, "values")
    for name in ("rows", "columns"):
        _integers(name, arrays[name])
    like = _like(values=arrays["values"], weights=arrays.get("weights"))
    chunks = arrays["values"].chunks
    tasks = [_tasks(arrays[name].rechunk(chunks)) for name in arrays]
    loads = [
        Load((start,), (stop - start,), parts)
        for (start, stop), *parts in zip(_spans(chunks[0]), *tasks, strict=True)
        if stop > start
    ]
    read = partial(_read_vectors, shape, like.dtype)
    exchange = Exchange("M", arrays["values"], Limits(), len(loads))
    nodes = _grouped(read, loads, exchange.room)
    return ClusterEntries(shape, like, weights is not None, nodes, exchange)


def _blocks(M: Any, mask: Any, weights: Any, limits: Limits) -> ClusterEntries:
    M = _known("M", M)
    if M.ndim != 2:
        raise ValueError(f"`M` must be a matrix, got chunks {M.chunks}.")
    shape = shape_of(*M.shape)
    arrays = {"M": M}
    for name, x in (("mask", mask), ("weights", weights)):
        if x is not None:
            arrays[name] = _known(name, x)
            validate.same_shape(name, arrays[name], shape, "M")
    if mask is not None and arrays["mask"].dtype.kind != "b":
        raise TypeError(f"`mask` must hold booleans, got dtype {arrays['mask'].dtype}.")
    like = _like(M=M, weights=arrays.get("weights"))
    tasks = {name: _tasks(x.rechunk(M.chunks)) for name, x in arrays.items()}
    nothing = [None] * len(tasks["M"])
    grid = [
        (start, stop, left, right)
        for start, stop in _spans(M.chunks[0])
        for left, right in _spans(M.chunks[1])
    ]
    triples = zip(
        tasks["M"], tasks.get("mask", nothing), tasks.get("weights", nothing), strict=True
    )
    loads = [
        Load((start, left), (stop - start, right - left), parts)
        for (start, stop, left, right), parts in zip(grid, triples, strict=True)
        if stop > start and right > left
    ]
    read = partial(_read_block, shape, like.dtype)
    exchange = Exchange("M", M, limits, len(loads))
    nodes = _grouped(read, loads, exchange.room)
    return ClusterEntries(shape, like, weights is not None, nodes, exchange)


def _known(name: str, x: Any) -> Any:
    """Return a Dask array with chunks of known sizes; what is in memory becomes one."""
    if not is_dask(x):
        import dask.array as da

        validate.common_namespace(**{name: x})
        return da.from_array(x)
    if any(size != size for sizes in x.chunks for size in sizes):
        raise ValueError(
            f"`{name}` must have chunks of known sizes, got {x.chunks}; call compute_chunk_sizes()."
        )
    return x


def _integers(name: str, x: Any) -> None:
    if x.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must hold integers, got dtype {x.dtype}.")


def _like(**arrays: Any) -> Array:
    """Return an array without entries of the library and dtype that the values will have."""
    metas = {name: _meta(x) for name, x in arrays.items() if x is not None}
    dtype = validate.common_float(**metas)
    first = next(iter(metas.values()))
    return array_namespace(first).astype(first, dtype)


def _meta(x: Any) -> Array:
    """Return an empty vector of the library and dtype of the chunks of a Dask array."""
    meta = x._meta.data if is_sparse(x._meta) else x._meta
    return array_namespace(meta).reshape(meta, (-1,))[:0]


def _tasks(x: Any) -> list[Any]:
    # Not optimized: fused tasks have names of their own, and would be computed more than once.
    tasks: list[Any] = x.to_delayed(optimize_graph=False).ravel().tolist()
    return tasks


def _spans(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(pairwise(accumulate(map(int, sizes), initial=0)))


def _grouped(read: Any, loads: list[Load], room: float) -> list[Any]:
    """Return tasks that read neighboring chunks together as long as there is room for them."""
    import dask

    groups: list[list[Load]] = []
    left: float = 0
    for load in loads:
        size = prod(load.shape)
        if size > left:
            groups.append([])
            left = min(GROUP, room / BYTES)
        groups[-1].append(load)
        left -= size
    task = dask.delayed(_loaded, pure=False, traverse=False)
    return [
        task(read, [load.place for load in group], [list(load.parts) for load in group])
        for group in groups
    ]


def _loaded(read: Any, starts: list[tuple[int, ...]], parts: list[list[Any]]) -> Entries:
    """Return the entries of some chunks."""
    return joined([read(*place, *arrays) for place, arrays in zip(starts, parts, strict=True)])


def _read_vectors(
    shape: tuple[int, int],
    dtype: Any,
    start: int,
    values: Array,
    rows: Array,
    columns: Array,
    weights: Array | None = None,
) -> Entries:
    """Return the entries of a chunk of each vector, checked."""
    span = f"[{start}:{start + values.shape[0]}]"
    xp = array_namespace(values)
    values = validate.finite(f"values{span}", xp.astype(values, dtype, copy=False))
    rows = places(f"rows{span}", rows, values, shape[0])
    columns = places(f"columns{span}", columns, values, shape[1])
    if weights is not None:
        weights = xp.astype(weights, dtype, copy=False)
    return _narrow(Entries(rows, columns, values, weights, shape), span)


def _read_block(
    shape: tuple[int, int],
    dtype: Any,
    row: int,
    column: int,
    block: Any,
    mask: Array | None = None,
    weights: Any = None,
) -> Entries:
    """Return the entries of a block that begins at a row and a column, checked."""
    span = f"[{row}:{row + block.shape[0]}, {column}:{column + block.shape[1]}]"
    if is_sparse(block):
        no_mask(mask, "a sparse matrix")
        found = from_sparse(block, weights)
    else:
        found = from_dense(block, mask, weights)
    values = array_namespace(found.values).astype(found.values, dtype, copy=False)
    found = Entries(found.rows + row, found.columns + column, values, found.weights, shape)
    validate.finite(f"M{span}", found.values)
    return _narrow(found, span)


def _narrow(found: Entries, span: str) -> Entries:
    """Return entries of positive weight, their places in half the bytes if they are small."""
    found = of_positive_weight(found, f"weights{span}")
    xp = array_namespace(found.values)
    if max(found.shape) >= 1 << 31 or not array_api_compat.is_numpy_array(found.rows):
        return found
    rows, columns = (xp.astype(x, xp.int32) for x in (found.rows, found.columns))
    return found._replace(rows=rows, columns=columns)
