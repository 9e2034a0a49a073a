"""The method as published: fresh entries for the start and for every half sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from .._core.iterate import Record
from .._core.random import place
from .._entries.observations import Observations, in_memory
from ._als import Alternation, Fit, State, fit, half_sweep
from ._certificate import both_sides
from ._problem import Task, objective, stationarity
from ._spectral_init import start

# What to do where the sweeps were too few: with more of them each would see fewer entries.
_ADVICE = "give more entries, raise tol, or have every sweep see all with sample_splitting=False"


def parts_of(maxiter: int) -> int:
    """Return the number of parts: one for the start, two for each sweep."""
    return 2 * maxiter + 1


def fresh_parts(task: Task) -> Iterator[Observations]:
    """Yield the entries in random parts that have the same size, but for one entry."""
    seen, count = in_memory(task.problem.seen), parts_of(task.settings.maxiter)
    order = place(task.settings.rng.permutation(seen.size), seen.rows.data, seen.rows.indptr.dtype)
    for begin, end in pairwise(seen.size * number // count for number in range(count + 1)):
        yield seen.part(order[begin:end])


class SplitAlternation(Alternation):
    """Sweeps whose halves see a part of the entries each; what is measured is seen on all."""

    def __init__(self, task: Task, parts: Iterator[Observations]) -> None:
        """Take note of the parts that are left, of which every half sweep uses one up."""
        super().__init__(task.problem, task.settings)
        self.parts = parts

    def step(self, state: State) -> State:
        """Return the state after a sweep."""
        problem = self.problem
        solver = self.settings.solver
        model, first = half_sweep(problem, solver, next(self.parts).rows, state.model, 0.0)
        columns = next(self.parts).columns
        other, second = half_sweep(problem, solver, columns, model.transposed(), 0.0)
        model = other.transposed()
        whole = both_sides(problem, model, steps=0)
        fun = objective(problem, model, whole.loss)
        after = state._replace(
            model=model,
            fun=fun,
            change=abs(state.fun - fun) / fun if fun > 0 else 0.0,
            residual=math.sqrt(whole.loss) / self.norm,
            gradient=stationarity(model, whole.square, self.norm),
            steps=state.steps + 0.5 * (first.steps + second.steps),
        )
        return self._validated(after)


def fit_by_parts(task: Task, history: list[Record]) -> Fit:
    """Return the fit of the published method, with a certificate computed from all entries."""
    parts = fresh_parts(task)
    assert task.rank is not None  # validated
    first = task._replace(problem=task.problem._replace(seen=next(parts)))
    model, _ = start(first, task.rank)
    found = fit(task, model, None, history, loop=SplitAlternation(task, parts))
    detail = (
        f"Each half sweep saw one of {parts_of(task.settings.maxiter)} parts of the entries; "
        "without sample_splitting far fewer entries do."
    )
    return found._replace(detail=detail, advice=_ADVICE)
