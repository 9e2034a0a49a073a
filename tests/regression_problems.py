"""Least squares problems with known solutions, and what is true of a solution.

Formulas are written out in NumPy and do not use the library.
"""

import numpy as np
import scipy.linalg

METHODS = ("direct", "gram", "cholqr", "iterative")
EPS = float(np.finfo(float).eps)


def random_problem(n=3000, d=8, seed=0, columns=None):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n if columns is None else (n, columns))


def conditioned(n, d, cond, residual, seed=0):
    """Return A with singular values from 1 to 1 / cond, b, and a matrix whose columns span A.

    `residual` is the norm of the residual relative to the part of b in the range of A.
    """
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.normal(size=(n, d)))[0]
    V = np.linalg.qr(rng.normal(size=(d, d)))[0]
    A = (U * np.logspace(0, -np.log10(cond), d)) @ V.T
    b = A @ rng.normal(size=d)
    noise = rng.normal(size=n)
    noise -= U @ (U.T @ noise)
    return A, b + residual * np.linalg.norm(b) * noise / np.linalg.norm(noise)


def backward_error(A, b, x):
    """Return the smallest relative perturbation of A and b for which x is optimal, exactly.

    Waldén, Karlson and Sun (1995): the smallest singular value of [A, phi (I - r r' / r'r)].
    """
    residual = b - A @ x
    norm = np.linalg.norm(residual)
    if norm == 0:
        return 0.0
    theta = np.linalg.norm(A) / np.linalg.norm(b)
    phi = theta * norm / np.sqrt(1 + theta**2 * (x @ x))
    projector = np.eye(b.size) - np.outer(residual, residual) / norm**2
    smallest = scipy.linalg.svdvals(np.hstack([A, phi * projector]))[b.size - 1]
    return float(min(phi, smallest) / np.linalg.norm(A))


def augmented(A, b, weights=None, ridge=0.0):
    """Return the design and right-hand side of the plain problem with the same solution."""
    root = np.ones(A.shape[0]) if weights is None else np.sqrt(weights)
    rows = np.vstack([A * root[:, None], np.sqrt(ridge) * np.eye(A.shape[1])])
    below = np.zeros((A.shape[1], *b.shape[1:]))
    return rows, np.concatenate([(b.T * root).T, below])


def exact_solution(A, b, digits=60):
    """Return the solution of the problem given in floats, by normal equations in mpmath."""
    import mpmath

    with mpmath.workdps(digits):
        M, right = mpmath.matrix(A.tolist()), mpmath.matrix(b.tolist())
        x = mpmath.lu_solve(M.T * M, M.T * right)
        return np.array([float(value) for value in x])


def assert_consistent(result, A, b, weights=None, ridge=0.0):
    """Assert that the numbers of a result are those of its x, in the augmented problem."""
    rows, right = augmented(A, b, weights, ridge)
    residual = right - rows @ result.x
    gradient = rows.T @ residual
    size = np.linalg.norm(rows)
    noise = size * (np.linalg.norm(right) + size * np.linalg.norm(result.x))
    np.testing.assert_allclose(
        result.residual_norm, np.linalg.norm(residual), rtol=1e-10, atol=8 * EPS * noise / size
    )
    np.testing.assert_allclose(result.fun, 0.5 * result.residual_norm**2, rtol=1e-14)
    assert result.grad_norm <= np.linalg.norm(gradient) + 32 * EPS * noise
    assert np.linalg.norm(gradient) <= result.grad_norm + 32 * EPS * noise
    if result.method != "sketch":
        assert result.success == (result.backward_error <= result.tol)
    assert result.history[0]["nit"] == 0
    assert result.history[-1]["nit"] == result.nit == len(result.history) - 1
    assert result.message.endswith(".")


def adversarial(m, d):
    """Return the instance on which CountSketch fails: A of unit columns, b on m / d other rows.

    The solution is zero, the residual has norm one.
    """
    n = 4 * m
    A, b = np.zeros((n, d)), np.zeros(n)
    A[np.arange(d), np.arange(d)] = 1.0
    k = round(m / d)
    b[d : d + k] = 1 / np.sqrt(k)
    return A, b


def spiked(n, d, seed=0):
    """Return a design with a few heavy rows, and a residual that sits on some of them."""
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(n, d)), rng.normal(size=n)
    A[: 2 * d] *= 30
    b[d : d + 16] += 60
    return A, b
