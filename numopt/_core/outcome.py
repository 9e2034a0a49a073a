"""What every solver returns, and the one place that says whether it succeeded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import IntEnum
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # SciPy has no annotations, and a base of unknown type would accept any field
    Base = dict[str, Any]
else:
    from scipy.optimize import OptimizeResult as Base

Array = Any


class Status(IntEnum):
    """Why a solver stopped: a number, the same for all solvers, that carries its message.

    Attributes
    ----------
    text : str
        The message, in which ``{count}``, ``{reached}``, ``{advice}`` and ``{detail}`` stand for
        the iterations done, what the checks measured, what to try, and what is particular.
    solved : bool
        Whether this is how a solve ends that met its tolerance.

    See Also
    --------
    Result : carries a status.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> numopt.entropic_transport(np.eye(2), reg=0.5).status is numopt.Status.CONVERGED
    True
    """

    text: str
    solved: bool

    def __new__(cls, code: int, text: str = "", solved: bool = False) -> Status:
        """Make a member of a number that carries a message."""
        member = int.__new__(cls, code)
        member._value_, member.text, member.solved = code, text, solved
        return member

    CONVERGED = 0, "Converged{count}{reached}.{detail}", True
    ITERATION_LIMIT = 1, "Stopped{count}{reached}{advice}.{detail}"
    STALLED = 2, "Stopped{count}{reached}: no further progress{advice}.{detail}"
    PRECISION_LIMIT = 3, "Stopped{count}{reached} at the precision of the dtype{advice}.{detail}"
    RANK_DEFICIENT = 4, "Solved{count}{reached} for a rank-deficient matrix.{detail}", True
    INFEASIBLE = 5, "Stopped{count}{reached}: the constraints are infeasible nearby{advice}."
    FELL_BACK = 6, "Converged{count}{reached}, by a fallback.{detail}", True
    SAMPLE_ENLARGED = 7, "Solved{count}{reached} on a sample that had to be enlarged.{detail}", True
    EARLY_STOPPING = (
        8,
        "Stopped early{count}: the error on held-out entries no longer falls; the best model is "
        "returned.{detail}",
        True,
    )
    NOISE_FLOOR = 9, "Came to rest{count} at a residual above zero.{detail}"
    NO_STRUCTURE = 10, "No matrix of low rank explains the measurements{count}{advice}.{detail}"
    NOT_DETERMINED = (
        11,
        "Stopped{count}{reached}: the data determine more than one answer{advice}.{detail}",
    )
    TOO_EARLY = 12, "Not accurate enough yet{count}{reached}{advice}.{detail}"
    ORDERED = 13, "The order of the rows is not random{detail}{reached}{advice}."
    NO_ANSWER = 14, "There is no answer{advice}.{detail}"
    NO_PATTERN = 15, "No activation pattern survives the perturbation{detail}{advice}."
    UNPROVED = 16, "Stopped{count}{reached}, by an estimate that proves nothing{advice}.{detail}"
    NON_FINITE = 98, "Stopped{count} because a number was not finite{advice}.{detail}"
    STOPPED_BY_CALLBACK = 99, "Stopped by the callback{count}{reached}.{detail}"


class Check(NamedTuple):
    """One number that decides whether a result is a success, and its limit.

    Attributes
    ----------
    name : str
        What was measured.
    value : float
        What came out, recomputed from the problem as given and the arrays returned.
    limit : float
        What it may be at most.
    unit : str
        What the value is relative to; empty for a plain number.

    See Also
    --------
    verify : recomputes the checks of a result.

    Examples
    --------
    >>> import numopt
    >>> numopt.Check("relative gap", 1e-9, 1e-8).passed
    True
    >>> numopt.Check("relative gap", float("nan"), 1e-8).passed
    False
    """

    name: str
    value: float
    limit: float
    unit: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value is a finite number within its limit."""
        return math.isfinite(self.value) and self.value <= self.limit

    def __str__(self) -> str:
        """Return the check as a line of a table."""
        verdict = "pass" if self.passed else "FAIL"
        unit = f" {self.unit}" if self.unit else ""
        return f"{verdict}  {self.name}: {self.value:.2e} <= {self.limit:.2e}{unit}"


class Outcome(NamedTuple):
    """How a solve ended, as every result says it."""

    success: bool
    status: Status
    message: str
    checks: list[Check]


class _Words(dict[str, str]):
    """Words of a message, of which those that were not given are empty."""

    def __missing__(self, key: str) -> str:
        return ""


def settle(
    status: int,
    checks: Iterable[Check],
    *,
    nit: int | None = None,
    unit: str = "iteration",
    otherwise: Status = Status.STALLED,
    solved: Status = Status.CONVERGED,
    advice: Mapping[Status, str] | None = None,
    detail: str = "",
    keep: Iterable[Status] = (),
) -> Outcome:
    """Return success, status and message: the only place where success is decided.

    It is ``value <= limit`` in finite numbers for each of the `checks`, of which there must be one,
    and nothing else. A loop that ended for another reason but passes has the status `solved`; one
    that thinks it is done but fails has `otherwise`. A status in `keep` stays, whatever the checks
    say, as does that of a callback. `advice` holds what to try for each status; `nit` counts the
    `unit`, None for no iteration.
    """
    listed, status = list(checks), Status(status)
    if not listed:
        raise ValueError("`checks` must not be empty: nothing would have been verified.")
    success = all(check.passed for check in listed)
    staying = {Status.STOPPED_BY_CALLBACK, *keep}
    if success and status not in staying and (status is Status.CONVERGED or not status.solved):
        status = solved
    elif not success and status.solved and status not in staying:
        finite = all(math.isfinite(check.value) for check in listed)
        status = otherwise if finite else Status.NON_FINITE
    message = message_of(
        status, listed, nit=nit, unit=unit, advice=(advice or {}).get(status, ""), detail=detail
    )
    return Outcome(success, status, message, listed)


