"""Networks: what the neurons of the convex program stand for, and attacks on them."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._core.random import place
from .._losses.pointwise import Loss
from ._program import group_norms

# Hidden weights of the features, those of the bias if there is one, output weights.
Network = tuple[Array, Array, Array]
# A step of projected gradient ascent, relative to the radius over the number of steps.
_STEP_FACTOR = 2.5


def network_of(V: Array) -> tuple[Array, Array]:
    """Return the hidden weights (d, m) and output weights (m, C) that neurons (C, 2, P, d) map to.

    A neuron v that adds to the prediction becomes ``v / sqrt|v|`` with weight ``sqrt|v|``, one that
    subtracts the same with the sign changed; zeros are left out.
    """
    xp = array_namespace(V)
    C, d = V.shape[0], V.shape[-1]
    size = xp.sqrt(group_norms(V))
    flat, sizes = xp.reshape(V, (-1, d)), xp.reshape(size, (-1,))
    signs = xp.asarray([[1.0], [-1.0]], dtype=V.dtype, device=device_of(V))
    outputs = xp.eye(C, dtype=V.dtype, device=device_of(V))
    weights = (signs * size)[..., None] * outputs[:, None, None, :]
    (index,) = xp.nonzero(sizes > 0)
    chosen = xp.take(sizes, index)
    hidden = xp.take(flat, index, axis=0) / chosen[:, None]
    return hidden.T, xp.take(xp.reshape(weights, (-1, C)), index, axis=0)


def outputs_of(X: Array, W1: Array, w2: Array) -> Array:
    """Return ``max(X W1, 0) w2``."""
    xp = array_namespace(X)
    return xp.matmul(xp.clip(xp.matmul(X, W1), 0.0, None), w2)


def network_objective(
    X: Array, y: Array, weights: Array, W1: Array, w2: Array, beta: float, loss: Loss
) -> float:
    """Return ``loss + beta / 2 (|W1|^2 + |w2|^2)`` of a network for targets y (C, n)."""
    xp = array_namespace(X)
    fit = float(xp.sum(loss.value(outputs_of(X, W1, w2).T, y, weights)))
    return fit + 0.5 * beta * float(xp.sum(W1 * W1) + xp.sum(w2 * w2))


class Attack(NamedTuple):
    """How to attack: whether in one step, what is made large, steps and random starts."""

    once: bool
    loss: str
    steps: int
    restarts: int


def attacked(
    network: Network, X: Array, y: Array, radius: Array, attack: Attack, rng: Any
) -> Array:
    """Return the worst samples found within `radius` (d,) of those given."""
    if attack.once:
        return _climbed(network, X, X, y, radius, radius, 1, attack.loss)
    worst, worst_harm = X, _harm(network, X, y, attack.loss)
    for attempt in range(attack.restarts + 1):
        start = X
        if attempt:
            start = X + radius * place(rng.uniform(-1, 1, tuple(X.shape)), X)
        step = radius * _STEP_FACTOR / max(attack.steps, 1)
        found = _climbed(network, start, X, y, radius, step, attack.steps, attack.loss)
        worst, worst_harm = _worse(network, worst, worst_harm, found, y, attack.loss)
    return worst


def _forward(network: Network, X: Array) -> tuple[Array, Array]:
    """Return hidden values before the activation, and the output."""
    xp = array_namespace(X)
    W, bias, w2 = network
    hidden = xp.matmul(X, W) + xp.sum(bias, axis=0)[None, :]
    return hidden, xp.matmul(xp.clip(hidden, 0.0, None), w2)


def _harm(network: Network, X: Array, y: Array, loss: str) -> Array:
    """Return what the attack makes large, for each sample."""
    xp = array_namespace(X)
    f = _forward(network, X)[1]
    return xp.abs(f - y) if loss == "squared" else -y * f


def _worse(
    network: Network, old: Array, harm: Array, new: Array, y: Array, loss: str
) -> tuple[Array, Array]:
    xp = array_namespace(old)
    after = _harm(network, new, y, loss)
    better = after > harm
    return xp.where(better[:, None], new, old), xp.where(better, after, harm)


def _climbed(
    network: Network,
    start: Array,
    X: Array,
    y: Array,
    radius: Array,
    step: Array,
    steps: int,
    loss: str,
) -> Array:
    """Return the worst point on the way of steps along the sign of the gradient."""
    xp = array_namespace(X)
    W, _, w2 = network
    low, high = X - radius, X + radius
    point = start
    worst, harm = X, _harm(network, X, y, loss)
    worst, harm = _worse(network, worst, harm, start, y, loss)
    for _ in range(steps):
        hidden, f = _forward(network, point)
        rising = xp.sign(f - y) if loss == "squared" else -y
        slope = xp.matmul(xp.where(hidden > 0, w2[None, :], 0 * hidden), W.T)
        point = point + step * xp.sign(rising[:, None] * slope)
        point = xp.minimum(xp.maximum(point, low), high)
        worst, harm = _worse(network, worst, harm, point, y, loss)
    return worst
