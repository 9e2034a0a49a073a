"""How many threads BLAS runs on, and what NumPy says of floating point errors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import array_api_compat
import numpy as np

from numba_kernels._blas import one_blas_thread as limited

from .._core.namespace import Array


def one_blas_thread(like: Array) -> AbstractContextManager[Any]:
    """Return a context in which BLAS runs on one thread, where it is what serves the array.

    For work on matrices of a few hundred columns between compiled passes: threads of BLAS bring
    nothing there, and go on waiting in a busy loop that takes the cores from the passes.
    """
    if not array_api_compat.is_numpy_array(like):
        return nullcontext()
    return limited()


def quiet() -> AbstractContextManager[Any]:
    """Return a context in which NumPy does not warn of overflow or of what is not a number.

    For work whose result is looked at, and where a plain error follows.
    """
    return np.errstate(all="ignore")
