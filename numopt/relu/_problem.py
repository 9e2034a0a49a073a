"""The training problem as the user gave it, wherever its samples are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from .._core import validate
from .._core.iterate import Record
from .._core.namespace import Array, array_namespace
from .._core.settings import index_dtype
from .._losses.pointwise import Loss
from ._certificate import (
    Certificate,
    Lower,
    infeasibility,
    lower_bound_of,
    network_mismatch,
    objective,
    price_of_violations,
)
from ._network import network_objective
from ._patterns import Patterns
from ._program import Program, adjoint, normalized, responses, widened, zeros_like_neurons
from ._robust import certified_share, robust_lower
from .interior.projection import project


class Answer(NamedTuple):
    """What a solve found, in the units of the user.

    `V` (C, 2, P, d) are neurons, `dual` the dual variables of the samples as the problem holds
    them, `proof` what goes with these in a lower bound. `mu` are multipliers of the constraints of
    the neurons, None where a method has none. `violation` is what column generation still finds,
    `detail` a sentence for the message.
    """

    V: Array
    dual: Any
    proof: tuple[Array, ...]
    mu: Array | None
    nit: int
    n_factorizations: int
    status: int
    method: str
    rho: tuple[float, ...] | None
    history: list[Record]
    violation: float | None = None
    detail: str = ""


class Problem(Protocol):
    """What training, its report and its verification ask of a problem."""

    @property
    def beta(self) -> float:
        """The weight decay."""
        ...

    @property
    def loss(self) -> Loss:
        """The loss of a sample."""
        ...

    @property
    def single(self) -> bool:
        """Whether there is one output, and its targets are a vector."""
        ...

    @property
    def gates(self) -> Array:
        """A vector (P, d) in the cone of each pattern."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how the samples were gone through so far."""
        ...

    def certificate(
        self, V: Array, dual: Any, proof: tuple[Array, ...], network: tuple[Array, Array], mu: Any
    ) -> Certificate:
        """Return both bounds, measured on arrays that are returned."""
        ...

    def proof(self, V: Array, dual: Any) -> tuple[Array, ...]:
        """Return what shows that gradients at dual variables are small in the cones."""
        ...

    def patterns_of_samples(self) -> Any:
        """Return which samples (n, P) are on, None where they are not to be held."""
        ...

    def for_samples(self, x: Any) -> Any:
        """Return what belongs to samples in the layout of the targets."""
        ...

    def as_held(self, name: str, x: Any) -> Any:
        """Return what belongs to samples in the form the problem holds it."""
        ...

    def certified_share(self, V: Array) -> float | None:
        """Return the share of samples whose label no perturbation changes, None without any."""
        ...


class Data(NamedTuple):
    """Validated training data: samples with their bias, targets (C, n), weights."""

    X: Array
    y: Array
    weights: Array
    loss: Loss
    bias: bool
    single: bool  # whether y was a vector
    rows: Array | None = None  # which samples these are, None if all

    def effective(self) -> Data:
        """Return the samples that matter: positive weight, and not zero in all features."""
        xp = array_namespace(self.X)
        (index,) = xp.nonzero(self.matters())
        if index.shape[0] in (0, self.X.shape[0]):
            return self
        return self._replace(
            X=xp.take(self.X, index, axis=0),
            y=xp.take(self.y, index, axis=1),
            weights=xp.take(self.weights, index),
            rows=index,
        )

    def matters(self) -> Array:
        """Return for each sample whether a network changes its loss."""
        return (self.weights > 0) & array_namespace(self.X).any(self.X != 0, axis=1)

    def constant_loss(self) -> Array:
        """Return, for each output, the loss of the samples that no network can change, (C,)."""
        xp = array_namespace(self.X)
        fixed = xp.astype(~xp.any(self.X != 0, axis=1), self.X.dtype)
        return self.loss.value(0 * self.y, self.y, fixed * self.weights)


