"""Entries of a matrix to be split, and the settings, as the parts of the solver share them."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..._core.iterate import Callback
from ..._core.namespace import Array, array_namespace
from ..._entries.layouts import Layouts, there_of
from ..._entries.read import Entries
from ..._linalg import Factors
from .._robust_scale import median_at


class Data(NamedTuple):
    """The observed entries of a matrix, laid out and as they came."""

    entries: Layouts
    matrix: Array | None = None  # dense, with what was seen of it, None for all
    seen: Array | None = None
    listed: Entries | None = None  # entries of a sparse matrix of a kind
    kind: Any = None


class Rule(NamedTuple):
    """How rows are updated."""

    method: str  # "reweighted" or "subgradient"
    q: float  # quantile of the residual that sets the scale of a row
    width: float  # scales beyond which an entry counts as an outlier
    eta: float  # length of a subgradient step, in Gauss-Newton steps


class Settings(NamedTuple):
    """Validated options of `robust_pca`."""

    rank: int
    x0: Factors | None
    rule: Rule
    prune: bool
    noise: bool
    tol: float
    floor: float  # smallest scale of a weight, relative to the entries
    maxiter: int
    generator: Any
    callback: Callback | None

    @property
    def q(self) -> float:
        """Quantile that sets scales."""
        return self.rule.q


def unit_of(entries: Layouts) -> float:
    """Return the typical magnitude of the entries: the median, the largest where that is zero."""
    sizes = array_namespace(entries.rows.values).abs(entries.rows.values)
    return median_at(sizes, there_of(entries.rows)) or float(array_namespace(sizes).max(sizes))
