"""The sampled convex program: random hidden units, a convex problem in their output weights.

Solved by a primal-dual interior-point method for ``min loss(H a, y) + beta |a|_1``, with
``a = p - q`` and ``p, q >= 0``; its Newton systems have one row for each sample.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core import validate
from .._core.iterate import Callback, Record, closing, iterate
from .._core.namespace import Array, array_namespace, device_of, filled, widest_float
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK, Result
from .._core.random import generator, place
from .._linalg import cholesky, cholesky_solve
from ._cones import orthant_ratio
from ._inputs import data_of
from ._network import network_objective, outputs_of
from ._problem import Data
from ._program import group_norms, with_bias
from ._terms import Term, loss_term_of

_PRECISION = 3
_TO_BOUNDARY, _SHORTEST_STEP = 0.995, 1e-6
# Corrections of a direction by its residual.
_REFINEMENTS = 4


class SampledReLUResult(Result):
    """A network of random hidden units whose output weights solve a convex program.

    Attributes
    ----------
    x : array, shape (N,)
        Weights a of the unit hidden vectors.
    hidden : array, shape (d, N)
        The random unit vectors, the last row for the bias if there is one.
    W1 : array, shape (d, m)
        Hidden weights of the network, for the weights that are not zero.
    w2 : array, shape (m,)
        Output weights of the network.
    fun : float
        Objective at the weights: an upper bound of the optimum with these hidden units, and of
        that of the training problem.
    dual : float
        A lower bound of the optimum with these hidden units.
    gap : float
        ``(fun - dual) / fun``.
    net_fun : float
        Objective of the network in its own training problem, equal to `fun`.
    theta : array, shape (n,)
        Dual variables that prove `dual`: ``|H' theta| <= beta`` for all hidden units.
    success : bool
        Whether `gap` meets the tolerance.
    status : int
        0 converged, 1 iteration limit, 3 rounding allows no further progress, 98 a number that is
        not finite, 99 stopped by the callback.
    message : str
        What happened and, where it failed, what to try.
    nit : int
        Newton steps done.
    history : list of dict
        For each step ``nit``, ``error`` (the gap), ``fun`` and ``dual``.

    See Also
    --------
    convex_relu_scp : the function that returns this.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> x = np.linspace(-1, 1, 30)[:, None]
    >>> result = numopt.convex_relu_scp(x, abs(x[:, 0]), beta=1e-3, n_hidden=200, rng=0)
    >>> result.success
    True
    """

    def predict(self, X: Array) -> Array:
        """Return the output of the network for samples `X` (n, features), shape (n,)."""
        validate.common_namespace(W1=self.W1, X=X)
        X = validate.as_array("X", X, ndim=2, dtype=self.W1.dtype)
        return outputs_of(with_bias(X) if self.W1.shape[0] > X.shape[1] else X, self.W1, self.w2)


class _Lasso(NamedTuple):
    H: Array
    y: Array
    weights: Array
    beta: float
    data: Data


class _Point(NamedTuple):
    """Weights (2, N) of both signs, their multipliers, the loss's own variables, last step."""

    p: Array
    s: Array
    parts: tuple[Array, ...]
    z: Array
    step: float = 1.0


