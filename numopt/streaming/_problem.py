"""What is asked of a stream, and how its rows are to be summarized with the memory there is."""

from __future__ import annotations

import math
from typing import NamedTuple

METHODS = ("auto", "truncate", "block-power", "oja", "fd", "gram")
BLOCKS = ("growing", "uniform")


class Settings(NamedTuple):
    """Validated options of a summary."""

    rank: int
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

    @property
    def present(self) -> tuple[bool, bool, bool]:
        """Which of the tracks T, P and O there are."""
        return self.factor > 0, self.power > 0, self.oja


class Shape(NamedTuple):
    """How a factor is kept: rows merged at once, and what is done with what is dropped."""

    panel: int
    shrink: bool = False
    center: bool = False


class Plan(NamedTuple):
    """How rows of d numbers are summarized: what each track keeps, and the blocks of the stream."""

    settings: Settings
    layout: Layout
    shape: Shape
    first: int  # rows of the first block
    growth: float
    share: float  # of the sum of squares from which on a row is heavy

    @property
    def rank(self) -> int:
        """Number of vectors asked for."""
        return self.settings.rank

    def memory_rows_used(self, d: int) -> int:
        """Return the vectors of length d that may be held."""
        if self.settings.method == "gram":
            return d
        return self.layout.vectors + (2 if self.settings.center else 0)


def plan_for(settings: Settings, d: int) -> Plan:
    """Return how rows of d numbers are summarized."""
    if settings.method == "gram" and d > settings.gram_limit:
        raise ValueError(
            f"`gram_limit` must be at least the number of columns for method 'gram', "
            f"got {settings.gram_limit} for {d} columns."
        )
    if settings.rank > d:
        raise ValueError(
            f"`rank` must be at most the number of columns, got {settings.rank} for {d}."
        )
    held = Layout() if settings.method == "gram" else layout(settings, d)
    shape = Shape(held.panel, settings.method == "fd", settings.center)
    # log(d) is 1.6 at least, so that a row is not heavy because there are few columns.
    logarithm = math.log(max(d, 5))
    share = settings.heavy_threshold
    share = (1 / logarithm if share is None else share) / d
    if settings.blocks == "uniform":
        assert settings.n_rows is not None
        first, growth = max(1, settings.n_rows // math.ceil(2 * logarithm)), 1.0
    else:
        first, growth = max(16, 2 * d), settings.growth
    return Plan(settings, held, shape, first, growth, share)


def layout(settings: Settings, d: int) -> Layout:
    """Return how the memory is shared out for rows of d numbers."""
    k, m = settings.rank, settings.memory_rows - (2 if settings.center else 0)
    if settings.method == "fd":
        size = max(k + 1, (m + 1) // 2)
        return Layout(factor=size, panel=m - size + 1)
    if settings.method == "oja":
        return Layout(rates=min(16, m))
    if settings.method == "block-power":
        return _power_only(k, m, d, settings.blocks)
    if settings.method == "auto":
        found = _layout_of_all(k, m)
        # A factor of d rows loses nothing, and needs no other track.
        if found is not None and found.factor < d:
            return found
    size = max(k + 1, (m + 1) // 2)
    return Layout(factor=size, panel=m - size + 1)


def _power_only(k: int, m: int, d: int, blocks: str) -> Layout:
    """Return the layout of the block power method: as published, or with spare columns."""
    power = k if blocks == "uniform" else min(max(k + 1, m // 4), d)
    return Layout(power=power, heavy=m - 2 * power, fresh=power > k)


def _layout_of_all(k: int, m: int) -> Layout | None:
    """Return the layout of all tracks; None where there is no room for it.

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
