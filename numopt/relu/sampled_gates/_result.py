"""What training with random hidden units returns."""

from __future__ import annotations

from typing import Any

from ..._core import validate
from ..._core.namespace import Array, array_namespace, device_of, filled
from ..._core.outcome import Check, Result, Status, settle
from .._inputs import data_of
from .._network import network_of, outputs_of
from .._problem import Data
from .._program import with_bias
from ._certificate import Lasso, certificate, checks_of, lasso_of, neurons_of

# Rounding errors by which a network may differ from the one its weights stand for.
_ROUNDINGS = 64


class SampledReLUResult(Result):
    """A network of random hidden units whose output weights solve a convex program.

    Attributes
    ----------
    x : array, shape (N,)
        Weights a of the unit hidden vectors.
    fun : float
        Objective at the weights: an upper bound of the optimum with these hidden units, and of
        that of the training problem.
    hidden : array, shape (d, N)
        The random unit vectors, the last row for the bias if there is one.
    W1 : array, shape (d, m)
        Hidden weights of the network, for the weights that are not zero.
    w2 : array, shape (m,)
        Output weights of the network.
    gap : float
        ``(fun - dual_fun) / fun``.
    dual_fun : float
        A lower bound of the optimum with these hidden units, proved by `dual`.
    dual : array, shape (n,)
        Dual variables of the samples: ``|H' dual| <= beta`` for the values H of all hidden units.
    net_fun : float
        Objective of the network in its own training problem, equal to `fun`.
    success : bool
        Whether `gap` meets the tolerance, and the network is that of the weights.
    status : Status
        0 converged, 1 iteration limit, 3 rounding allows no further progress, 98 a number that is
        not finite, 99 stopped by the callback.
    nit : int
        Newton steps done.
    history : list of dict
        For each step ``nit``, ``error`` (the gap), ``fun`` and ``dual_fun``.
    stats : dict
        ``beta`` and ``loss`` solved for, and ``n_factorizations``.

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
    >>> all(check.passed for check in result.verify(x, abs(x[:, 0]), beta=1e-3))
    True
    """

    hidden: Array
    W1: Array
    w2: Array
    gap: float
    dual_fun: float
    dual: Array
    net_fun: float

    def predict(self, X: Array) -> Array:
        """Return the output of the network for samples `X` (n, features), shape (n,)."""
        W1, X = validate.arrays(W1=self.W1, X=X)
        X = validate.as_array("X", X, ndim=2, dtype=W1.dtype)
        return outputs_of(with_bias(X) if W1.shape[0] > X.shape[1] else X, W1, self.w2)

    def verify(
        self,
        X: Any,
        y: Any,
        *,
        beta: float,
        loss: str = "squared",
        fit_intercept: bool = True,
        weights: Any = None,
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from samples `X`, targets `y` and the arrays held here.

        The problem is given as it was to `convex_relu_scp`: by `beta`, `loss`, `fit_intercept` and
        `weights`. Of its `options` none matters. Takes two products with the values of the
        hidden units.
        """
        del options
        beta = validate.positive("beta", beta)
        data = data_of(X, y, loss=loss, fit_intercept=fit_intercept, weights=weights)
        validate.common_namespace(X=data.X, hidden=self.hidden)
        lasso, network = lasso_of(data, self.hidden, beta), (self.W1, self.w2)
        found = certificate(data, lasso, self.hidden, self.x, self.dual, network)
        return checks_of(found, *[check.limit for check in self.checks])


def result_of(
    data: Data,
    lasso: Lasso,
    hidden: Array,
    a: Array,
    dual: Array,
    run: Any,
    tol: float,
    seconds: float,
) -> SampledReLUResult:
    """Return the result of weights and of a dual point for the samples of positive weight."""
    xp = array_namespace(hidden)
    zero = xp.zeros(data.weights.shape, dtype=dual.dtype, device=device_of(dual))
    dual = xp.astype(filled(data.weights > 0, dual, zero), hidden.dtype)
    W1, w2 = network_of(neurons_of(hidden, a))
    network = W1, w2[:, 0]
    found = certificate(data, lasso, hidden, a, dual, network)
    outcome = settle(
        run.status,
        checks_of(found, tol, _ROUNDINGS * float(xp.finfo(hidden.dtype).eps)),
        nit=run.nit,
        otherwise=Status.PRECISION_LIMIT,
        advice={
            Status.ITERATION_LIMIT: "raise maxiter or tol",
            Status.PRECISION_LIMIT: "raise tol",
            Status.NON_FINITE: "rescale the data",
        },
    )
    return SampledReLUResult(
        x=a,
        fun=found.fun,
        **outcome._asdict(),
        nit=run.nit,
        history=run.history,
        tol=tol,
        execution_time=seconds,
        hidden=hidden,
        W1=W1,
        w2=network[1],
        gap=found.gap,
        dual_fun=found.dual_fun,
        dual=dual,
        net_fun=found.net_fun,
        stats={"beta": lasso.beta, "loss": lasso.loss.name, "n_factorizations": run.nit},
    )
