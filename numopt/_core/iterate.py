"""The loop every iterative solver runs in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .outcome import Result, Status

State = TypeVar("State")
Record = dict[str, Any]
Callback = Callable[[Result], object]


@dataclass
class Run(Generic[State]):
    """How a loop ended: its last state, the state with the smallest error, and why."""

    state: State
    best: State
    best_error: float
    nit: int
    status: int
    history: list[Record]


def iterate(
    state: State,
    step: Callable[[State], State],
    measure: Callable[[State], Record],
    *,
    tol: float,
    maxiter: int,
    check_every: int = 1,
    callback: Callback | None = None,
    give_up: Callable[[State], int | None] | None = None,
    history: list[Record] | None = None,
    nit: int = 0,
) -> Run[State]:
    """Apply `step` until the measured error is at most `tol`; never modifies a state.

    `measure` returns a record with at least ``error``; it runs before the first step, every
    `check_every` steps and after the last, and is where a device synchronizes. `give_up` returns
    a solver's own status code to stop with, or None. A loop that continues an earlier one passes
    its `history` and the iterations done so far, `nit`, which `maxiter` includes.
    """
    run = Run(state, state, math.inf, nit, Status.CONVERGED, [] if history is None else history)
    while True:
        record = {"nit": run.nit, **measure(run.state)}
        run.history.append(record)
        status: int | None = _status(run, record, tol, maxiter, callback)
        if status is None and give_up is not None:
            status = give_up(run.state)
        if status is not None:
            run.status = status
            return run
        for _ in range(min(check_every, maxiter - run.nit)):
            run.state = step(run.state)
            run.nit += 1


def _status(
    run: Run[State], record: Record, tol: float, maxiter: int, callback: Callback | None
) -> Status | None:
    """Return the shared status code to stop with, None to go on; keep the best state."""
    error = record["error"]
    if not math.isfinite(error):
        return Status.NON_FINITE
    if error < run.best_error:
        run.best, run.best_error = run.state, error
    if callback is not None:
        try:
            callback(Result(record))
        except StopIteration:
            return Status.STOPPED_BY_CALLBACK
    if error <= tol:
        return Status.CONVERGED
    return Status.ITERATION_LIMIT if run.nit >= maxiter else None


@contextmanager
def closing(callback: Callback | None) -> Iterator[None]:
    """Call the `close` method of a callback that has one when the solver is done."""
    try:
        yield
    finally:
        close = getattr(callback, "close", None)
        if close is not None:
            close()
