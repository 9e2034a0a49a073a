"""What the kernels of matrix completion compute, row by row; see `families`."""

import numpy as np

RIDGE = 0.75


def _rows(data, indices, indptr, weights, W, X=None, reg=None):
    """Yield what belongs to each row, in extended precision, and how large its numbers are."""
    wide = np.longdouble
    for i in range(indptr.size - 1):
        part = slice(indptr[i], indptr[i + 1])
        b = data[part].astype(wide)
        A = W[indices[part]].astype(wide)
        w = np.ones_like(b) if weights is None else weights[part].astype(wide)
        yield i, A, b, w, None if X is None else X[i].astype(wide), None if reg is None else reg[i]


def _solved(solve, data, indices, indptr, weights, W, X, reg, signed=True):
    """Return models, losses, squared gradients and steps of all rows, each with its scale."""
    models, losses, squares, steps = np.zeros_like(X, np.longdouble), [], [], []
    size, slope, condition = 1.0, 1.0, 1.0
    for i, A, b, w, x, shift in _rows(data, indices, indptr, weights, W, X, reg):
        x = x if b.size else 0 * x
        residual = b - A @ x
        g = A.T @ (w * residual) - shift * x
        models[i], count, factor = solve(i, A, w, x, g, shift)
        losses.append((w * residual**2).sum())
        free = g if signed else np.where(x > 0, g, np.maximum(g, 0))
        squares.append((free**2).sum())
        steps.append(count if b.size else 0 * count)
        bound = np.abs(A).T @ (w * (np.abs(b) + np.abs(A) @ np.abs(x))) + shift * np.abs(x)
        size = max(size, (w * (np.abs(b) + np.abs(A) @ np.abs(x)) ** 2).sum())
        slope, condition = max(slope, (bound**2).sum()), max(condition, factor)
    scale = condition * max(1.0, float(np.abs(models).max())) * 4
    return (
        (models, float(scale)),
        (np.array(losses), 4 * float(size)),
        (np.array(squares), 4 * float(slope)),
        (np.array(steps, float), 0.0),
    )


def _gram(A, w, shift, eps):
    G = A.T @ (w[:, None] * A)
    ridge = eps**RIDGE * np.trace(G) + shift
    return G + (ridge if ridge > 0 else 1.0) * np.eye(A.shape[1])


def _inverse(G):
    return np.linalg.inv(G.astype(float)).astype(np.longdouble)


def _cg(A, w, x, g, shift, inverse, steps, rtol):
    x, g = x.copy(), g.copy()
    z = inverse @ g
    p, rho = z, g @ z
    target = rtol**2 * rho
    for step in range(steps):
        if not rho > max(target, 0):
            return x, step
        q = A.T @ (w * (A @ p)) + shift * p
        alpha = rho / (p @ q)
        x, g = x + alpha * p, g - alpha * q
        z = inverse @ g
        p, rho = z + (g @ z) / rho * p, g @ z
    return x, steps


def masked_ls_pcg(data, indices, indptr, weights, W, X, reg, steps, rtol):
    def solve(_, A, w, x, g, shift):
        diagonal = (w[:, None] * A**2).sum(axis=0) + shift
        inverse = np.diag(1 / np.where(diagonal > 0, diagonal, np.inf))
        return *_cg(A, w, x, g, shift, inverse, steps, rtol), 50.0

    return _solved(solve, data, indices, indptr, weights, W, X, reg)


def masked_ls_exact(data, indices, indptr, weights, W, X, reg):
    eps = float(np.finfo(data.dtype).eps)

    def solve(_, A, w, x, g, shift):
        G = _gram(A, w, shift, eps)
        new = x + _inverse(G) @ g
        return new, 1.0, float(np.linalg.cond(G.astype(float)))

    found = _solved(solve, data, indices, indptr, weights, W, X, reg)
    return *found[:3], (np.ones(X.shape[0]), 0.0)


def masked_ls_nonneg(data, indices, indptr, weights, W, X, reg, sweeps):
    eps = float(np.finfo(data.dtype).eps)

    def solve(_, A, w, x, g, shift):
        G, x, g = _gram(A, w, shift, eps), x.copy(), g.copy()
        for _ in range(sweeps):
            for j in range(x.size):
                step = max(x[j] + g[j] / G[j, j], 0) - x[j]
                x[j], g = x[j] + step, g - G[:, j] * step
        return x, float(sweeps), 50.0

    found = _solved(solve, data, indices, indptr, weights, W, X, reg, signed=False)
    return *found[:3], (np.full(X.shape[0], float(sweeps)), 0.0)


def masked_grams(data, indices, indptr, weights, W):
    grams = np.zeros((indptr.size - 1, W.shape[1], W.shape[1]), np.longdouble)
    size = 1.0
    for i, A, _, w, _, _ in _rows(data, indices, indptr, weights, W):
        grams[i] = A.T @ (w[:, None] * A)
        size = max(size, float((np.abs(A).T @ (w[:, None] * np.abs(A))).max()))
    return ((grams, size),)


def masked_residual(data, indices, indptr, X, W):
    parts, size = [], 1.0
    for _, A, b, _, x, _ in _rows(data, indices, indptr, None, W, X, np.zeros(X.shape[0])):
        parts.append(b - A @ x)
        size = max(size, float((np.abs(b) + np.abs(A) @ np.abs(x)).max(initial=0)))
    return ((np.concatenate(parts), size),)


def csr_dense(data, indices, indptr, W):
    product = np.zeros((indptr.size - 1, W.shape[1]), np.longdouble)
    size = 1.0
    for i, A, b, _, _, _ in _rows(data, indices, indptr, None, W):
        product[i] = b @ A
        size = max(size, float((np.abs(b) @ np.abs(A)).max(initial=0)))
    return ((product, size),)
