"""The public function of training with random hidden units."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from ..._core import validate
from ..._core.iterate import Callback, closing
from ..._core.namespace import Array
from ..._core.random import generator, place
from .._inputs import data_of
from .._program import group_norms
from ._certificate import lasso_of
from ._result import SampledReLUResult, result_of
from ._solve import solve


def convex_relu_scp(
    X: Array,
    y: Array,
    *,
    beta: float,
    n_hidden: int,
    loss: str = "squared",
    fit_intercept: bool = True,
    weights: Array | None = None,
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
    weights : array, shape (n,), optional
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
        Weights ``x`` of ``hidden`` units, the network ``W1``, ``w2``, the bounds ``fun`` and
        ``dual_fun``, ``gap``, ``dual``, ``net_fun``, ``success``, ``checks``, ``status``,
        ``message``, ``nit``, ``history`` and ``stats``.

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
    A unit that would help violates ``|dual'(X u)_+| <= beta``. With ``n_patterns_for(n, psi, xi)``
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
    begin = perf_counter()
    beta, tol = validate.positive("beta", beta), validate.positive("tol", tol)
    maxiter = validate.count("maxiter", maxiter)
    count = validate.at_least_one("n_hidden", n_hidden)
    callback = validate.optional_callable("callback", callback)
    data = data_of(X, y, loss=loss, fit_intercept=fit_intercept, weights=weights)
    if not data.single:
        raise ValueError(f"`y` must be a vector, got {data.y.shape[0]} columns.")
    units = place(generator(rng).standard_normal((count, data.X.shape[1])), data.X)
    hidden = (units / group_norms(units)[:, None]).T
    lasso = lasso_of(data, hidden, beta)
    with closing(callback):
        bounds, run = solve(lasso, tol, maxiter, callback)
    a, seconds = bounds.weights(hidden.dtype), perf_counter() - begin
    return result_of(data, lasso, hidden, a, bounds.dual, run, tol, seconds)
