"""Sketch and solve as Song, Ye, Yin and Zhang published it (ICML 2023, arXiv:2302.00248).

The solution of the sketched problem is returned as it is; this is what it guarantees and how many
rows that takes. `lstsq` and `kron_lstsq` do so with ``method="sketch"``.
"""

from __future__ import annotations

import math

from .._core.outcome import Check


def sketch_size_for(d: int, eps: float, delta: float) -> int:
    """Return the rows for which every coordinate errs by at most ``eps / sqrt(d) R |A+|``.

    With probability 1 - delta, the errors being close to normal with standard deviation at most
    ``R |A+| / sqrt(m)``.
    """
    return math.ceil(2 * d * math.log(2 * d / delta) / eps**2)


def linf_bound(m: int, d: int, delta: float, residual_norm: float, inverse: float) -> float:
    """Return ``eps / sqrt(d) R |A+|`` for the eps that a sketch of m rows stands for.

    `residual_norm` is R, `inverse` is ``|A+|``.
    """
    return math.sqrt(2 * math.log(2 * d / delta) / m) * residual_norm * inverse


def rounding(eps: float, norm: float, inverse: float, size: float) -> float:
    """Return what rounding does to coordinates of a solution of norm `size`, however it is found.

    Where the residual is zero but for rounding, so is the bound, and says less than this. `norm` is
    that of A, `inverse` is ``|A+|``.
    """
    return 16 * eps * norm * inverse * size


def guarantee(
    missing_rank: int, missing_rows: int, coordinate_error: float, limit: float
) -> list[Check]:
    """Return the checks of a sketched solution: what its guarantee asks for, and what it says."""
    return [
        Check("rank deficiency", float(missing_rank), 0.0),
        Check("shortfall of rows", float(missing_rows), 0.0),
        Check("coordinate error", coordinate_error, limit),
    ]
