"""Conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from .._core.namespace import Array, array_namespace

Product = Callable[[Array], "Array | tuple[Array, Array]"]


class Solved(NamedTuple):
    """A solution of linear systems, the steps each took, and what is left of the right sides."""

    x: Array
    steps: Array
    residual: Array


def conjugate_gradients(
    product: Product,
    rhs: Array,
    *,
    rtol: float,
    maxiter: int,
    precondition: Array | Callable[[Array], Array] | None = None,
    axis: int | None = None,
    stop: Literal["residual", "l1", "preconditioned"] = "residual",
    check_every: int = 1,
) -> Solved:
    """Return x with ``M x = rhs`` for symmetric positive definite matrices M (Hestenes, Stiefel).

    One system whose unknowns have any shape, or with `axis` one for each vector along that axis,
    side by side. `product` returns ``M p``, or a pair of it and ``p' M p`` where that is known
    better than from the product. `precondition` is the diagonal of an approximate inverse, or a
    function that applies one. A system is done when the norm of its residual, `stop`, is at most
    `rtol` times that of its right side, or when M shows no positive curvature: it is singular to
    rounding. Whether all are is looked at every `check_every` steps, where the host waits for the
    device; steps past convergence change nothing.
    """
    xp = array_namespace(rhs)

    def inner(p: Array, q: Array) -> Array:
        return xp.sum(p * q, axis=axis, keepdims=axis is not None)

    def preconditioned(r: Array) -> Array:
        if precondition is None:
            return r
        return precondition(r) if callable(precondition) else precondition * r

    def size(r: Array, rho: Array) -> Array:
        if stop == "l1":
            return xp.sum(xp.abs(r), axis=axis, keepdims=axis is not None)
        return xp.sqrt(rho if stop == "preconditioned" or precondition is None else inner(r, r))

    x, residual = xp.zeros_like(rhs), rhs
    p = preconditioned(residual)
    rho = inner(residual, p)
    error = size(residual, rho)
    target, steps, one = rtol * error, xp.zeros_like(rho), xp.ones_like(rho)
    for done in range(maxiter):
        if done % check_every == 0 and not bool(xp.any(error > target)):
            break
        image = product(p)
        if isinstance(image, tuple):
            image, curvature = image[0], xp.reshape(image[1], rho.shape)
        else:
            curvature = inner(p, image)
        active = (error > target) & (curvature > 0)
        step = xp.where(active, rho / xp.where(active, curvature, one), 0 * one)
        x, residual = x + step * p, residual - step * image
        z = preconditioned(residual)
        previous, rho = rho, xp.where(active, inner(residual, z), rho)
        p = xp.where(active, z + rho / xp.where(active, previous, one) * p, p)
        error = xp.where(active, size(residual, rho), 0 * error)
        steps = steps + xp.astype(active, steps.dtype)
    return Solved(x, steps, residual)