@dataclass(frozen=True, eq=False)
class InMemory:
    """Training data, the part of them that matters, patterns, and perturbations if any."""

    data: Data
    used: Data
    patterns: Patterns
    beta: float
    radius: Array | None
    robust: str

    @property
    def loss(self) -> Loss:
        """The loss of a sample."""
        return self.data.loss

    @property
    def single(self) -> bool:
        """Whether there is one output, and its targets are a vector."""
        return self.data.single

    @property
    def gates(self) -> Array:
        """A vector (P, d) in the cone of each pattern."""
        return self.patterns.gates

    def counts(self) -> dict[str, int]:
        """Return how the samples were gone through so far: they are at hand."""
        return {"n_passes": 0, "n_blocks": 1, "n_retries": 0}

    @cached_property
    def program(self) -> Program:
        """The convex program in normalized units."""
        data, (active, gates) = self.used, self.patterns
        return normalized(
            data.X,
            data.y,
            data.weights,
            active,
            gates,
            self.beta,
            data.loss,
            self.radius,
            self.robust,
        )

    @cached_property
    def given(self) -> Program:
        """The convex program as the user stated it, in float64 where there is one."""
        return widened(
            self.program._replace(
                X=self.used.X,
                y=self.used.y,
                beta=self.beta,
                unit=1.0,
                value_unit=1.0,
                eps=self.radius,
            )
        )

    def certificate(
        self, V: Array, dual: Any, proof: tuple[Array, ...], network: tuple[Array, Array], mu: Any
    ) -> Certificate:
        """Return both bounds, measured on arrays that are returned.

        Neurons that violate constraints are charged what moving them into their cones is likely to
        cost at the multipliers `mu`.
        """
        given, data = self.given, self.data
        xp, wide = array_namespace(V), given.X.dtype
        inside = xp.astype(V, wide, copy=False)
        fixed = xp.astype(data.constant_loss(), wide)
        values, outside = objective(given, inside) + fixed, infeasibility(given, inside)
        price = 0 * fixed
        if outside > 0 and mu is not None:
            XV = responses(given, inside)
            price = price_of_violations(given, XV, xp.astype(mu, wide, copy=False))
        lower = self._lower(xp.astype(dual, wide, copy=False), proof).value + fixed
        return Certificate(
            floats(values),
            floats(lower),
            floats(values + price),
            outside,
            network_objective(data.X, data.y, data.weights, *network, self.beta, data.loss),
            network_mismatch(V, *network),
            V.shape[2] == 0,
        )

    def _lower(self, dual: Array, proof: tuple[Array, ...]) -> Lower:
        """Return the lower bound of dual variables, which are scaled down where they have to be."""
        given, xp = self.given, array_namespace(dual)
        if self.gates.shape[0] == 0:
            # Nothing is trained, and the loss of the zero network is its own bound.
            return Lower(given.loss.value(0 * given.y, given.y, given.weights), dual, ())
        proof = tuple(xp.astype(x, dual.dtype, copy=False) for x in proof)
        if self.radius is None:
            return lower_bound_of(given, dual, proof[0], longest=1.0)
        sizes, mu, *slopes = proof
        return robust_lower(given, sizes, dual, mu, slopes[0] if slopes else None, longest=1.0)

    def proof(self, V: Array, dual: Any) -> tuple[Array, ...]:  # noqa: ARG002
        """Return multipliers that show how large gradients are in the cones, ``X' E mu``."""
        given, xp = self.given, array_namespace(dual)
        n, d, _ = given.shape
        gradient = adjoint(given, xp.astype(dual, given.X.dtype, copy=False))
        signs = xp.broadcast_to(given.signs, (*gradient.shape[:-1], n))
        signs = xp.reshape(signs, (-1, n))
        _, mu = project(given.X, signs, xp.reshape(gradient, (-1, d)))
        normal = xp.matmul(signs * xp.clip(mu, 0.0, None), given.X)
        return (xp.reshape(normal, gradient.shape),)

    def slope_of_zero(self) -> float:
        """Return the largest norm of the projection of the slope at zero onto a cone."""
        program = widened(self.program)
        xp, (n, d, _) = array_namespace(program.X), program.shape
        zero = 0 * program.y
        gradient = adjoint(program, program.loss.theta(zero, program.y, program.weights))
        signs = xp.reshape(xp.broadcast_to(program.signs, (*gradient.shape[:-1], n)), (-1, n))
        V, _ = project(program.X, signs, xp.reshape(gradient, (-1, d)))
        return self.beta / program.beta * math.sqrt(float(xp.max(xp.sum(V * V, axis=-1))))

    def patterns_of_samples(self) -> Array:
        """Return which samples (n, P) are on."""
        return array_namespace(self.data.X).matmul(self.data.X, self.gates.T) >= 0

    def for_samples(self, x: Any) -> Array:
        """Return values (C, ..., n) of the samples that matter as (..., n) or (..., n, C) of all.

        They are zero for those that do not matter.
        """
        xp = array_namespace(x)
        if self.used.rows is not None:
            matters = self.data.matters()
            rank = xp.cumulative_sum(xp.astype(matters, index_dtype(x))) - 1
            known = xp.take(x, xp.clip(rank, 0, None), axis=x.ndim - 1)
            x = xp.where(matters, known, xp.zeros_like(known))
        return x[0, ...] if self.single else xp.moveaxis(x, 0, -1)

    def as_held(self, name: str, x: Any) -> Array:
        """Return values as `for_samples` returned them in the form they had before."""
        xp = validate.common_namespace(**{"X": self.data.X, name: x})
        x = x[None, ...] if self.single else xp.moveaxis(x, -1, 0)
        return x if self.used.rows is None else xp.take(x, self.used.rows, axis=x.ndim - 1)

    def certified_share(self, V: Array) -> float | None:
        """Return the share of samples whose label no perturbation changes, None without any."""
        return certified_share(self.given, array_namespace(V).astype(V, self.given.X.dtype))

    def zero_network(self, status: int, detail: str) -> Answer:
        """Return the zero network as the answer, for a status that says why."""
        xp, used = array_namespace(self.data.X), self.used
        zero = zeros_like_neurons(self.program)
        fun = float(xp.sum(self.data.loss.value(0 * self.data.y, self.data.y, self.data.weights)))
        record = {
            "nit": 0,
            "error": 0.0,
            "fun": fun,
            "dual_fun": fun,
            "infeasibility": 0.0,
            "output": -1,
        }
        theta = used.loss.theta(0 * used.y, used.y, used.weights)
        return Answer(zero, theta, (), None, 0, 0, status, "none", None, [record], None, detail)


def floats(x: Array) -> list[float]:
    """Return the entries of a vector."""
    return [float(x[k]) for k in range(x.shape[0])]
