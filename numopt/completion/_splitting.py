"""The method as published: fresh entries for the start and for every half sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from .._core.iterate import Record
from .._core.random import place
from ._fit import Fit, Task, fit, start
from ._observations import Observations, in_memory
from ._solve import Alternation, State
from ._sweep import evaluated, half_sweep, objective, stationarity
from ._task import Options

# What to do where the sweeps were too few: with more of them each would see fewer entries.
ADVICE = "give more entries, raise tol, or have every sweep see all with sample_splitting=False"
# Values of `momentum` that do not ask for it: none, and what it is where nothing was said.
_NO_MOMENTUM = (0.0, Options._field_defaults["momentum"])


def splittable(task: Task, wanted: bool) -> bool:
    """Return whether to split the entries; nothing that the published method lacks goes with it."""
    if not wanted:
        return False
    problem, settings = task.problem, task.settings
    conflicts = {
        "rank": task.rank is None,
        "reg": problem.reg > 0,
        "init": task.init != "spectral",
        "path_factor": settings.path_factor is not None,
        "momentum": settings.momentum not in _NO_MOMENTUM,
        "bias": problem.bias_unit is not None,
        "nonneg": problem.nonneg,
        "polish": task.polish == "gauss-newton",
    }
    for name, given in conflicts.items():
        if given:
            default = "a number" if name == "rank" else "its default"
            raise ValueError(f"`{name}` must be {default} with `sample_splitting`.")
    assert task.rank is not None  # one of the conflicts
    count, least = parts_of(task), task.rank * max(problem.seen.shape)
    if problem.seen.size < count * least:
        raise ValueError(
            f"`sample_splitting` needs 2 maxiter + 1 = {count} parts of rank * max(m, n) = {least} "
            f"entries at least, got {problem.seen.size} entries; lower `maxiter`."
        )
    return True


def parts_of(task: Task) -> int:
    """Return the number of parts: one for the start, two for each sweep."""
    return 2 * task.settings.maxiter + 1


def fresh_parts(task: Task) -> Iterator[Observations]:
    """Yield the entries in random parts that have the same size, but for one entry."""
    seen, count = in_memory(task.problem.seen), parts_of(task)
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
        model, first = half_sweep(problem, next(self.parts).rows, state.model, 0.0, 0)
        columns = next(self.parts).columns
        flipped, second = half_sweep(problem, columns, model.flipped(), 0.0, 1)
        model = flipped.flipped()
        half = evaluated(problem, model)
        fun = objective(problem, model, half.loss)
        after = state._replace(
            model=model,
            fun=fun,
            change=abs(state.fun - fun) / fun if fun > 0 else 0.0,
            residual=math.sqrt(half.loss) / self.norm,
            gradient=stationarity(model, half.square, self.norm),
            steps=state.steps + 0.5 * (first.steps + second.steps),
        )
        return self._validated(after)


def fit_by_parts(task: Task, history: list[Record]) -> Fit:
    """Return the fit of the published method, with a certificate computed from all entries."""
    parts = fresh_parts(task)
    assert task.rank is not None  # see `splittable`
    first = task._replace(problem=task.problem._replace(seen=next(parts)))
    model, _ = start(first, task.rank)
    return fit(task, model, None, history, loop=SplitAlternation(task, parts))


def note(task: Task) -> str:
    """Return what the message says of the parts."""
    return (
        f" Each half sweep saw one of {parts_of(task)} parts of the entries; "
        "without sample_splitting far fewer entries do."
    )
