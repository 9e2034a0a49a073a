"""A factorized design, to be solved for right-hand sides."""

from __future__ import annotations

import time
from typing import Any

from .._core.iterate import Callback, closing
from .._core.namespace import Array
from ._inputs import request_of, right_hand_sides, start_of
from ._problem import Design
from ._report import report
from ._result import LstsqResult
from ._solve import Factor, Options, refined


class LstsqFactor:
    """A design factorized by `lstsq_factor`, to be solved for right-hand sides.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the design.
    method : str
        How it was factorized.
    rank : int
        Numerical rank.
    cond_estimate : float
        Estimate of the condition number of A with its columns scaled to unit length.

    See Also
    --------
    lstsq_factor : makes it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> A = rng.normal(size=(10000, 4))
    >>> factor = numopt.lstsq_factor(A)
    >>> factor.shape, factor.rank
    ((10000, 4), 4)
    >>> result = factor.solve(A @ [1.0, 2.0, 3.0, 4.0])
    >>> result.x.round(12)
    array([1., 2., 3., 4.])
    """

    shape: tuple[int, int]
    method: str
    rank: int
    cond_estimate: float
    _design: Design
    _factor: Factor
    _options: Options
    _dtype: Any
    _precision: str

    @classmethod
    def _of(
        cls, design: Design, factor: Factor, options: Options, dtype: Any, precision: str
    ) -> LstsqFactor:
        made = cls()
        made._design, made._factor, made._options = design, factor, options
        made._dtype, made._precision = dtype, precision
        made.shape, made.method = design.shape, factor.method
        made.rank, made.cond_estimate = factor.preconditioner.rank, factor.preconditioner.cond
        return made

    def __repr__(self) -> str:
        """Return how the design was factorized."""
        n, d = self.shape
        return (
            f"LstsqFactor({n} x {d}, method={self.method!r}, rank={self.rank}, "
            f"cond_estimate={self.cond_estimate:.3g})"
        )

    def solve(
        self,
        b: Array,
        *,
        x0: Array | None = None,
        tol: float | None = None,
        maxiter: int = 100,
        callback: Callback | None = None,
    ) -> LstsqResult:
        """Return the `LstsqResult` for right-hand sides `b` (n,) or (n, k): two or three passes."""
        started, design = time.perf_counter(), self._design
        asked = request_of(design, self._dtype, self._precision, tol, maxiter, callback)
        columns, single = right_hand_sides(b, design)
        start = start_of(x0, design, columns, single)
        with closing(asked.callback):
            found = refined(design, self._factor, columns, start, asked)
        return report(design, self._factor, self._options, found, asked, single, started)