def convex_relu_scp(
    X: Array,
    y: Array,
    *,
    beta: float,
    n_hidden: int,
    loss: str = "squared",
    fit_intercept: bool = True,
    sample_weight: Array | None = None,
    tol: float = 1e-6,
    maxiter: int = 200,
    rng: Any = None,
    callback: Callback | None = None,
) -> SampledReLUResult:
    r"""Train a two-layer ReLU network with random hidden units by a convex program.

    .. math::

        \min_a \; \ell\Big( \sum_j a_j (X u_j)_+, \, y \Big) + \beta |a|_1,
        \qquad u_j \text{ uniform on the unit sphere}.

    Parameters
    ----------
    X : array, shape (n, d)
        Samples, real and finite.
    y : array, shape (n,)
        Targets, or labels -1 and 1 for logistic and hinge loss.
    beta : float
        Weight decay, positive.
    n_hidden : int
        Hidden units to draw; see `n_patterns_for`.
    loss : {"squared", "logistic", "hinge"}, default "squared"
        Loss, summed over samples.
    fit_intercept : bool, default True
        Whether hidden units have a bias.
    sample_weight : array, shape (n,), optional
        Non-negative weights of the loss of each sample.
    tol : float, default 1e-06
        Largest relative duality gap.
    maxiter : int, default 200
        Largest number of Newton steps.
    rng : int or numpy.random.Generator, optional
        Source of the hidden units.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with the record of each step; `StopIteration`
        ends the solve.

    Returns
    -------
    SampledReLUResult
        Weights ``x``, the network ``W1``, ``w2``, the bounds ``fun`` and ``dual``, ``gap``,
        ``success``, ``status``, ``message``, ``nit`` and ``history``.

    Raises
    ------
    TypeError
        If an input is not a real dense array.
    ValueError
        If a shape, a sign, a label or an option is wrong.

    See Also
    --------
    convex_relu : random patterns, within which the hidden units are free.
    n_patterns_for : how many units make another one unlikely to help.

    Notes
    -----
    A unit that would help violates ``|theta'(X u)_+| <= beta``. With ``n_patterns_for(n, psi, xi)``
    units, with probability at least ``1 - xi``, at most a share `psi` of fresh random units does.
    A Newton step takes O(n N min(n, N)) time.

    References
    ----------
    .. [1] Y. Bai, T. Gautam, S. Sojoudi, "Efficient Global Optimization of Two-layer ReLU
       Networks", SIAM J. Math. Data Sci. 2023, arXiv:2201.01965.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> result = numopt.convex_relu_scp(X, abs(X[:, 0]), beta=0.1, n_hidden=300, rng=0)
    >>> result.success, bool(result.gap <= 1e-6)
    (True, True)
    """
    beta, tol = validate.positive("beta", beta), validate.positive("tol", tol)
    maxiter = validate.count("maxiter", maxiter)
    count = validate.at_least_one("n_hidden", n_hidden)
    callback = validate.optional_callable("callback", callback)
    data = data_of(X, y, loss=loss, fit_intercept=fit_intercept, sample_weight=sample_weight)
    if not data.single:
        raise ValueError(f"`y` must be a vector, got shape {tuple(y.shape)}.")
    hidden = place(generator(rng).standard_normal((count, data.X.shape[1])), data.X)
    hidden = hidden / group_norms(hidden)[:, None]
    with closing(callback):
        return _trained(data, hidden, beta, tol, maxiter, callback)


def _trained(
    data: Data, hidden: Array, beta: float, tol: float, maxiter: int, callback: Callback | None
) -> SampledReLUResult:
    xp = array_namespace(hidden)
    wide = widest_float(hidden)
    features = xp.clip(xp.matmul(data.X, hidden.T), 0.0, None)
    (rows,) = xp.nonzero(data.weights > 0)
    lasso = _Lasso(
        xp.astype(xp.take(features, rows, axis=0), wide),
        xp.astype(xp.take(data.y[0, :], rows), wide),
        xp.astype(xp.take(data.weights, rows), wide),
        beta,
        data,
    )
    best: dict[str, Any] = {"fun": math.inf, "dual": -math.inf}

    def measure(point: _Point) -> Record:
        _note(lasso, point, best)
        gap = (best["fun"] - best["dual"]) / best["fun"] if best["fun"] > 0 else 0.0
        return {"error": gap, "fun": best["fun"], "dual": best["dual"]}

    run = iterate(
        _first(lasso),
        lambda point: _step(lasso, point),
        measure,
        tol=tol,
        maxiter=maxiter,
        callback=callback,
        give_up=lambda point: _PRECISION if point.step < _SHORTEST_STEP else None,
    )
    return _report(data, hidden, lasso, best, run, tol)


