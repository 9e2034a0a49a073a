"""Networks: what the neurons of the convex program stand for, and attacks on them."""

from __future__ import annotations

import math
from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.random import generator, place
from .._losses.pointwise import LOSSES, Loss
from ._program import group_norms

ATTACKS = ("fgsm", "pgd")
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


def network_attack(
    W1: Array,
    w2: Array,
    X: Array,
    y: Array,
    *,
    eps: float | Array,
    kind: str = "pgd",
    loss: str = "hinge",
    steps: int = 20,
    restarts: int = 1,
    rng: Any = None,
) -> Array:
    r"""Return perturbed samples on which a two-layer ReLU network does worse.

    .. math::

        \max_{|\delta_{kj}| \le \epsilon_j} \; \ell\big(f(x_k + \delta_k), y_k\big),
        \qquad f(x) = \sum_j a_j \max(x^\top u_j, 0)

    Parameters
    ----------
    W1 : array, shape (d, m)
        Hidden weights u. With d one more than the features of `X`, the last row is the bias.
    w2 : array, shape (m,)
        Output weights a.
    X : array, shape (n, d) or (n, d - 1)
        Samples.
    y : array, shape (n,)
        Labels -1 and 1, or targets for squared loss.
    eps : float or array of shape (features,)
        Radius of the perturbation of each feature, not negative. A bias is never perturbed.
    kind : {"pgd", "fgsm"}, default "pgd"
        Projected gradient ascent, or one step along the sign of the gradient.
    loss : {"hinge", "logistic", "squared"}, default "hinge"
        What is made large. For the first two this is the negative margin ``-y f(x)``.
    steps : int, default 20
        Steps of projected gradient ascent.
    restarts : int, default 1
        Random starts besides the sample itself; the worst point of all is kept.
    rng : int or numpy.random.Generator, optional
        Source of the random starts.

    Returns
    -------
    array, shape of `X`
        The perturbed samples, each within `eps` of its own. No sample is made better.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign or an option is wrong, or a number is not finite.

    See Also
    --------
    convex_relu : trains networks, also against such perturbations.

    Notes
    -----
    Attacks bound the accuracy under perturbations from above, certificates from below. Time
    O(n d m) for each step.

    References
    ----------
    .. [1] A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu, "Towards Deep Learning Models
       Resistant to Adversarial Attacks", ICLR 2018, arXiv:1706.06083.

    Examples
    --------
    >>> import numpy as np
    >>> import numopt
    >>> W1, w2 = np.array([[1.0, -1.0]]), np.array([1.0, -1.0])  # f(x) = x
    >>> X, y = np.array([[0.5], [-2.0]]), np.array([1.0, -1.0])
    >>> numopt.network_attack(W1, w2, X, y, eps=0.1, kind="fgsm")
    array([[ 0.4],
           [-1.9]])
    """
    validate.choice("kind", kind, ATTACKS)
    validate.choice("loss", loss, tuple(LOSSES))
    validate.common_namespace(X=X, W1=W1, w2=w2, y=y)
    dtype = validate.common_float(X=X, W1=W1, w2=w2, y=y)
    X = validate.finite("X", validate.as_array("X", X, ndim=2, dtype=dtype))
    W1 = validate.finite("W1", validate.as_array("W1", W1, ndim=2, dtype=dtype))
    w2 = validate.finite("w2", validate.as_array("w2", w2, ndim=1, dtype=dtype))
    y = validate.finite("y", validate.as_array("y", y, ndim=1, dtype=dtype))
    validate.same_shape("y", y, (X.shape[0],), "X")
    validate.same_shape("w2", w2, (W1.shape[1],), "W1")
    if W1.shape[0] - X.shape[1] not in (0, 1):
        raise ValueError(
            f"`W1` must have {X.shape[1]} rows, or one more for a bias, to match `X`, "
            f"got {W1.shape[0]}."
        )
    radius = radii(eps, X)
    steps, restarts = validate.count("steps", steps), validate.count("restarts", restarts)
    network = W1[: X.shape[1], :], W1[X.shape[1] :, :], w2
    if kind == "fgsm":
        return _climbed(network, X, X, y, radius, radius, 1, loss)
    draws = generator(rng)
    worst, worst_harm = X, _harm(network, X, y, loss)
    for attempt in range(restarts + 1):
        start = X
        if attempt:
            start = X + radius * place(draws.uniform(-1, 1, tuple(X.shape)), X)
        step = radius * _STEP_FACTOR / max(steps, 1)
        found = _climbed(network, start, X, y, radius, step, steps, loss)
        worst, worst_harm = _worse(network, worst, worst_harm, found, y, loss)
    return worst


def radii(eps: Any, X: Array) -> Array:
    """Return validated radii of a perturbation for each feature of X, (d,)."""
    xp = array_namespace(X)
    if hasattr(eps, "shape") and eps.shape != ():
        validate.common_namespace(X=X, eps=eps)
        eps = validate.as_array("eps", eps, ndim=1, dtype=X.dtype)
        return validate.non_negative("eps", validate.same_shape("eps", eps, (X.shape[1],), "X"))
    value = validate.real("eps", eps)
    if not 0 <= value < math.inf:
        raise ValueError(f"`eps` must be non-negative and finite, got {eps!r}.")
    return xp.full((X.shape[1],), value, dtype=X.dtype, device=device_of(X))


def _forward(network: tuple[Array, Array, Array], X: Array) -> tuple[Array, Array]:
    """Return hidden values before the activation, and the output."""
    xp = array_namespace(X)
    W, bias, w2 = network
    hidden = xp.matmul(X, W) + xp.sum(bias, axis=0)[None, :]
    return hidden, xp.matmul(xp.clip(hidden, 0.0, None), w2)


def _harm(network: tuple[Array, Array, Array], X: Array, y: Array, loss: str) -> Array:
    """Return what the attack makes large, for each sample."""
    xp = array_namespace(X)
    f = _forward(network, X)[1]
    return xp.abs(f - y) if loss == "squared" else -y * f


def _worse(
    network: Any, old: Array, harm: Array, new: Array, y: Array, loss: str
) -> tuple[Array, Array]:
    xp = array_namespace(old)
    after = _harm(network, new, y, loss)
    better = after > harm
    return xp.where(better[:, None], new, old), xp.where(better, after, harm)


def _climbed(
    network: Any,
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
