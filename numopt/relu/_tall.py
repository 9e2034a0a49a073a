"""Samples in memory of which only sums are formed: there are far more than entries of neurons."""

from __future__ import annotations

from .._core.namespace import array_namespace
from .._rows import RowBlocks
from ._certificate import lower_bound_of
from ._facets import first_rows
from ._program import Program, widened
from ._row_sums import Frame, theta_at
from ._sequence import Job, Passes, solved, surveyed
from ._verdict import Outcome, Settings, Start, Verdict


def in_sums(problem: Program, output: int, settings: Settings, start: Start) -> Outcome:
    """Return the outcome of a sequence of quadratic programs, made of sums over the samples.

    Both bounds are those of the other methods, formed from what the sequence ends with.
    """
    problem = widened(problem)
    xp, (n, d, _) = array_namespace(problem.X), problem.shape
    verdict = Verdict(problem, output)
    passes = Passes(RowBlocks("X", problem.X), problem.y[0, :], problem.weights, alike=False)
    frame = Frame(problem.gates, problem.loss.name, False, n)
    seen = surveyed(passes, frame, d)
    job = Job(
        passes,
        frame,
        first_rows(seen.facets),
        problem.beta,
        float(seen.weight),
        0.0,
        settings.tol,
        passes.blocks.max_bytes,
        problem.value_unit,
        output,
    )
    run, bounds = solved(job, settings.maxiter, settings.callback)
    if start is not None:
        verdict.see_neurons(xp.astype(start[0], problem.X.dtype))
    verdict.see_neurons(bounds.V[None, ...])
    theta = passes.rowwise(theta_at, frame, bounds.proof, 1.0)
    lower = lower_bound_of(problem, theta[None, :], bounds.push[None, ...])
    return Outcome(
        verdict.upper,
        lower,
        verdict.upper.V,
        None,
        run.nit,
        run.state.factorizations,
        run.status,
        "rows",
        None,
        run.history,
    )
