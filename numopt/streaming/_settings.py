"""Options, checked, and how the memory is shared out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core import validate

METHODS = ("auto", "truncate", "block-power", "oja", "fd", "gram")
BLOCKS = ("growing", "uniform")


class Settings(NamedTuple):
    """Validated options of a summary."""

    k: int
    memory_rows: int
    method: str
    tol: float
    n_rows: int | None
    blocks: str
    growth: float
    heavy_threshold: float | None
    center: bool
    gram_limit: int
    decay: float | None


class Layout(NamedTuple):
    """Vectors of length d that each part of a summary keeps."""

    factor: int = 0  # rows of the factor of track T
    panel: int = 1  # rows merged at once; all but one of them may have to wait
    power: int = 0  # columns of track P, of which there are two sets
    oja: bool = False
    heavy: int = 0
    fresh: bool = False  # whether the last column of P is replaced by a random one
    rates: int = 0

    @property
    def vectors(self) -> int:
        """How many vectors that is in all."""
        waiting = self.panel - 1 if self.factor else 0
        return self.factor + waiting + 2 * self.power + self.oja + self.heavy + self.rates


def checked(options: dict[str, Any]) -> Settings:
    """Return validated options."""
    k = validate.at_least_one("k", options["k"])
    memory = validate.at_least(2 * k + 2, "memory_rows", options["memory_rows"])
    n_rows, method = options["n_rows"], validate.choice("method", options["method"], METHODS)
    threshold, decay = options["heavy_threshold"], options["decay"]
    blocks = validate.choice("blocks", options["blocks"], BLOCKS)
    if n_rows is not None:
        n_rows = validate.at_least_one("n_rows", n_rows)
    if blocks == "uniform" and n_rows is None:
        raise ValueError("`n_rows` must be given for blocks 'uniform', got None.")
    if k > 1 and method == "oja":
        raise ValueError(f"`k` must be 1 for method 'oja', got {k}.")
    if decay is not None and method != "truncate":
        raise ValueError(f"`decay` goes with method 'truncate' only, got method {method!r}.")
    if validate.flag("center", options["center"]) and method not in ("auto", "truncate"):
        raise ValueError(
            f"`center` goes with methods 'auto' and 'truncate' only, got method {method!r}."
        )
    return Settings(
        k=k,
        memory_rows=memory,
        method=method,
        tol=validate.fraction("tol", options["tol"]),
        n_rows=n_rows,
        blocks=blocks,
        growth=_at_least_one("growth", options["growth"]),
        heavy_threshold=None
        if threshold is None
        else validate.positive("heavy_threshold", threshold),
        center=options["center"],
        gram_limit=validate.at_least_one("gram_limit", options["gram_limit"]),
        decay=None if decay is None else validate.between("decay", decay, 0.0, 1.0),
    )


def _at_least_one(name: str, value: Any) -> float:
    number = validate.real(name, value)
    if not 1 <= number < math.inf:
        raise ValueError(f"`{name}` must be at least 1 and finite, got {value!r}.")
    return number


def layout(settings: Settings, d: int) -> Layout:
    """Return how the memory is shared out for rows of d numbers."""
    k, m = settings.k, settings.memory_rows - (2 if settings.center else 0)
    if settings.method == "fd":
        size = max(k + 1, (m + 1) // 2)
        return Layout(factor=size, panel=m - size + 1)
    if settings.method == "oja":
        return Layout(rates=min(16, m))
    if settings.method == "block-power":
        return _power_only(k, m, d, settings.blocks)
    if settings.method == "auto":
        found = _race_layout(k, m)
        # A factor of d rows loses nothing, and needs no other track.
        if found is not None and found.factor < d:
            return found
    size = max(k + 1, (m + 1) // 2)
    return Layout(factor=size, panel=m - size + 1)


def _power_only(k: int, m: int, d: int, blocks: str) -> Layout:
    """Return the layout of the block power method: as published, or with spare columns."""
    power = k if blocks == "uniform" else min(max(k + 1, m // 4), d)
    return Layout(power=power, heavy=m - 2 * power, fresh=power > k)


def _race_layout(k: int, m: int) -> Layout | None:
    """Return the layout of the race; None where there is no room for it.

    P keeps its own k vectors, those of the other tracks, and a new one; each comes twice.
    """
    if k > 1:
        power, factor = 2 * k + 1, max(2 * k, k + 4)
        spare = m - 2 * power - factor
        if spare < 2:
            return None
        heavy = min(spare // 2, 4)
        return Layout(factor, 1 + spare - heavy, power, False, heavy, True)
    if m < 12:
        return None
    oja = m >= 20
    power = max(4 if oja else 3, m // 6)
    factor = max(3, m // 4)
    heavy = m - 2 * power - factor - (factor - 1) - oja
    return Layout(factor, factor, power, oja, heavy, True)
