"""Convex ReLU training: elementwise passes over the constraints."""

from __future__ import annotations

from .._dispatch import kernel
from .._namespace import Array, array_namespace


@kernel(min_size=65_536)
def reflect_slacks(T: Array, XU: Array, signs: Array, relaxation: float) -> Array:
    """Move the reflected slacks of a splitting method.

    `T` and `XU` (C, 2, P, n), `signs` (P, n). Returns ``T + relaxation * (signs * XU - max(T, 0))``
    of the shape of `T`, in one pass.
    """
    xp = array_namespace(T, XU, signs)
    return T + relaxation * (signs * XU - xp.clip(T, 0.0, None))
