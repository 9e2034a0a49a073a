"""Samples in memory of which only sums are formed: there are far more than entries of neurons."""

from __future__ import annotations

from ..._core.iterate import Callback
from ..._core.namespace import array_namespace
from ..._rows import RowBlocks
from .._bounds import Bounds, Outcome, Start
from .._certificate import lower_bound_of
from .._program import Program, widened
from .active_set import first_rows
from .passes import Frame, survey, theta_at
from .problem import Passes
from .sqp import Job, solved, surveyed


def in_sums(
    program: Program,
    output: int,
    tol: float,
    maxiter: int,
    callback: Callback | None,
    start: Start,
) -> Outcome:
    """Return the outcome of a sequence of quadratic programs, made of sums over the samples.

    Both bounds are those of the other methods, formed from what the sequence ends with.
    """
    program = widened(program)
    xp = array_namespace(program.X)
    passes = Passes(RowBlocks("X", program.X), program.y[0, :], program.weights, alike=False)
    frame = Frame(program.gates, program.loss.name, False, program.shape[0])
    seen = surveyed(survey, passes, frame)
    job = Job(
        passes,
        frame,
        first_rows(seen.active_rows),
        program.beta,
        float(seen.weight),
        0.0,
        tol,
        passes.blocks.max_bytes,
        program.value_unit,
        output,
    )
    run, found = solved(job, maxiter, callback)
    bounds = Bounds(program, output)
    if start is not None:
        bounds.see_neurons(xp.astype(start[0], program.X.dtype))
    bounds.see_neurons(found.V[None, ...])
    theta = passes.rowwise(theta_at, frame, found.proof, 1.0)
    lower = lower_bound_of(program, theta[None, :], found.normal[None, ...])
    return Outcome(
        bounds.upper,
        lower,
        bounds.upper.V,
        None,
        run.nit,
        run.state.n_factorizations,
        run.status,
        "rows",
        None,
        run.history,
    )