def _note(lasso: _Lasso, point: _Point, best: dict[str, Any]) -> None:
    """Keep the best weights and the best dual point."""
    xp, loss = array_namespace(point.p), lasso.data.loss
    a = point.p[0, :] - point.p[1, :]
    for weights in (a, 0 * a):
        value = _objective(lasso, weights)
        if value < best["fun"]:
            best["fun"], best["a"] = value, weights
    theta = _term(lasso).theta(point.z, point.parts)
    theta = loss.admissible(theta, lasso.y, lasso.weights)
    highest = xp.max(xp.abs(xp.matmul(lasso.H.T, theta)))
    limit = xp.where(highest > 0, lasso.beta / xp.where(highest > 0, highest, 1.0), math.inf)
    scale, value = loss.dual(theta, lasso.y, lasso.weights, limit)
    if float(value) > best["dual"]:
        best["dual"], best["theta"] = float(value), scale * theta


def _objective(lasso: _Lasso, a: Array) -> float:
    xp = array_namespace(a)
    z = xp.matmul(lasso.H, a)
    fit = lasso.data.loss.value(z, lasso.y, lasso.weights)
    return float(fit + lasso.beta * xp.sum(xp.abs(a)))


def _term(lasso: _Lasso) -> Any:
    return loss_term_of(lasso.data.loss, lasso.y, lasso.weights)


def _first(lasso: _Lasso) -> _Point:
    """Return a point with the multipliers of the zero network and equal weights of both signs."""
    xp, (n, N) = array_namespace(lasso.H), lasso.H.shape
    z = xp.zeros((n,), dtype=lasso.H.dtype, device=device_of(lasso.H))
    parts = _term(lasso).start(z)
    size = xp.sqrt(xp.mean(lasso.y**2)) / xp.sqrt(xp.mean(lasso.H**2) * N + 1e-300)
    p = size + xp.zeros((2, N), dtype=lasso.H.dtype, device=device_of(lasso.H))
    pull = xp.max(xp.abs(xp.matmul(lasso.H.T, _term(lasso).theta(z, parts))))
    return _Point(xp.where(p > 0, p, xp.ones_like(p)), lasso.beta + pull + 0 * p, parts, z)


def _step(lasso: _Lasso, point: _Point) -> _Point:
    """Return the next iterate: a predictor, then a centered and corrected direction."""
    xp, term = array_namespace(point.p), _term(lasso)
    solver = _factored(lasso, term, point)
    if solver is None:
        return point._replace(step=0.0)
    slope = -term.theta(point.z, point.parts)
    pull = xp.matmul(lasso.H.T, slope)
    residual = lasso.beta + xp.stack([pull, -pull]) - point.s

    def direction(target: float, affine: _Point | None) -> _Point:
        seen = None if affine is None else (affine.parts, affine.z)
        products = target - point.p * point.s
        if affine is not None:
            products = products - affine.p * affine.s
        free = (products - point.p * residual) / point.s
        offset = term.offset(point.z, point.parts, target, seen)
        g = solver(xp.matmul(lasso.H, free[0, :] - free[1, :]) - offset)
        pull = xp.matmul(lasso.H.T, g)
        ds = residual + xp.stack([pull, -pull])
        dp = (products - point.p * ds) / point.s
        parts = term.change(point.z, point.parts, g, target, seen)
        return _Point(dp, ds, parts, xp.matmul(lasso.H, dp[0, :] - dp[1, :]))

    affine = direction(0.0, None)
    before = _complementarity(term, point)
    after = _complementarity(term, _moved(point, affine, min(1.0, _reach(term, point, affine))))
    share = min(1.0, max(after / before, 0.0)) ** 3
    pairs = 2 * lasso.H.shape[1] + term.pairs
    change = direction(share * before / pairs, affine)
    moved = _moved(point, change, min(1.0, _TO_BOUNDARY * _reach(term, point, change)))
    return moved if math.isfinite(_complementarity(term, moved)) else point._replace(step=0.0)


