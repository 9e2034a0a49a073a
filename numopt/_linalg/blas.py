"""How many threads BLAS runs on, and what NumPy says of floating point errors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import array_api_compat
import numpy as np

from .._core.namespace import Array


def one_blas_thread(like: Array) -> AbstractContextManager[Any]:
    """Return a context in which BLAS runs on one thread, where it is what serves the array.

    For work on matrices of a few hundred columns between compiled passes: threads of BLAS bring
    nothing there, and go on waiting in a busy loop that takes the cores from the passes.
    """
    if not array_api_compat.is_numpy_array(like):
        return nullcontext()
    return _blas().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]


def quiet() -> AbstractContextManager[Any]:
    """Return a context in which NumPy does not warn of overflow or of what is not a number.

    For work whose result is looked at, and where a plain error follows.
    """
    return np.errstate(all="ignore")


@cache
def _blas() -> Any:
    """Return a handle on the BLAS libraries of the process; finding them takes milliseconds."""
    import scipy.linalg.blas  # noqa: F401  (SciPy's own library is to be found, too)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
