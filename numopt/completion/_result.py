"""What matrix completion returns, and how it is made of a fit."""

from __future__ import annotations

import math
import time
from typing import Any

from .._core import validate
from .._core.iterate import Record
from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Check, Outcome, Result, Status, settle
from .._entries.chunks import given_entries
from .._entries.observations import Places, Rows, sorted_observations
from .._entries.read import places, read_entries
from .._kernels import completion as kernels
from .._linalg import Factors, one_blas_thread, singular_values
from ._als import Fit
from ._certificate import checks_of, convex_certificate, held_out_checks, held_out_limit
from ._inputs import held_out, normalized, problem_of, terms_of
from ._problem import Model, Task
from ._rank import Trials

# Entries for each degree of freedom below which a small residual proves nothing.
_LITTLE_EVIDENCE = 1.5
_ADVICE = {
    Status.STALLED: "the objective is flat but its gradient is not small; try method='exact', "
    "another rank, or reg > 0",
    Status.NON_FINITE: "set reg > 0 or lower the rank",
}


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
    gap : float or None
        How far the objective is from the minimum over matrices of any rank, at most, relative to
        itself; if `certify`.
    oversampling : float
        Entries seen for each degree of freedom of a matrix of this rank, ``N / (k (m + n - k))``.
        Below about 1.5, a small residual is no proof that the matrix has been found.
    empty_rows, empty_cols : array
        Numbers of the rows and columns that were never seen.
    x : tuple of array
        The factors (X, Y).
    fun : float
        Value of the objective.
    checks : list of Check
        The stopping error, computed anew from the entries and the factors: a tenth of the relative
        gradient, or the relative fall of the objective by one more step in all rows and columns if
        that is larger, or `residual` if that is smaller and ``reg = 0``. Where early stopping ended
        the iteration, the error on held-out entries instead, which is to be the best of all sweeps.
    status : Status
        0 converged, 1 iteration limit, 2 no further progress: the objective is flat, its gradient
        not small; 8 early stopping, 98 factors not finite, 99 stopped by the callback.
    nit : int
        Sweeps done.
    history : list of dict
        One record for every sweep: ``nit``, ``error``, ``seconds`` since the start, ``fun``,
        ``residual``, ``reg`` (of the path), ``rank``, ``rmse`` on held-out entries (nan without).
    stats : dict
        ``gradient``: its norm relative to that of the values times the sum of those of the factors.
        ``dual_norm``: if `certify`, the largest singular value of the residuals over ``reg``; at a
        stationary point 1 proves a global minimum, over all ranks, and more says that the rank
        binds. ``share`` of the entries seen; ``inner_iterations``: steps of the inner solver for
        each row and sweep, on average; ``n_blocks``, ``n_retries``: for Dask arrays their chunks,
        and how often a pass was repeated, otherwise 1 and 0.

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

    X: Array
    Y: Array
    mu: float
    row_bias: Array | None
    col_bias: Array | None
    rank: int
    singular_values: Array
    residual: float
    gap: float | None
    oversampling: float
    empty_rows: Array
    empty_cols: Array
    _seen: Places
    _fold: tuple[float, bool, float | None, bool]

    def _attach(self, seen: Places, fold: tuple[float, bool, float | None, bool]) -> None:
        # Set past the dictionary, so that printing the result shows its fields only.
        object.__setattr__(self, "_seen", seen)
        object.__setattr__(self, "_fold", fold)

    def _model(self) -> Model:
        return Model(self.X, self.Y, self.row_bias, self.col_bias)

    def predict(self, rows: Any, cols: Any) -> Array:
        """Return the values of the matrix at ``(rows[t], cols[t])`` (N,), in O(N k) time.

        `rows` and `cols` (N,) are integers. The matrix is never formed.
        """
        _, rows, cols = validate.arrays(X=self.X, rows=rows, cols=cols)
        rows = places("rows", rows, rows, self.X.shape[0])
        cols = places("cols", cols, rows, self.Y.shape[0])
        return self.mu + self._model().at(rows, cols)

    def matrix(self) -> Array:
        """Return the whole matrix (m, n), in O(m n k) time and O(m n) memory."""
        xp = array_namespace(self.X)
        M = self.mu + xp.matmul(self.X, xp.matrix_transpose(self.Y))
        if self.row_bias is None or self.col_bias is None:
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
        found = read_entries(new_rows, mask, weights)
        validate.common_namespace(X=self.X, new_rows=found.values)
        if found.shape[1] != self.Y.shape[0]:
            raise ValueError(
                f"`new_rows` must have {self.Y.shape[0]} columns, got {found.shape[1]}."
            )
        xp = array_namespace(self.X)
        values = xp.astype(found.values, self.X.dtype, copy=False) - self.mu
        side = sorted_observations(*found._replace(values=values), "raise").rows
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

    def verify(
        self,
        M: Any,
        rank: Any = None,
        *,
        mask: Any = None,
        weights: Any = None,
        reg: float | tuple[str, float] = 0.0,
        bias: bool | float = False,
        nonneg: bool = False,
        validation: tuple[Any, Any, Any] | None = None,
        duplicates: str = "raise",
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from the entries `M` and the factors, in three passes.

        `mask`, `weights`, `reg`, `bias`, `nonneg`, `validation` and `duplicates` are what the
        solver was given. `rank` and the `options` that only tune it may be left out.
        """
        del rank, options
        terms = terms_of(reg, bias, nonneg)
        found = given_entries(M, mask, weights)
        shape = self.X.shape[0], self.Y.shape[0]
        if found.shape != shape:
            raise ValueError(f"`M` must have shape {shape}, got {found.shape}.")
        held = held_out(validation, found.like, shape)
        limit, stopped = self.checks[0].limit, self.status == Status.EARLY_STOPPING
        if stopped and held is None:
            raise ValueError("`validation` must be given where early stopping ended the iteration.")
        with one_blas_thread(found.like):
            seen = found.sorted(duplicates, self.X.shape[1])
            problem, mu, scale = problem_of(seen, terms, self.mu)
            model = self._model().times(1 / scale)
            if stopped and held is not None:
                return held_out_checks(model, normalized(held, mu, scale), scale, limit)
            return checks_of(problem, model, limit)


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
    checks : list of Check
        Those of `best`.
    status : Status
        That of `best`.
    nit : int
        Sweeps done, over all ranks.
    history : list of dict
        Records of all sweeps, as in `MatrixCompletionResult`.
    stats : dict
        ``held_out``: number of entries held out of a part of the fits; ``n_blocks``, ``n_retries``:
        for Dask arrays their chunks, and how often a pass was repeated, otherwise 1 and 0.

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

    ranks: list[int]
    rmse: list[float]
    rank: int
    best: MatrixCompletionResult

    def verify(self, M: Any, ranks: Any = None, **options: Any) -> list[Check]:
        """Return the checks of the best model, recomputed from the entries `M` and its factors.

        `options` are those of the solver, of which those that only tune it, and `ranks`, may be
        left out.
        """
        del ranks
        return self.best.verify(M, **options)


def report(task: Task, found: Fit, began: float) -> MatrixCompletionResult:
    """Return the result of a fit, in the units of the user, whose solve began at a time."""
    scale, seen, problem = task.scale, task.problem.seen, task.problem
    model = found.model.times(scale)
    dual_norm, gap = convex_certificate(problem, found.model) if task.certify else (None, None)
    outcome = outcome_of(task, found)
    result = MatrixCompletionResult(
        **outcome._asdict(),
        X=model.X,
        Y=model.Y,
        mu=task.mu,
        row_bias=model.row_bias,
        col_bias=model.col_bias,
        rank=model.rank,
        singular_values=singular_values(Factors(model.X, model.Y)),
        residual=found.worth.residual,
        gap=gap,
        oversampling=problem.oversampling(model.rank),
        empty_rows=empty(seen.rows),
        empty_cols=empty(seen.columns),
        x=(model.X, model.Y),
        fun=found.worth.fun * scale**2,
        nit=found.nit,
        history=[in_units(record, task) for record in found.history],
        tol=task.settings.tol,
        execution_time=time.perf_counter() - began,
        stats={
            "gradient": found.worth.gradient,
            "dual_norm": dual_norm,
            "share": seen.share,
            "inner_iterations": found.steps / max(1, found.nit),
            "n_blocks": seen.n_blocks,
            "n_retries": seen.n_retries,
        },
    )
    unit = None if problem.bias_unit is None else problem.bias_unit * math.sqrt(scale)
    result._attach(seen.places(), (problem.reg * scale, problem.by_count, unit, problem.nonneg))
    return result


def outcome_of(task: Task, found: Fit) -> Outcome:
    """Return how a fit ended, by its checks."""
    problem, status, detail = task.problem, found.status, found.detail
    if status == Status.EARLY_STOPPING and task.validation is not None:
        limit = held_out_limit(found.best, task.scale, problem.seen.like)
        checks = held_out_checks(found.model, task.validation, task.scale, limit)
    else:
        checks = checks_of(problem, found.model, task.settings.tol, found.worth)
    ratio = problem.oversampling(found.model.rank)
    if problem.reg == 0 and ratio < _LITTLE_EVIDENCE and checks[0].passed:
        detail = (
            f"Only {ratio:.2f} entries were seen for each degree of freedom: a small residual is "
            f"no proof that the matrix has been found. {detail}"
        ).rstrip()
    return settle(
        status if math.isfinite(found.worth.fun) else Status.NON_FINITE,
        checks,
        nit=found.nit,
        unit="sweep",
        otherwise=Status.ITERATION_LIMIT,
        advice=_ADVICE | {Status.ITERATION_LIMIT: found.advice},
        detail=detail,
    )


def in_units(record: Record, task: Task) -> Record:
    """Return a record in the units of the user."""
    return {
        **record,
        "fun": record["fun"] * task.scale**2,
        "reg": record["reg"] * task.scale,
    }


def empty(rows: Rows) -> Array:
    """Return the numbers of rows without entries."""
    lengths = rows.lengths
    return array_namespace(lengths).nonzero(lengths == 0)[0]


def report_path(
    task: Task, ranks: list[int], trials: Trials, found: Fit, began: float
) -> RankPathResult:
    """Return errors of all ranks that were tried, and the best model."""
    best, error = report(task, found, began), min(trials.errors)
    outcome = outcome_of(task, found)
    message = f"Rank {best.rank} has the smallest error on held-out entries, {error:.3g}."
    return RankPathResult(
        **outcome._replace(message=f"{message} {outcome.message}")._asdict(),
        ranks=ranks[: len(trials.errors)],
        rmse=trials.errors,
        rank=best.rank,
        best=best,
        x=best.x,
        fun=error,
        nit=best.nit,
        history=best.history,
        tol=best.tol,
        execution_time=best.execution_time,
        stats={
            "held_out": trials.held_out,
            "n_blocks": best.stats["n_blocks"],
            "n_retries": best.stats["n_retries"],
        },
    )
