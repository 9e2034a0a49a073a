"""Random numbers: drawn on the host, so that every array library sees the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from .namespace import Array, array_namespace, device_of


def generator(rng: int | np.random.Generator | None) -> np.random.Generator:
    """Return the generator a public `rng` argument stands for: None, a seed or a generator."""
    if isinstance(rng, bool) or not (
        rng is None or isinstance(rng, (int, np.integer, np.random.Generator))
    ):
        raise TypeError(
            f"`rng` must be None, an integer seed or a numpy.random.Generator, "
            f"got {type(rng).__name__}."
        )
    return np.random.default_rng(rng)


def place(draw: np.ndarray[Any, Any], like: Array, dtype: Any = None) -> Array:
    """Return host numbers as an array of the library and device of `like`."""
    xp = array_namespace(like)
    return xp.asarray(draw, dtype=like.dtype if dtype is None else dtype, device=device_of(like))
