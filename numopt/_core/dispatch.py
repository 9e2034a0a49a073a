"""Which implementation of a kernel runs: the whole mechanism.

The reference, written in the Array API, is the kernel. Where the first argument is a NumPy or a
CuPy array of some size, a function of the same name in a backend package runs in its place.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from math import prod
from typing import Any, ParamSpec, TypeVar

from array_api_compat import is_cupy_array, is_numpy_array

PACKAGES = {"numba": "numba_kernels", "cupy": "numopt._cupy_kernels"}

P = ParamSpec("P")
R = TypeVar("R")


def backend_of(x: Any) -> str | None:
    """Return the backend package that serves an array, None where only the reference does."""
    if is_numpy_array(x):
        return "numba"
    return "cupy" if is_cupy_array(x) else None


@cache
def find(backend: str, family: str, name: str) -> Callable[..., Any] | None:
    """Return the kernel of a backend; None where it, its family or its compiler is missing."""
    module = f"{PACKAGES[backend]}.{family}"
    if find_spec(backend) is None or find_spec(module) is None:
        return None
    return getattr(importlib.import_module(module), name, None)


def size_of(first: Any) -> int:
    """Return the number of entries a kernel works on.

    That is the size of its first argument or, for a tuple (X, Y, ...) of point clouds, the
    number of pairs of points.
    """
    if isinstance(first, tuple):
        return int(first[0].shape[0] * first[1].shape[0])
    return prod(first.shape)


def kernel(*, min_size: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a reference function a kernel: from `min_size` entries on, a backend may replace it."""

    def decorate(reference: Callable[P, R]) -> Callable[P, R]:
        family, name = reference.__module__.rpartition(".")[2], reference.__name__

        @wraps(reference)
        def dispatch(*args: P.args, **kwargs: P.kwargs) -> R:
            first: Any = args[0]
            backend = backend_of(first[0] if isinstance(first, tuple) else first)
            if backend is not None and size_of(first) >= min_size:
                fast = find(backend, family, name)
                if fast is not None:
                    return fast(*args, **kwargs)  # type: ignore[no-any-return]
            return reference(*args, **kwargs)

        return dispatch

    return decorate
