"""One pool of threads for all kernels: fixed blocks of work, shared among the cores.

A kernel works on a range of rows and lets go of the interpreter meanwhile; this file hands the
ranges out. How work is cut depends on its size alone, so that results are the same bits on any
number of threads. Imports nothing but the standard library.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from queue import SimpleQueue
from typing import Any

# Work that is not worth waking another thread for, in entries read.
SMALL = 32_768
# Most blocks of a pass. Sums over rows are added block by block, in their order.
BLOCKS = 16
# Entries of a range: short enough for a key that is pressed meanwhile to be heard at once.
LONGEST = 1 << 24


def _allowed() -> int:
    """Return the threads to use: NUMOPT_NUM_THREADS, or the cores this process may run on."""
    given = os.environ.get("NUMOPT_NUM_THREADS", "")
    if given.strip():
        try:
            threads = int(given)
        except ValueError:
            threads = 0
        if threads < 1:
            raise ValueError(f"NUMOPT_NUM_THREADS must be a positive integer, got {given!r}.")
        return threads
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


class _Settings:
    threads: int | None = None


_HERE: ContextVar[int | None] = ContextVar("numopt_threads", default=None)
_THREAD = threading.local()


def get_num_threads() -> int:
    """Return how many threads kernels run on when called from here."""
    here = _HERE.get()
    if here is not None:
        return here
    if _Settings.threads is None:
        _Settings.threads = _allowed()
    return _Settings.threads


def set_num_threads(threads: int) -> None:
    """Let kernels of this process run on some number of threads."""
    _Settings.threads = _checked(threads)


@contextmanager
def num_threads(threads: int) -> Iterator[None]:
    """Let kernels that are called inside the context run on some number of threads."""
    token = _HERE.set(_checked(threads))
    try:
        yield
    finally:
        _HERE.reset(token)


def _checked(threads: int) -> int:
    if isinstance(threads, bool) or not hasattr(threads, "__index__"):
        raise TypeError(f"`threads` must be an integer, got {type(threads).__name__}.")
    if threads < 1:
        raise ValueError(f"`threads` must be at least 1, got {threads}.")
    return int(threads)


class _Job:
    """Blocks that whoever is free takes, one after the other."""

    __slots__ = ("blocks", "completed", "error", "finished", "following", "stopped", "work")

    def __init__(self, blocks: int, work: Callable[[int], Any]) -> None:
        self.blocks, self.work = blocks, work
        self.following, self.completed = count(), count(1)  # atomic: each is one step of C code
        self.stopped = False
        self.error: BaseException | None = None
        self.finished = threading.Lock()
        self.finished.acquire()

    def help(self) -> None:
        """Take blocks until none is left; the last one that is done lets the caller go on."""
        for block in self.following:
            if block >= self.blocks:
                return
            try:
                if not self.stopped:
                    self.work(block)
            except BaseException as error:
                self.error, self.stopped = self.error or error, True
            if next(self.completed) == self.blocks:
                self.finished.release()


class _Pool:
    """Threads that wait for jobs, made when they are first needed."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.lock, self.size = threading.Lock(), 0

    def ask(self, job: _Job, helpers: int) -> None:
        if self.size < helpers:
            self._grow(helpers)
        for _ in range(helpers):
            self.jobs.put(job)

    def _grow(self, size: int) -> None:
        with self.lock:
            while self.size < size:
                worker = threading.Thread(target=self._serve, daemon=True, name="numopt-kernel")
                worker.start()
                self.size += 1

    def _serve(self) -> None:
        _THREAD.busy = True
        while True:
            self.jobs.get().help()


_pool = _Pool()


def _after_fork() -> None:
    """Forget the threads of the parent, of which a child has none."""
    global _pool
    _pool, _THREAD.busy = _Pool(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run(blocks: int, work: Callable[[int], Any], *, entries: int) -> None:
    """Call ``work(block)`` for each block, on several threads where `entries` make it worth it.

    Blocks must write to places of their own. An exception of one is raised here, once no other
    block is running; Ctrl-C at once.
    """
    threads = min(blocks, get_num_threads(), 1 + entries // SMALL)
    if threads <= 1 or getattr(_THREAD, "busy", False):
        for block in range(blocks):
            work(block)
        return
    job = _Job(blocks, work)
    _pool.ask(job, threads - 1)
    try:
        job.help()
        job.finished.acquire()  # signals interrupt it
    except BaseException:
        job.stopped = True
        raise
    if job.error is not None:
        raise job.error


def blocks_of(n: int, width: int, most: int = BLOCKS) -> int:
    """Return into how many blocks n rows of a width are cut, whatever the number of threads."""
    return max(1, min(most, n, n * width // SMALL))


def run_rows(
    n: int,
    width: int,
    work: Callable[[int, int, int], Any],
    *,
    blocks: int | None = None,
    height: int | None = None,
) -> None:
    """Call ``work(block, first, last)`` until all rows are done: blocks in parallel, each in order.

    `width` is the entries of a row. A block is worked off in pieces of at most `height` rows, and
    of a length between which Ctrl-C is heard.
    """
    blocks = blocks_of(n, width) if blocks is None else blocks
    height = max(1, LONGEST // max(1, width)) if height is None else height

    def piecewise(block: int) -> None:
        last = (block + 1) * n // blocks
        for start in range(block * n // blocks, last, height):
            work(block, start, min(last, start + height))

    run(blocks, piecewise, entries=n * width)


def added(parts: Any) -> Any:
    """Return the sum of the parts of all blocks, in their order; the first is overwritten."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total
