"""From a task to a model: which of the methods run, and in which order."""

from __future__ import annotations

import math

from .._core.iterate import Record
from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Status
from ._als import Fit, certified, fit
from ._polish import handing_over, polished, wanted
from ._problem import Model, Task
from ._published import fit_by_parts
from ._rank import Trials, grown, smallest, tried
from ._spectral_init import start


def solve(task: Task) -> Fit:
    """Return the model of a task."""
    history: list[Record] = []
    if task.problem.seen.norm() == 0:
        return zero_fit(task, task.rank or 1)
    if task.by_parts:
        return fit_by_parts(task, history)
    if task.rank is None:
        growth = grown(task, history)
        found = fit(task, growth.model, None, history, growth.nit)
        return smallest(task, found, history) if task.problem.reg == 0 else found
    model, top = start(task, task.rank)
    polish = wanted(task, task.rank)
    found = fit(handing_over(task) if polish else task, model, top, history)
    if polish and found.status in (Status.STALLED, Status.ITERATION_LIMIT):
        return polished(task, found)
    return found


def solve_path(task: Task, ranks: list[int], holdout: float) -> tuple[Trials, Fit]:
    """Return errors of all ranks on held-out entries, and the fit of the best to all entries."""
    history: list[Record] = []
    trials = tried(task, ranks, holdout, history)
    settings = task.settings._replace(maxiter=trials.nit + task.settings.maxiter)
    return trials, fit(task._replace(settings=settings), trials.model, None, history, trials.nit)


def zero_fit(task: Task, rank: int) -> Fit:
    """Return the fit of values that are all zero."""
    like: Array = task.problem.seen.like
    xp, (m, n) = array_namespace(like), task.problem.seen.shape
    X, Y = (xp.zeros((size, rank), dtype=like.dtype, device=device_of(like)) for size in (m, n))
    record = {
        "nit": 0,
        "error": 0.0,
        "seconds": 0.0,
        "fun": 0.0,
        "residual": 0.0,
        "reg": task.problem.reg,
        "rank": rank,
        "rmse": math.nan,
    }
    model = task.problem.with_biases(Model(X, Y))
    found = certified(task, model, Status.CONVERGED, 0, 0.0, [record])
    return found._replace(detail="All values are zero.")
