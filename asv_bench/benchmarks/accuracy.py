"""Marginal errors of a returned plan, measured apart from every solver."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

ROWS = 256


class Answer(NamedTuple):
    """What a contender returned: a plan, or log-scalings ``log P = u + v - cost / reg``.

    `counts` holds iteration counts where the contender reports them.
    """

    plan: np.ndarray | None = None
    log_scalings: tuple[np.ndarray, np.ndarray] | None = None
    counts: dict[str, float] | None = None


def marginal_error(problem, answer):
    """L1 error of the row sums plus that of the column sums, relative to the total mass.

    The largest one over a batch; infinite where the answer is not finite.
    """
    if answer.plan is not None:
        plan = np.asarray(answer.plan)
        rows, columns = plan.sum(axis=-1), plan.sum(axis=-2)
    else:
        rows, columns = rebuilt_marginals(problem, *map(np.asarray, answer.log_scalings))
    error = np.abs(rows - problem.a).sum(axis=-1) + np.abs(columns - problem.b).sum(axis=-1)
    worst = np.max(error / problem.a.sum(axis=-1))
    return float(worst) if np.isfinite(worst) else float("inf")


def rebuilt_marginals(problem, u, v):
    """Row and column sums of the plan that log-scalings stand for, a few rows at a time."""
    rows, columns = np.empty_like(problem.a), np.zeros_like(problem.b)
    for start in range(0, problem.a.shape[-1], ROWS):
        block = slice(start, start + ROWS)
        exponent = u[..., block, None] + v[..., None, :] - cost_rows(problem, block) / problem.reg
        with np.errstate(over="ignore"):
            plan = np.exp(exponent)
        rows[..., block] = plan.sum(axis=-1)
        columns += plan.sum(axis=-2)
    return rows, columns


def cost_rows(problem, block):
    if problem.cost is not None:
        return problem.cost[..., block, :]
    X, Y, scale = problem.points
    return scale * cdist(X[block], Y, "sqeuclidean")