def message_of(
    status: Status,
    checks: Iterable[Check] = (),
    *,
    nit: int | None = None,
    unit: str = "iteration",
    advice: str = "",
    detail: str = "",
) -> str:
    """Return the message of a status: a sentence with what was measured and what to try."""
    words = _Words(
        count="" if nit is None else f" after {nit} {unit}{'' if nit == 1 else 's'}",
        reached=_reached(checks),
        advice=f"; {advice}" if advice else "",
        detail=f" {detail}" if detail else "",
    )
    return status.text.format_map(words)


def _reached(checks: Iterable[Check]) -> str:
    """Return what was measured, in words: `` with a relative gap of 1.0e-09 (limit 1.0e-08)``."""
    parts = [
        f"{'an' if check.name[0] in 'aeio' else 'a'} {check.name} of {check.value:.1e} "
        f"(limit {check.limit:.1e})"
        for check in checks
    ]
    return f" with {' and '.join(parts)}" if parts else ""


class Result(Base):
    """Outcome of a solver: a dictionary whose keys are attributes too.

    Attributes
    ----------
    x : array
        The solution; each solver's documentation says what it is.
    fun : float
        Objective value at `x`.
    success : bool
        Whether all `checks`, recomputed from the problem and the returned arrays, are passed.
    status : Status
        Why the solver stopped, a number that is the same for all solvers: 0 converged, 1 iteration
        limit, 2 no further progress, 98 a number that is not finite, 99 stopped by the callback;
        others are listed where they occur.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Iterations done.
    history : list of dict
        One record for every check of the stopping error, in order, with at least ``nit`` and
        ``error``.
    checks : list of Check
        What `success` is made of: for each number its name, value, limit and unit.
    tol : float
        Tolerance of the solve: the one asked for, or the default for the dtype.
    execution_time : float
        Seconds the solve took.
    stats : dict
        Counts and measurements for those who tune: each solver's documentation lists them.

    See Also
    --------
    scipy.optimize.OptimizeResult : the class this one extends.
    verify : recomputes the checks of a result.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> result = numopt.entropic_transport(np.eye(2), reg=0.5)
    >>> result.success, result["status"] == 0
    (True, True)
    >>> [check.name for check in result.checks]
    ['marginal error']
    """

    x: Array
    fun: float
    success: bool
    status: Status
    message: str
    nit: int
    history: list[dict[str, Any]]
    checks: list[Check]
    tol: float
    execution_time: float
    stats: dict[str, Any]

    def verify(self, *problem: Any, **options: Any) -> list[Check]:
        """Return the checks, recomputed from the arguments `problem` and the arrays held here.

        `problem` and `options` are what the solver was given; options that only tune it may be
        left out.
        """
        del problem, options
        raise TypeError(f"a {type(self).__name__} has no checks that can be recomputed.")

    def __repr__(self) -> str:
        """Return the fields in a column: the checks as a table, what is long by its size."""
        shown = dict(_shown(self))
        width = max(map(len, shown), default=0)
        lines = [f"{name:>{width}}: {text}" for name, text in shown.items()]
        return "\n".join([type(self).__name__, *lines])

    def _repr_html_(self) -> str:
        """Return the fields as a table, for notebooks."""
        rows = "".join(
            f"<tr><th style='text-align:right'>{escape(name)}</th>"
            f"<td style='text-align:left'><pre>{escape(text)}</pre></td></tr>"
            for name, text in _shown(self)
        )
        return f"<table><caption>{escape(type(self).__name__)}</caption>{rows}</table>"

    def __dir__(self) -> list[str]:
        """Return the names of fields and methods: completion offers both."""
        return sorted({*object.__dir__(self), *self})


_FIRST = ("message", "success", "status", "checks", "fun")


def _shown(result: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield names and short texts of the fields, those that a reader looks for first in front."""
    names = [name for name in _FIRST if name in result]
    for name in [*names, *(name for name in result if name not in _FIRST)]:
        yield name, _brief(result[name])


def _brief(value: Any) -> str:
    """Return a short text for a field."""
    if isinstance(value, Status):
        return f"{int(value)} ({value.name})"
    if isinstance(value, list) and value and isinstance(value[0], Check):
        failed = [check for check in value if not check.passed]
        shown = value if len(value) <= 8 else failed[:8]
        more = f"{len(failed)} of {len(value)} failed" if len(value) > 8 else ""
        return "; ".join(filter(None, [more, *map(str, shown)]))
    if isinstance(value, list | tuple) and len(value) > 8:
        return f"{type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    if shape is not None and math.prod(shape) > 8:
        return f"array of shape {tuple(shape)}, {getattr(value, 'dtype', '')}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_brief, value))})"
    if isinstance(value, Result):
        return f"{type(value).__name__} ({'success' if value.success else 'no success'})"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_brief(item)}" for name, item in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
