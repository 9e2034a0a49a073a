"""The training problem of samples that are gone through in blocks, in files or on a cluster."""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

from ..._core.namespace import Array, array_namespace
from ..._linalg import one_blas_thread, quiet
from ..._losses.pointwise import LOSSES, Loss
from ..._rows import RowBlocks, add
from .._certificate import Certificate, feasible_scale, network_mismatch
from .._program import group_norms
from ..interior.projection import project
from .active_set import ActiveRows, nearer
from .passes import Frame, Measured, measured_at, nearest_at, patterns_at

# Rows next to a neuron for each column, and passes that look for others, when it is shown how far
# dual variables pull in its cone.
_NEAREST, _LOOKS = 20, 20
# Rounding errors by which a gradient may be too large without a closer look.
_ENOUGH = 1e-12


class Passes:
    """The rows and what lies beside them.

    `alike` has sums come out as on a cluster, whose workers have one thread of BLAS each.
    """

    def __init__(self, blocks: RowBlocks, y: Any, weights: Any, alike: bool = True) -> None:
        self.blocks, self.y, self.weights, self._alike = blocks, y, weights, alike

    def fold(self, function: Any, *shared: Any, merge: Any = add, beside: Any = ()) -> Any:
        """Return the merge of ``function(*shared, block, rows, y, weights)`` over all blocks.

        What else lies `beside` the rows comes after the weights.
        """
        beside = (self.y, self.weights, *beside)
        threads = one_blas_thread(self.blocks.like) if self._alike else nullcontext()
        with threads, quiet():
            return self.blocks.fold(partial(function, *shared), *beside, merge=merge)

    def rowwise(self, function: Any, *shared: Any) -> Any:
        """Return a number for each row: where the rows are on a cluster, here otherwise."""
        return self.blocks.rowwise(partial(function, *shared), self.y, self.weights)


class InBlocks(NamedTuple):
    """The rows and what lies beside them, the frame of all passes, and the weight decay."""

    passes: Passes
    frame: Frame
    beta: float

    @property
    def loss(self) -> Loss:
        """The loss of a sample."""
        return LOSSES[self.frame.loss]

    @property
    def single(self) -> bool:
        """Whether there is one output, and its targets are a vector."""
        return True

    @property
    def gates(self) -> Array:
        """A vector (P, d) in the cone of each pattern."""
        return self.frame.gates

    def counts(self) -> dict[str, int]:
        """Return how the samples were gone through so far."""
        return self.passes.blocks.counts()

    def _measured(self, V: Array, dual: Any) -> Measured:
        """Return the sums at neurons (2, P, d) and dual variables: one pass."""
        return Measured(*self.passes.fold(measured_at, self.frame, V, beside=(dual,)))

    def certificate(
        self,
        V: Array,
        dual: Any,
        proof: tuple[Array, ...],
        network: tuple[Array, Array],
        mu: Any,  # noqa: ARG002
    ) -> Certificate:
        """Return both bounds, measured on arrays that are returned: one pass."""
        xp, (normal,) = array_namespace(V), proof
        seen = self._measured(V[0, ...], dual)
        gradient = xp.stack([seen.gradient, -seen.gradient])[None, ...]
        scale = float(feasible_scale(group_norms(gradient + normal), self.beta, longest=1.0)[0])
        if self.loss.scales:
            value = scale * float(seen.linear) - 0.5 * scale**2 * float(seen.square)
        else:
            # The dual objective is concave, and zero at zero.
            value = scale * float(seen.dual)
        norms = self.beta * float(xp.sum(group_norms(V)))
        fun = float(seen.loss) + norms
        slack, short = math.sqrt(float(seen.slack)), math.sqrt(float(seen.violated))
        return Certificate(
            [fun],
            [value + float(seen.fixed)],
            [fun],
            short / slack if slack > 0 else 0.0,
            float(seen.network) + norms,
            network_mismatch(V, *network),
        )

    def proof(self, V: Array, dual: Any) -> tuple[Array, ...]:
        """Return multipliers of some rows that show how large gradients are, ``X' E mu``.

        These are the rows next to the gates and the neurons and, a few passes long, those that the
        projections onto the cones they leave violate most.
        """
        xp, (_, _, patterns, d) = array_namespace(V), V.shape
        half = self._measured(V[0, ...], dual).gradient
        targets = xp.concat([half, -half])
        gates = xp.concat([self.gates, self.gates])
        V = xp.reshape(V, gates.shape)
        kept = self._nearest(gates), self._nearest(xp.where(group_norms(V)[:, None] > 0, V, gates))
        rows = [xp.concat([found[k] for found in kept]) for k in range(2 * patterns)]
        points, normal, worst = targets, 0 * targets, math.inf
        for _ in range(_LOOKS):
            parts = [self._normal(rows[k], targets[k, :]) for k in range(2 * patterns)]
            points, normal = (xp.stack(list(column)) for column in zip(*parts, strict=True))
            before, worst = worst, float(xp.max(group_norms(targets + normal)))
            if worst <= self.beta * (1 + _ENOUGH) or not worst < before * (1 - _ENOUGH):
                break
            for k, found in enumerate(self._nearest(points)):
                rows[k] = xp.concat([rows[k], found])
        return (xp.reshape(normal, (1, 2, patterns, d)),)

    def _normal(self, rows: Array, target: Array) -> tuple[Array, Array]:
        """Return the projection of a vector (d,) onto the cone of rows, less that vector, too."""
        xp = array_namespace(rows)
        if float(xp.sum(target * target)) <= self.beta**2 or rows.shape[0] == 0:
            return target, xp.zeros_like(target)
        point, mu = project(rows, xp.ones_like(rows[:, 0])[None, :], target[None, :])
        return point[0, :], xp.matmul(xp.clip(mu[0, :], 0.0, None), rows)

    def _nearest(self, points: Array) -> list[Array]:
        """Return rows (k, d) of unit norm that each point in a cone is closest to violating."""
        count, d = min(self.frame.n, _NEAREST * points.shape[-1]), points.shape[-1]
        xp = array_namespace(points)
        neurons = xp.reshape(points, (2, points.shape[0] // 2, d))
        found: ActiveRows = self.passes.fold(nearest_at, self.frame, neurons, count, merge=nearer)
        indices = [xp.nonzero(found.order[k, :] < math.inf)[0] for k in range(points.shape[0])]
        return [xp.take(found.rows[k, ...], index, axis=0) for k, index in enumerate(indices)]

    def patterns_of_samples(self) -> Any:
        """Return the patterns (n, P) in the chunks of the rows, made when asked for; else None."""
        cluster, gates = self.passes.blocks.cluster, self.gates
        if cluster is None:
            return None
        xp, source = array_namespace(gates), cluster.source
        return source.map_blocks(
            partial(patterns_at, gates, self.frame.bias),
            dtype=xp.bool,
            chunks=(source.chunks[0], (gates.shape[0],)),
            meta=xp.zeros((0, 0), dtype=xp.bool),
        )

    def for_samples(self, x: Any) -> Any:
        """Return what belongs to samples as it is: it lies beside the rows."""
        return x

    def as_held(self, name: str, x: Any) -> Any:
        """Return what belongs to samples as it lies beside the rows."""
        return self.passes.blocks.beside(name, x, self.passes.blocks.dtype)

    def certified_share(self, V: Array) -> float | None:  # noqa: ARG002
        """Return None, as there are no perturbations."""
        return None
