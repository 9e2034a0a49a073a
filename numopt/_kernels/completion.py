"""Matrix completion: least squares in every row at once, and products with sparse matrices.

All take a sparse matrix (m, n) as ``data, indices, indptr`` of its rows. `W` (n, k) holds the
features of its columns, `X` (m, k) one linear model for each row. The least-squares problem of row
i is ``sum_j weights_ij (data_ij - x . W_j)^2 + reg_i |x|^2`` over its entries; `weights` is like
`data`, or None for ones. Its solvers start from the row of `X` and compute a correction, so that
a small residual loses no digits; an empty row becomes zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, device_of
from .._linalg import conjugate_gradients
from ._padded import BLOCK_ENTRIES, Block, gathered, in_order, padded_blocks

# The power of eps that, times its trace, goes on the diagonal of a Gram matrix. A row with fewer
# entries than unknowns then has a factor, and its correction is close to the smallest one; what
# corrections converge to stays the same.
RIDGE = 0.75


class _Rows(NamedTuple):
    """Least-squares problems of some rows: A (B, L, k), weights (B, L), x and gradient (B, k)."""

    block: Block
    A: Array
    weights: Array
    x: Array
    reg: Array
    loss: Array
    gradient: Array


def _problems(
    block: Block,
    data: Array,
    indices: Array,
    weights: Array | None,
    W: Array,
    X: Array,
    reg: Array,
) -> _Rows:
    """Return the problems of a block, with loss (B,) and half the descent direction (B, k)."""
    xp = array_namespace(data)
    mask = xp.astype(block.valid, data.dtype)
    w = mask if weights is None else mask * gathered(weights, block)
    A = gathered(W, block, indices)
    filled = xp.any(block.valid, axis=1)
    x = xp.where(filled[:, None], xp.take(X, block.rows, axis=0), xp.zeros_like(X[:1, :]))
    shift = xp.take(reg, block.rows)
    residual = gathered(data, block) - xp.matmul(A, x[:, :, None])[:, :, 0]
    loss = xp.sum(w * residual**2, axis=1)
    gradient = xp.matmul((w * residual)[:, None, :], A)[:, 0, :] - shift[:, None] * x
    return _Rows(block, A, w, x, shift, loss, gradient)


def _by_block(
    solve: Callable[[_Rows], tuple[Array, Array]],
    data: Array,
    indices: Array,
    indptr: Array,
    weights: Array | None,
    W: Array,
    X: Array,
    reg: Array,
    *,
    signed: bool = True,
) -> tuple[Array, Array, Array, Array]:
    """Return new models, losses, squared gradients and steps of all rows, block by block.

    Where models are not `signed`, gradients that push a zero further down do not count.
    """
    xp = array_namespace(data)
    blocks, models, losses, squares, steps = [], [], [], [], []
    for block in padded_blocks(indptr, W.shape[1]):
        rows = _problems(block, data, indices, weights, W, X, reg)
        x, count = solve(rows)
        blocks.append(block)
        models.append(x)
        losses.append(rows.loss)
        free = (
            rows.gradient
            if signed
            else xp.where(rows.x > 0, rows.gradient, xp.clip(rows.gradient, 0.0, None))
        )
        squares.append(xp.sum(free**2, axis=1))
        steps.append(count)
    return (
        in_order(models, blocks),
        in_order(losses, blocks),
        in_order(squares, blocks),
        in_order(steps, blocks),
    )


def _normal_product(rows: _Rows, p: Array) -> Array:
    """Return the Gram matrix of each row times a vector (B, k)."""
    xp = array_namespace(p)
    image = rows.weights * xp.matmul(rows.A, p[:, :, None])[:, :, 0]
    return xp.matmul(image[:, None, :], rows.A)[:, 0, :] + rows.reg[:, None] * p


def _gram(A: Array, weights: Array, reg: Array) -> Array:
    """Return ``A' diag(weights) A + reg I`` of each row, with a ridge (B, k, k)."""
    xp, k = array_namespace(A), A.shape[2]
    G = xp.matmul(xp.matrix_transpose(A * weights[:, :, None]), A)
    ridge = float(xp.finfo(A.dtype).eps) ** RIDGE * xp.linalg.trace(G) + reg
    ridge = xp.where(ridge > 0, ridge, 1.0 + 0 * ridge)  # an empty row
    return G + ridge[:, None, None] * xp.eye(k, dtype=A.dtype, device=device_of(A))


@kernel(min_size=2_000)
def masked_ls_pcg(
    data: Array,
    indices: Array,
    indptr: Array,
    weights: Array | None,
    W: Array,
    X: Array,
    reg: Array,
    steps: int,
    rtol: float,
) -> tuple[Array, Array, Array, Array]:
    """Improve the model of every row by a few steps of conjugate gradients.

    `reg` (m,). The preconditioner is the diagonal of the normal equations; a row stops after
    `steps` steps or once its preconditioned gradient has fallen by `rtol`. Returns the new models
    (m, k) and, of the old ones, the losses without `reg` (m,) and the squared norms of half the
    gradients (m,); and the steps each row took (m,). O(N k) time a step for N entries; with no
    steps it is an evaluation of loss and gradient in one pass.
    """
    xp = array_namespace(data)

    def solve(rows: _Rows) -> tuple[Array, Array]:
        squares = xp.matmul(rows.weights[:, None, :], rows.A**2)[:, 0, :]
        diagonal = rows.reg[:, None] + squares
        positive = diagonal > 0
        inverse = xp.where(
            positive, 1.0 / xp.where(positive, diagonal, 1.0 + 0 * diagonal), 0 * diagonal
        )
        found = conjugate_gradients(
            lambda p: _normal_product(rows, p),
            rows.gradient,
            rtol=rtol,
            maxiter=steps,
            precondition=inverse,
            axis=1,
            stop="preconditioned",
            check_every=max(1, steps),  # the device is not waited for between steps
        )
        return rows.x + found.x, found.steps[:, 0]

    return _by_block(solve, data, indices, indptr, weights, W, X, reg)


