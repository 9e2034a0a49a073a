"""Pieces of data in no order, regrouped on a cluster and kept there."""

from __future__ import annotations

import operator
import uuid
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from .cluster import ROOM, Cluster, Limits, _dask, _delayed
from .summaries import Merge, Summary, cut
from .workers import Carried, applied, identity

Nodes = list[Any]
Make = Callable[[], Nodes]


class Exchange(Cluster):
    """A cluster that regroups what the chunks of some source hold, and works on the groups.

    Groups are kept where they were made. Whatever is lost with a worker is made again from its
    tasks; where the cluster gives up on one of them, all groups are made from the chunks again.
    """

    def __init__(self, name: str, source: Any, limits: Limits, n_blocks: int) -> None:
        # The base goes through the chunks of a matrix by its rows, which these need not be.
        self.name, self.source, self.limits, self.n_blocks = name, source, limits, n_blocks
        self.n_retries, self._memory = 0, float("inf")
        self.largest = 0.0  # bytes of what one task works on
        # They know the exchange, which is not to keep them alive.
        self._held: WeakSet[Held] = WeakSet()

    @property
    def room(self) -> float:
        """Bytes that a task may take with all it makes: a share of the memory of a worker."""
        self._look_at_workers()
        return self._memory / ROOM

    def hold(self, make: Make) -> Held:
        """Return what tasks make, kept on the cluster from its first use on."""
        held = Held(self, make)
        self._held.add(held)
        return held

    def merged(self, nodes: Nodes, merge: Merge) -> Summary:
        """Return the merge of the values of tasks, in the order of `Tree`: one barrier."""
        return self._reduced(nodes, merge)

    def apply(
        self, work: Callable[..., Any], nodes: Nodes, spans: list[slice], beside: tuple[Any, ...]
    ) -> Nodes:
        """Return tasks ``work(thing, *rows)``; `rows` are those of what lies beside the things."""
        # One task holds what all share, so that a worker gets it once.
        shared = _delayed(identity)(Carried(work))
        return [
            _delayed(applied)(shared, node, *(cut(x, rows) for x in beside))
            for node, rows in zip(nodes, spans, strict=True)
        ]

    def regrouped(
        self, split: Callable[..., Any], join: Callable[..., Any], nodes: Nodes, count: int
    ) -> Nodes:
        """Return tasks that make `count` groups of what some things hold.

        ``split(thing, number)`` cuts a thing into a piece for each group, and ``join(number,
        pieces)`` makes a group of its pieces, one from each thing.
        """
        from dask.delayed import Delayed
        from dask.highlevelgraph import HighLevelGraph

        token = uuid.uuid4().hex
        cuts, pieces, name = (f"{word}-{token}" for word in ("split", "piece", "group"))
        layer: dict[Any, Any] = {}
        for k, node in enumerate(nodes):
            layer[cuts, k] = (split, node.key, k)
            for r in range(count):
                layer[pieces, r, k] = (operator.getitem, (cuts, k), r)
        for r in range(count):
            layer[name, r] = (join, r, [(pieces, r, k) for k in range(len(nodes))])
        graph = HighLevelGraph.from_collections(name, layer, dependencies=nodes)
        return [Delayed((name, r), graph, layer=name) for r in range(count)]

    def check_size(self, size: float, name: str | None = None) -> None:
        """Raise where an array of a size in bytes is too large to be held here."""
        if size > self.limits.max_bytes:
            limit = self.limits.max_bytes
            kind = "" if self.source.ndim == 2 else "a Dask matrix of sparse blocks as "
            raise ValueError(
                f"{name or f'A factor of `{self.name}`'} takes {size / 1e9:.3g} GB, more than the "
                f"{limit / 1e9:.3g} GB that are gathered in one place; allow it with {kind}"
                f"row_blocks({self.name}, max_bytes=...)."
            )

    def _consider(self, error: Exception) -> None:
        super()._consider(error)
        for held in self._held:
            held.forget()

    def _check_chunks(self, error: Exception) -> None:
        """Raise what says that the work of a task is too large for the workers, if it is."""
        if self.largest > self._memory / ROOM:
            raise ValueError(
                f"Workers were killed: a task on `{self.name}` holds {self.largest / 1e6:.0f} MB, "
                f"and a worker has {self._memory / 1e6:.0f} MB; give `{self.name}` in smaller "
                "chunks, or the workers more memory."
            ) from error


class Held:
    """What tasks make and the cluster keeps; made again from the start once it is forgotten."""

    def __init__(self, exchange: Exchange, make: Make) -> None:
        self._exchange, self._make = exchange, make
        self._kept: Nodes | None = None
        self._keeping = True

    def nodes(self) -> Nodes:
        """Return the tasks, which are done or under way."""
        if self._kept is not None:
            return self._kept
        if not self._keeping:
            return self._make()
        self._kept = list(self._exchange._repeated(_dask().persist, self._make))
        return self._kept

    def forget(self) -> None:
        """Have everything made again on its next use."""
        self._kept = None

    def release(self) -> None:
        """Keep nothing from here on; what is made of it will have to make it itself."""
        self._kept, self._keeping = None, False
