"""What makes a result a success, computed again by whoever doubts it."""

from __future__ import annotations

from typing import Any

from ._core.outcome import Check, Result


def verify(result: Result, *problem: Any, **options: Any) -> list[Check]:
    """Return the checks of a result, recomputed from the problem and the returned arrays alone.

    Nothing that the solver computed on its way is used, so that a result can be judged by someone
    who only has it and the data: it is a success if every check is passed.

    Parameters
    ----------
    result : Result
        What a solver returned.
    *problem : object
        The arguments the solver was given, in its order.
    **options : object
        Arguments of the solver by name, where the problem needs them, such as ``reg``. Options
        that only tune the solver may be left out.

    Returns
    -------
    list of Check
        The same checks as ``result.checks``, each with a value of its own.

    Raises
    ------
    TypeError
        If `result` is not a `Result`, or not of a kind that can be verified.

    See Also
    --------
    Result.verify : the same as a method.

    Notes
    -----
    Takes about one pass over the data. The limits are those of the result.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> cost = np.random.default_rng(0).random((5, 4))
    >>> result = numopt.entropic_transport(cost, reg=0.1)
    >>> all(check.passed for check in numopt.verify(result, cost, reg=0.1))
    True
    >>> result.f = result.f + np.arange(5)  # no longer the potentials that were found
    >>> all(check.passed for check in numopt.verify(result, cost, reg=0.1))
    False
    """
    if not isinstance(result, Result):
        raise TypeError(f"`result` must be a numopt Result, got {type(result).__name__}.")
    return result.verify(*problem, **options)
