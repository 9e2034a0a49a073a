"""What every kernel computes, written out in NumPy in extended precision.

Each function takes the arguments of the kernel of its name, as NumPy arrays, and returns pairs
(value, scale): the rounding error of a kernel is a small multiple of eps times the scale.
"""

import numpy as np
from cases_kaczmarz import kaczmarz_sweep  # noqa: F401
from cases_row_sums import (  # noqa: F401
    csr_weighted_gram,
    loss_gradient,
    loss_hessian,
)
from definitions_completion import *  # noqa: F403 - the definitions of another family
from definitions_recovery import *  # noqa: F403 - the definitions of another family
from definitions_regression import (  # noqa: F401
    fwht_rows,
    gram,
    residual_gradient,
    residual_gradient_extended,
    sparse_embedding_apply,
    sparse_embedding_apply_csr,
    srht_apply,
)
from definitions_relu import (  # noqa: F401
    fold_slacks,
    project_robust_cone,
    prox_robust_margin,
    prox_robust_square,
    reflect_slacks,
)
from definitions_sampling import *  # noqa: F403 - the definitions of another family
from definitions_streaming import *  # noqa: F403 - and of one more


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


def margin(cost, u, v, row_threshold, column_threshold, inverse_reg, *_):
    """Return how far from its threshold the closest entry is that is not exactly at it."""
    exponents = _exponents(cost, u, v, inverse_reg)
    distances = np.abs(exponents - np.minimum(row_threshold[:, None], column_threshold[None, :]))
    return float(np.min(distances[distances > 0], initial=np.inf))


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


def schur_cg(data, indices, indptr, a, c, shift, rhs, rtol, maxiter):
    plan = np.zeros((a.size, c.size))
    for i in range(a.size):
        for k in range(indptr[i], indptr[i + 1]):
            plan[i, indices[k]] += data[k]
    return dense_schur_cg(plan, a, c, shift, rhs, rtol, maxiter)


def dense_schur_cg(plan, a, c, shift, rhs, rtol, maxiter):
    plan, a, c, rhs = (x.astype(np.longdouble) for x in (plan, a, c, rhs))
    matrix = (1 + shift) * np.diag(c) - plan.T @ (plan / a[:, None])
    diagonal = np.maximum(c - (plan**2 / a[:, None]).sum(axis=0), 1e-14 * c) + shift * c
    x, residual = np.zeros_like(rhs), rhs.copy()
    direction = z = residual / diagonal
    iterations, target = 0, rtol * np.abs(rhs).sum()
    while iterations < maxiter and np.abs(residual).sum() > target:
        product = matrix @ direction
        step = (residual @ z) / (direction @ product)
        rho = residual @ z
        x, residual = x + step * direction, residual - step * product
        z = residual / diagonal
        direction = z + (residual @ z) / rho * direction
        iterations += 1
    condition = 1.0 if shift == 0 else (1 + shift) / shift
    error = np.abs(residual).sum()
    return (
        _scaled(x, np.max(np.abs(x), initial=0.0), condition),
        (iterations, 0.0),
        (error, condition * float(np.abs(rhs).sum())),
    )
