"""What the kernels on Schur complements of plans compute; see `families`."""

import numpy as np


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
        (x, float(condition * np.max(np.abs(x), initial=0.0))),
        (iterations, 0.0),
        (error, condition * float(np.abs(rhs).sum())),
    )
