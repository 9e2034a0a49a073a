"""Passes over the chunks of a Dask array, on whatever scheduler is active."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .._core.namespace import Array
from .._linalg import one_blas_thread
from .stores import is_dask
from .summaries import FAN_IN, Merge, Summary, Work, add, aligned, all_joined
from .workers import Carried, identity, merged, run

# Where a worker runs out of memory: the share of it that a chunk with what is made of it may take.
ROOM = 8


class Limits(NamedTuple):
    """How often a pass is repeated, and the largest array gathered here, in bytes."""

    max_retries: int = 3
    max_bytes: float = 1e9


class Cluster:
    """A Dask array of whole rows, gone through by tasks that are pure functions of a chunk.

    Nothing is scattered: a chunk is loaded by the tasks that need it, and what lies beside it is an
    argument of its task, so that whatever a lost worker held can be made again.
    """

    def __init__(self, name: str, source: Any, limits: Limits) -> None:
        self.name, self.source, self.limits = name, source, limits
        self.n_retries, self._memory = 0, np.inf
        self._norms: tuple[Any, Any] = (None, None)
        sizes = [int(n) for n in source.chunks[0]]
        ends = np.cumsum([0, *sizes]).tolist()
        # Number, first and last row, and task; chunks without rows have nothing to say.
        self._chunks = [
            (k, ends[k], ends[k + 1], chunk)
            for k, chunk in enumerate(_chunks_of(source))
            if sizes[k]
        ]
        self.n_blocks = len(self._chunks)

    def fold(self, work: Work, merge: Merge, beside: tuple[Any, ...]) -> Summary:
        """Return the merge of the work on each chunk, in the order of `Tree`: one barrier."""
        return self._reduced(self._tasks(work, beside), merge)

    def _reduced(self, nodes: list[Any], merge: Merge) -> Summary:
        while len(nodes) > 1:
            groups = [nodes[k : k + FAN_IN] for k in range(0, len(nodes), FAN_IN)]
            nodes = [_delayed(merged)(merge, group) for group in groups]
        return self.compute(nodes)[0]

    def each(self, work: Work, beside: tuple[Any, ...]) -> Summary:
        """Return what the work makes of each chunk, below one another: gathered here."""
        return all_joined(self.compute(self._tasks(work, beside)))

    def _tasks(self, work: Work, beside: tuple[Any, ...]) -> list[Any]:
        # One task holds what all share, so that a worker gets it once.
        shared = _delayed(identity)(work)
        columns = [self._parts(x) for x in beside]
        return [
            _delayed(run)(shared, chunk, start, *(column(k, start, stop) for column in columns))
            for k, start, stop, chunk in self._chunks
        ]

    def _parts(self, x: Any) -> Callable[[int, int, int], Any]:
        """Return what gives the part of a vector or matrix that lies beside a chunk."""
        if x is None:
            return lambda _k, _start, _stop: None
        if is_dask(x):
            parts = _chunks_of(x)
            return lambda k, _start, _stop: parts[k]
        return lambda _k, start, stop: x[start:stop]

    def beside(self, name: str, x: Any, dtype: Any, ndim: int | tuple[int, ...] = (1, 2)) -> Any:
        """Return a Dask array (n,) or (n, k) in chunks that match the rows, and in a dtype."""
        n, wanted = self.source.shape[0], (ndim,) if isinstance(ndim, int) else ndim
        if x.ndim not in wanted or x.shape[0] != n:
            shapes = " or ".join(f"({n},)" if k == 1 else f"({n}, k)" for k in wanted)
            raise ValueError(
                f"`{name}` must have shape {shapes} to match `{self.name}`, got chunks {x.chunks}."
            )
        rows = self.source.chunks[0]
        return x.rechunk((rows,) if x.ndim == 1 else (rows, (x.shape[1],))).astype(dtype)

    def extremes(self, name: str, x: Any) -> tuple[float, float]:
        """Return the smallest and largest entry of a Dask array; raise if one is not finite.

        The norms of its columns come with them, and are kept: the next to be asked for.
        """
        (low, high), squares = self._over(_looked_at, _both, x)
        self._norms = x, squares**0.5
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError(f"`{name}` must be finite, got entries from {low} to {high}.")
        return low, high

    def norms(self, b: Array, weights: Array | None) -> Array:
        """Return the norms of the columns of ``sqrt(W) b``, b (n, k) in any form."""
        known, norms = self._norms
        if weights is None and known is b:
            return norms
        return self._over(_squares, add, b, weights) ** 0.5

    def sums(self, x: Any, powers: tuple[float, ...]) -> list[float]:
        """Return the sums of some powers of a Dask array (n,): one barrier."""
        return [float(total) for total in self._over(partial(_sums, powers), add, x)]

    def _over(self, function: Callable[..., Summary], merge: Merge, *beside: Any) -> Summary:
        """Return the merge of a function of what lies beside the chunks."""
        carried = Carried(function)
        columns = [self._parts(x) for x in beside]
        return self._reduced(
            [
                _delayed(carried)(*(column(k, start, stop) for column in columns))
                for k, start, stop, _ in self._chunks
            ],
            merge,
        )

    def gather(self, name: str, x: Any) -> Array:
        """Return what lies beside the rows in one piece, if it is a Dask array that is small."""
        if not is_dask(x):
            return x
        x = self.beside(name, x, x.dtype)
        self.check_size(x.size * x.dtype.itemsize, name)
        return self.compute([x])[0]

    def rowwise(self, work: Work, beside: tuple[Any, ...] = ()) -> Any:
        """Return one number for each row as a Dask array, which the cluster holds from here on."""
        import dask.array as da
        from dask.highlevelgraph import HighLevelGraph

        meta = self.source._meta.reshape(-1)[:0].astype(work.dtype)
        tasks = self._tasks(work, beside)
        made = {k: task for (k, *_), task in zip(self._chunks, tasks, strict=True)}
        name = f"rows-{tasks[0].key}"
        # Chunks without rows stay, so that the result fits what was given.
        layer = {
            (name, k): (identity, made[k].key if k in made else meta)
            for k in range(len(self.source.chunks[0]))
        }
        graph = HighLevelGraph.from_collections(name, layer, dependencies=tasks)
        return self.persist(da.Array(graph, name, (self.source.chunks[0],), meta=meta))

    def chunked(self, x: Array) -> Any:
        """Return numbers (n,) as a Dask array in the chunks of the rows."""
        import dask.array as da

        return da.from_array(x, chunks=(self.source.chunks[0],))

    def check_size(self, size: float, name: str | None = None) -> None:
        """Raise where an array of a size in bytes is too large to be held here."""
        if size > self.limits.max_bytes:
            what = f"`{name}`" if name else f"What is kept for the rows of `{self.name}`"
            limit = self.limits.max_bytes
            raise ValueError(
                f"{what} takes {size / 1e9:.3g} GB, more than the {limit / 1e9:.3g} GB that are "
                f"gathered in one place; allow it with row_blocks({self.name}, max_bytes=...)."
            )

    def compute(self, nodes: list[Any] | Callable[[], list[Any]]) -> list[Any]:
        """Return the values of tasks; what a lost worker takes with it is computed again.

        A function that returns the tasks is asked for them anew each time they are repeated.
        """
        return list(map(aligned, self._repeated(_dask().compute, nodes)))

    def persist(self, x: Any) -> Any:
        """Return a Dask array whose chunks have been computed where they are to stay."""
        (kept,) = self._repeated(_dask().persist, [x])
        return kept

    def _repeated(
        self, function: Callable[..., Any], nodes: list[Any] | Callable[[], list[Any]]
    ) -> Any:
        # Asked while there are workers: those that are killed are gone when it matters.
        self._look_at_workers()
        while True:
            try:
                made = nodes() if callable(nodes) else nodes
                with _without_advice(), _threads_shared(self.source):
                    return function(*made, optimize_graph=False)
            except Exception as error:
                self._consider(error)
                self.n_retries += 1

    def _look_at_workers(self) -> None:
        """Note the memory of the smallest worker, if there are any."""
        client = active_client()
        if client is not None and np.isinf(self._memory):
            workers = client.scheduler_info()["workers"].values()
            limits = [worker["memory_limit"] or np.inf for worker in workers]
            self._memory = min(limits, default=np.inf)

    def _consider(self, error: Exception) -> None:
        """Raise unless an error is one of the cluster, and there is a cluster to try again on."""
        kinds = {kind.__name__ for kind in type(error).__mro__}
        lost = kinds & {"KilledWorker", "CancelledError", "CommClosedError", "TimeoutError"}
        client = active_client()
        if not lost or (client is None and "CancelledError" not in kinds):
            raise error
        if "KilledWorker" in kinds:
            self._check_chunks(error)
        if client is None or self.n_retries >= self.limits.max_retries:
            raise RuntimeError(
                f"The cluster that holds `{self.name}` failed {self.n_retries + 1} times, or was "
                f"closed: {type(error).__name__}: {error}"
            ) from error

    def _check_chunks(self, error: Exception) -> None:
        """Raise what says that the chunks are too large for the workers, if they are."""
        row = self.source.shape[1] * self.source.dtype.itemsize
        size = max(stop - start for _, start, stop, _ in self._chunks) * row
        limit = self._memory
        if size > limit / ROOM:
            raise ValueError(
                f"Workers were killed: the largest chunk of `{self.name}` takes {size / 1e6:.0f} "
                f"MB, and a worker has {limit / 1e6:.0f} MB; rechunk it to at most "
                f"{max(1, int(limit / ROOM // row))} rows."
            ) from error


def active_client() -> Any:
    """Return the client of a running cluster, None where Dask computes by itself."""
    # A program that has not imported it has no cluster.
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        client = distributed.get_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


def _chunks_of(x: Any) -> list[Any]:
    """Return the tasks of the chunks of an array.

    Not optimized: fused tasks have names of their own, so that what two arrays are made of would be
    loaded twice, or one name stand for two tasks.
    """
    tasks: list[Any] = x.to_delayed(optimize_graph=False).ravel().tolist()
    return tasks


def _delayed(function: Any) -> Any:
    return _dask().delayed(function, pure=False, traverse=False)


def _dask() -> Any:
    try:
        import dask
    except ImportError as error:
        raise ImportError("Dask arrays need Dask: pip install 'numopt-solvers[dask]'.") from error
    return dask


def _squares(b: Array, weights: Array | None) -> Array:
    return (b * b if weights is None else b * b * weights[:, None]).sum(axis=0)


def _sums(powers: tuple[float, ...], x: Array) -> tuple[Array, ...]:
    return tuple((x if power == 1.0 else x**power).sum() for power in powers)


def _looked_at(x: Array) -> Summary:
    with np.errstate(all="ignore"):
        return (float(x.min()), float(x.max())), _squares(x, None)


def _both(a: Summary, b: Summary) -> Summary:
    return _wider(a[0], b[0]), a[1] + b[1]


def _wider(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    # Sums with zero keep a nan, whichever of the two it is in.
    return min(a[0] + 0 * b[0], b[0] + 0 * a[0]), max(a[1] + 0 * b[1], b[1] + 0 * a[1])


@contextmanager
def _threads_shared(source: Any) -> Iterator[None]:
    """Let BLAS run on one thread while tasks run in the threads of this process."""
    if active_client() is not None:
        yield
        return
    with one_blas_thread(source._meta), np.errstate(all="ignore"):
        yield


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep Dask from warning that what lies beside the chunks goes to them with the tasks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
        yield
