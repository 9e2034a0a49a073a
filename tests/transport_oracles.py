"""What is true of a transport plan, computed from its potentials without the library.

Formulas are written out in NumPy, in extended precision where the platform has it.
"""

import itertools

import numpy as np


def dense_plan(cost, a, b, f, g, reg):
    """Return ``a_i b_j exp((f_i + g_j - C_ij) / reg)``."""
    cost, a, b, f, g = (np.asarray(x, dtype=np.longdouble) for x in (cost, a, b, f, g))
    return np.outer(a, b) * np.exp((f[:, None] + g[None, :] - cost) / reg)


def marginal_errors(plan, a, b):
    """Return the l1 errors of the row sums and of the column sums, relative to the mass."""
    mass = np.sum(a)
    rows, columns = plan.sum(axis=1), plan.sum(axis=0)
    return float(np.abs(rows - a).sum() / mass), float(np.abs(columns - b).sum() / mass)


def divergence(plan, a, b):
    """Return ``KL(plan | a b')``, with 0 log 0 = 0."""
    product = np.outer(a, b).astype(np.longdouble)
    positive = plan > 0
    logarithms = np.zeros_like(product)
    logarithms[positive] = np.log(plan[positive] / product[positive])
    return np.sum(plan * logarithms - plan + product)


def primal(plan, cost, a, b, reg):
    """Return ``<C, P> + reg KL(P | a b')``."""
    return np.sum(plan * cost) + reg * divergence(plan, a, b)


def dual(cost, a, b, f, g, reg):
    """Return ``<f, a> + <g, b> - reg sum_ij a_i b_j (exp((f_i + g_j - C_ij) / reg) - 1)``."""
    plan = dense_plan(cost, a, b, f, g, reg)
    f, g = np.asarray(f, dtype=np.longdouble), np.asarray(g, dtype=np.longdouble)
    return np.sum(f * a) + np.sum(g * b) - reg * np.sum(plan - np.outer(a, b))


def gap_bound(result, a, reg):
    """Return the bound of the distance from the optimum that a result states, in its units."""
    return result.gap * max(abs(result.fun), reg * np.sum(a))


def feasible(plan, a, b):
    """Return a plan with the marginals a and b next to a given one."""
    a, b = np.asarray(a, dtype=np.longdouble), np.asarray(b, dtype=np.longdouble)
    plan = plan * np.minimum(1, a / np.maximum(plan.sum(axis=1), np.finfo(float).tiny))[:, None]
    plan = plan * np.minimum(1, b / np.maximum(plan.sum(axis=0), np.finfo(float).tiny))[None, :]
    rows, columns = a - plan.sum(axis=1), b - plan.sum(axis=0)
    if columns.sum() <= 0:
        return plan
    return plan + np.outer(rows, columns) / columns.sum()


def assert_optimal(result, cost, a, b, reg, tol):
    """Assert that the potentials of a result solve the problem to `tol`, and its fields say so.

    The plan rebuilt from them has the Gibbs form; with its marginals right it is the solution.
    """
    cost = np.asarray(cost, dtype=np.longdouble)
    plan = dense_plan(cost, a, b, result.f, result.g, reg)
    rows, columns = marginal_errors(plan, a, b)
    assert rows + columns <= 2 * tol
    assert result.success
    assert result.status == 0
    assert result.marginal_error <= tol
    # What is reported is what is there, up to rounding of log P.
    rounding = 8 * np.finfo(np.float64).eps * (1 + np.ptp(cost) / reg)
    assert abs(result.marginal_error_rows - rows) <= rounding
    assert abs(result.marginal_error_cols - columns) <= rounding
    mass = np.sum(a)
    lower = dual(cost, a, b, result.f, result.g, reg)
    gap = primal(feasible(plan, a, b), cost, a, b, reg) - lower
    scale = mass * max(1.0, np.ptp(cost), float(np.abs(cost).max()))
    assert gap >= -1e-12 * scale
    assert gap <= mass * (rows + columns) * np.ptp(cost) + 1e-12 * scale
    assert gap_bound(result, a, reg) >= gap - 1e-12 * scale
    assert abs(result.dual_fun - lower) <= 1e-12 * scale
    assert abs(result.fun - primal(plan, cost, a, b, reg)) <= 1e-10 * scale
    assert abs(result.cost - np.sum(plan * cost)) <= 1e-12 * scale


def assert_gibbs(plan, cost, reg, seed=0, pairs=400):
    """Assert the ratios that only a plan ``exp(u_i + v_j - C_ij / reg)`` has, on quadruples."""
    rng = np.random.default_rng(seed)
    logarithms = np.log(plan.astype(np.longdouble))
    compared = 0
    for i, k in rng.integers(plan.shape[0], size=(pairs, 2)):
        # Entries at the smallest exponential that the kernels take are left out.
        seen = np.flatnonzero(np.minimum(plan[i], plan[k]) > 1e-250)
        if i == k or seen.size < 2:
            continue
        j, l = rng.choice(seen, size=2, replace=False)  # noqa: E741
        left = logarithms[i, j] + logarithms[k, l] - logarithms[i, l] - logarithms[k, j]
        right = -(cost[i, j] + cost[k, l] - cost[i, l] - cost[k, j]) / reg
        assert abs(left - right) <= 1e-15 * (8 + 8 * np.abs(cost).max() / reg)
        compared += 1
    assert compared >= min(20, plan.size // 4)


def best_assignment(cost):
    """Return the best permutation and how much the second best one costs more, by trying all."""
    n = cost.shape[0]
    rows = np.arange(n)
    totals = sorted(
        (cost[rows, list(columns)].sum(), columns) for columns in itertools.permutations(range(n))
    )
    return np.array(totals[0][1]), totals[1][0] - totals[0][0]


def unregularized(cost, a, b):
    """Return the smallest transport cost, by linear programming."""
    from scipy.optimize import linprog

    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    solved = linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns])[:-1], b_eq=np.concatenate([a, b])[:-1]
    )
    assert solved.success
    return solved.fun


def multiprecision_plan(cost, a, b, reg, digits=60):
    """Return the optimal plan by Sinkhorn's iteration in `digits` decimal digits."""
    import mpmath

    with mpmath.workdps(digits):
        n, m = cost.shape
        kernel = [[mpmath.exp(-mpmath.mpf(cost[i, j]) / reg) for j in range(m)] for i in range(n)]
        a, b = [mpmath.mpf(x) for x in a], [mpmath.mpf(x) for x in b]
        scale = mpmath.fsum(a) / mpmath.fsum(b)
        b = [x * scale for x in b]
        right = [mpmath.mpf(1)] * m
        for _ in range(20_000):
            left = [a[i] / mpmath.fdot(kernel[i], right) for i in range(n)]
            sums = [mpmath.fdot([kernel[i][j] for i in range(n)], left) for j in range(m)]
            error = mpmath.fsum(abs(sums[j] * right[j] - b[j]) for j in range(m))
            right = [b[j] / sums[j] for j in range(m)]
            if error < mpmath.mpf(10) ** (-digits // 2):
                break
        else:
            raise AssertionError("the iteration in high precision did not converge")
        left = [a[i] / mpmath.fdot(kernel[i], right) for i in range(n)]
        return np.array(
            [[float(left[i] * kernel[i][j] * right[j]) for j in range(m)] for i in range(n)]
        )
