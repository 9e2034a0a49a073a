"""What every solver returns."""

from __future__ import annotations

from scipy.optimize import OptimizeResult

CONVERGED = 0
ITERATION_LIMIT = 1
NON_FINITE = 98
STOPPED_BY_CALLBACK = 99


class Result(OptimizeResult):  # type: ignore[misc]
    """Outcome of a solver: a dictionary whose keys are attributes too.

    Attributes
    ----------
    x : array
        The solution; each solver's documentation says what it is.
    fun : float
        Objective value at `x`.
    success : bool
        Whether the certificate, recomputed from the returned arrays, meets the tolerance.
    status : int
        Why the solver stopped: 0 converged, 1 iteration limit, 98 a number that is not finite,
        99 stopped by the callback. Codes from 2 to 97 belong to the solver.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Iterations done.
    history : list of dict
        One record for every check of the stopping error, in order, with at least ``nit`` and
        ``error``.

    See Also
    --------
    scipy.optimize.OptimizeResult : the class this one extends.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> result = numopt.entropic_transport(np.eye(2), reg=0.5)
    >>> result.success, result["status"]
    (True, 0)
    """

    def __repr__(self) -> str:
        """Return the fields in a column, long lists by their length."""
        shown = OptimizeResult(self)
        for name, value in self.items():
            if isinstance(value, list) and len(value) > 8:
                shown[name] = f"list of {len(value)}"
        return str(OptimizeResult.__repr__(shown))

    def __dir__(self) -> list[str]:
        """Return the names of fields and methods: completion offers both."""
        return sorted({*object.__dir__(self), *self})
