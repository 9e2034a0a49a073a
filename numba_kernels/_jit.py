"""The one place that calls Numba: how every CPU kernel is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from ._cache import Cache

# Contraction (a*b + c in one rounding) is always allowed. Reassociation is opt-in: it
# vectorizes sums, but would break code that relies on the order of operations.
_CONTRACT = {"contract"}
_REORDER = {"contract", "reassoc", "nsz"}


def jit(*, reorder: bool = False, inner: bool = False) -> Callable[[Any], Any]:
    """Compile a serial kernel lazily, one version per dtype, kept on disk where possible.

    It lets go of the interpreter, so that several threads can each run it on rows of their own.
    `reorder` lets the compiler reassociate sums, which vectorizes reductions. What only other
    kernels call is `inner`: it needs no way in from the interpreter, half of what compiling costs.
    It is always inlined and not kept by itself: of several copies of a function, each optimized in
    its place, a process would take any one, so that last bits depended on what was compiled before.
    """
    wrappers = {"no_cfunc_wrapper": True, "no_cpython_wrapper": inner, "forceinline": inner}

    def compile_kernel(function: Any) -> Any:
        compiled = numba.njit(
            nogil=True,
            error_model="numpy",
            fastmath=_REORDER if reorder else _CONTRACT,
            **wrappers,
        )(function)
        if not inner and hasattr(compiled, "_cache"):  # not so where NUMBA_DISABLE_JIT is set
            compiled._cache = Cache(function)
        return compiled

    return compile_kernel
