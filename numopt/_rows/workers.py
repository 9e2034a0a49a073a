"""What runs on the workers of a cluster: pure functions, with the same bits on each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.namespace import Array
from .._core.threads import num_threads
from .summaries import Merge, Summary, Work, aligned


def identity(x: Any) -> Any:
    """Return what is given: a task that holds what other tasks share."""
    return x


def run(work: Work, block: Array, start: int, *parts: Any) -> Summary:
    """Do the work on one chunk, with one thread: there are as many tasks as cores.

    Whole and in C order, as a chunk is that came over the network, or its pieces would depend on
    where it was made.
    """
    if isinstance(block, np.ndarray):
        block = np.require(block, requirements=["C", "A"])
    with num_threads(1):
        return work(block, start, *map(aligned, parts))


class Carried:
    """A function that is sent to workers with the arrays it knows."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive at a worker: once, however many things it works on."""
        self._function = aligned(state["_function"], objects=True)

    def __call__(self, *arguments: Any) -> Any:
        """Return the function of what lies on the cluster, with one thread."""
        with num_threads(1):
            return self._function(*map(aligned, arguments))


def applied(carried: Carried, *arguments: Any) -> Any:
    """Return what a function that is held by a task makes of what lies on the cluster."""
    return carried(*arguments)


def merged(merge: Merge, summaries: list[Summary]) -> Summary:
    """Return the merge of summaries, one after the other."""
    total, *others = (aligned(summary, objects=True) for summary in summaries)
    for summary in others:
        total = merge(total, summary)
    return total
