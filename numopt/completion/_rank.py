"""The rank, found from what the solver can see: residuals, and errors on entries held out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core.iterate import Record
from .._core.namespace import array_namespace
from .._core.outcome import Status
from .._core.random import place
from .._entries.observations import Observations, in_memory
from .._linalg import Frame
from ._als import Alternation, Fit, State, fit, truncated
from ._problem import Held, Model, Task
from ._spectral_init import appended, balanced, leading_pairs, non_negative, start, with_rank

# Share of the entries on which a rank is judged where the user gives none for it.
_HELD_OUT = 0.1
# A rank is done with when a sweep lowers the residual by less than this, after so many sweeps.
_FALL, _SETTLE = 0.3, 3
# Directions appended at once at most, and the ratio of singular values that counts as a gap.
_BATCH, _GAP = 5, 1.3
# Ranks in a row without a better error on the held-out entries after which growing ends.
_RISES = 2
# Power steps for singular pairs of a residual, whose values are less apart than those of the data.
_POWERS = 6


class Growth(NamedTuple):
    """The model of the best rank, its error on held-out entries, and the sweeps it took."""

    model: Model
    rmse: float
    nit: int


class Trials(NamedTuple):
    """Errors on held-out entries, the model of the best rank, the sweeps of all, the entries."""

    errors: list[float]
    model: Model
    nit: int
    held_out: int


class _Stage(Alternation):
    """An iteration that ends where its rank has done what it can."""

    sweeps = 0
    last = 0.0

    def give_up(self, state: State) -> Status | None:
        """Return why to stop: the residual falls too slowly, or any reason there is always."""
        self.sweeps += 1
        slow = self.sweeps > 1 and state.residual > (1 - _FALL) * self.last
        self.last = state.residual
        if slow and self.sweeps > _SETTLE:
            return Status.STALLED
        return super().give_up(state)


def grown(task: Task, history: list[Record]) -> Growth:
    """Return a model whose rank was raised while that lowered the error on held-out entries."""
    task = judging(task, _HELD_OUT)
    seen = task.problem.seen
    pairs = _leading(task, None)
    model = task.problem.with_biases(balanced(pairs, seen.share))
    model = non_negative(model) if task.problem.nonneg else model
    best, rises, nit = Growth(model, math.inf, 0), 0, 0
    while True:
        loop = _Stage(task.problem, task.settings)
        run = loop.run(loop.first(model, None), history, nit, task.settings.maxiter)
        nit, state = run.nit, run.state
        passed = run.status == Status.CONVERGED and state.residual <= task.settings.tol
        if state.rmse < best.rmse:
            best, rises = Growth(state.model, state.rmse, nit), 0
        else:
            rises += 1
        full = state.model.rank >= task.max_rank
        ended = run.status not in (Status.CONVERGED, Status.STALLED)
        if passed or full or ended or rises >= _RISES:
            return best._replace(nit=nit)
        pairs = _leading(task, state.model)
        model = appended(state.model, pairs, seen.share)
        model = non_negative(model) if task.problem.nonneg else model


def judging(task: Task, share: float) -> Task:
    """Return the task with a share of its entries held out, unless the user gave some."""
    if task.validation is not None:
        return task
    train, held = split(in_memory(task.problem.seen), share, task.settings.rng)
    return task._replace(problem=task.problem._replace(seen=train)).validated_on(held)


def split(seen: Observations, share: float, rng: Any) -> tuple[Observations, Held]:
    """Return most of the entries, and a random share of them to measure errors on."""
    side, count = seen.rows, seen.size
    held = max(1, round(share * count))
    order = place(rng.permutation(count), side.data, side.indptr.dtype)
    out = order[:held]
    values = array_namespace(side.data).take(side.data, out)
    return seen.part(order[held:]), (side.rows_of(out), side.columns_of(out), values)


def _leading(task: Task, model: Model | None) -> Frame:
    """Return the singular pairs of what is left to explain that stand out from the rest."""
    seen, room = task.problem.seen, task.max_rank
    if model is not None:
        seen, room = seen.left(*model), room - model.rank
    pairs = leading_pairs(seen, _BATCH + 1, task.settings.rng, _POWERS)
    sigma = [float(s) for s in pairs.values]
    ratios = [
        sigma[j] / sigma[j + 1] if sigma[j + 1] > 0 else math.inf
        for j in range(min(_BATCH, len(sigma) - 1))
    ]
    count = 1
    if ratios and max(ratios) > _GAP:
        count = 1 + ratios.index(max(ratios))
    count = max(1, min(count, room))
    return Frame(pairs.left[:, :count], pairs.values[:count], pairs.right[:, :count])


def smallest(task: Task, found: Fit, history: list[Record]) -> Fit:
    """Return the fit of the smallest rank whose residual still passes, trying one less at a time.

    For columns appended several at a time. What one column less cannot explain shows within a few
    sweeps.
    """
    tol = task.settings.tol
    while (
        found.model.rank > 1 and found.worth.residual <= tol and found.nit < task.settings.maxiter
    ):
        loop = _Stage(task.problem, task.settings)
        less = truncated(found.model, found.model.rank - 1)
        run = loop.run(loop.first(less, None), history, found.nit, task.settings.maxiter)
        found = found._replace(nit=run.nit)
        if run.status != Status.CONVERGED or run.state.residual > tol:
            return found
        found = fit(task, run.state.model, None, history, run.nit)
    return found


def tried(task: Task, ranks: list[int], share: float, history: list[Record]) -> Trials:
    """Return the error of every rank on held-out entries, and the model of the best.

    Each starts from the one before, with leading singular pairs of its residual appended.
    """
    judged = judging(task, share)
    errors: list[float] = []
    best, nit = None, 0
    found: Fit | None = None
    for rank in ranks:
        if found is None:
            model, top = start(judged, rank)
        else:
            model, top = _wider(judged, found.model, rank), None
        settings = judged.settings._replace(maxiter=nit + task.settings.maxiter)
        found = fit(judged._replace(settings=settings), model, top, history, nit)
        nit = found.nit
        assert judged.settings.validate is not None
        errors.append(judged.settings.validate(found.model))
        if best is None or errors[-1] < min(errors[:-1]):
            best = found.model
        if found.status == Status.STOPPED_BY_CALLBACK:
            break
    assert best is not None
    assert judged.validation is not None
    return Trials(errors, best, nit, int(judged.validation[2].shape[0]))


def _wider(task: Task, model: Model, rank: int) -> Model:
    """Return a model with leading singular pairs of its residual as new columns."""
    missing = rank - model.rank
    pairs = leading_pairs(task.problem.seen.left(*model), missing, task.settings.rng, _POWERS)
    model = appended(model, pairs, task.problem.seen.share)
    return with_rank(non_negative(model) if task.problem.nonneg else model, rank, task.settings.rng)
