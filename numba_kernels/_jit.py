"""The one place that calls Numba: how every CPU kernel is compiled."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

# Threads that wait in a busy loop for one another cost a hundred times the work itself where
# other processes want the cores. Read by the OpenMP library when the first kernel starts threads;
# a value set by the user is kept.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numba
from numba.extending import overload

# Contraction (a*b + c in one rounding) is always allowed. Reassociation is opt-in: it
# vectorizes sums, but would break code that relies on the order of operations.
_CONTRACT = {"contract"}
_REORDER = {"contract", "reassoc", "nsz"}


def jit(*, parallel: bool = False, reorder: bool = False) -> Callable[[Any], Any]:
    """Compile a kernel lazily, one version per dtype, cached on disk where possible.

    `reorder` lets the compiler reassociate sums, which vectorizes reductions.
    """
    options = {
        "parallel": parallel,
        "error_model": "numpy",
        "fastmath": _REORDER if reorder else _CONTRACT,
    }

    def compile_kernel(function: Any) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:
            # No writable cache location (a read-only installation without a home).
            return numba.njit(**options)(function)

    return compile_kernel


# Entries of a pass that are worth another thread: about 50 microseconds of work. A parallel region
# on busy cores waits for the slowest of its threads, which small problems would pay in every call.
ENTRIES_PER_THREAD = 65_536


def pass_kernel(function: Any) -> Any:
    """Compile a pass over a cost, its first argument, run by as many threads as it is worth."""
    compiled = jit(parallel=True)(function)

    @functools.wraps(function)
    def run(cost: Any, *args: Any) -> Any:
        shape = (len(cost[0]), len(cost[1])) if isinstance(cost, tuple) else cost.shape
        allowed = numba.get_num_threads()
        worth = 1 + shape[0] * shape[1] // ENTRIES_PER_THREAD
        if worth >= allowed:
            return compiled(cost, *args)
        numba.set_num_threads(worth)
        try:
            return compiled(cost, *args)
        finally:
            numba.set_num_threads(allowed)

    return run


def by_layout(for_array: Any, for_tuple: Any) -> Any:
    """Return a function that compiles to one of two, by the type of its first argument.

    Both take the same arguments; the second is chosen where the first argument is a tuple.
    """

    def choose(first, *args):
        return (for_tuple if isinstance(first, tuple) else for_array)(first, *args)

    @overload(choose, strict=False)
    def _choose(first, *args):  # noqa: ARG001  (Numba matches the names)
        chosen = for_tuple if isinstance(first, numba.types.BaseTuple) else for_array
        return lambda first, *args: chosen(first, *args)

    return choose
