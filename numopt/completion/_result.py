"""What matrix completion returns."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Result
from .._kernels import completion as kernels
from ._fit import predicted
from ._inputs import entries, places, sorted_observations
from ._seen import Places
from ._sweep import Model


class MatrixCompletionResult(Result):
    """Outcome of `matrix_completion`: the factors of a matrix, and what they are worth.

    The matrix is ``mu + row_bias[i] + col_bias[j] + X[i] @ Y[j]``, the first three being zero
    unless asked for.

    Attributes
    ----------
    X : array, shape (m, k)
        Factor of the rows; its row i is zero where row i of the matrix was never seen.
    Y : array, shape (n, k)
        Factor of the columns.
    mu : float
        Mean of the values seen, 0 without biases.
    row_bias, col_bias : array, shape (m,) and (n,), or None
        Offsets of rows and columns.
    rank : int
        Number of columns k of the factors.
    singular_values : array, shape (k,)
        Singular values of ``X Y'``.
    residual : float
        Norm of the residuals of the entries seen, relative to that of their values (less `mu`).
    grad_norm : float
        Norm of the gradient, relative to the norm of the values times the sum of the norms of
        both factors.
    certificate : float or None
        Largest singular value of the residuals over the regularization, if `certify`. At a
        stationary point a value of 1 proves a global minimum, over all ranks; more says that the
        rank binds.
    dual_gap : float or None
        How far half the objective is from the minimum over matrices of any rank, at most; if
        `certify`.
    oversampling : float
        Entries seen for each degree of freedom of a matrix of this rank, ``N / (k (m + n - k))``.
        Below about 1.5, a small residual is no proof that the matrix has been found.
    p : float
        Share of entries seen.
    empty_rows, empty_cols : array
        Numbers of the rows and columns that were never seen.
    inner_iterations : float
        Steps of the inner solver for each row and sweep, on average.
    n_blocks, n_retries : int
        For Dask arrays their chunks, and how often a pass was repeated; otherwise 1 and 0.
    x : tuple of array
        The factors (X, Y).
    fun : float
        Value of the objective.
    success : bool
        Whether the stopping error, computed anew from the factors, is at most `tol`, or early
        stopping ended the iteration.
    status : int
        0 converged, 1 iteration limit, 3 stagnated: the objective is flat, its gradient not small;
        4 early stopping, 98 factors not finite, 99 stopped by the callback.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Sweeps done.
    history : list of dict
        One record for every sweep: ``nit``, ``error``, ``seconds`` since the start, ``fun``,
        ``residual``, ``reg`` (of the path), ``rank``, ``rmse`` on held-out entries (nan without).

    See Also
    --------
    matrix_completion : returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> M = np.outer(np.arange(1.0, 9), np.arange(2.0, 9))
    >>> M[2, 3] = M[5, 1] = np.nan
    >>> result = numopt.matrix_completion(M, 1, tol=1e-12)
    >>> result.predict(np.array([2]), np.array([3])).round(6)
    array([15.])
    """

    _seen: Places
    _fold: tuple[float, bool, float | None, bool]

    def _attach(self, seen: Places, fold: tuple[float, bool, float | None, bool]) -> None:
        # Set past the dictionary, so that printing the result shows its fields only.
        object.__setattr__(self, "_seen", seen)
        object.__setattr__(self, "_fold", fold)

    def _model(self) -> Model:
        return Model(self.X, self.Y, self.row_bias, self.col_bias)

    def predict(self, rows: Array, cols: Array) -> Array:
        """Return the values of the matrix at ``(rows[t], cols[t])`` (N,), in O(N k) time.

        `rows` and `cols` (N,) are integers. The matrix is never formed.
        """
        validate.common_namespace(X=self.X, rows=rows, cols=cols)
        rows = places("rows", rows, rows, self.X.shape[0])
        cols = places("cols", cols, rows, self.Y.shape[0])
        return self.mu + predicted(self._model(), rows, cols)

    def dense(self) -> Array:
        """Return the whole matrix (m, n), in O(m n k) time and O(m n) memory."""
        xp = array_namespace(self.X)
        M = self.mu + xp.matmul(self.X, xp.matrix_transpose(self.Y))
        if self.row_bias is None:
            return M
        return M + self.row_bias[:, None] + self.col_bias[None, :]

    def fold_in(
        self, new_rows: Any, *, mask: Array | None = None, weights: Array | None = None
    ) -> tuple[Array, Array | None]:
        """Return factors (p, k) and offsets (p,) of rows that were not there before.

        `new_rows` is a matrix (p, n) seen in part, in any form that the solver takes, with `mask`
        and `weights` likewise. Its rows are solved for exactly, given the columns. Offsets are
        None without biases. The values of the new rows are
        ``mu + offsets[:, None] + col_bias + factors @ Y.T``.
        """
        found = entries(new_rows, mask, weights)
        validate.common_namespace(X=self.X, new_rows=found.values)
        if found.shape[1] != self.Y.shape[0]:
            raise ValueError(
                f"`new_rows` must have {self.Y.shape[0]} columns, got {found.shape[1]}."
            )
        xp = array_namespace(self.X)
        found = found._replace(values=xp.astype(found.values, self.X.dtype, copy=False) - self.mu)
        side = sorted_observations(found, "raise").rows
        reg, by_count, unit, nonneg = self._fold
        data, W = side.data, self.Y
        if unit is not None:
            data = data - xp.take(self.col_bias, side.indices)
            W = xp.concat([W, unit + 0 * W[:, :1]], axis=1)
        lengths = side.lengths
        level = reg * lengths if by_count else reg + 0 * lengths
        x = xp.zeros((found.shape[0], W.shape[1]), dtype=W.dtype, device=device_of(W))
        problem = data, side.indices, side.indptr, side.weights, W
        if nonneg:
            x = kernels.masked_ls_nonneg(*problem, x, level, 200)[0]
        else:
            for _ in range(2):  # the second corrects the rounding of the first
                x = kernels.masked_ls_exact(*problem, x, level)[0]
        if unit is None:
            return x, None
        return x[:, :-1] + 0, x[:, -1] * unit

    def top_n(self, row: int, n: int, *, exclude_seen: bool = True) -> tuple[Array, Array]:
        """Return the `n` columns of largest value in a row, and these values, largest first.

        `row` is a row number. With `exclude_seen`, columns whose entry was given are left out;
        there are fewer than `n` if nothing else is left.
        """
        row, wanted = validate.count("row", row), validate.count("n", n)
        if row >= self.X.shape[0]:
            raise ValueError(f"`row` must be in [0, {self.X.shape[0]}), got {row}.")
        xp = array_namespace(self.X)
        scores = self.mu + xp.matmul(self.Y, self.X[row, :])
        if self.row_bias is not None:
            scores = scores + self.row_bias[row] + self.col_bias
        left = scores.shape[0]
        if exclude_seen:
            own = self._seen.columns_seen(row)
            count = own.shape[0]
            left = left - count
            columns = xp.arange(scores.shape[0], dtype=own.dtype, device=device_of(own))
            known = xp.zeros_like(scores, dtype=xp.bool)
            if count:
                spot = xp.clip(xp.searchsorted(own, columns), 0, count - 1)
                known = xp.take(own, spot) == columns
            scores = xp.where(known, xp.full_like(scores, -float("inf")), scores)
        best = xp.argsort(scores, descending=True)[: min(wanted, left)]
        return best, xp.take(scores, best)


class RankPathResult(Result):
    """Outcome of `rank_path`: errors on held-out entries for every rank, and the best model.

    Attributes
    ----------
    ranks : list of int
        Ranks tried, ascending.
    rmse : list of float
        Root mean squared error of each on the held-out entries.
    rank : int
        Rank of the smallest error.
    best : MatrixCompletionResult
        The model of that rank, fitted to all entries.
    x : tuple of array
        The factors (X, Y) of `best`.
    fun : float
        The smallest error.
    success : bool
        Whether `best` is a success.
    status : int
        Status of `best`.
    message : str
        What happened.
    nit : int
        Sweeps done, over all ranks.
    history : list of dict
        Records of all sweeps, as in `MatrixCompletionResult`.

    See Also
    --------
    rank_path : returns it.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> rng = np.random.default_rng(0)
    >>> M = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30)) + 0.01 * rng.normal(size=(40, 30))
    >>> M[rng.random(M.shape) < 0.5] = np.nan
    >>> numopt.rank_path(M, [1, 2, 3, 4], rng=0).rank
    2
    """
