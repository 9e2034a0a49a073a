"""Arguments of `robust_pca`, and measured entries, checked and brought into one form."""

from __future__ import annotations

from typing import Any

from ..._core import validate
from ..._core.namespace import array_namespace
from ..._core.random import generator
from ..._core.settings import is_sparse
from ..._entries.layouts import Layouts, full_layouts, listed_layouts, masked_layouts
from ..._entries.read import Entries, from_sparse, no_mask, of_positive_weight, read_table
from .._inputs import STARTS, start_of, tolerance_of
from .._problem import Problem
from ..measurements import EntrySensing, FullEntrySensing
from ._problem import Data, Rule, Settings

METHODS = ("reweighted", "subgradient")
# Quantiles of the residual of a row, tuned on planted matrices at 10 to 40 % corruption. Beyond
# `WIDTH` deviations an entry counts as an outlier.
DEFAULT_Q = {"reweighted": 0.3, "subgradient": 0.6}
WIDTH = 1.5
LARGEST_DEFAULT_RANK = 30
FLOOR_EPS = 256


def data_of(M: Any, mask: Any, weights: Any) -> Data:
    """Return the validated data."""
    if is_sparse(M):
        no_mask(mask, "a sparse matrix")
        return _sparse_data(M, weights)
    M, seen, weights = read_table(M, mask, weights, nan_is_missing=False)
    xp = array_namespace(M)
    if not bool(xp.any(seen)):
        raise ValueError("`mask` must be true somewhere.")
    if weights is not None:
        seen = seen & (validate.non_negative("weights", weights) > 0)
        if not bool(xp.any(seen)):
            raise ValueError("`weights` must be positive where an entry is observed.")
    if bool(xp.all(seen)):
        return Data(full_layouts(validate.finite("M", M), weights), M)
    M = validate.finite("M", xp.where(seen, M, xp.zeros_like(M)))
    return Data(masked_layouts(M, seen, weights), M, seen)


def _sparse_data(M: Any, weights: Any) -> Data:
    """Return the entries that a sparse matrix holds."""
    M = M.tocoo()
    listed = from_sparse(M, weights)
    if listed.values.shape[0] == 0:
        raise ValueError("`M` must have entries.")
    listed = of_positive_weight(listed)
    if listed.values.shape[0] == 0:
        raise ValueError("`weights` must be positive where an entry is observed.")
    validate.finite("M", listed.values)
    flat = listed.rows * listed.shape[1] + listed.columns
    if array_namespace(flat).unique_values(flat).shape[0] != flat.shape[0]:
        raise ValueError("`M` must not hold an entry twice; call sum_duplicates first.")
    return Data(listed_layouts(listed), listed=listed, kind=type(M))


def measured_entries(problem: Problem) -> Layouts | None:
    """Return the entries of positive weight among measured ones, None for other measurements."""
    A: Any = problem.operator
    if not isinstance(A, EntrySensing | FullEntrySensing):
        return None
    y, weights = problem.y, problem.weights
    xp, kept = array_namespace(y), weights > 0
    if not bool(xp.any(kept)):
        raise ValueError("`weights` must be positive somewhere.")
    given = None if bool(xp.all(weights == 1)) else weights
    if isinstance(A, FullEntrySensing):
        M, kept = (xp.reshape(x, A.shape) for x in (y, kept))
        return masked_layouts(M, kept, None if given is None else xp.reshape(given, A.shape))
    listed = Entries(A.rows, A.columns, y, given, A.shape)
    return listed_layouts(of_positive_weight(listed))


def entry_settings_of(
    entries: Layouts,
    rank: Any,
    *,
    method: Any,
    q: Any,
    eta: Any,
    prune: Any,
    noise: Any,
    x0: Any,
    tol: Any,
    maxiter: Any,
    rng: Any,
    callback: Any,
) -> Settings:
    """Return the validated options."""
    method = validate.choice("method", method, METHODS)
    q = DEFAULT_Q[method] if q is None else validate.fraction("q", q)
    values = entries.rows.values
    return Settings(
        rank=_rank(entries, rank),
        x0=start_of(x0, entries.shape, False, M=values),
        rule=Rule(method, q, WIDTH, validate.positive("eta", eta)),
        prune=validate.flag("prune", prune),
        noise=validate.flag("noise", noise),
        tol=tolerance_of(values, tol),
        floor=FLOOR_EPS * float(array_namespace(values).finfo(values.dtype).eps),
        maxiter=validate.count("maxiter", maxiter),
        generator=generator(rng),
        callback=validate.optional_callable("callback", callback),
    )


def measured_settings_of(
    entries: Layouts, rank: Any, *, q: Any, x0: Any, **options: Any
) -> Settings:
    """Return the options for measured entries, of those of recovery from any measurements."""
    if isinstance(x0, str):
        validate.choice("x0", x0, STARTS)
        x0 = None
    q = max(validate.fraction("q", q), DEFAULT_Q["reweighted"])
    return entry_settings_of(entries, rank, method="reweighted", q=q, eta=1.0, x0=x0, **options)


def _rank(entries: Layouts, rank: Any) -> int:
    """Return the largest rank looked for: as given, or what the entries can tell."""
    n, d = entries.shape
    if rank is None:
        by_count = entries.total // (4 * (n + d))
        return max(1, min(by_count, min(n, d) // 4, LARGEST_DEFAULT_RANK))
    largest: int = validate.count("rank", rank)
    if not 1 <= largest <= min(n, d):
        raise ValueError(f"`rank` must be between 1 and {min(n, d)}, got {rank}.")
    return largest