def _factored(lasso: _Lasso, term: Any, point: _Point) -> Any:
    """Return a function that solves ``(h + H W H') g = rhs``, None where there is no factor."""
    xp, H = array_namespace(point.p), lasso.H
    h = term.resistance(point.z, point.parts)
    W = xp.sum(point.p / point.s, axis=0)
    n, N = H.shape
    size = min(n, N)
    eye = xp.eye(size, dtype=H.dtype, device=device_of(H))
    if n <= N:
        L = cholesky(xp.matmul(H * W, H.T) + eye * h[None, :])
    else:
        # In the weights, whose curvature 1 / W vanishes for those that stay.
        L = cholesky(xp.matmul(H.T, H / h[:, None]) + eye / W[None, :])
    if L is None:
        return None

    def once(rhs: Array) -> Array:
        if n <= N:
            return cholesky_solve(L, rhs)
        return (rhs - xp.matmul(H, cholesky_solve(L, xp.matmul(H.T, rhs / h)))) / h

    def solved(rhs: Array) -> Array:
        g = once(rhs)
        for _ in range(_REFINEMENTS):
            g = g + once(rhs - h * g - xp.matmul(H, W * xp.matmul(H.T, g)))
        return g

    return solved


def _moved(point: _Point, change: _Point, length: float) -> _Point:
    pairs = zip(point.parts, change.parts, strict=True)
    return _Point(
        point.p + length * change.p,
        point.s + length * change.s,
        tuple(x + length * dx for x, dx in pairs),
        point.z + length * change.z,
        length,
    )


def _reach(term: Term, point: _Point, change: _Point) -> float:
    """Return the longest step that keeps everything positive."""
    return min(
        orthant_ratio(point.p, change.p),
        orthant_ratio(point.s, change.s),
        term.ratio(point.z, point.parts, change.z, change.parts),
    )


def _complementarity(term: Term, point: _Point) -> float:
    xp = array_namespace(point.p)
    return float(xp.sum(point.p * point.s)) + float(term.complementarity(point.z, point.parts))


def _report(
    data: Data, hidden: Array, lasso: _Lasso, best: dict[str, Any], run: Any, tol: float
) -> SampledReLUResult:
    xp, dtype = array_namespace(hidden), hidden.dtype
    a = xp.astype(best["a"], dtype)
    # Entries that cost more than they are worth are rounding errors of zeros.
    a = xp.where(xp.abs(a) > 1e-9 * xp.max(xp.abs(a)), a, 0 * a)
    fun = _objective(lasso, xp.astype(a, lasso.H.dtype))
    (index,) = xp.nonzero(a)
    chosen = xp.take(a, index)
    root = xp.sqrt(xp.abs(chosen))
    W1 = (xp.take(hidden, index, axis=0) * root[:, None]).T
    w2 = xp.sign(chosen) * root
    gap = max(0.0, (fun - best["dual"]) / fun) if fun > 0 else 0.0
    success = gap <= tol
    status = run.status
    if status != STOPPED_BY_CALLBACK:
        status = CONVERGED if success else (_PRECISION if status == CONVERGED else status)
    count = f"{run.nit} iteration" + ("" if run.nit == 1 else "s")
    reached = f"after {count} with a relative gap of {gap:.1e} (tol {tol:.1e})"
    return SampledReLUResult(
        x=a,
        hidden=hidden.T,
        W1=W1,
        w2=w2,
        fun=fun,
        dual=best["dual"],
        gap=gap,
        net_fun=network_objective(
            data.X, data.y, data.weights, W1, w2[:, None], lasso.beta, data.loss
        ),
        theta=_spread(data, best["theta"], dtype),
        success=success,
        status=status,
        message={
            CONVERGED: f"Converged {reached}.",
            ITERATION_LIMIT: f"Stopped {reached}; raise maxiter or tol.",
            _PRECISION: f"Stopped {reached} at the precision of the dtype; raise tol.",
            NON_FINITE: f"Stopped {reached} because a number was not finite; rescale the data.",
            STOPPED_BY_CALLBACK: f"Stopped by the callback {reached}.",
        }[status],
        nit=run.nit,
        history=run.history,
    )


def _spread(data: Data, theta: Array, dtype: Any) -> Array:
    """Return values of the samples with positive weight for all samples."""
    xp = array_namespace(theta)
    zero = xp.zeros(data.weights.shape, dtype=theta.dtype, device=device_of(theta))
    return xp.astype(filled(data.weights > 0, theta, zero), dtype)
