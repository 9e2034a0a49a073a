"""How many threads BLAS runs on: one, while anybody here asks for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    """Return a handle on the BLAS libraries of the process; finding them takes milliseconds."""
    import scipy.linalg.blas  # noqa: F401  (SciPy's own library is to be found, too)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class _Guard:
    """Counts who is inside: the first one in limits BLAS, the last one out restores it."""

    def __init__(self) -> None:
        self.lock, self.inside, self.limits = threading.Lock(), 0, None

    def enter(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.limits = _controller().limit(limits=1, user_api="blas")
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._restore()

    def _restore(self) -> None:
        if self.limits is not None:
            self.limits.restore_original_limits()
            self.limits = None

    def after_fork(self) -> None:
        """Forget threads of the parent that were inside: they are not in the child."""
        self.lock = threading.Lock()
        self._restore()
        self.inside = 0


_guard = _Guard()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _guard.after_fork())


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS run on one thread inside, in the whole process; contexts may nest and overlap."""
    _guard.enter()
    try:
        yield
    finally:
        _guard.leave()
