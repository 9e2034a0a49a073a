"""What the kernels on transport plans compute, in extended precision; see `families`."""

import numpy as np


def dense_cost(cost):
    """Return the cost as a matrix in extended precision."""
    if not isinstance(cost, tuple):
        return cost.astype(np.longdouble)
    X, Y, metric = cost
    step = X.astype(np.longdouble)[:, None, :] - Y.astype(np.longdouble)[None, :, :]
    if metric == 2:
        return np.abs(step).sum(axis=2)
    squared = (step**2).sum(axis=2)
    return np.sqrt(squared) if metric == 1 else squared


def _exponents(cost, u, v, inverse_reg):
    return u[:, None] + (v[None, :] - dense_cost(cost) * inverse_reg)


def _magnitude(cost, u, v, inverse_reg):
    """Return how much larger than eps the relative error of an entry of the plan can be."""
    largest = np.abs(dense_cost(cost)).max() * inverse_reg
    return 1.0 + float(np.abs(u).max() + np.abs(v).max() + largest)


def _plan(cost, u, v, inverse_reg):
    return np.exp(_exponents(cost, u, v, inverse_reg))


def _scaled(value, bound, magnitude):
    return value, float(magnitude * np.max(bound))


def semidual_pass(cost, v, a, log_a, inverse_reg):
    magnitude = _magnitude(cost, log_a, v, inverse_reg)
    exponents = _exponents(cost, np.zeros_like(log_a), v, inverse_reg)
    peak = exponents.max(axis=1)
    u = log_a - peak - np.log(np.exp(exponents - peak[:, None]).sum(axis=1))
    columns = (a[:, None] / np.exp(log_a)[:, None] * np.exp(exponents + u[:, None])).sum(axis=0)
    return (u, magnitude), _scaled(columns, columns, magnitude)


def plan_stats(cost, u, v, inverse_reg, row_values):
    plan, magnitude = _plan(cost, u, v, inverse_reg), _magnitude(cost, u, v, inverse_reg)
    costs = dense_cost(cost)
    terms = plan, plan * costs, plan * row_values[:, None]
    return (
        _scaled(plan.sum(axis=1), plan.sum(axis=1), magnitude),
        *(_scaled(t.sum(axis=0), np.abs(t).sum(axis=0), magnitude) for t in terms),
    )


def plan_matrix(cost, u, v, inverse_reg):
    plan = _plan(cost, u, v, inverse_reg)
    return (_scaled(plan, plan, _magnitude(cost, u, v, inverse_reg)),)


def plan_apply(cost, u, v, inverse_reg, V):
    plan = _plan(cost, u, v, inverse_reg)
    bound = plan @ np.abs(V.astype(np.longdouble))
    return (_scaled(plan @ V, bound, _magnitude(cost, u, v, inverse_reg)),)


def plan_apply_t(cost, u, v, inverse_reg, V):
    plan = _plan(cost, u, v, inverse_reg)
    bound = plan.T @ np.abs(V.astype(np.longdouble))
    return (_scaled(plan.T @ V, bound, _magnitude(cost, u, v, inverse_reg)),)


def plan_gradient(cost, u, v, inverse_reg):
    X, Y, metric = cost
    plan, costs = _plan(cost, u, v, inverse_reg), dense_cost(cost)
    step = X.astype(np.longdouble)[:, None, :] - Y.astype(np.longdouble)[None, :, :]
    if metric == 0:
        slope = 2 * step
    elif metric == 1:
        slope = step / np.where(costs > 0, costs, 1)[:, :, None]
    else:
        slope = np.sign(step)
    terms = plan[:, :, None] * slope
    magnitude = _magnitude(cost, u, v, inverse_reg)
    return (_scaled(terms.sum(axis=1), np.abs(terms).sum(axis=1), magnitude),)


def _kept(cost, u, v, row_threshold, column_threshold, inverse_reg):
    exponents = _exponents(cost, u, v, inverse_reg)
    return (exponents >= row_threshold[:, None]) | (exponents >= column_threshold[None, :])


def decided(name, arguments, eps):
    """Tell whether rounding leaves the entries to keep on their sides of the thresholds.

    The closest entry to a threshold that is not exactly at it must be further than its rounding.
    """
    if name not in ("sparsify_count", "sparsify_fill", "gram_apply"):
        return True
    cost, u, v, row_threshold, column_threshold, inverse_reg, *_ = arguments
    exponents = _exponents(cost, u, v, inverse_reg)
    distances = np.abs(exponents - np.minimum(row_threshold[:, None], column_threshold[None, :]))
    closest = float(np.min(distances[distances > 0], initial=np.inf))
    return closest > eps * _magnitude(cost, u, v, inverse_reg)


def sparsify_count(cost, u, v, row_threshold, column_threshold, inverse_reg):
    kept = _kept(cost, u, v, row_threshold, column_threshold, inverse_reg)
    return ((kept.sum(axis=1), 0.0),)


def sparsify_fill(cost, u, v, row_threshold, column_threshold, inverse_reg, indptr):
    kept = _kept(cost, u, v, row_threshold, column_threshold, inverse_reg)
    assert np.array_equal(indptr[1:] - indptr[:-1], kept.sum(axis=1))
    plan, magnitude = _plan(cost, u, v, inverse_reg), _magnitude(cost, u, v, inverse_reg)
    data = plan[kept]
    return _scaled(data, np.max(data, initial=0.0), magnitude), (np.nonzero(kept)[1], 0.0)


def gram_apply(cost, u, v, row_threshold, column_threshold, inverse_reg, scale, x):
    kept = _kept(cost, u, v, row_threshold, column_threshold, inverse_reg)
    plan = np.where(kept, _plan(cost, u, v, inverse_reg), 0)
    bound = plan.T @ (np.abs(scale) * (plan @ np.abs(x)))
    magnitude = _magnitude(cost, u, v, inverse_reg)
    return (_scaled(plan.T @ (scale * (plan @ x)), bound, magnitude),)