@kernel(min_size=2_000)
def masked_ls_exact(
    data: Array,
    indices: Array,
    indptr: Array,
    weights: Array | None,
    W: Array,
    X: Array,
    reg: Array,
) -> tuple[Array, Array, Array, Array]:
    """Solve the least-squares problem of every row by its normal equations.

    Returns what `masked_ls_pcg` does, one step for each row. A row with fewer entries than
    unknowns and no `reg` changes as little as possible. O(N k^2 + m k^3) time.
    """
    xp = array_namespace(data)

    def solve(rows: _Rows) -> tuple[Array, Array]:
        G = _gram(rows.A, rows.weights, rows.reg)
        step = xp.linalg.solve(G, rows.gradient[:, :, None])[:, :, 0]
        return rows.x + step, 1.0 + 0 * rows.reg

    return _by_block(solve, data, indices, indptr, weights, W, X, reg)


@kernel(min_size=2_000)
def masked_ls_nonneg(
    data: Array,
    indices: Array,
    indptr: Array,
    weights: Array | None,
    W: Array,
    X: Array,
    reg: Array,
    sweeps: int,
) -> tuple[Array, Array, Array, Array]:
    """Improve the model of every row, entries of at least zero, by coordinate descent.

    `X` non-negative. Each sweep minimizes over one coordinate of the model after the other.
    Returns what `masked_ls_pcg` does, but the squared gradients are of the projected gradient,
    which is zero at a minimum. O(N k^2 + m k^2 sweeps) time.
    """
    xp = array_namespace(data)

    def solve(rows: _Rows) -> tuple[Array, Array]:
        G = _gram(rows.A, rows.weights, rows.reg)
        columns = [rows.x[:, j] for j in range(rows.x.shape[1])]
        g = rows.gradient
        for _ in range(sweeps):
            for j, old in enumerate(columns):
                columns[j] = xp.clip(old + g[:, j] / G[:, j, j], 0.0, None)
                g = g - G[:, :, j] * (columns[j] - old)[:, None]
        return xp.stack(columns, axis=1), 0.0 * rows.reg + sweeps

    return _by_block(solve, data, indices, indptr, weights, W, X, reg, signed=False)


@kernel(min_size=2_000)
def masked_grams(
    data: Array, indices: Array, indptr: Array, weights: Array | None, W: Array
) -> Array:
    """Compute the Gram matrix of the features of each row's entries.

    Returns (m, k, k): ``sum_j weights_ij W_j W_j'``, in O(N k^2) time. Of `data` only the
    library and the size count.
    """
    xp = array_namespace(data)
    blocks, grams = [], []
    for block in padded_blocks(indptr, W.shape[1]):
        w = xp.astype(block.valid, W.dtype)
        w = w if weights is None else w * gathered(weights, block)
        A = gathered(W, block, indices)
        blocks.append(block)
        grams.append(xp.matmul(xp.matrix_transpose(A * w[:, :, None]), A))
    return in_order(grams, blocks)


@kernel(min_size=2_000)
def masked_residual(data: Array, indices: Array, indptr: Array, X: Array, W: Array) -> Array:
    """Compute the residual of every entry: ``data_ij - X_i . W_j``.

    Returns (N,), in O(N k) time; the matrix ``X W'`` is never formed.
    """
    xp, k = array_namespace(data), W.shape[1]
    count, parts = data.shape[0], []
    for start in range(0, count, max(1, BLOCK_ENTRIES // k)):
        stop = min(count, start + max(1, BLOCK_ENTRIES // k))
        places = xp.arange(start, stop, dtype=indptr.dtype, device=device_of(indptr))
        rows = xp.searchsorted(indptr, places, side="right") - 1
        features = xp.take(W, indices[start:stop], axis=0)
        models = xp.take(X, rows, axis=0)
        parts.append(data[start:stop] - xp.sum(models * features, axis=1))
    return xp.concat(parts)


@kernel(min_size=2_000)
def csr_dense(data: Array, indices: Array, indptr: Array, W: Array) -> Array:
    """Multiply a sparse matrix by a dense one.

    Returns (m, k): ``sum_j data_ij W_j``, in O(N k) time.
    """
    xp = array_namespace(data)
    blocks, products = [], []
    for block in padded_blocks(indptr, W.shape[1]):
        values = xp.where(block.valid, gathered(data, block), xp.zeros_like(data[:1]))
        features = gathered(W, block, indices)
        blocks.append(block)
        products.append(xp.matmul(values[:, None, :], features)[:, 0, :])
    return in_order(products, blocks)
