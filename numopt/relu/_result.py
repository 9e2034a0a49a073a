"""What convex training returns."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.outcome import Check, Result, Status, settle
from ._certificate import Certificate
from ._inputs import Settings, problem_under
from ._network import outputs_of
from ._problem import Answer, InMemory, Problem
from ._program import with_bias

# What proves a lower bound under perturbations; sizes of the slopes, and these for each weight.
_PROOF = ("sizes", "multipliers", "slopes")
# Rounding errors by which a network may differ from the one its neurons stand for.
_ROUNDINGS = 64


class ConvexReLUResult(Result):
    """A two-layer ReLU network, and how close it is to the optimum of its convex program.

    Attributes
    ----------
    x : array, shape (d, 2P) or (d, 2P, C)
        `coef_pos` and `coef_neg` next to each other. Here d counts the bias, the last row, if
        there is one.
    fun : float
        Objective of the convex program at the neurons, summed over outputs: an upper bound of
        its optimum.
    W1 : array, shape (d, m)
        Hidden weights of the network, the neurons that are not zero.
    w2 : array, shape (m,) or (m, C)
        Output weights of the network.
    coef_pos, coef_neg : array, shape (d, P) or (d, P, C)
        Neurons of each pattern that add to the prediction and that subtract from it. They satisfy
        all constraints of the program.
    gates : array, shape (d, P)
        A vector inside the cone of each pattern.
    patterns : array, shape (n, P), or None
        Distinct patterns used, true where a sample is on. For a Dask array one in its chunks, that
        is computed when asked for; None for samples read in blocks, where ``X @ gates >= 0``.
    gap : float
        ``(fun - dual_fun) / fun``, the largest over the outputs: no other neurons under these
        patterns are better by more than this share.
    dual_fun : float
        A lower bound of the optimum, proved by `dual`.
    dual : array, shape (n,) or (n, C)
        Dual variables of the samples, minus the slopes of their losses where all is optimal. For a
        Dask array one in its chunks, which the cluster holds.
    multipliers : array, shape (2, P, n) or (2, P, n, C), or None
        Multipliers of the constraints of both neurons of each pattern, for a warm start. None where
        the samples were only summed over.
    infeasibility : float
        Norm of the violated slacks relative to that of all; 0 unless ``polish=False``.
    net_fun : float
        Objective of the network in its own training problem. Equal to `fun` for feasible neurons.
    success : bool
        Whether `gap` and `infeasibility` meet their limits, and the network is that of the neurons.
    status : Status
        0 converged, 1 iteration limit, 3 rounding allows no further progress, 15 no pattern
        survives the perturbation, 16 the gap is an estimate that is not proved (there are too many
        samples and features to project neurons), 98 a number that is not finite, 99 stopped by the
        callback.
    nit : int
        Iterations, over all outputs and rounds of column generation.
    history : list of dict
        For each check ``nit``, ``error`` (the gap), ``fun``, ``dual_fun``, ``infeasibility`` and
        ``output``, the index of the output it belongs to, -1 if to all.
    stats : dict
        ``beta`` and ``loss`` solved for; ``method``, the one that ran, and the final penalties
        ``rho`` of a splitting method in normalized units; ``output_fun`` and ``output_dual_fun``,
        both bounds for each output; ``n_factorizations`` of the size of the problem; ``n_passes``
        over samples that are read in blocks, 0 in memory, ``n_blocks``, the chunks of a Dask array,
        and ``n_retries``, how often a pass was repeated after a cluster lost workers.
        ``violation``, after column generation the largest value found of
        ``|dual'(X u)_+| / beta`` over unit vectors, where 1 means that a local search found no
        neuron that would help, else None. With perturbations, ``certified``, the share of training
        samples whose label no perturbation changes under the bound of the program, None without
        labels, and ``proof``, arrays that prove `dual_fun` besides `dual`; None without them.

    See Also
    --------
    convex_relu : the function that returns this.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> x = np.linspace(-1, 1, 30)[:, None]
    >>> result = numopt.convex_relu(x, abs(x[:, 0]), beta=1e-4, rng=0)
    >>> bool(abs(result.predict(x) - abs(x[:, 0])).max() < 0.02)
    True
    >>> all(check.passed for check in result.verify(x, abs(x[:, 0]), beta=1e-4))
    True
    """

    W1: Array
    w2: Array
    coef_pos: Array
    coef_neg: Array
    gates: Array
    patterns: Any
    gap: float
    dual_fun: float
    dual: Any
    multipliers: Array | None
    infeasibility: float
    net_fun: float

    def predict(self, X: Array) -> Array:
        """Return the output of the network for samples `X` (n, features), (n,) or (n, C).

        For logistic and hinge loss its sign is the predicted label.
        """
        W1, w2, X = validate.arrays(W1=self.W1, w2=self.w2, X=X)
        # Arrays that joblib has mapped into memory become ordinary ones.
        W1 = validate.as_array("W1", W1, ndim=2, dtype=W1.dtype) if 0 not in W1.shape else W1
        X = validate.as_array("X", X, ndim=2, dtype=W1.dtype)
        bias = self.coef_pos.shape[0] - X.shape[1]
        if bias not in (0, 1):
            raise ValueError(
                f"`X` must have the features that were trained on, got {X.shape[1]} columns."
            )
        return outputs_of(with_bias(X) if bias else X, W1, w2)

    def neurons(self) -> Array:
        """Return the neurons by output, sign, pattern and feature, (C, 2, P, d)."""
        xp = array_namespace(self.coef_pos)
        V = xp.stack([self.coef_pos, self.coef_neg])
        return xp.permute_dims(V if V.ndim == 4 else V[..., None], (3, 0, 2, 1))

    def verify(
        self,
        X: Any,
        y: Any,
        *,
        beta: float,
        loss: str = "squared",
        eps: Any = 0.0,
        robust: str = "pattern",
        fit_intercept: bool = True,
        weights: Any = None,
        **options: Any,
    ) -> list[Check]:
        """Return the checks, recomputed from samples `X`, targets `y` and the arrays held here.

        The problem is given as it was to `convex_relu`: by `beta`, `loss`, `eps`, `robust`,
        `fit_intercept` and `weights`. Of its `options` none matters. What the dual variables
        prove takes a projection of each neuron to see.
        """
        del options
        problem = problem_under(
            X,
            y,
            gates=self.gates,
            beta=beta,
            loss=loss,
            eps=eps,
            robust=robust,
            fit_intercept=fit_intercept,
            weights=weights,
        )
        V, dual = self.neurons(), problem.as_held("dual", self.dual)
        mu = self.multipliers
        held = self.stats["proof"]
        proof = problem.proof(V, dual) if held is None else tuple(held.values())
        network = self.W1, self.w2 if self.w2.ndim == 2 else self.w2[:, None]
        certificate = problem.certificate(
            V, dual, proof, network, None if mu is None else problem.as_held("multipliers", mu)
        )
        return certificate.checks(*[check.limit for check in self.checks[:3]])


def result_of(
    problem: Problem,
    answer: Answer,
    network: tuple[Array, Array],
    certificate: Certificate,
    settings: Settings,
    seconds: float,
) -> ConvexReLUResult:
    """Return the result of an answer, a success if what is returned passes the checks."""
    xp, (W1, w2) = array_namespace(answer.V), network
    exact = settings.polish or answer.mu is None
    checks = certificate.checks(
        settings.tol,
        0.0 if exact else settings.tol,
        _ROUNDINGS * float(xp.finfo(answer.V.dtype).eps),
    )
    outcome = settle(
        answer.status,
        checks,
        nit=answer.nit,
        otherwise=Status.PRECISION_LIMIT,
        advice=_advice(problem),
        detail=_detail(problem, answer),
    )
    neurons = xp.permute_dims(answer.V, (1, 3, 2, 0))
    if problem.single:
        neurons = neurons[..., 0]
    positive, negative = neurons[0, ...], neurons[1, ...]
    perturbed = isinstance(problem, InMemory) and problem.radius is not None
    return ConvexReLUResult(
        x=xp.concat([positive, negative], axis=1),
        fun=sum(certificate.funs),
        success=outcome.success,
        status=outcome.status,
        message=outcome.message,
        checks=outcome.checks,
        nit=answer.nit,
        history=answer.history,
        tol=settings.tol,
        execution_time=seconds,
        W1=W1,
        w2=w2[:, 0] if problem.single else w2,
        coef_pos=positive,
        coef_neg=negative,
        gates=problem.gates.T,
        patterns=problem.patterns_of_samples(),
        gap=certificate.gap,
        dual_fun=sum(certificate.dual_funs),
        dual=problem.for_samples(answer.dual),
        multipliers=None if answer.mu is None else problem.for_samples(answer.mu),
        infeasibility=certificate.infeasibility,
        net_fun=certificate.net_fun,
        stats={
            "beta": problem.beta,
            "loss": problem.loss.name,
            "method": answer.method,
            "rho": answer.rho,
            "output_fun": certificate.funs,
            "output_dual_fun": certificate.dual_funs,
            "n_factorizations": answer.n_factorizations,
            **problem.counts(),
            "violation": answer.violation,
            "certified": problem.certified_share(answer.V),
            "proof": dict(zip(_PROOF, answer.proof, strict=False)) if perturbed else None,
        },
    )


def _advice(problem: Problem) -> dict[Status, str]:
    """Return what to try, for each way to stop short."""
    interior = isinstance(problem, InMemory) and problem.radius is None
    return {
        Status.ITERATION_LIMIT: "raise maxiter or tol"
        + (", or use method='interior'" if interior else ""),
        Status.PRECISION_LIMIT: "raise tol, standardize the features or use float64",
        Status.NO_PATTERN: "lower eps or use robust='lipschitz'",
        Status.UNPROVED: "with polish=False the estimate decides",
        Status.NON_FINITE: "standardize the features",
    }


def _detail(problem: Problem, answer: Answer) -> str:
    """Return what is particular, as a sentence."""
    if answer.status == Status.UNPROVED:
        return (
            "With so many samples and features neurons are not moved into their cones, so that "
            "the gap is an estimate."
        )
    return answer.detail or f"The program is over {problem.gates.shape[0]} patterns."
